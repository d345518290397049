"""The standard quantile functions: a word of the stream in, a standard value out, in exact arithmetic.

Each quantile has three parts, so that the rare tail costs nothing where it does not occur:

    depth(word, c, k)            how deep in the tail the word lies: w = -log(4 p (1 - p)) for tail probability p
    central(word, depth, c, k)   the value, right where depth <= deepest(c)
    tail(word, depth, c, k)      the value beyond that

`c` is a tuple of seven floats and `k` a tuple of three unsigned integers that `gpuinit.sampler` computes once.
A word is a uint32
(float32 and every type rounded from it) or a uint64 (float64). The source serves NumPy arrays as it stands, and Numba when
taught; it uses `kernels.primitives` alone.

Method: z = x P(w) with x = 1 - 2p (after Giles, 2010, "Approximating the erfinv function"); in the far tail z^2 = y solves
y + log y - 2 log M(1/y) = K, where M is Mills' ratio times z.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuinit.kernels import coefficients
from gpuinit.kernels.formats import descending, format_of
from gpuinit.kernels.primitives import (
    add,
    bits,
    both,
    complement,
    divide,
    either,
    fma,
    polynomial,
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
    "QUANTILES",
    "SHALLOW32",
    "SHALLOW_BOUND",
    "SHALLOW_HALF32",
    "SHALLOW_ORIGIN",
    "SHORT_LOG32",
    "TAIL32",
    "TAILED",
    "TAIL_START",
    "interval_central",
    "interval_depth",
    "interval_tail",
    "mills_tail",
    "negative_log",
    "shallow_central",
    "symmetric_central",
    "symmetric_depth",
    "symmetric_tail32",
    "symmetric_tail64",
    "unit_central",
    "unit_depth",
]

CENTRAL_DEPTH = coefficients.CENTRAL_MAX
"""The central polynomial holds up to this depth: tail probability 4.83e-4, 3.3 standard deviations."""
SHALLOW_BOUND = 2.0
"""The shallow quantile serves truncation at +-this, and at nothing else: its constants are those of this bound."""
NEWTON_STEPS = 2

TAIL32 = descending(np.float32, coefficients.TAIL32)
SHALLOW32 = descending(np.float32, coefficients.SHALLOW32)
SHALLOW_HALF32 = descending(np.float32, coefficients.SHALLOW_HALF32)
SHALLOW_ORIGIN = np.float32(coefficients.SHALLOW_ORIGIN).view(np.uint32)
_SHALLOW_STEP, _SHALLOW_HALF_STEP = np.float32(2.0**-31), np.float32(2.0**-32)
SHORT_LOG32 = descending(np.float32, coefficients.SHORT_LOG32)
TAIL_START = np.float32(CENTRAL_DEPTH)


def negative_log(y: Any) -> Any:
    """-log(y) for normal y > 0: the bit pattern counts units of log 2 linearly, a polynomial in the fraction mends it."""
    f = format_of(y)
    return _negative_log_from(f.one_bits, y, f.negative_log)


def _negative_log_from(origin: Any, y: Any, table: Any) -> Any:
    """-log(y), its linear part counted from the float of bit pattern `origin`."""
    f = format_of(y)
    pattern = bits(y)
    fraction = unbits(either(both(pattern, f.fraction), f.one_bits)) - f.three_halves
    return fma(to_float(subtract(origin, pattern)), f.log_unit, polynomial(table, fraction))


# Uniform on 0, 1, ..., 2^24 - 1 (2^53 - 1): the word's top bits. The scale turns it into steps of the interval, so
# that the fma is one.


def unit_depth(word: Any, c: Any, k: Any) -> Any:
    return format_of(word).one


def unit_central(word: Any, depth: Any, c: Any, k: Any) -> Any:
    return to_float(shift_right(word, format_of(word).unit_shift))


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
    return _with_sign(x * polynomial(f.central, depth - f.center), both(word, f.sign))


def symmetric_tail32(word: Any, depth: Any, c: Any, k: Any) -> Any:
    f = format_of(word)
    x = fma(to_float(complement(both(word, f.magnitude), f.magnitude)), c[0], c[2])
    return _with_sign(x * polynomial(TAIL32, depth - TAIL_START), both(word, f.sign))


def symmetric_tail64(word: Any, depth: Any, c: Any, k: Any) -> Any:
    f = format_of(word)
    twice_p = fma(to_float(both(word, f.magnitude)), c[0], c[1])
    return _with_sign(mills_tail(negative_log(twice_p) + f.log2), both(word, f.sign))


# Normal truncated at +-SHALLOW_BOUND, in float32: no tail, shorter polynomials, fewer integer operations, all constants fixed.
# v = word and u = word - 2^31, both signed: v + 1/2 counts from the middle, |u + 1/2| from the nearer end. t = (v + 1/2) 2^-31
# has the sign of z; half = (1 - B |t| / sqrt A) / 2 from |u| (1/2 off at most); y = half (1 - half) = (A - (B t)^2) / (4 A). For
# A = 1 half would be p; A = 1.00336 is such that one coefficient less serves. c is not used.


def shallow_central(word: Any, depth: Any, c: Any, k: Any) -> Any:
    f = format_of(word)
    t = fma(to_float(word), _SHALLOW_STEP, _SHALLOW_HALF_STEP)
    half = polynomial(SHALLOW_HALF32, _size(to_float(complement(word, f.sign))))
    w = _negative_log_from(SHALLOW_ORIGIN, fma(f.zero - half, half, half), SHORT_LOG32)
    return t * polynomial(SHALLOW32, w)


def _size(x: Any) -> Any:
    return unbits(both(bits(x), format_of(x).magnitude))


# Truncated to any interval [a, b] with |a| <= b (the mirror image goes by k1 = all ones), v = word ^ k1. The value
# is zero at about
# v = k0: the side above counts d = v - k0 up from there, the side below d = k0 - 1 - v. (k2 = -k0: LLVM would turn v - k0 beside
# v >= k0 into an operation that it cannot vectorize.)
#   near:  x = c0 d + (c1 above | c2 below),   2p = c0 (~v | v) + (c3 | c4),   -log p = -log(2p) + c6
#   far:   2p is scaled to 1 at a, so that nothing underflows, and c5 < 0 sends every word to the tail


def interval_depth(word: Any, c: Any, k: Any) -> Any:
    twice_p = _interval_twice_p(word, c, k)
    x = _interval_x(word, c, k)
    return negative_log(fma(twice_p, x, twice_p))


def interval_central(word: Any, depth: Any, c: Any, k: Any) -> Any:
    f = format_of(word)
    return _with_sign(_interval_x(word, c, k) * polynomial(f.central, depth - f.center), _interval_sign(word, k))


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
    up = add(v, k[2])
    return fma(to_float_unsigned(select(above, up, complement(up, f.ones))), c[0], select(above, c[1], c[2]))


def _interval_sign(word: Any, k: Any) -> Any:
    f = format_of(word)
    below = select(complement(word, k[1]) >= k[0], f.none, f.sign)
    return complement(below, both(k[1], f.sign))


def _with_sign(z: Any, sign: Any) -> Any:
    return unbits(complement(bits(z), sign))


def mills_tail(t: Any) -> Any:
    """The z > 3.2 whose upper tail probability is exp(-t): y = z^2 solves y + log y - 2 G(1/y) = K = 2 t - log 2 pi.

    G = log(Mills' ratio times z) is a polynomial; the slope of K is exp(-G) exactly, so two Newton steps are enough.
    """
    f = format_of(t)
    k = fma(f.two, t, f.minus_log_two_pi)
    rest = fma(f.two, t, f.zero - k) + f.minus_log_two_pi  # what rounding took from k
    log_k = f.zero - negative_log(k)
    y = (k - log_k) + divide(log_k + f.start[0], fma(f.start[1], log_k, k + f.start[2]))
    for _ in range(NEWTON_STEPS):
        s = divide(f.one, y)
        g = s * polynomial(f.mills, s)
        excess = ((y - k) - rest) - fma(f.two, g, negative_log(y))
        y = fma(f.zero - excess, polynomial(f.exponential, g), y)
    return square_root(y)


QUANTILES: dict[tuple[str, int], tuple[Any, Any, Any]] = {
    ("unit", 32): (unit_depth, unit_central, unit_central),
    ("unit", 64): (unit_depth, unit_central, unit_central),
    ("symmetric", 32): (symmetric_depth, symmetric_central, symmetric_tail32),
    ("symmetric", 64): (symmetric_depth, symmetric_central, symmetric_tail64),
    ("shallow", 32): (unit_depth, shallow_central, shallow_central),
    ("interval", 32): (interval_depth, interval_central, interval_tail),
    ("interval", 64): (interval_depth, interval_central, interval_tail),
}
"""Each quantile's depth, central and tail part for words of 32 and of 64 bits."""
TAILED = frozenset({"symmetric", "interval"})
"""The quantiles with words beyond the central part."""
