"""The quantiles are as accurate as docs/stream.md, section 15, says: near zero, in the tails and in every binade.

Normal and symmetric truncation: |error| <= 4 ulp of z. Other intervals: |error| <= 4 ulp of z + 2^-24 (p_hi - p_lo) /
density(z), 2^-53 in float64. Words are sampled densely where rounding could hurt; `benchmarks/accuracy.py` takes all
2^32. What is measured is the NumPy specification; tests/test_same_bits.py holds the other ways to its bits.

Companion tests plant wrong implementations and show that the same statistic refuses them.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy import special

from gpuinit import dtypes, sampler
from gpuinit.backends import specification
from gpuinit.kernels import formats, quantiles
from gpuinit.sampler import Sampler

Array = np.ndarray[Any, Any]
FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
INFINITY = math.inf
ULPS = 4.0

SHALLOW = 2.0
UNLUCKY = [0.3207, 0.3381, 0.6788, 0.6869]  # where rounding 2 Phi - 1 to float32 loses most
SYMMETRIC = [
    *(INFINITY, 8.0, 5.0, 4.0, 3.0, 2.0313, math.nextafter(SHALLOW, 3), SHALLOW, math.nextafter(SHALLOW, 1), 1.9, 1.5),
    *(1.0, *UNLUCKY, 0.5, 0.25, 1e-3, 2.0**-20, 2.0**-40, 2.0**-60),
]
INTERVALS = [
    *((5.0, 6.0), (-6.0, -5.0), (20.0, 21.0), (8.0, 8.125), (100.0, 101.0), (1e4, INFINITY)),  # one tail, from its end
    *(
        (0.0, INFINITY),
        (-INFINITY, -1.5),
        (1.0, INFINITY),
        (3.0, INFINITY),
        (3.5, INFINITY),
        (-5.0, INFINITY),
    ),  # one-sided
    *((-1.0, 3.0), (-3.0, 1.0), (-0.001, 8.0), (-8.0, 0.5), (-2.0, 2.5), (-(2.0**-30), 4.0)),  # straddling, asymmetric
    *((0.0, 1.0), (0.3, 0.4), (1e-3, 2e-3), (-2.0, -1.0), (2.9, 3.6), (3.3, 3.5)),  # one side
    *(
        (1.0, 1.0 + 1e-6),
        (3.4, 3.4 + 2.0**-20),
        (3.5, 3.5 + 2.0**-20),
        (-1e-6, 2e-6),
        (-(2.0**-50), 2.0**-49),
    ),  # narrow
]


def standard_sampler(dtype: np.dtype[Any], lower: float, upper: float) -> Sampler:
    return sampler.truncated_normal(dtype, 0.0, 1.0, lower, upper)


def anchors(law: Sampler, bits: int) -> list[int]:
    """Words near which a quantile can go wrong: both ends, the middle, and where an interval's value is zero."""
    pivot, mirror = int(law.integers[0]), int(law.integers[1])
    return sorted({0, 2**bits - 1, 2 ** (bits - 1), pivot ^ mirror})


def words(law: Sampler, bits: int, near: int, per_binade: int, spread: int) -> Array:
    """Words at every distance (binade by binade) from every anchor, and some from everywhere."""
    random = np.random.default_rng(0)
    distances = [np.arange(near, dtype=np.uint64)]
    for binade in range(bits):
        distances.append(random.integers(2**binade, 2 ** (binade + 1), per_binade, np.uint64))
    every = np.concatenate(distances)
    around = [np.uint64(anchor) + every for anchor in anchors(law, bits)] + [
        np.uint64(anchor) - every for anchor in anchors(law, bits)
    ]
    around.append(random.integers(0, 2**bits, spread, np.uint64))
    return np.unique(np.concatenate(around) & np.uint64(2**bits - 1)).astype(f"u{bits // 8}")


def quantile(law: Sampler, word: Array) -> Array:
    """What the specification makes of the words, in float64 (the scale is a power of two)."""
    with np.errstate(all="ignore"):
        standard = specification._standard(law.quantile, word, tuple(law.reals[7:]), tuple(law.integers))
    return standard.astype(np.float64) * float(law.reals[0])


def density(z: Array) -> Array:
    return np.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def spacing(z: Array, digits: int) -> Array:
    """The unit in the last place of a number with that many significant bits."""
    return np.exp2(np.frexp(z)[1] - digits)


# float32 against SciPy in float64


