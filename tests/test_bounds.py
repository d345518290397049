"""No value leaves its distribution's interval, in any dtype: bounds are exact, and what cannot be is refused.

Chosen words take the place of the stream's in some tests, so that the extreme words, 0 and 2^32 - 1 and those in the
middle, are always among them; a random stream would meet each once in 4 billion elements.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import DTYPES, WAYS, drawn, same_bits
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import gpuinit
from gpuinit import dtypes, sampler
from gpuinit.backends import compiled, specification
from gpuinit.distributions import Distribution, Normal, TruncatedNormal, Uniform
from gpuinit.key import Key
from gpuinit.region import Region

Array = np.ndarray[Any, Any]
REAL = [dtype for dtype in DTYPES if dtype.kind != "c"]
COMPLEX = [dtype for dtype in DTYPES if dtype.kind == "c"]
NAMES = [dtype.name for dtype in DTYPES]
INFINITY = math.inf
NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-10, 10),
    st.floats(-1e-3, 1e-3),
    st.floats(width=16, allow_nan=False, allow_infinity=False),
    st.floats(width=32, allow_nan=False, allow_infinity=False),
)
TINY = {np.dtype(np.float32): 2.0**-126, np.dtype(np.float64): 2.0**-1022}


def parts_of(values: Array) -> Array:
    """The real numbers in an array, in float64."""
    return values.view(dtypes.component(values.dtype)).astype(np.float64).reshape(-1)


def from_words(law: Distribution, dtype: np.dtype[Any], extra: int = 0) -> Array:
    """The values of the extreme words and of some others, in one real dtype, by the specification."""
    law = law.sampler(dtype)
    bits = 8 * law.reals.dtype.itemsize
    pivot, middle = int(law.integers[0]), 2 ** (bits - 1)
    chosen = [base + step for base in (0, 2**bits, middle, pivot) for step in range(-40, 40)]
    chosen += [2**k for k in range(bits)] + [2**bits - 2**k for k in range(bits)]
    random = np.random.default_rng(extra).integers(0, 2**bits, 500, np.uint64)
    word = np.concatenate([np.array([c % 2**bits for c in chosen], np.uint64), random]).astype(f"u{bits // 8}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(specification, "words", lambda key, index, bits: word)
        return specification.values(law, Key(0), np.zeros(word.size, np.uint64))


@functools.cache
def finite_values(dtype: np.dtype[Any]) -> Array:
    """Every finite value of a narrow dtype, ascending."""
    unsigned = np.dtype(f"u{dtype.itemsize}")
    with np.errstate(invalid="ignore"):
        values = np.arange(2 ** (8 * dtype.itemsize), dtype=np.uint32).astype(unsigned).view(dtype).astype(np.float64)
    return np.unique(values[np.isfinite(values)])


def by_definition(x: float, dtype: np.dtype[Any]) -> tuple[float, float, float]:
    """The least finite value >= x, the greatest <= x and the greatest < x; infinities where there is none."""
    if dtype.itemsize <= 2:
        values = finite_values(dtype)
        above = values[values >= x].min(initial=INFINITY)
        return above, values[values <= x].max(initial=-INFINITY), values[values < x].max(initial=-INFINITY)
    kind = dtype.type
    largest = float(np.finfo(dtype).max)
    with np.errstate(over="ignore"):
        near = kind(x)
        down = near if float(near) <= x else np.nextafter(near, kind(-INFINITY))
        up = near if float(near) >= x else np.nextafter(near, kind(INFINITY))
        under = down if float(down) < x else np.nextafter(down, kind(-INFINITY))
    least, greatest, below = (float(v) for v in (up, down, under))
    return (max(least, -largest), min(greatest, largest), min(below, largest))


@settings(max_examples=300, deadline=None)
@given(x=NUMBERS, dtype=st.sampled_from(REAL))
@example(x=-0.0, dtype=np.dtype(np.float16))
@example(x=5e-324, dtype=np.dtype(np.float16))
@example(x=-5e-324, dtype=np.dtype(np.float32))
@example(x=2.0**-149, dtype=np.dtype(np.float32))
def test_neighbours_in_a_dtype_are_exact(x: float, dtype: np.dtype[Any]) -> None:
    found = dtypes.at_least(x, dtype), dtypes.at_most(x, dtype), dtypes.below(x, dtype)
    assert found == by_definition(x, dtype)


def test_neighbours_of_every_narrow_value() -> None:
    for dtype in REAL:
        if dtype.itemsize == 1:
            values = finite_values(dtype)
            for value, before in zip(values[1:], values, strict=False):
                between = (value + before) / 2
                assert dtypes.below(value, dtype) == before == dtypes.at_most(between, dtype)
                assert dtypes.at_least(between, dtype) == value == dtypes.at_least(value, dtype)


# Intervals.


def expect_refusal(low: float, high: float, dtype: np.dtype[Any], half_open: bool) -> bool:
    """Whether the dtype has no value in the interval, or one of its ends lies beyond all finite values."""
    least, greatest, below = by_definition(low, dtype)[0], *by_definition(high, dtype)[1:]
    most = dtypes.largest(dtype)
    return least > (below if half_open else greatest) or low < -most or high > most


@settings(max_examples=400, deadline=None)
@given(ends=st.tuples(NUMBERS, NUMBERS), dtype=st.sampled_from(REAL))
@example(ends=(0.0, 1.0), dtype=DTYPES[3])
@example(ends=(-1.0, -0.0), dtype=DTYPES[3])
@example(ends=(2.0**-20, 2.0**-14), dtype=DTYPES[2])
def test_uniform_stays_inside(ends: tuple[float, float], dtype: np.dtype[Any]) -> None:
    low, high = sorted(ends)
    assume(low < high)
    precision = dtypes.computed_in(dtype)
    step = (high - low) * 2.0 ** (-53 if precision == np.float64 else -24)
    too_wide = high - low > float(np.finfo(precision).max)
    if expect_refusal(low, high, dtype, half_open=True) or too_wide or step < TINY[precision]:
        with pytest.raises(ValueError, match=re.escape(dtype.name)):
            Uniform(low, high).sampler(dtype)
        return
    x = from_words(Uniform(low, high), dtype).astype(np.float64)
    least, below = by_definition(low, dtype)[0], by_definition(high, dtype)[2]
    assert x.min() == least  # word 0 gives the lower bound
    assert low <= x.min() <= x.max() <= below < high


@settings(max_examples=400, deadline=None)
@given(
    mean=st.floats(-100, 100),
    std=st.floats(1e-6, 100),
    ends=st.tuples(st.floats(-30, 30), st.floats(-30, 30)),
    dtype=st.sampled_from(REAL),
)
@example(mean=0.0, std=1.0, ends=(-INFINITY, -20.0), dtype=DTYPES[0])
@example(mean=0.0, std=1.0, ends=(-1e-300, 1e-310), dtype=DTYPES[1])
@example(mean=0.0, std=1.0, ends=(-5e-324, 5e-324), dtype=DTYPES[1])
@example(mean=1.0, std=1e-3, ends=(1e6, INFINITY), dtype=DTYPES[3])
@example(mean=0.0, std=1.0, ends=(1e5, 1e5 + 1), dtype=DTYPES[0])
@example(mean=0.0, std=1e-20, ends=(1e15, 1e16), dtype=DTYPES[1])
@example(mean=-2.0, std=2.0, ends=(1.0, 1.0 + 2.0**-52), dtype=DTYPES[1])
def test_truncated_normal_stays_inside(mean: float, std: float, ends: tuple[float, float], dtype: np.dtype[Any]) -> None:
    lower, upper = sorted(ends)
    assume(lower < upper)
    low, high = mean + lower * std, mean + upper * std
    most = dtypes.largest(dtype)
    least, greatest = by_definition(max(low, -most), dtype)[0], by_definition(min(high, most), dtype)[1]
    beyond = (low < -most and math.isfinite(low)) or (high > most and math.isfinite(high))
    if least > greatest or beyond:
        with pytest.raises(ValueError, match=re.escape(dtype.name)):
            TruncatedNormal(mean, std, lower, upper).sampler(dtype)
        return
    try:
        x = from_words(TruncatedNormal(mean, std, lower, upper), dtype).astype(np.float64)
    except ValueError as error:  # an open end that a draw could follow beyond the dtype's range
        if (math.isfinite(low) and math.isfinite(high)) or dtype.name not in str(error):
            raise
        return
    assert np.isfinite(x).all()
    assert low <= least <= x.min() <= x.max() <= greatest <= high


@pytest.mark.parametrize("dtype", REAL, ids=str)
@pytest.mark.parametrize("bounds", [(-2.0, 2.0), (-1.0, 3.0), (0.0, 2.0), (-3.0, -0.5)])
def test_truncation_reaches_its_bounds(bounds: tuple[float, float], dtype: np.dtype[Any]) -> None:
    """Both ends are closed, and in narrow types some word reaches them."""
    x = from_words(TruncatedNormal(0.0, 1.0, *bounds), dtype).astype(np.float64)
    if dtype.itemsize <= 2:  # around zero narrow types are not coarse
        assert x.min() == bounds[0] or bounds[0] == 0
        assert x.max() == bounds[1]
    assert x.min() == pytest.approx(bounds[0], abs=1e-6)
    assert x.max() == pytest.approx(bounds[1], abs=1e-6)


@pytest.mark.parametrize("dtype", REAL, ids=str)
def test_normal_stays_finite(dtype: np.dtype[Any]) -> None:
    """At the largest std that is accepted; one step more is refused."""
    reach = 9.2 if dtype == np.float64 else 6.34
    std = dtypes.largest(dtype) / reach * (1 - 1e-6)
    x = from_words(Normal(0.0, std), dtype).astype(np.float64)
    assert np.isfinite(x).all()
    assert np.abs(x).max() > 0.98 * dtypes.largest(dtype)
    with pytest.raises(ValueError, match=re.escape(dtype.name)):
        Normal(0.0, std * 1.001).sampler(dtype)
    with pytest.raises(ValueError, match=re.escape(dtype.name)):
        Normal(dtypes.largest(dtype) / 2, std * 0.6).sampler(dtype)


def test_reach_is_what_the_errors_say() -> None:
    """6.34 and 9.2 standard deviations bound every draw, 6.33 and 9.0 do not."""
    assert 6.33 < np.abs(from_words(Normal(0.0, 1.0), np.dtype(np.float32))).max() < 6.34
    assert 9.0 < np.abs(from_words(Normal(0.0, 1.0), np.dtype(np.float64))).max() < 9.2


@pytest.mark.parametrize("dtype", [np.dtype(np.float32), np.dtype(np.float64)], ids=str)
@pytest.mark.parametrize("near", [0.5, 3.0, 5.0, 20.0, 1000.0])
def test_reach_of_one_sided_intervals(near: float, dtype: np.dtype[Any]) -> None:
    """Refuses hypot(6.34, near) as the furthest draw: the tail beyond 20 reaches to 21.11, not 20.98."""
    furthest = float(from_words(TruncatedNormal(0.0, 1.0, near, INFINITY), dtype).max())
    assert furthest * (1 - 2.0**-23) <= sampler._reach(dtype, near) < furthest + 0.5
    if (near, dtype) == (20.0, np.dtype(np.float32)):
        assert furthest > math.hypot(6.34, near)


# What is refused names the dtype and the interval.

IMPOSSIBLE: list[tuple[Distribution, str, str]] = [
    (Uniform(1.0001, 1.0002), "bfloat16", "[1.0001, 1.0002)"),
    (Uniform(1.1, 1.2), "float8_e5m2", "[1.1, 1.2)"),
    (Uniform(0.0, 500.0), "float8_e4m3fn", "[0.0, 500.0)"),
    (Uniform(-1e5, 0.0), "float16", "[-100000.0, 0.0)"),
    (Uniform(0.0, 1e39), "float32", "[0.0, 1e+39)"),
    (Uniform(-2e38, 3e38), "float32", "[-2e+38, 3e+38)"),
    (Uniform(-1e308, 1e308), "float64", "[-1e+308, 1e+308)"),
    (Uniform(0.0, 1e-38), "float32", "[0.0, 1e-38)"),
    (Uniform(0.0, 1e-310), "float64", "[0.0, 1e-310)"),
    (Uniform(1e-9, 2e-9), "float16", "[1e-09, 2e-09)"),
    (TruncatedNormal(0.0, 1.0, 5.01, 5.02), "bfloat16", "[5.01, 5.02]"),
    (TruncatedNormal(0.0, 1e39), "float32", "[-2e+39, 2e+39]"),
    (TruncatedNormal(0.0, 300.0), "float8_e4m3fn", "[-600, 600]"),
    (TruncatedNormal(0.0, 1.1e4, -INFINITY, 0.0), "float16", "[-69740, 0]"),
    (Normal(0.0, 1.1e4), "float16", "[-69740, 69740]"),
    (Normal(0.0, 1e4), "float8_e5m2", "[-63400, 63400]"),
    (Normal(70000.0, 0.0), "float16", "[70000, 70000]"),
    (Uniform(1e40, 1e40), "float32", "[1e+40, 1e+40]"),
    (Uniform(-1e39, 1e39), "complex64", "[-1e+39, 1e+39)"),
    (TruncatedNormal(1e39j, 1.0), "complex64", "1e+39"),
]


@pytest.mark.parametrize(("law", "dtype", "interval"), IMPOSSIBLE, ids=lambda value: str(value))
def test_impossible_intervals_are_refused(law: Distribution, dtype: str, interval: str) -> None:
    with pytest.raises(ValueError, match=f"(?s)(?=.*{dtype})(?=.*{re.escape(interval)})"):
        law.sampler(dtypes.canonical(dtype))


def test_impossible_intervals_are_refused_by_calls() -> None:
    out = np.full((2, 2), 7, np.float16)
    with pytest.raises(ValueError, match="float16"):
        gpuinit.RandomUniform(-1e6, 1e6, seed=0).fill(out)
    assert (out == 7).all()
    with pytest.raises(ValueError, match="complex"):
        gpuinit.RandomNormal(mean=1j, seed=0)((2,), "float32")


def test_a_real_dtype_refuses_a_complex_mean_whatever_was_drawn_before() -> None:
    """0j == 0.0, so a cache that ignores types would let it pass."""
    Normal(0.0, 1.0).sampler(np.dtype(np.float32))
    with pytest.raises(ValueError, match="float32"):
        Normal(0j, 1.0).sampler(np.dtype(np.float32))


# Constants.


def all_equal(law: Distribution, dtype: np.dtype[Any], way: Callable[..., None], expected: complex) -> None:
    values = drawn(way, law, Key(1), Region.of((100,)), dtype)
    precise = np.dtype(np.complex64 if dtype.kind == "c" else np.float32) if dtypes.component(dtype) != np.float64 else dtype
    assert same_bits(values, np.full(100, np.asarray(expected).astype(precise).astype(dtype)))


@pytest.mark.parametrize("dtype", DTYPES, ids=NAMES)
def test_equal_ends_and_zero_std_make_constants(dtype: np.dtype[Any], way: Callable[..., None]) -> None:
    for value in (0.3, -2.0, 0.0, 1e-7):
        both = complex(value, value) if dtype.kind == "c" else value
        all_equal(Uniform(value, value), dtype, way, both)
        all_equal(Normal(value, 0.0), dtype, way, value)
        all_equal(TruncatedNormal(value, 0.0, -1.0, 5.0), dtype, way, value)
        all_equal(TruncatedNormal(value, 0.0, 3.0, INFINITY), dtype, way, value)
    shifted = 1.5 + 1.0 * (2.0 / math.sqrt(2) if dtype.kind == "c" else 2.0)
    expected = complex(shifted, shifted - 1.5) if dtype.kind == "c" else shifted
    all_equal(TruncatedNormal(1.5, 2.0, 1.0, 1.0), dtype, way, expected)


def test_negative_zero_arguments_mean_zero(way: Callable[..., None]) -> None:
    """Otherwise a bit could depend on which of two equal laws was asked for first."""
    for law, same in ((Uniform(-0.0, 1.0), Uniform(0.0, 1.0)), (Normal(-0.0, 0.0), Normal(0.0, 0.0))):
        sampler.uniform.cache_clear()
        sampler.normal.cache_clear()
        first = drawn(way, law, Key(1), Region.of((64,)), np.float32)
        sampler.uniform.cache_clear()
        sampler.normal.cache_clear()
        assert same_bits(first, drawn(way, same, Key(1), Region.of((64,)), np.float32))
        assert not np.signbit(first).any()


# The ends of the range: huge and tiny scales, subnormal bounds.


def ways_agree(law: Distribution, dtype: Any, size: int = 5000) -> Array:
    made = [drawn(way, law, Key(2), Region.of((size,)), np.dtype(dtype)) for way in WAYS.values()]
    assert same_bits(*made)
    return parts_of(made[0])


@pytest.mark.parametrize("std", [5e37, 1e-30, 1e-37, 1e-39, 1e-44, 1e-45])
def test_float32_at_the_ends_of_its_range(std: float) -> None:
    x = ways_agree(Normal(0.0, std), np.float32)
    assert np.isfinite(x).all()
    assert np.abs(x.mean()) < 0.1 * std + 1e-45
    if std > 1e-42:
        assert x.std() == pytest.approx(std, rel=0.05)


@pytest.mark.parametrize("std", [1e290, 1e-150, 1e-280, 1e-300])
def test_float64_far_from_one(std: float) -> None:
    x = ways_agree(Normal(0.0, std), np.float64)
    assert (x / std).std() == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize("std", [1e307, 1e302, 1e-310, 1e-320])
def test_float64_at_the_ends_of_its_range(std: float) -> None:
    x = ways_agree(Normal(0.0, std), np.float64)
    assert np.isfinite(x).all()


def test_bfloat16_and_float16_subnormals() -> None:
    for dtype, std in (
        (DTYPES[3], 1e-39),
        (np.float16, 1e-6),
        (np.float16, 2.0**-24),
        (DTYPES[4], 2.0**-8),
        (DTYPES[5], 2.0**-15),
    ):
        x = ways_agree(Normal(0.0, std), dtype)
        assert (x != 0).any()
        assert np.abs(x).max() < 7 * std


def test_subnormal_bounds() -> None:
    """The bounds themselves may be subnormal numbers of the dtype."""
    for dtype, low, high in ((np.float16, 3e-8, 3e-7), (DTYPES[4], 0.002, 0.01), (DTYPES[5], 2.0**-16, 2.0**-14)):
        x = ways_agree(Uniform(low, high), dtype)
        assert low <= x.min() < x.max() < high
    x = ways_agree(TruncatedNormal(0.0, 1e-38, -0.5, 1.0), np.float32)
    assert -0.5e-38 <= x.min() < x.max() <= 1e-38
    x = ways_agree(TruncatedNormal(0.0, 1e-7, -0.5, 2.0), np.float16)
    assert -0.5e-7 <= x.min() < x.max() <= 2e-7


def test_zero_bounds_keep_their_sign() -> None:
    """docs/stream.md, section 8: the least value >= a negative number may be -0.0; any other zero bound is 0.0."""
    below = TruncatedNormal(0.0, 1e-9, -1.0, 3.0).sampler(np.dtype(np.float16))
    assert np.signbit(below.reals[3])
    assert not np.signbit(below.reals[4])
    above = Uniform(0.0, 1.0).sampler(np.dtype(np.float16))
    assert not np.signbit(above.reals[3])


# Complex.


@pytest.mark.parametrize("dtype", COMPLEX, ids=str)
def test_complex_parts_stay_inside(dtype: np.dtype[Any], way: Callable[..., None]) -> None:
    region, root = Region.of((20000,)), math.sqrt(2)
    x = drawn(way, Uniform(-1.0, 3.0), Key(3), region, dtype)
    for part in (x.real, x.imag):
        assert -1 <= part.min() < -0.99 < 2.99 < part.max() < 3
    x = drawn(way, Uniform(-1.0, 1.0, shared_variance=True), Key(3), region, dtype)
    for part in (x.real, x.imag):
        assert -1 / root <= part.min() < -0.7 < 0.7 < part.max() < 1 / root
    x = drawn(way, TruncatedNormal(1 + 2j, 3.0), Key(3), region, dtype)
    for part, mean in ((x.real, 1), (x.imag, 2)):
        assert mean - 6 / root <= part.min() < mean - 4 < mean + 4 < part.max() <= mean + 6 / root


def test_complex_rows_two_to_the_62_apart() -> None:
    region = Region.of((2, 2**62), (slice(None), slice(0, 3)))
    made = [drawn(way, Normal(0.0, 1.0), Key(4), region, np.complex64) for way in WAYS.values()]
    assert same_bits(*made)


def test_compiled_path_is_usable() -> None:
    """All of the above would say little about compiled code if there were none."""
    assert compiled.usable()
