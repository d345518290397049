"""Distributions that users write: straight-line programs, each one more entry of `quantiles.QUANTILES`.

A program is the body of a quantile function as assignments of single operations, with no branch and no loop, over u, the
parameters p0 .. p6 and the constants k0, k1, ...: the same text for both precisions, for NumPy and for Numba, whose
functions go by the same names. `gpuinit.tracing` writes it.
"""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from gpuinit.kernels import exact, primitives, quantiles

__all__ = ["EXACT_NAMES", "MATH", "MOST_PARAMETERS", "PROGRAMS", "Program", "central_of", "install"]

MOST_PARAMETERS = 7
"""They travel in the constants c of a quantile."""
EXACT_NAMES = {
    **{name: getattr(primitives, name) for name in ("fma", "multiply", "divide", "square_root", "select")},
    **{name: getattr(exact, name) for name in ("log", "log1p", "exp", "sinpi", "cospi", "tanpi", "absolute", "negative")},
    **{name: getattr(exact, name) for name in ("minimum", "maximum", "floor", "ceil", "uniform")},
}
"""What a program calls, but for `normal`, which each precision has its own of: the same bits on every backend."""


def _elementwise(function: Callable[[float], float]) -> Callable[[Any], Any]:
    many = np.vectorize(function, otypes=[np.float64])
    return lambda x: many(x).astype(x.dtype)


_UFUNCS = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh"}
_SAME = ("exp", "expm1", "log", "log1p", "log2", "log10", "sin", "cos", "tan", "sinh", "cosh", "tanh", "hypot")
MATH: dict[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in _SAME},
    **{name: getattr(np, ufunc) for name, ufunc in _UFUNCS.items()},
    **{"pow": np.power, "atan2": np.arctan2, "erf": _elementwise(math.erf), "erfc": _elementwise(math.erfc)},
}
"""Functions of the module math as NumPy has them, which each backend takes from its own library: `math_log` in a program."""


class Program(NamedTuple):
    """A quantile function as a program: its text, the real numbers it names k0, k1, .., whether it calls `MATH`."""

    text: str
    constants: tuple[float, ...]
    calls_math: bool


PROGRAMS: dict[str, Program] = {}
"""Every installed program by its quantile's name."""
_installing = threading.Lock()


def install(program: Program) -> str:
    """Make a program a quantile, for words of 32 and 64 bits; its name, which is that of its text and constants alone."""
    described = "\n".join((program.text, *(float(constant).hex() for constant in program.constants)))
    name = f"user-{hashlib.sha256(described.encode()).hexdigest()[:24]}"
    with _installing:
        if name not in PROGRAMS:
            for bits in (32, 64):
                central = central_of(name, program, bits, MATH)
                quantiles.QUANTILES[name, bits] = (quantiles.unit_depth, central, central)
            PROGRAMS[name] = program
    return name


def central_of(name: str, program: Program, bits: int, functions: Any) -> Callable[..., Any]:
    """The program as the central part of a quantile, its math functions taken from the mapping `functions`."""
    real = np.float32 if bits == 32 else np.float64
    scope: dict[str, Any] = {**EXACT_NAMES, "normal": exact.normal32 if bits == 32 else exact.normal64}
    scope |= {f"math_{function}": functions[function] for function in MATH}
    with np.errstate(over="ignore"):
        scope |= {f"k{place}": real(constant) for place, constant in enumerate(program.constants)}
    exec(compile(program.text, f"<{name}>", "exec"), scope)
    central: Callable[..., Any] = scope["central"]
    central.__qualname__ = f"{name}-{bits}"  # Numba makes symbols of it: see cache.named
    return central