def exact_probabilities(word: Array) -> tuple[Array, Array]:
    """(v + 1/2) 2^-32 and its complement, exactly."""
    v = word.astype(np.float64)
    return (v + 0.5) * 2.0**-32, (2.0**32 - 0.5 - v) * 2.0**-32


def is_shallow(bits: int, bound: float) -> bool:
    """Whether the words of each half ascend, as signed integers do; else they go from each end to the middle."""
    return bits == 32 and bound == SHALLOW


def folded(word: Any, bound: float) -> tuple[Any, Any]:
    """How many words lie beyond a word on its side, and whether that is the side below zero."""
    m, high = word % 2**31, word >= 2**31
    return np.where(high, m, 2**31 - 1 - m) if is_shallow(32, bound) else m, high


def true_symmetric(word: Array, bound: float) -> Array:
    """The exact quantile of each word, to about 1e-15: from its tail probability, or near zero from 1 - 2 p."""
    m, below = folded(word.astype(np.int64), bound)
    mass, outside = special.erf(bound / math.sqrt(2)), special.erfc(bound / math.sqrt(2)) / 2
    p = outside + (m + 0.5) * (mass * 2.0**-32)
    x = (2.0**31 - 0.5 - m) * (mass * 2.0**-31)
    z = np.where(x < 0.5, special.erfinv(x) * math.sqrt(2), -special.ndtri(p))
    return np.where(below, -z, z)


def true_interval(word: Array, lower: float, upper: float) -> Array:
    """The exact quantile of each word, to about 1e-15: from whichever of p, 1 - p, 2 p - 1 and log p is best there."""
    left, right = exact_probabilities(word)
    if lower >= 3:
        return -_far(left, right, lower, upper)
    if upper <= -3:
        return _far(right, left, -upper, -lower)
    root = math.sqrt(2)
    x = special.erf(lower / root) + left * (special.erf(upper / root) - special.erf(lower / root))
    below = special.ndtr(lower) + left * (special.ndtr(upper) - special.ndtr(lower))
    above = special.ndtr(-upper) + right * (special.ndtr(-lower) - special.ndtr(-upper))
    middle = special.erfinv(np.clip(x, -0.9, 0.9)) * root
    return np.where(np.abs(x) < 0.9, middle, np.where(x > 0, -special.ndtri(above), special.ndtri(below)))


def _far(left: Array, right: Array, near: float, far: float) -> Array:
    start = special.log_ndtr(-near)
    drop = special.log_ndtr(-far) - start if math.isfinite(far) else -math.inf
    share = np.where(left < 0.5, np.log1p(left * np.expm1(drop)), np.log(right + left * np.exp(drop)))
    return special.ndtri_exp(start + share)


def allowance(z: Array, lower: float, upper: float) -> Array:
    """4 ulp of z, and what the rounding of a probability in float32 makes of an interval's value."""
    width = special.ndtr(upper) - special.ndtr(lower) if lower < 0 else special.ndtr(-lower) - special.ndtr(-upper)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        rounding = 2.0**-24 * width / density(z)
    return ULPS * spacing(z, 24) + np.nan_to_num(rounding, nan=0.0, posinf=0.0)


def worst_symmetric(bound: float) -> float:
    """The largest error in ulp."""
    law = standard_sampler(FLOAT32, -bound, bound)
    word = words(law, 32, 2**14, 1500, 2**17)
    true = true_symmetric(word, bound)
    return float(np.nan_to_num(np.abs(quantile(law, word) - true) / spacing(true, 24), nan=np.inf).max())


def worst_interval(lower: float, upper: float) -> float:
    """The largest error as a share of the allowance."""
    law = standard_sampler(FLOAT32, lower, upper)
    word = words(law, 32, 2**13, 1000, 2**16)
    true = true_interval(word, lower, upper)
    return float(np.nan_to_num(np.abs(quantile(law, word) - true) / allowance(true, lower, upper), nan=np.inf).max())


@pytest.mark.parametrize("bound", SYMMETRIC)
def test_symmetric(bound: float) -> None:
    assert worst_symmetric(bound) <= ULPS


@pytest.mark.parametrize(("lower", "upper"), INTERVALS)
def test_interval(lower: float, upper: float) -> None:
    assert worst_interval(lower, upper) <= 1


