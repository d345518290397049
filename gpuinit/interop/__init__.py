"""What the framework modules share: memory handed to a framework, and a framework's memory lent for a fill."""

from gpuinit.backends import lent
from gpuinit.interop.export import Export

__all__ = ["Export", "lent"]
