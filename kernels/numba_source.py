"""Teaches Numba the Python source of the stream: the quantiles, the rounding, and the cosines of Fourier kernels."""

from __future__ import annotations

import functools
import inspect
import math

from numba.core import types
from numba.extending import overload

from gpuinit.kernels import exact, exact_formats, formats, narrow, primitives, programs, quantiles, trigonometry
from gpuinit.kernels.numba_primitives import teach

__all__ = ["teach_quantile"]


teach(primitives.clamp)
for _module in (quantiles, narrow, trigonometry, exact):
    for _function in vars(_module).values():
        own = inspect.isfunction(_function) and _function.__module__ == _module.__name__
        if own and _function.__name__ != "_target":
            teach(_function)


@functools.cache
def teach_quantile(quantile: str, bits: int) -> None:
    """Teach Numba a quantile that a user wrote; it knows the others."""
    program = programs.PROGRAMS.get(quantile)
    if program is not None:
        compiled = programs.central_of(quantile, program, bits, vars(math))
        overload(quantiles.QUANTILES[quantile, bits][1], strict=False, target="generic")(lambda *args: compiled)


def _by_type(for32, for64):  # type: ignore[no-untyped-def]
    """The typing of a function that gives one of two constants, by the type of its argument."""

    def typing(x):  # type: ignore[no-untyped-def]  # Numba compares this signature with the implementation's
        element = getattr(x, "element", types.unliteral(x))  # of a bundle of registers
        if element in (types.float32, types.uint32):
            return lambda x: for32
        if element in (types.float64, types.uint64):
            return lambda x: for64
        return None

    return typing


overload(formats.format_of, strict=False, target="generic")(_by_type(formats.FLOAT32, formats.FLOAT64))
overload(exact_formats.exact_format_of, strict=False, target="generic")(_by_type(exact_formats.EXACT32, exact_formats.EXACT64))