@contextlib.contextmanager
def planted(name: str, wrong: Any) -> Iterator[None]:
    """Let samplers be made with another value of something in gpuinit/sampler.py, and none of them outlive it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampler, name, wrong)
        _forget_samplers()
        yield
    _forget_samplers()


def _forget_samplers() -> None:
    sampler.normal.cache_clear()
    sampler.truncated_normal.cache_clear()


def with_format(monkeypatch: pytest.MonkeyPatch, **changed: Any) -> None:
    """Let the float32 quantiles run with other constants."""
    broken = formats.FLOAT32._replace(**changed)
    for name in ("float32", "uint32"):
        monkeypatch.setitem(formats.FORMATS, name, broken)


def with_part(monkeypatch: pytest.MonkeyPatch, quantile: str, place: int, part: Any) -> None:
    """Let a float32 quantile run with another depth (0), central part (1) or tail (2)."""
    parts = list(quantiles.QUANTILES[quantile, 32])
    parts[place] = part
    monkeypatch.setitem(quantiles.QUANTILES, (quantile, 32), tuple(parts))


def test_symmetric_refuses_rounded_probability(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong: p is rounded to float32 and 1 - 2 p formed from that. Near zero nothing of z is right."""

    def from_rounded(word: Array, depth: Any, c: Any, k: Any) -> Array:
        f = formats.FLOAT32
        x = f.one - quantiles.fma(quantiles.to_float(word & f.magnitude), c[0], c[1])
        return quantiles._with_sign(x * quantiles.polynomial(f.central, depth), word & f.sign)

    assert worst_symmetric(3.0) <= ULPS
    with_part(monkeypatch, "symmetric", 1, from_rounded)
    assert worst_symmetric(INFINITY) > 1000
    assert worst_symmetric(3.0) > 1000


