"""gpuinit: neural-network weight initialization where a value belongs to an element, not to a thread."""

from gpuinit.key import Key, SeedGenerator

__version__ = "0.1.0"
__all__ = ["Key", "SeedGenerator"]
