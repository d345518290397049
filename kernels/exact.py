"""Elementary functions in exact arithmetic: the same bits on every backend, in float32 and in float64.

    log       x = 2^e (1 + f), 1 + f in [sqrt 1/2, sqrt 2):  e log 2 + (f + f^2 P(f))
    log1p     log of 1 + x as rounded, and what rounding took from it over that
    exp       x = n log 2 + r, |r| <= log(2) / 2:            2^n (1 + (r + r^2 P(r)))
    sinpi     x = n / 2 + r, |r| <= 1/4: r S(r^2) or 1 + r^2 C(r^2), its sign and kind by n modulo 4; cospi and tanpi alike
    normal    the standard normal quantile, from the parts of kernels/quantiles.py

and absolute, negative, minimum, maximum, floor, ceil. Each takes floats of one precision. The source serves NumPy arrays as
it stands, and Numba when taught; it uses `kernels.primitives` alone.

Errors, in units in the last place, are those of `gpuinit.exact`, where they are stated. Infinities, zeros and subnormal numbers
are taken as they come; outside a function's domain the value is nan.
"""

from __future__ import annotations

from typing import Any

from gpuinit.kernels.exact_formats import exact_format_of
from gpuinit.kernels.formats import format_of
from gpuinit.kernels.primitives import (
    add,
    bits,
    both,
    clamp,
    complement,
    divide,
    either,
    fma,
    multiply,
    polynomial,
    select,
    shift_left,
    shift_right,
    subtract,
    to_float,
    unbits,
)
from gpuinit.kernels.quantiles import TAIL32, TAIL_START, mills_tail, negative_log

__all__ = [
    "absolute",
    "ceil",
    "cospi",
    "exp",
    "floor",
    "log",
    "log1p",
    "maximum",
    "minimum",
    "negative",
    "normal32",
    "normal64",
    "sinpi",
    "tanpi",
    "uniform",
]


def uniform(word: Any) -> Any:
    """u = (k + 1/2) 2^-23, k the word's top 23 bits; of a 64-bit word (k + 1/2) 2^-52, k its top 52."""
    f = exact_format_of(word)
    return multiply(to_float(either(shift_right(word, f.middle_shift), f.unit)), f.middle)


def log(x: Any) -> Any:
    """The natural logarithm; -inf at 0, nan below."""
    f, g = exact_format_of(x), format_of(x)
    subnormal = x < f.tiny
    shifted = add(bits(select(subnormal, multiply(x, f.lift), x)), f.to_root)
    exponent = (to_float(shift_right(shifted, f.exponent_shift)) - f.bias) - select(subnormal, f.lifted, g.zero)
    fraction = unbits(add(both(shifted, g.fraction), f.root_bits)) - g.one
    near = fma(multiply(fraction, fraction), polynomial(f.log, fraction), fraction)
    value = fma(exponent, f.log2, fma(exponent, f.log2_rest, near))
    value = select(x > f.largest, x, value)
    return select(x > g.zero, value, select(x >= g.zero, negative(f.infinity), f.nan))


def log1p(x: Any) -> Any:
    """log(1 + x); -inf at -1, nan below."""
    f, g = exact_format_of(x), format_of(x)
    total = g.one + x
    shadow = total - g.one
    rest = (g.one - (total - shadow)) + (x - shadow)  # what rounding took from 1 + x
    value = log(total) + divide(rest, total)
    return select(total > g.zero, select(total > f.largest, total, value), log(total))


def exp(x: Any) -> Any:
    """e^x; infinite beyond the greatest number, 0 below half of the least."""
    f, g = exact_format_of(x), format_of(x)
    x = clamp(x, f.exp_low, f.exp_high)
    shifted = fma(x, f.log2_e, f.magic)
    n = shifted - f.magic
    r = fma(negative(n), f.log2_rest, fma(negative(n), f.log2, x))
    value = fma(multiply(r, r), polynomial(f.exp, r), r) + g.one
    power = add(subtract(bits(shifted), f.magic_bits), f.exp_origin)
    first = shift_right(power, f.unit)
    value = multiply(value, _power_of_two(first, f.exp_bias, f.exponent_shift))
    return multiply(value, _power_of_two(subtract(power, first), f.exp_bias, f.exponent_shift))


