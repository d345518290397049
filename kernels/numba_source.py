"""Teaches Numba the Python source of the stream: the quantiles, the rounding, and the cosines of Fourier kernels."""

from __future__ import annotations

import inspect

from numba.core import types
from numba.extending import overload

from gpuinit.kernels import formats, narrow, primitives, quantiles, trigonometry
from gpuinit.kernels.numba_primitives import teach

__all__: list[str] = []

teach(primitives.clamp)
for _module in (quantiles, narrow, trigonometry):
    for _function in vars(_module).values():
        own = inspect.isfunction(_function) and _function.__module__ == _module.__name__
        if own and _function.__name__ != "_target":
            teach(_function)

FLOAT32, FLOAT64 = formats.FLOAT32, formats.FLOAT64


def _format_by_type(x):  # type: ignore[no-untyped-def]  # Numba compares this signature with the implementation's
    element = getattr(x, "element", types.unliteral(x))  # of a bundle of registers
    if element in (types.float32, types.uint32):
        return lambda x: FLOAT32
    if element in (types.float64, types.uint64):
        return lambda x: FLOAT64
    return None


overload(formats.format_of, strict=False, target="generic")(_format_by_type)
