"""From a quantile function in Python to a straight-line program: its source is read, checked, and run on symbols."""

from gpuinit.tracing.errors import QuantileError
from gpuinit.tracing.trace import trace

__all__ = ["QuantileError", "trace"]
