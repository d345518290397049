"""The standard quantile functions: a word of the stream in, a standard value out, in exact arithmetic.

Each distribution has three parts, so that the rare tail costs nothing where it does not occur:

    depth(word, c, k)            how deep in the tail the word lies: w = -log(4 p (1 - p)) for tail probability p
    central(word, depth, c, k)   the value, right where depth <= deepest(c)
    tail(word, depth, c, k)      the value beyond that

`c` is a tuple of seven floats and `k` a tuple of two unsigned integers that `gpuinit.distributions` computes once. A word is a uint32
(float32 and every type rounded from it) or a uint64 (float64). The source serves NumPy arrays as it stands, and Numba when
taught; it uses `kernels.primitives` alone.

Method: z = x P(w) with x = 1 - 2p (after Giles, 2010, "Approximating the erfinv function"); in the far tail z^2 = y solves
y + log y - 2 log M(1/y) = K, where M is Mills' ratio times z.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gpuinit.kernels import coefficients
from gpuinit.kernels.primitives import (
    bits,
    both,
    complement,
    either,
    fma,
    select,
    shift_right,
    square_root,
    subtract,
    to_float,
    to_float_unsigned,
    unbits,
)

__all__ = [
    "CENTRAL_DEPTH",
    "Format",
    "format_of",
    "interval_central",
    "interval_depth",
    "interval_tail",
    "mills_tail",
    "negative_log",
    "polynomial",
    "symmetric_central",
    "symmetric_depth",
    "symmetric_tail32",
    "symmetric_tail64",
    "unit_central",
    "unit_depth",
    "unit_tail",
]

CENTRAL_DEPTH = 6.25
"""The central polynomial holds up to this depth: tail probability 4.83e-4, 3.3 standard deviations."""


NEWTON_STEPS = 3


class Format(NamedTuple):
    """The constants of one precision, as scalars of that precision."""

    one_bits: Any
    fraction: Any
    sign: Any
    magnitude: Any
    unit_shift: Any
    unit: Any
    zero: Any
    ones: Any
    one: Any
    two: Any
    three_halves: Any
    log2: Any
    log_unit: Any
    log_two_pi: Any
    negative_log: tuple[Any, ...]
    central: tuple[Any, ...]
    mills: tuple[Any, ...]


def _format(real: Any, unsigned: Any, fraction_bits: int, log: Any, central: Any, mills: Any) -> Format:
    width = np.dtype(unsigned).itemsize * 8
    return Format(
        one_bits=np.ones(1, real).view(unsigned)[0],
        fraction=unsigned(2**fraction_bits - 1),
        sign=unsigned(2 ** (width - 1)),
        magnitude=unsigned(2 ** (width - 1) - 1),
        unit_shift=unsigned(width - 1 - fraction_bits),
        unit=real(2.0 ** -(fraction_bits + 1)),
        zero=unsigned(0),
        ones=unsigned(2**width - 1),
        one=real(1),
        two=real(2),
        three_halves=real(1.5),
        log2=real(coefficients.LOG_2),
        log_unit=real(coefficients.LOG_2 * 2.0**-fraction_bits),
        log_two_pi=real(coefficients.LOG_TWO_PI),
        negative_log=tuple(map(real, log)),
        central=tuple(map(real, central)),
        mills=tuple(map(real, mills)),
    )


_FLOAT32 = _format(np.float32, np.uint32, 23, coefficients.NEG_LOG32, coefficients.CENTRAL32, coefficients.MILLS32)
_FLOAT64 = _format(np.float64, np.uint64, 52, coefficients.NEG_LOG64, coefficients.CENTRAL64, coefficients.MILLS64)
_TAIL32 = tuple(map(np.float32, coefficients.TAIL32))
_FORMATS = {"float32": _FLOAT32, "uint32": _FLOAT32, "float64": _FLOAT64, "uint64": _FLOAT64}


def format_of(x: Any) -> Format:
    """The constants for the precision of `x`, a float or a word."""
    return _FORMATS[x.dtype.name]


def polynomial(coefficient: tuple[Any, ...], x: Any) -> Any:
    """Horner's rule by fma; the highest power's coefficient comes first."""
    total = coefficient[0]
    for degree in range(1, len(coefficient)):
        total = fma(total, x, coefficient[degree])
    return total


def negative_log(y: Any) -> Any:
    """-log(y) for normal y > 0: the bit pattern counts units of log 2 linearly, a polynomial in the fraction mends it."""
    f = format_of(y)
    pattern = bits(y)
    fraction = unbits(either(both(pattern, f.fraction), f.one_bits)) - f.three_halves
    return fma(to_float(subtract(f.one_bits, pattern)), f.log_unit, polynomial(f.negative_log, fraction))


# Uniform on [0, 1): the word's top 24 (53) bits.


def unit_depth(word: Any, c: Any, k: Any) -> Any:
    return format_of(word).unit


def unit_central(word: Any, depth: Any, c: Any, k: Any) -> Any:
    f = format_of(word)
    return to_float(shift_right(word, f.unit_shift)) * f.unit


def unit_tail(word: Any, depth: Any, c: Any, k: Any) -> Any:
    return unit_central(word, depth, c, k)


# Normal, and normal truncated at +-bound: B = 2 Phi(bound) - 1, the top bit is the sign, m the rest, n = ~m.
# c = (B 2^-31, 2 alpha + B 2^-32, B 2^-32) with 2 alpha = 1 - B; 2p = c0 m + c1, x = 1 - 2p = c0 n + c2.


def symmetric_depth(word: Any, c: Any, k: Any) -> Any:
    f = format_of(word)
    m = both(word, f.magnitude)
    twice_p = fma(to_float(m), c[0], c[1])
    x = fma(to_float(complement(m, f.magnitude)), c[0], c[2])
    return negative_log(fma(twice_p, x, twice_p))


def symmetric_central(word: Any, depth: Any, c: Any, k: Any) -> Any:
    f = format_of(word)
    x = fma(to_float(complement(both(word, f.magnitude), f.magnitude)), c[0], c[2])
    return _with_sign(x * polynomial(f.central, depth), both(word, f.sign))


def symmetric_tail32(word: Any, depth: Any, c: Any, k: Any) -> Any:
    f = format_of(word)
    x = fma(to_float(complement(both(word, f.magnitude), f.magnitude)), c[0], c[2])
    return _with_sign(x * polynomial(_TAIL32, depth), both(word, f.sign))


def symmetric_tail64(word: Any, depth: Any, c: Any, k: Any) -> Any:
    f = format_of(word)
    twice_p = fma(to_float(both(word, f.magnitude)), c[0], c[1])
    return _with_sign(mills_tail(negative_log(twice_p) + f.log2), both(word, f.sign))


# Truncated to any interval [a, b] with |a| <= b (the mirror image goes by k1 = all ones), v = word ^ k1. The word's value is zero
# at about v = k0: the side above counts d = v - k0 up from there, the side below d = k0 - 1 - v.
#   near:  x = c0 d + (c1 above | c2 below),   2p = c0 (~v | v) + (c3 | c4),   -log p = -log(2p) + c6
#   far:   2p is scaled to 1 at a, so that nothing underflows, and c5 < 0 sends every word to the tail


def interval_depth(word: Any, c: Any, k: Any) -> Any:
    twice_p = _interval_twice_p(word, c, k)
    x = _interval_x(word, c, k)
    return negative_log(fma(twice_p, x, twice_p))


def interval_central(word: Any, depth: Any, c: Any, k: Any) -> Any:
    f = format_of(word)
    return _with_sign(_interval_x(word, c, k) * polynomial(f.central, depth), _interval_sign(word, k))


def interval_tail(word: Any, depth: Any, c: Any, k: Any) -> Any:
    return _with_sign(mills_tail(negative_log(_interval_twice_p(word, c, k)) + c[6]), _interval_sign(word, k))


def _interval_twice_p(word: Any, c: Any, k: Any) -> Any:
    f = format_of(word)
    v = complement(word, k[1])
    above = v >= k[0]
    return fma(to_float_unsigned(select(above, complement(v, f.ones), v)), c[0], select(above, c[3], c[4]))


def _interval_x(word: Any, c: Any, k: Any) -> Any:
    f = format_of(word)
    v = complement(word, k[1])
    above = v >= k[0]
    up = subtract(v, k[0])
    return fma(to_float_unsigned(select(above, up, complement(up, f.ones))), c[0], select(above, c[1], c[2]))


def _interval_sign(word: Any, k: Any) -> Any:
    f = format_of(word)
    below = select(complement(word, k[1]) >= k[0], f.zero, f.sign)
    return complement(below, both(k[1], f.sign))


def _with_sign(z: Any, sign: Any) -> Any:
    return unbits(complement(bits(z), sign))


def mills_tail(t: Any) -> Any:
    """The z > 3.2 whose upper tail probability is exp(-t), by Newton's method on z^2."""
    f = format_of(t)
    k = (t + t) - f.log_two_pi
    y = k + negative_log(k)
    for _ in range(NEWTON_STEPS):
        s = f.one / y
        excess = (y - negative_log(y)) - fma(f.two * s, polynomial(f.mills, s), k)
        y = y - excess / (s + f.one)
    return square_root(y)