def _power_of_two(n: Any, bias: Any, shift: Any) -> Any:
    return unbits(shift_left(add(n, bias), shift))


def _turns(x: Any) -> Any:
    """2x to the nearest integer in the low bits of a pattern; the sine and cosine of what remains."""
    f, g = exact_format_of(x), format_of(x)
    shifted = fma(x, g.two, f.magic)
    r = fma(negative(shifted - f.magic), f.half, x)
    y = multiply(r, r)
    sine, cosine = multiply(r, polynomial(f.sine, y)), fma(y, polynomial(f.cosine, y), g.one)
    return subtract(bits(shifted), f.magic_bits), sine, cosine


def sinpi(x: Any) -> Any:
    """sin(pi x)."""
    f, g = exact_format_of(x), format_of(x)
    n, sine, cosine = _turns(x)
    value = select(both(n, f.unit) > g.none, cosine, sine)
    value = unbits(complement(bits(value), shift_left(both(n, f.two), f.sign_shift)))
    return select(f.turns >= absolute(x), value, f.nan)


def cospi(x: Any) -> Any:
    """cos(pi x)."""
    f, g = exact_format_of(x), format_of(x)
    n, sine, cosine = _turns(x)
    value = select(both(n, f.unit) > g.none, sine, cosine)
    value = unbits(complement(bits(value), shift_left(both(add(n, f.unit), f.two), f.sign_shift)))
    return select(f.turns >= absolute(x), value, f.nan)


def tanpi(x: Any) -> Any:
    """tan(pi x); infinite at odd multiples of 1/2."""
    f, g = exact_format_of(x), format_of(x)
    n, sine, cosine = _turns(x)
    odd = both(n, f.unit) > g.none
    value = divide(select(odd, negative(cosine), sine), select(odd, sine, cosine))
    return select(f.turns >= absolute(x), value, f.nan)


def normal32(u: Any) -> Any:
    """The standard normal quantile of a float32 probability."""
    x, depth, _ = _central_terms(u)
    return _signed(u, depth, multiply(x, polynomial(TAIL32, depth - TAIL_START)))


def normal64(u: Any) -> Any:
    """The standard normal quantile of a float64 probability."""
    _, depth, twice = _central_terms(u)
    return _signed(u, depth, mills_tail(negative_log(twice) + format_of(u).log2))


def _central_terms(u: Any) -> Any:
    """1 - 2p, -log(4 p (1 - p)) and 2p, p the nearer of u and 1 - u."""
    g = format_of(u)
    p = minimum(u, g.one - u)
    twice = p + p
    x = g.one - twice
    return x, negative_log(fma(twice, x, twice)), twice


def _signed(u: Any, depth: Any, tail: Any) -> Any:
    f, g = exact_format_of(u), format_of(u)
    x, _, _ = _central_terms(u)
    size = select(depth > f.deepest, tail, multiply(x, polynomial(g.central, depth - g.center)))
    return select(minimum(u, g.one - u) >= f.least, select(u < f.half, negative(size), size), f.nan)


def absolute(x: Any) -> Any:
    """|x|."""
    return unbits(both(bits(x), format_of(x).magnitude))


def negative(x: Any) -> Any:
    """-x, by its sign bit."""
    return unbits(complement(bits(x), format_of(x).sign))


def minimum(x: Any, y: Any) -> Any:
    """y where y < x, else x, as Python's min(x, y)."""
    return select(y < x, y, x)


def maximum(x: Any, y: Any) -> Any:
    """y where y > x, else x, as Python's max(x, y)."""
    return select(y > x, y, x)


def floor(x: Any) -> Any:
    """The greatest integer <= x, as a float."""
    f, g = exact_format_of(x), format_of(x)
    nearest = (x + f.magic) - f.magic
    return select(f.whole > absolute(x), select(nearest > x, nearest - g.one, nearest), x)


def ceil(x: Any) -> Any:
    """The least integer >= x, as a float."""
    return negative(floor(negative(x)))
