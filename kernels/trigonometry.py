"""Cosine and sine of a fraction of a turn, in exactly rounded operations: the same bits on every backend.

The angle is pi turn / half for an integer turn, so that its reduction is exact. It is moved into 0 .. pi / 4, kept there as the
sum of two numbers, and goes into Taylor's polynomials, whose first omitted term is below 2^-57 of the result.

The error is below one unit in the last place for half <= 2^53, and below two for any (tests/test_trigonometry.py).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gpuinit.kernels.primitives import add, divide, fma, polynomial, select, subtract, to_float_unsigned

__all__ = ["cosine", "minus_sine"]

_PI, _PI_REST = np.float64(math.pi), np.float64(1.2246467991473532e-16)
"""pi to 106 bits."""
_ZERO, _HALF, _ONE = np.float64(0.0), np.float64(0.5), np.float64(1.0)
_SINE_TERMS = tuple(np.float64((-1) ** k / math.factorial(2 * k + 1)) for k in range(9, 0, -1))
"""sin y = y + y^3 P(y^2): -1/3!, 1/5!, .., the highest power's coefficient first."""
_COSINE_TERMS = tuple(np.float64((-1) ** k / math.factorial(2 * k)) for k in range(9, 1, -1))
"""cos y = 1 - y^2 / 2 + y^4 P(y^2)."""


def cosine(turn: Any, half: Any) -> Any:
    """cos(pi turn / half) for uint64 0 <= turn < 2 half < 2^64; exact at each quarter of the turn, and its zeros are +0."""
    turn = select(turn > half, subtract(add(half, half), turn), turn)
    negative = turn > subtract(half, turn)
    turn = select(negative, subtract(half, turn), turn)
    beyond, sine, value = _octant(turn, half)
    value = select(beyond, sine, value)
    return select(negative, _ZERO - value, value)


def minus_sine(turn: Any, half: Any) -> Any:
    """-sin(pi turn / half), as `cosine` has it."""
    positive = turn > half
    turn = select(positive, subtract(add(half, half), turn), turn)
    turn = select(turn > subtract(half, turn), subtract(half, turn), turn)
    beyond, value, cosine_ = _octant(turn, half)
    value = select(beyond, cosine_, value)
    return select(positive, value, _ZERO - value)


def _octant(turn: Any, half: Any) -> Any:
    """Whether pi turn / half, at most pi / 2, is beyond pi / 4, and the sine and cosine of it, or of what is left to pi / 2."""
    rest = subtract(subtract(half, turn), turn)  # in units of pi / (2 half)
    beyond = add(turn, turn) > rest
    part = to_float_unsigned(select(beyond, rest, turn))
    whole = to_float_unsigned(select(beyond, add(half, half), half))
    ratio = divide(part, whole)
    error = divide(fma(-ratio, whole, part), whole)
    angle = fma(ratio, _PI, ratio * _PI_REST)
    low = fma(error, _PI, fma(ratio, _PI_REST, fma(ratio, _PI, -angle)))
    return beyond, _sine(angle, low), _cosine(angle, low)


def _sine(y: Any, low: Any) -> Any:
    """sin(y + low) for 0 <= y <= pi / 4 and low below a unit of y."""
    square = y * y
    return y + fma(y * square, polynomial(_SINE_TERMS, square), low * fma(-_HALF, square, _ONE))


def _cosine(y: Any, low: Any) -> Any:
    """cos(y + low)."""
    square = y * y
    first = fma(-_HALF, square, _ONE)
    rest = fma(square * square, polynomial(_COSINE_TERMS, square), fma(-_HALF, square, _ONE - first))
    return first + fma(-y, low, rest)
