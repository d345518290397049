"""Derive kernels/exact_coefficients.py: the polynomials of gpuinit.exact's logarithm, exponential, sine and cosine.

    python benchmarks/fit_exact.py          # fit and write (a minute)
    python benchmarks/fit_exact.py --check  # fit and compare with the file, bit for bit

Method. References come from mpmath. Each polynomial is a least squares fit at Chebyshev nodes, which is within a few per
cent of the best one; its coefficients are rounded one by one from the constant term up, the rest fitted again each time.
The formulas stand in kernels/exact.py; what comes out is measured by tests/test_exact.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np

mp.mp.dps = 40
OUTPUT = Path(__file__).resolve().parents[1] / "kernels" / "exact_coefficients.py"
HALF_LOG2 = mp.log(2) / 2
Table = tuple[str, str, Callable[[Any], Any], Any, Any, tuple[int, int]]


def log_rest(f: Any) -> Any:
    return (mp.log1p(f) - f) / f**2 if abs(f) > 1e-15 else mp.mpf(-1) / 2 + f / 3


def exp_rest(r: Any) -> Any:
    return (mp.expm1(r) - r) / r**2 if abs(r) > 1e-15 else mp.mpf(1) / 2 + r / 6


def sine_rest(y: Any) -> Any:
    return mp.sin(mp.pi * mp.sqrt(y)) / mp.sqrt(y)


def cosine_rest(y: Any) -> Any:
    return (mp.cos(mp.pi * mp.sqrt(y)) - 1) / y


TABLES: list[Table] = [
    ("LOG", "(log(1 + f) - f) / f^2 in f, 1 + f in [sqrt 1/2, sqrt 2)", log_rest, mp.sqrt(0.5) - 1, mp.sqrt(2) - 1, (9, 21)),
    ("EXP", "(exp(r) - 1 - r) / r^2 in r, |r| <= log(2) / 2", exp_rest, -HALF_LOG2, HALF_LOG2, (5, 11)),
    ("SINE", "sin(pi r) / r in r^2, |r| <= 1/4", sine_rest, mp.mpf(10) ** -20, mp.mpf(1) / 16, (4, 7)),
    ("COSINE", "(cos(pi r) - 1) / r^2 in r^2, |r| <= 1/4", cosine_rest, mp.mpf(10) ** -20, mp.mpf(1) / 16, (4, 7)),
]
"""Name, what it is, the function, the interval, and the number of coefficients in float32 and float64."""


def fit(function: Callable[[Any], Any], low: Any, high: Any, count: int, real: Any) -> tuple[list[Any], Any]:
    """Ascending coefficients in the precision, and the greatest absolute error between the nodes."""
    nodes = [(low + high) / 2 + (high - low) / 2 * mp.cos(mp.pi * (2 * i + 1) / (6 * count)) for i in range(3 * count)]
    rest, found = [function(x) for x in nodes], []
    for fixed in range(count):
        matrix = mp.matrix([[x**power for power in range(fixed, count)] for x in nodes])
        first = real(float(mp.qr_solve(matrix, mp.matrix(rest))[0][0]))
        found.append(first)
        rest = [value - mp.mpf(float(first)) * x**fixed for value, x in zip(rest, nodes, strict=True)]
    between = [low + (high - low) * i / 500 for i in range(501)]
    exact = [mp.mpf(float(c)) for c in reversed(found)]
    return found, max(abs(mp.polyval(exact, x) - function(x)) for x in between)


def text() -> str:
    lines = [
        '"""Constants of the exact functions, ascending powers; written by benchmarks/fit_exact.py.',
        "",
        "kernels/exact.py has the formulas that use them.",
        '"""',
    ]
    for name, what, function, low, high, counts in TABLES:
        for bits, real, count in zip((32, 64), (np.float32, np.float64), counts, strict=True):
            found, error = fit(function, low, high, count, real)
            lines += ["", f"# {what}; fit error {float(error):.2e}", f"{name}{bits} = ("]
            lines += [*(f"    {float(c)!r}," for c in found), ")"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    made = text()
    if "--check" in sys.argv:
        sys.exit(0 if made == OUTPUT.read_text(encoding="utf-8") else f"{OUTPUT} is not what comes out")
    OUTPUT.write_text(made, encoding="utf-8")
