"""The error of a function that cannot be a quantile function."""

from __future__ import annotations

__all__ = ["ALLOWED", "QuantileError"]

ALLOWED = (
    "Allowed are: assignments; numbers; + - * / **; comparisons, and, or, not; if, elif, else; x if condition else y; for over "
    "range or a tuple of numbers; return; tuples; abs, min, max; gpuinit.exact; functions of math and their NumPy twins; other "
    "functions of this kind; numbers and tuples of numbers from outside, as they are when the function is decorated."
)


class QuantileError(TypeError):
    """A function cannot be a quantile function: the message shows the line, and says what is wrong there and what is allowed."""
