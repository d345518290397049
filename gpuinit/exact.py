"""Elementary functions with the same bits on every machine and backend.

They are what a quantile function (`gpuinit.quantile`) calls where its values are to be bit-equal on NumPy, compiled CPU
code and CUDA; called by themselves they take numbers and NumPy arrays. Each is computed by IEEE additions, products, fused
products, divisions and roots alone, in float32 or float64; docs/stream.md says how. Other types of arguments are float64's.

Errors are in units in the last place (ulp) of the exact value, for float32 and for float64 alike; tests/test_exact.py
measures them. Outside a function's domain the value is nan.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gpuinit.kernels import exact as kernels
from gpuinit.kernels import primitives

__all__ = ["cospi", "exp", "fma", "log", "log1p", "normal", "sinpi", "sqrt", "tanpi"]


def fma(a: Any, b: Any, c: Any) -> Any:
    """a b + c, rounded once."""
    return _applied(primitives.fma, a, b, c)


def sqrt(x: Any) -> Any:
    """The square root, rounded once, of x >= 0."""
    return _applied(primitives.square_root, x)


def exp(x: Any) -> Any:
    """e^x within 1.0 ulp, for every x; below the normal range within 1 unit of the least number."""
    return _applied(kernels.exp, x)


def log(x: Any) -> Any:
    """The natural logarithm within 1.1 ulp, near 1 included, for x > 0; -inf at 0."""
    return _applied(kernels.log, x)


def log1p(x: Any) -> Any:
    """log(1 + x) within 2 ulp, near 0 included, for x > -1; -inf at -1."""
    return _applied(kernels.log1p, x)


def sinpi(x: Any) -> Any:
    """sin(pi x) within 1.8 ulp, near its zeros included, for |x| <= 2^20 (float64: 2^49)."""
    return _applied(kernels.sinpi, x)


def cospi(x: Any) -> Any:
    """cos(pi x) within 1.8 ulp, near its zeros included, for |x| <= 2^20 (float64: 2^49)."""
    return _applied(kernels.cospi, x)


def tanpi(x: Any) -> Any:
    """tan(pi x) within 3 ulp, for |x| <= 2^20 (float64: 2^49); infinite at odd multiples of 1/2."""
    return _applied(kernels.tanpi, x)


def normal(u: Any) -> Any:
    """The quantile of the standard normal distribution at u: z with Phi(z) = u, within 4 ulp.

    Domain: 2^-32 <= u < 1 in float32, 2^-1021 <= u < 1 in float64. For the accuracy of the upper tail, u must be as near to 1
    as it is: normal(u) = -normal(1 - u).
    """
    return _applied((kernels.normal32, kernels.normal64), u)


def _applied(function: Callable[..., Any] | tuple[Callable[..., Any], Callable[..., Any]], *arguments: Any) -> Any:
    arrays = [np.asarray(argument) for argument in arguments]
    real = np.float32 if all(array.dtype == np.float32 for array in arrays) else np.float64
    if isinstance(function, tuple):
        function = function[0] if real is np.float32 else function[1]
    flat = [array.astype(real).reshape(-1) for array in np.broadcast_arrays(*arrays)]
    with np.errstate(all="ignore"):
        result: Any = np.asarray(function(*flat), real)
    shape = np.broadcast_shapes(*(array.shape for array in arrays))
    return result.reshape(shape)[()]
