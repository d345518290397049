"""docs/stream.md once more, from the page alone: slow, exact, and without a line of gpuinit.

Python integers for words, fractions for every floating-point operation (computed exactly, rounded once), mpmath for the
constants. The tables are read from the page itself, so the page is what is tested. A float of either precision is held
in a Python float.
"""

from __future__ import annotations

import hashlib
import math
import re
import struct
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import NamedTuple

import mpmath

PAGE = Path(__file__).parents[1] / "docs" / "stream.md"
MASK = 2**32 - 1
Key = tuple[int, int]
Reals = tuple[float, ...]


class Real(NamedTuple):
    """A binary format: significant bits, exponent of the least subnormal, greatest value, bytes, struct letter."""

    precision: int
    least: int
    largest: float
    size: int
    letter: str


FORMATS = {
    "float64": Real(53, -1074, float.fromhex("0x1.fffffffffffffp+1023"), 8, "d"),
    "float32": Real(24, -149, float.fromhex("0x1.fffffep+127"), 4, "f"),
    "bfloat16": Real(8, -133, float.fromhex("0x1.fep+127"), 2, ""),
    "float16": Real(11, -24, 65504.0, 2, ""),
    "float8_e4m3fn": Real(4, -9, 448.0, 1, ""),
    "float8_e5m2": Real(3, -16, 57344.0, 1, ""),
}
COMPONENT = {"complex64": "float32", "complex128": "float64"}


@cache
def table(name: str) -> Reals:
    """The constants of one name in section 14, ascending."""
    block = PAGE.read_text().partition("## 14.")[2].split("```")[1]
    found = re.search(rf"^{name} =((?:\s+-?0x\S+)+)", block, re.MULTILINE)
    assert found, name
    return tuple(map(float.fromhex, found[1].split()))


# Section 1: arithmetic.


def unit(size: Fraction, kind: Real) -> int:
    """The exponent of the distance between the format's values at `size` >= 0."""
    if size == 0:
        return kind.least
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    if size < Fraction(2) ** exponent:
        exponent -= 1
    return max(exponent - kind.precision + 1, kind.least)


def rounded(x: Fraction, kind: Real) -> float:
    """x rounded to nearest even, with gradual underflow; beyond the finite values an infinity."""
    size = abs(x)
    exponent = unit(size, kind)
    above, below = size.numerator << max(-exponent, 0), size.denominator << max(exponent, 0)
    count, rest = divmod(above, below)
    count += 2 * rest > below or (2 * rest == below and count % 2)
    too_large = Fraction(count) * Fraction(2) ** exponent > kind.largest
    return math.copysign(math.inf if too_large else math.ldexp(count, exponent), x)


