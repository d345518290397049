"""The arithmetic of the stream: operations that give the same bits on every backend.

Each primitive has a NumPy body here, which is its specification, on arrays of float32 and uint32 or of float64 and uint64.
`kernels.numba_primitives` gives each the same meaning in compiled code. All are IEEE-exact: none rounds more than once, none
calls libm. This module imports NumPy alone.

Two rules keep every compiler honest. A product never feeds a sum bare: it is an `fma`, or it stands alone. Integers are combined
by the primitives below, never by operators, because compilers widen `uint32 + uint32`.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

__all__ = [
    "add",
    "bits",
    "both",
    "clamp",
    "complement",
    "divide",
    "either",
    "fma",
    "multiply",
    "polynomial",
    "product_high",
    "product_low",
    "quotient",
    "select",
    "shift_left",
    "shift_right",
    "square_root",
    "subtract",
    "to_float",
    "to_float_unsigned",
    "unbits",
]

_UNSIGNED = {np.dtype(np.float32): np.dtype(np.uint32), np.dtype(np.float64): np.dtype(np.uint64)}
_FLOAT = {unsigned: real for real, unsigned in _UNSIGNED.items()}
_SIGNED = {np.dtype(np.uint32): np.dtype(np.int32), np.dtype(np.uint64): np.dtype(np.int64)}


def bits(x: Any) -> Any:
    """The bit pattern of a float, as an unsigned integer of its width."""
    return x.view(_UNSIGNED[x.dtype])


def unbits(n: Any) -> Any:
    """The float whose bit pattern is the unsigned integer `n`."""
    return n.view(_FLOAT[n.dtype])


def to_float(n: Any) -> Any:
    """`n`, read as a signed integer, rounded to nearest even in the float of its width."""
    return n.view(_SIGNED[n.dtype]).astype(_FLOAT[n.dtype])


def to_float_unsigned(n: Any) -> Any:
    """`n` rounded to nearest even in the float of its width."""
    return n.astype(_FLOAT[n.dtype])


def add(n: Any, m: Any) -> Any:
    """n + m modulo 2^32 or 2^64."""
    return n + m


def subtract(n: Any, m: Any) -> Any:
    """n - m modulo 2^32 or 2^64."""
    return n - m


def product_high(n: Any, m: Any) -> Any:
    """The upper 32 bits of n m, for 32-bit words."""
    return (n.astype(np.uint64) * m.astype(np.uint64) >> np.uint64(32)).astype(np.uint32)


def product_low(n: Any, m: Any) -> Any:
    """The lower 32 bits of n m, for 32-bit words."""
    return (n.astype(np.uint64) * m.astype(np.uint64)).astype(np.uint32)


def quotient(n: Any, m: Any) -> Any:
    """n / m rounded down, for m != 0."""
    return n // m


def both(n: Any, m: Any) -> Any:
    """Bitwise and."""
    return n & m


def either(n: Any, m: Any) -> Any:
    """Bitwise or."""
    return n | m


def complement(n: Any, m: Any) -> Any:
    """`n` with the bits of the mask `m` flipped (bitwise exclusive or)."""
    return n ^ m


def shift_right(n: Any, count: Any) -> Any:
    """`n` shifted right by `count` bits, zeros coming in."""
    return n >> count


def shift_left(n: Any, count: Any) -> Any:
    """`n` shifted left by `count` bits, zeros coming in."""
    return n << count


def select(condition: Any, x: Any, y: Any) -> Any:
    """`x` where the condition holds, else `y`; both are computed."""
    return np.where(condition, x, y)


def clamp(x: Any, low: Any, high: Any) -> Any:
    """`x` moved into [low, high]; a value that compares equal to a bound stays as it is."""
    x = select(x < low, low, x)
    return select(x > high, high, x)


def divide(x: Any, y: Any) -> Any:
    """x / y rounded once, for y != 0."""
    return x / y


def square_root(x: Any) -> Any:
    """The square root, rounded once."""
    return np.sqrt(x)


def multiply(x: Any, y: Any) -> Any:
    """x y rounded once; no compiler may fuse it with a sum that it feeds."""
    return x * y


_HUGE, _SMALL = 2.0**990, 2.0**-960


def fma(a: Any, b: Any, c: Any) -> Any:
    """a * b + c rounded once to nearest even; infinities and nan as IEEE has them."""
    return _fma64(a, b, c) if np.result_type(a, b, c) == np.float64 else _fma32(a, b, c)


def polynomial(coefficients: tuple[Any, ...], x: Any) -> Any:
    """Horner's rule by fma; the highest power's coefficient comes first."""
    total = coefficients[0]
    for coefficient in coefficients[1:]:
        total = fma(total, x, coefficient)
    return total


def _fma32(a: Any, b: Any, c: Any) -> Any:
    # The product of two float32 is exact in float64. The sum is rounded to odd there, and so survives the second rounding
    # (Boldo and Melquiond, 2008, "Emulation of a FMA and correctly rounded sums").
    product = np.multiply(a, b, dtype=np.float64)
    return _add_to_odd(product, np.asarray(c, np.float64)).astype(np.float32)


def _fma64(a: Any, b: Any, c: Any) -> Any:
    # Boldo and Melquiond (2008), algorithm Fma: the product as a pair, two exact sums, one sum rounded to odd.
    a, b, c = np.broadcast_arrays(*np.atleast_1d(a, b, c))
    high, low = _two_product(a, b)
    carry, rest = _two_sum(c, low)
    total, residue = _two_sum(high, carry)
    result = total + _add_to_odd(rest, residue)
    plain = (high == 0) | ~(np.isfinite(high) & np.isfinite(c))  # nothing to be rounded twice, and the sign of zero as it is
    result = np.where(plain, np.where(np.isfinite(a) & np.isfinite(b) & ~np.isfinite(c), c, high + c), result)
    # Where a part could overflow or fall below the normal range, in rationals; only scales of 1e+-290 lead there.
    size = np.abs(high)
    largest = np.maximum(np.maximum(np.abs(a), np.abs(b)), np.maximum(size, np.abs(c)))
    risky = (largest > _HUGE) | ((size < _SMALL) & (a != 0) & (b != 0))
    for place in zip(*np.nonzero(risky & np.isfinite(a) & np.isfinite(b) & np.isfinite(c)), strict=True):
        result[place] = _rounded(Fraction(float(a[place])) * Fraction(float(b[place])) + Fraction(float(c[place])))
    return result


def _rounded(exact: Fraction) -> float:
    try:
        return float(exact)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def _two_sum(a: Any, b: Any) -> Any:
    total = a + b
    shadow = total - a
    return total, (a - (total - shadow)) + (b - shadow)


def _two_product(a: Any, b: Any) -> Any:
    product = a * b
    a_high, a_low = _split(a)
    b_high, b_low = _split(b)
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def _split(a: Any) -> Any:
    # Veltkamp's splitting into two halves of at most 26 bits.
    scaled = a * np.float64(2**27 + 1)
    high = scaled - (scaled - a)
    return high, a - high


def _add_to_odd(a: Any, b: Any) -> Any:
    """a + b in float64 rounded to odd: inexact sums get a last bit of one, toward the residue."""
    total, residue = _two_sum(a, b)
    pattern = np.atleast_1d(total).view(np.int64)
    step = np.where((residue > 0) == (total > 0), 1, -1)
    inexact_and_even = (np.abs(residue) > 0) & (pattern & 1 == 0)  # beside an infinite sum the residue is nan
    return (pattern + np.where(inexact_and_even, step, 0)).view(np.float64)