@pytest.mark.parametrize("table", ["central", "negative_log"])
def test_symmetric_refuses_lost_coefficient(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong: a polynomial without its highest power, of which each is the smallest coefficient."""
    with_format(monkeypatch, **{table: getattr(formats.FLOAT32, table)[1:]})
    assert worst_symmetric(INFINITY) > ULPS


def test_symmetric_refuses_lost_tail_coefficient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong: the tail's polynomial without its highest power. Only the rarest words show it."""
    monkeypatch.setattr(quantiles, "TAIL32", quantiles.TAIL32[1:])
    assert worst_symmetric(INFINITY) > ULPS


def test_symmetric_refuses_coefficient_copied_with_few_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong: one coefficient copied with 5 decimal places."""
    central = list(formats.FLOAT32.central)
    central[-2] = np.float32(f"{central[-2]:.5f}")
    with_format(monkeypatch, central=tuple(central))
    assert worst_symmetric(INFINITY) > ULPS


def test_shallow_at_its_bound_alone() -> None:
    """Truncation at +-SHALLOW_BOUND is shallow where words have 32 bits, and nothing else is."""
    assert quantiles.SHALLOW_BOUND == SHALLOW
    above, below = math.nextafter(SHALLOW, INFINITY), math.nextafter(SHALLOW, 0.0)
    for name in dtypes.RANDOM:
        dtype = dtypes.canonical(name)
        wide = dtypes.component(dtype) == FLOAT64
        assert standard_sampler(dtype, -SHALLOW, SHALLOW).quantile == ("symmetric" if wide else "shallow")
        for bound in (above, below, 1.0, 2.0**-60):
            assert standard_sampler(dtype, -bound, bound).quantile == "symmetric"
        assert standard_sampler(dtype, -SHALLOW, below).quantile == "interval"


def test_shallow_reads_the_top_bit_as_the_sign() -> None:
    """Words are signed integers: up from +0 to the bound, then up from minus the bound to -0; every law has that sign."""
    word = np.array([0, 1, 2**30, 2**31 - 1, 2**31, 2**31 + 2**30, 2**32 - 2, 2**32 - 1], np.uint32)
    z = quantile(standard_sampler(FLOAT32, -SHALLOW, SHALLOW), word)
    assert np.array_equal(z < 0, word >= 2**31)
    assert (np.diff(z[:4]) > 0).all()
    assert (np.diff(z[4:]) > 0).all()
    assert np.array_equal(np.abs(z[[3, 4]]), [SHALLOW, SHALLOW])
    for bound in (INFINITY, 1.0):
        assert np.array_equal(quantile(standard_sampler(FLOAT32, -bound, bound), word) < 0, word >= 2**31)


@pytest.mark.parametrize("table", ["SHALLOW32", "SHORT_LOG32"])
def test_shallow_refuses_lost_coefficient(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong: a polynomial without its highest power."""
    assert worst_symmetric(SHALLOW) <= ULPS
    monkeypatch.setattr(quantiles, table, getattr(quantiles, table)[1:])
    assert worst_symmetric(SHALLOW) > ULPS


def test_shallow_refuses_probability_in_place_of_half(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong: half is read as p itself, A = 1. The polynomial belongs to A = 1.00336."""
    end, step = math.erfc(math.sqrt(2)) / 2, math.erf(math.sqrt(2)) * 2.0**-32
    monkeypatch.setattr(quantiles, "SHALLOW_HALF32", (np.float32(step), np.float32(end)))
    assert worst_symmetric(SHALLOW) > 1000


def test_shallow_refuses_square_of_rounded_x(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong: half (1 - half) as (1 - x^2) / 4, which keeps what rounding took from x. It would cost two operations less."""

    def from_square(word: Array, depth: Any, c: Any, k: Any) -> Array:
        t = quantiles.fma(quantiles.to_float(word), np.float32(2.0**-31), np.float32(2.0**-32))
        x = t * np.float32(math.erf(math.sqrt(2)) / math.sqrt(1.00336))
        y = quantiles.fma(-x, x, np.float32(1)) / np.float32(4)
        w = quantiles._negative_log_from(quantiles.SHALLOW_ORIGIN, y, quantiles.SHORT_LOG32)
        return t * quantiles.polynomial(quantiles.SHALLOW32, w)

    with_part(monkeypatch, "shallow", 1, from_square)
    assert worst_symmetric(SHALLOW) > ULPS


def test_symmetric_refuses_missing_half() -> None:
    """Wrong: p = m 2^-32 instead of (m + 1/2) 2^-32, which makes an infinity of m = 0."""
    half_lost = (2.0**-31, 0.0, 2.0**-31, 0.0, 0.0, 6.25, 0.0)
    with planted("_symmetric", lambda bound, dtype: half_lost):
        assert worst_symmetric(INFINITY) > 1000


def test_symmetric_refuses_truncation_mass_rounded_to_float32() -> None:
    """Wrong: B = 2 Phi(bound) - 1 is rounded to float32 before 1 - B is formed, so the tail begins elsewhere."""

    def rounded_mass(bound: float, dtype: Any) -> tuple[float, ...]:
        mass = float(np.float32(math.erf(bound / math.sqrt(2))))
        return (mass * 2.0**-31, 1 - mass + mass * 2.0**-32, mass * 2.0**-32, 0.0, 0.0, 6.25, 0.0)

    with planted("_symmetric", rounded_mass):
        assert worst_symmetric(5.0) > 1000


def test_interval_refuses_the_wrong_tail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong: an interval in the upper tail by Phi^-1(Phi(a) + u (Phi(b) - Phi(a))), as the textbooks have it."""

    def from_below(word: Array, depth: Any, c: Any, k: Any) -> Array:
        start, end = special.ndtr(np.float32(lower)), special.ndtr(np.float32(upper))
        p = start + exact_probabilities(word)[0].astype(np.float32) * (end - start)
        return special.ndtri(p.astype(np.float32)).astype(np.float32)

    lower, upper = 5.0, 6.0
    assert worst_interval(lower, upper) <= 1
    with_part(monkeypatch, "interval", 2, from_below)
    assert worst_interval(lower, upper) > 10


def test_interval_refuses_far_mode_too_near_the_middle() -> None:
    """Wrong: the Mills polynomial from z = 3 on; it was fitted from 3.26 on."""
    with planted("_FAR", 3.0):
        assert worst64(3.0, INFINITY) > 1000


def test_interval_refuses_one_newton_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong: one Newton step where two are needed in float64, or a slope of one in place of exp(g) in float32."""
    monkeypatch.setattr(quantiles, "NEWTON_STEPS", 1)
    assert worst64(5.0, 6.0) > 1
    monkeypatch.setattr(quantiles, "NEWTON_STEPS", 0)
    assert worst_interval(5.0, 6.0) > 1


def test_interval_refuses_no_lift() -> None:
    """Wrong: an interval around zero whose probabilities underflow is not lifted."""
    with planted("_TINY", 0.0):
        assert worst_interval(-(2.0**-120), 2.0**-119) > 1
    assert worst_interval(-(2.0**-120), 2.0**-119) <= 1


@pytest.mark.parametrize(("lower", "upper"), [*((-bound, bound) for bound in SYMMETRIC), *INTERVALS])
def test_references_agree_with_mpmath(lower: float, upper: float) -> None:
    """What float32 is measured against is right to 1/50 of its allowance."""
    law = standard_sampler(FLOAT32, lower, upper)
    word = words(law, 32, 2, 1, 20)
    true = true_symmetric(word, upper) if lower == -upper else true_interval(word, lower, upper)
    permitted = ULPS * spacing(true, 24) if lower == -upper else allowance(true, lower, upper)
    for w, z, size in zip(word, true, permitted, strict=True):
        assert abs(mp_error(float(z), int(w), 32, lower, upper)) <= size / 50


# float64 against mpmath


def mp_error(z: float, word: int, bits: int, lower: float, upper: float) -> mpmath.mpf:
    """How far z lies from the word's exact quantile: the difference in probability over the density."""
    with mpmath.workdps(40 if max(abs(lower), abs(upper)) > 1e-9 else 80):
        root = mpmath.sqrt(2)
        if lower == -upper and not is_shallow(bits, upper):
            m = word % 2 ** (bits - 1)
            share = (m + mpmath.mpf(1) / 2) / 2**bits
            negative = word >> (bits - 1)
            left, right = (share, 1 - share) if negative else (1 - share, share)
        else:
            place = (word + 2**31) % 2**32 if lower == -upper else word
            left = (place + mpmath.mpf(1) / 2) / 2**bits
            right = 1 - left
        if z > 0.5:
            start, end = (mpmath.erfc(mpmath.mpf(t) / root) / 2 for t in (lower, upper))
            difference = end + right * (start - end) - mpmath.erfc(z / root) / 2
        elif z < -0.5:
            start, end = (mpmath.erfc(-mpmath.mpf(t) / root) / 2 for t in (lower, upper))
            difference = mpmath.erfc(-z / root) / 2 - start - left * (end - start)
        else:
            start, end = (mpmath.erf(mpmath.mpf(t) / root) for t in (lower, upper))
            difference = (mpmath.erf(z / root) - start - left * (end - start)) / 2
        return difference * mpmath.sqrt(2 * mpmath.pi) * mpmath.exp(mpmath.mpf(z) ** 2 / 2)


def worst64(lower: float, upper: float, per_binade: int = 2) -> float:
    """The largest error as a share of the allowance, in float64."""
    law = standard_sampler(FLOAT64, lower, upper)
    word = words(law, 64, 8, per_binade, 200)
    z = quantile(law, word)
    if not np.isfinite(z).all():
        return math.inf
    with mpmath.workdps(60):
        start, end = (mpmath.erfc(mpmath.mpf(t) / mpmath.sqrt(2)) / 2 for t in (lower, upper))
        width = start - end
        worst = 0.0
        for w, value in zip(word, z, strict=True):
            allowed = ULPS * mpmath.ldexp(1, math.frexp(value)[1] - 53)
            if lower != -upper:
                allowed += mpmath.ldexp(width, -53) * mpmath.sqrt(2 * mpmath.pi) * mpmath.exp(mpmath.mpf(value) ** 2 / 2)
            worst = max(worst, float(abs(mp_error(float(value), int(w), 64, lower, upper)) / allowed))
    return worst


@pytest.mark.parametrize("bound", [INFINITY, 0.5, 2.0, 5.0, 2.0**-60])
def test_symmetric_float64(bound: float) -> None:
    assert worst64(-bound, bound, 6) <= 1


@pytest.mark.parametrize(
    ("lower", "upper"),
    [
        *((5.0, 6.0), (20.0, 21.0), (0.0, INFINITY), (-INFINITY, -1.5), (3.0, INFINITY), (3.5, INFINITY), (3.3, 3.5)),
        *((-1.0, 3.0), (-8.0, 0.5), (-0.001, 8.0), (1.0, 1.0 + 1e-6), (0.3, 0.4), (-(2.0**-50), 2.0**-49)),
    ],
)
def test_interval_float64(lower: float, upper: float) -> None:
    assert worst64(lower, upper) <= 1


@pytest.mark.parametrize("table", ["central", "negative_log", "mills"])
def test_float64_refuses_lost_coefficient(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong: a polynomial without its highest power."""
    broken = formats.FLOAT64._replace(**{table: getattr(formats.FLOAT64, table)[1:]})
    for name in ("float64", "uint64"):
        monkeypatch.setitem(formats.FORMATS, name, broken)
    assert worst64(-INFINITY, INFINITY) > 1 or worst64(5.0, 6.0) > 1