class Arithmetic:
    """The operations and functions of sections 1 and 5 in one computing precision."""

    def __init__(self, name: str) -> None:
        self.kind = FORMATS[name]
        self.width = 8 * self.kind.size
        self.fraction = self.kind.precision - 1
        self.suffix = str(self.width)

    def of(self, x: float | int | Fraction) -> float:
        return x if isinstance(x, float) and math.isinf(x) else rounded(Fraction(x), self.kind)

    def add(self, a: float, b: float) -> float:
        return self.fma(a, 1.0, b)

    def multiply(self, a: float, b: float) -> float:
        return self.fma(a, b, -0.0)

    def divide(self, a: float, b: float) -> float:
        return rounded(Fraction(a) / Fraction(b), self.kind)

    def fma(self, a: float, b: float, c: float) -> float:
        exact = Fraction(a) * Fraction(b) + Fraction(c)
        if exact == 0:  # a sum of zeros is -0.0 if all are
            negative = math.copysign(1, c) < 0 and math.copysign(1, a) * math.copysign(1, b) < 0
            return -0.0 if negative else 0.0
        return rounded(exact, self.kind)

    def square_root(self, x: float) -> float:
        exact = Fraction(x)
        scale = 4 * self.kind.precision + 8
        root = math.isqrt((exact.numerator << 2 * scale) // exact.denominator)
        inexact = Fraction(root) ** 2 != exact * 4**scale
        return rounded(Fraction(2 * root + inexact, 2 << scale), self.kind)  # a sticky bit stands for what was cut off

    def bits(self, x: float) -> int:
        return int.from_bytes(struct.pack("<" + self.kind.letter, x), "little")

    def unbits(self, n: int) -> float:
        return struct.unpack("<" + self.kind.letter, n.to_bytes(self.kind.size, "little"))[0]

    def named(self, name: str) -> Reals:
        return table(name + self.suffix)

    def poly(self, coefficients: Reals, x: float) -> float:
        total = coefficients[-1]
        for coefficient in coefficients[-2::-1]:
            total = self.fma(total, x, coefficient)
        return total

    def neg_log(self, y: float, origin: float = 1.0, coefficients: Reals = ()) -> float:
        s = self.add(self.unbits(self.bits(y) & (2**self.fraction - 1) | self.bits(1.0)), -1.5)
        distance = (self.bits(origin) - self.bits(y)) % 2**self.width
        signed = distance - 2**self.width if distance >> self.width - 1 else distance
        return self.fma(self.of(signed), self.named("LN2_ULP")[0], self.poly(coefficients or self.named("NEG_LOG"), s))

    def central(self, w: float) -> float:
        return self.poly(self.named("CENTRAL"), w if self.width == 32 else self.add(w, -3.125))

    def mills_tail(self, t: float) -> float:
        first, slope, offset = table("NEWTON_START")
        exponential = (1.0, 1.0, 0.5)
        if self.width == 64:
            exponential += (table("SIXTH64")[0], table("TWENTY_FOURTH64")[0])
        log_2pi = self.named("LOG_2PI")[0]
        k = self.fma(2.0, t, -log_2pi)
        rest = self.add(self.fma(2.0, t, -k), -log_2pi)
        log_k = -self.neg_log(k)
        below = self.fma(slope, log_k, self.add(k, offset))
        y = self.add(self.add(k, -log_k), self.divide(self.add(log_k, first), below))
        for _ in range(2):
            s = self.divide(1.0, y)
            g = self.multiply(s, self.poly(self.named("MILLS"), s))
            excess = self.add(self.add(self.add(y, -k), -rest), -self.fma(2.0, g, self.neg_log(y)))
            y = self.fma(-excess, self.poly(exponential, g), y)
        return self.square_root(y)


PRECISION = {32: Arithmetic("float32"), 64: Arithmetic("float64")}


# Sections 2 and 4: keys and words.


def fold(key: Key, domain: int, data: bytes) -> Key:
    message = key[1].to_bytes(8, "little") + bytes([domain]) + data
    return key[0], int.from_bytes(hashlib.blake2b(message, digest_size=8).digest(), "little")


def philox(counter: tuple[int, ...], key: tuple[int, ...]) -> tuple[int, ...]:
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(10):
        p0, p1 = c0 * 0xD2511F53, c2 * 0xCD9E8D57
        c0, c1, c2, c3 = p1 >> 32 ^ c1 ^ k0, p1 & MASK, p0 >> 32 ^ c3 ^ k1, p0 & MASK
        k0, k1 = k0 + 0x9E3779B9 & MASK, k1 + 0xBB67AE85 & MASK
    return c0, c1, c2, c3


def word(key: Key, i: int, width: int) -> int:
    (seed, stream), (q, place) = key, divmod(i, 128 // width)
    output = philox((q & MASK, q >> 32, stream & MASK, stream >> 32), (seed & MASK, seed >> 32))
    return output[place] if width == 32 else output[2 * place] + (output[2 * place + 1] << 32)


# Sections 6 and 7: quantiles and their constants.


class Law(NamedTuple):
    """Everything that turns a word of a real element into a value."""

    quantile: str
    scale: float
    location: float
    low: float
    high: float
    c: tuple[float, ...] = ()
    pivot: int = 0
    mirror: bool = False


def standard(law: Law, word: int, f: Arithmetic) -> float:
    """The quantile: z."""
    if law.quantile == "unit":
        return float(word >> f.width - 1 - f.fraction)
    c = law.c
    if law.quantile == "shallow":
        u, v = (n - 2**32 if n >= 2**31 else n for n in ((word + 2**31) % 2**32, word))
        t, h = f.fma(f.of(v), 2.0**-31, 2.0**-32), f.poly(table("SHALLOW_HALF32"), abs(f.of(u)))
        w = f.neg_log(f.fma(-h, h, h), origin=0.09375, coefficients=table("SHORT_LOG32"))
        return f.multiply(t, f.poly(table("SHALLOW32"), w))
    if law.quantile == "symmetric":
        half = 2 ** (f.width - 1)
        m, negative = word % half, word >= half
        p2, x = f.fma(f.of(m), c[0], c[1]), f.fma(f.of(half - 1 - m), c[0], c[2])
    else:
        whole = 2**f.width
        v = whole - 1 - word if law.mirror else word
        negative = (v < law.pivot) != law.mirror
        if v >= law.pivot:
            p2, x = f.fma(f.of(whole - 1 - v), c[0], c[3]), f.fma(f.of(v - law.pivot), c[0], c[1])
        else:
            p2, x = f.fma(f.of(v), c[0], c[4]), f.fma(f.of(law.pivot - 1 - v), c[0], c[2])
    if law.quantile == "far":
        z = f.mills_tail(f.add(f.neg_log(p2), c[6]))
    else:
        w = f.neg_log(f.fma(p2, x, p2))
        if w <= 6.25:
            z = f.multiply(x, f.central(w))
        elif law.quantile == "symmetric" and f.width == 32:
            z = f.multiply(x, f.poly(table("TAIL32"), f.add(w, -6.25)))
        else:
            z = f.mills_tail(f.add(f.neg_log(p2), f.named("LOG_2_")[0]))
    return -z if negative else z


def mass(z: float) -> mpmath.mpf:
    return mpmath.erf(mpmath.mpf(z) / mpmath.sqrt(2))


def tail(z: float) -> mpmath.mpf:
    return mpmath.erfc(mpmath.mpf(z) / mpmath.sqrt(2)) / 2


def binary64(x: mpmath.mpf | float) -> float:
    """A real number rounded to float64."""
    return rounded(exact(x), FORMATS["float64"])


def exact(x: mpmath.mpf | float) -> Fraction:
    if isinstance(x, float):
        return Fraction(x)
    sign, significand, exponent, _ = x._mpf_
    return Fraction((-1) ** sign * int(significand)) * Fraction(2) ** int(exponent)


def law(name: str, arguments: Reals, dtype: str, imaginary: bool = False) -> Law:
    """The law of an element's real or imaginary part; `arguments` as in section 7, the mean as two numbers."""
    name, *rest = name.split(":")
    part = COMPONENT.get(dtype, dtype)
    root = float.fromhex("0x1.6a09e667f3bcdp+0") if dtype in COMPONENT else 1.0
    f = PRECISION[64 if part == "float64" else 32]
    with mpmath.workdps(100):
        if name == "uniform":
            low, high = (x / root if rest == ["shared"] else x for x in arguments)
            return finished(uniform(low, high, part, f), f)
        mean, std = arguments[1 if imaginary else 0] + 0.0, arguments[2] / root
        if name == "normal":
            return finished(normal(mean, std, part, f), f)
        return finished(truncated(mean, std, *arguments[3:], part, f), f)


def finished(law: Law, f: Arithmetic) -> Law:
    """The constants rounded twice."""
    c = tuple(f.of(binary64(x)) for x in law.c)
    return law._replace(scale=f.of(law.scale), location=f.of(law.location), c=c)


def constant(value: float, f: Arithmetic) -> Law:
    return Law("unit", 0.0, value, -f.kind.largest, f.kind.largest)


def uniform(low: float, high: float, part: str, f: Arithmetic) -> Law:
    low, high = low + 0.0, high + 0.0
    if low == high:
        return constant(low, f)
    kind = FORMATS[part]
    return Law("unit", (high - low) / 2.0**f.kind.precision, low, least_from(low, kind), greatest_below(high, kind))


def normal(mean: float, std: float, part: str, f: Arithmetic) -> Law:
    if std == 0:
        return constant(mean, f)
    step = mpmath.mpf(2) ** -f.width
    most = FORMATS[part].largest
    return Law("symmetric", std, mean, -most, most, (2 * step, step, step))


def truncated(mean: float, std: float, lower: float, upper: float, part: str, f: Arithmetic) -> Law:
    kind, words = FORMATS[part], 2**f.width
    lower, upper = lower + 0.0, upper + 0.0
    if (lower, upper) == (-math.inf, math.inf):
        return normal(mean, std, part, f)
    if std == 0 or lower == upper:
        return constant(mean + (std * lower if std else 0.0), f)
    bounds = least_from(mean + std * lower, kind), greatest_to(mean + std * upper, kind)
    if lower > 2.0**32 or upper < -(2.0**32):
        return Law("unit", 0.0, mean + std * (lower if lower > 0 else upper), *bounds)
    furthest = max(abs(lower), abs(upper))
    if furthest < 2.0**-40:
        lift = -40 - math.frexp(furthest)[1]
        lower, upper = math.ldexp(lower, lift), math.ldexp(upper, lift)
        std = rounded(Fraction(std) / Fraction(2) ** lift, FORMATS["float64"])
    if lower == -upper:
        m = mass(upper)
        if f.width == 32 and upper == 2:
            return Law("shallow", std, mean, *bounds)
        c = (2 * m / words, 2 * tail(upper) + m / words, m / words)
        return Law("symmetric", std, mean, *bounds, c)
    mirror = abs(lower) > abs(upper)
    a, b = (-upper, -lower) if mirror else (lower, upper)
    if a >= 3.5:
        ratio = tail(b) / tail(a)
        step = (1 - ratio) / words
        return Law("far", std, mean, *bounds, (step, 0.0, 0.0, ratio + step / 2, 0.0, 0.0, -mpmath.log(tail(a))), 0, mirror)
    step = (mass(b) - mass(a)) / words
    pivot, above = 0, mass(a) + step / 2
    if a < 0:
        zero = -mass(a) / step - mpmath.mpf(1) / 2
        pivot = int(mpmath.ceil(zero))
        above = (pivot - zero) * step
    c = (step, above, step - above, 2 * tail(b) + step / 2, 2 * tail(-a) + step / 2)
    return Law("near", std, mean, *bounds, c, pivot, mirror)


# Section 8: bounds, value and bit pattern.


def least_from(x: float, kind: Real) -> float:
    return -greatest_to(-x, kind)


def greatest_to(x: float, kind: Real) -> float:
    """The greatest finite value <= x; for x = -0.0 that is -0.0."""
    if x == 0 or x >= kind.largest:
        return min(x, kind.largest)
    if x == -math.inf:
        return -kind.largest  # only as the least value of an interval without a lower end
    near = rounded(Fraction(x), kind)
    return near if near <= x else greatest_below(near, kind)


def greatest_below(x: float, kind: Real) -> float:
    """The greatest value < x."""
    near = Fraction(rounded(Fraction(x), kind))
    if near >= x:
        just_below = near * (1 - Fraction(2) ** -99) if near > 0 else -near
        near -= Fraction(2) ** unit(just_below, kind)
    return rounded(near, kind)


def value(law: Law, word: int, part: str) -> float:
    f = PRECISION[64 if part == "float64" else 32]
    x = f.fma(standard(law, word, f), law.scale, law.location)
    x = law.low if x < law.low else x
    x = law.high if x > law.high else x
    return math.copysign(rounded(Fraction(x), FORMATS[part]), x)


def pattern(x: float, part: str) -> int:
    """The bit pattern of a value of the format."""
    kind = FORMATS[part]
    sign = 1 if math.copysign(1, x) < 0 else 0
    fraction_bits = kind.precision - 1
    least_normal = Fraction(2) ** (kind.least + fraction_bits)
    size = abs(Fraction(x))
    if size < least_normal:
        body = int(size / Fraction(2) ** kind.least)
    else:
        exponent = math.frexp(float(size))[1] - 1
        significand = int(size / Fraction(2) ** (exponent - fraction_bits))
        biased = exponent - (kind.least + fraction_bits) + 1
        body = biased << fraction_bits | significand - 2**fraction_bits
    return sign << 8 * kind.size - 1 | body


def element(name: str, arguments: Reals, dtype: str, key: Key, i: int) -> str:
    """The hexadecimal bit patterns of element i, as the golden files write it."""
    part = COMPONENT.get(dtype, dtype)
    width = 64 if part == "float64" else 32
    parts = [(i, False)] if part == dtype else [(2 * i, False), (2 * i + 1, True)]
    digits = 2 * FORMATS[part].size
    return "".join(
        f"{pattern(value(cached_law(name, arguments, dtype, second), word(key, j, width), part), part):0{digits}x}"
        for j, second in parts
    )


cached_law = cache(law)


# Sections 10 and 12.


def variance_scaling(scale: float, fan: float, distribution: str) -> tuple[str, Reals]:
    """The law, and its arguments, of an initializer that scales the variance."""
    s = scale / max(1.0, fan)
    if distribution == "uniform":
        limit = math.sqrt(3.0 * s)
        return "uniform:shared", (-limit, limit)
    if distribution == "untruncated_normal":
        return "normal", (0.0, 0.0, math.sqrt(s))
    return "truncated", (0.0, 0.0, math.sqrt(s) / float.fromhex("0x1.c25e4b6dba981p-1"), -2.0, 2.0)


def mix(index: int, bits: int) -> int:
    m, f = 2**64 - 1, 0xD6E8FEB86659FD93
    x = (index * 0x9E3779B97F4A7C15 + bits * f) & m
    x = (x ^ x >> 32) * f & m
    x = (x ^ x >> 32) * f & m
    return x ^ x >> 32
