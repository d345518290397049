"""Are the values distributed as they should be? 2^20 samples a test, refused beyond 5 standard errors.

A statistic that is normal under the right law leaves 5 standard errors with probability 5.7e-7 (`FALSE_POSITIVES`); where
a test looks at several, its docstring says how many. Seeds are fixed, so a test that passes once passes always. Every test
names the wrong implementation that it refuses, and beside it stands the proof: the same statistic, given that
implementation's values, refuses.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from conftest import WAYS, drawn
from scipy import special, stats

import gpuinit
from gpuinit.distributions import Distribution, Normal, TruncatedNormal, Uniform
from gpuinit.key import Key
from gpuinit.region import Region

Array = np.ndarray[Any, Any]
SAMPLES = 2**20
LIMIT = 5.0
FALSE_POSITIVES = 2 * stats.norm.sf(LIMIT)


def draw(law: Distribution, key: Key, dtype: Any = np.float32, size: int = SAMPLES, start: int = 0) -> Array:
    """Elements start .. start + size of a stream, by the compiled path; narrow types widened to float64 or complex128."""
    values = drawn(WAYS["compiled"], law, key, Region.of((2**62,), (slice(start, start + size),)), np.dtype(dtype))
    return values.astype(np.complex128 if values.dtype.kind == "c" else np.float64)


# Statistics: each is about standard normal under the right law.


def mean_score(x: Array, mean: float, variance: float) -> float:
    return float((x.mean() - mean) / math.sqrt(variance / x.size))


def variance_score(x: Array, mean: float, variance: float, fourth: float) -> float:
    """`fourth` is the fourth central moment."""
    return float((np.square(x - mean).mean() - variance) / math.sqrt((fourth - variance**2) / x.size))


def correlation_score(x: Array, y: Array) -> float:
    """For zero means."""
    return float(np.dot(x, y) / math.sqrt(np.dot(x, x) * np.dot(y, y)) * math.sqrt(x.size))


def share_score(hits: int, size: int, probability: float) -> float:
    return (hits - size * probability) / math.sqrt(size * probability * (1 - probability))


def histogram_probability(u: Array, cells: int = 256) -> float:
    """The p-value of the chi-square test that u is uniform on [0, 1], two-sided: too even is as suspect as too uneven."""
    counts = np.bincount(np.minimum((u * cells).astype(np.intp), cells - 1), minlength=cells)
    statistic = float(np.square(counts - u.size / cells).sum() * cells / u.size)
    return 2 * min(stats.chi2.sf(statistic, cells - 1), stats.chi2.cdf(statistic, cells - 1))


def truncated_moments(bound: float) -> tuple[float, float]:
    """Variance and fourth moment of the standard normal conditioned on +-bound."""
    edge = 2 * bound * stats.norm.pdf(bound) / math.erf(bound / math.sqrt(2))
    variance = 1 - edge
    return variance, 3 * variance - bound**2 * edge


# The initializers' variances.

TRUNCATED = truncated_moments(2.0)
KURTOSIS = {"truncated": TRUNCATED[1] / TRUNCATED[0] ** 2, "uniform": 9 / 5, "normal": 3.0}
SHAPES = [(1024, 1024), (2048, 512), (2, 4, 1024, 128)]  # square; fan_in != fan_out; a convolution with receptive field 8
PRESETS = {
    "GlorotNormal": (1.0, "avg", "truncated"),
    "GlorotUniform": (1.0, "avg", "uniform"),
    "HeNormal": (2.0, "in", "truncated"),
    "HeUniform": (2.0, "in", "uniform"),
    "LecunNormal": (1.0, "in", "truncated"),
    "LecunUniform": (1.0, "in", "uniform"),
}


def variance_of(scale: float, fan: str, shape: tuple[int, ...]) -> float:
    field = math.prod(shape[:-2])
    fans = {"in": shape[-2] * field, "out": shape[-1] * field}
    return scale / ((fans["in"] + fans["out"]) / 2 if fan == "avg" else fans[fan])


def scores(x: Array, variance: float, kurtosis: float) -> tuple[float, float]:
    flat = x.astype(np.float64).reshape(-1)
    return mean_score(flat, 0.0, variance), variance_score(flat, 0.0, variance, kurtosis * variance**2)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", PRESETS)
def test_presets_have_their_variance(name: str, shape: tuple[int, ...]) -> None:
    """Refuses fan_out for fan_in, a forgotten receptive field, a forgotten 0.8796, a missing mean; two statistics."""
    scale, fan, kind = PRESETS[name]
    found = scores(getattr(gpuinit, name)(seed=1)(shape), variance_of(scale, fan, shape), KURTOSIS[kind])
    assert max(map(abs, found)) < LIMIT


def test_presets_refuse_the_other_fan() -> None:
    shape = (2048, 512)
    for name, wrong in (
        ("HeNormal", "fan_out"),
        ("LecunUniform", "fan_out"),
        ("GlorotNormal", "fan_in"),
        ("GlorotUniform", "fan_out"),
    ):
        scale, fan, kind = PRESETS[name]
        distribution = "uniform" if kind == "uniform" else "truncated_normal"
        x = gpuinit.VarianceScaling(scale, wrong, distribution, seed=1)(shape)
        assert abs(scores(x, variance_of(scale, fan, shape), KURTOSIS[kind])[1]) > LIMIT


def test_presets_refuse_a_forgotten_correction() -> None:
    """Wrong: std = sqrt(2 / fan_in), truncated at 2 std without dividing by 0.8796, which leaves 77 % of the variance."""
    shape = (1024, 1024)
    variance = variance_of(2.0, "in", shape)
    x = gpuinit.TruncatedNormal(stddev=math.sqrt(variance), seed=1)(shape)
    assert abs(scores(x, variance, KURTOSIS["truncated"])[1]) > 100


def test_presets_refuse_a_forgotten_receptive_field() -> None:
    """Wrong: the fan of a convolution is shape[-2] alone."""
    x = gpuinit.HeNormal(seed=1, input_axes=[-2], output_axes=[-1])(SHAPES[2])
    assert abs(scores(x, variance_of(2.0, "in", SHAPES[2]), KURTOSIS["truncated"])[1]) > 100


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_presets_in_other_dtypes(dtype: str) -> None:
    """Refuses a cast that rounds toward zero: bfloat16 has 8 bits, and the variance would lose a half per cent."""
    shape = (1024, 1024)
    variance = variance_of(2.0, "in", shape)
    x = gpuinit.HeNormal(seed=1)(shape, dtype).astype(np.float64)
    assert max(map(abs, scores(x, variance, KURTOSIS["truncated"]))) < LIMIT
    if dtype == "bfloat16":
        full = gpuinit.HeNormal(seed=1)(shape, "float32")
        cut = (full.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
        assert abs(scores(cut, variance, KURTOSIS["truncated"])[1]) > LIMIT


@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
@pytest.mark.parametrize("kind", ["truncated", "normal", "uniform"])
def test_variance_scaling(mode: str, kind: str) -> None:
    """Refuses the wrong mode and std in place of variance; two statistics."""
    shape = (4096, 256)
    distribution = {"truncated": "truncated_normal", "normal": "untruncated_normal", "uniform": "uniform"}[kind]
    x = gpuinit.VarianceScaling(0.5, mode, distribution, seed=2)(shape)
    variance = variance_of(0.5, mode.removeprefix("fan_"), shape)
    assert max(map(abs, scores(x, variance, KURTOSIS[kind]))) < LIMIT
    assert abs(scores(x * np.float32(math.sqrt(0.5)), variance, KURTOSIS[kind])[1]) > LIMIT


@pytest.mark.parametrize(
    ("init", "mean", "variance", "kurtosis"),
    [
        (gpuinit.RandomNormal(seed=3), 0.0, 0.05**2, 3.0),
        (gpuinit.RandomNormal(mean=-1.0, stddev=2.0, seed=3), -1.0, 4.0, 3.0),
        (gpuinit.RandomUniform(seed=3), 0.0, 0.1**2 / 12, 9 / 5),
        (gpuinit.RandomUniform(minval=1.0, maxval=4.0, seed=3), 2.5, 0.75, 9 / 5),
        (gpuinit.TruncatedNormal(seed=3), 0.0, 0.05**2 * TRUNCATED[0], KURTOSIS["truncated"]),
    ],
    ids=repr,
)
def test_plain_initializers(init: Any, mean: float, variance: float, kurtosis: float) -> None:
    """Refuses a location that is added twice or not at all, and a scale squared or off by 1 per cent; two statistics."""
    x = init((1024, 1024)).astype(np.float64)
    assert max(map(abs, scores(x - mean, variance, kurtosis))) < LIMIT
    assert abs(scores((x - mean) * 1.01, variance, kurtosis)[1]) > LIMIT
    assert abs(scores(x - mean + 0.01 * math.sqrt(variance), variance, kurtosis)[0]) > LIMIT


# The whole shape of each law.


def probability(x: Array, lower: float, upper: float) -> Array:
    """The distribution function of the standard normal conditioned on [lower, upper], from the tail it lies in."""
    if lower > 0:
        return 1 - probability(-x, -upper, -lower)
    return (special.ndtr(x) - special.ndtr(lower)) / (special.ndtr(upper) - special.ndtr(lower))


INTERVALS = [
    *((-math.inf, math.inf), (-2.0, 2.0), (-0.5, 0.5), (-1.0, 3.0)),
    *((1.0, math.inf), (5.0, 6.0), (-math.inf, -20.0), (3.0, 3.1)),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("lower", "upper"), INTERVALS)
def test_histogram_of_normals(lower: float, upper: float, dtype: Any) -> None:
    """Refuses other laws of the same mean and variance: false positives 5.7e-7 by a chi-square test over 256 cells."""
    x = draw(TruncatedNormal(0.0, 1.0, lower, upper), Key(4), dtype)
    assert histogram_probability(probability(x, lower, upper)) > FALSE_POSITIVES


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_histogram_of_uniform(dtype: Any) -> None:
    x = draw(Uniform(-3.0, 5.0), Key(4), dtype)
    assert histogram_probability((x + 3.0) / 8.0) > FALSE_POSITIVES


def test_histogram_refuses_other_laws() -> None:
    """Wrong: the sum of twelve uniforms; clipping or folding where truncation is asked for; a grid too even to be random."""
    uniforms = draw(Uniform(0.0, 1.0), Key(5), size=12 * SAMPLES).reshape(12, -1)
    normal = draw(Normal(0.0, 1.0), Key(5))
    wrong = {
        "twelve uniforms": probability(uniforms.sum(axis=0) - 6, -math.inf, math.inf),
        "clipped": probability(np.clip(normal, -2, 2), -2.0, 2.0),
        "folded": probability(np.remainder(normal + 2, 4) - 2, -2.0, 2.0),
        "uniform in a tail": probability(draw(Uniform(5.0, 6.0), Key(5)), 5.0, 6.0),
        "even": (np.arange(SAMPLES) + 0.5) / SAMPLES,
    }
    for name, u in wrong.items():
        assert histogram_probability(u) < FALSE_POSITIVES, name


# The tails.


def tail_scores(x: Array) -> list[float]:
    """How many lie beyond 1 .. 4 standard deviations, against how many should."""
    return [share_score(int((np.abs(x) > c).sum()), x.size, 2 * float(special.ndtr(-c))) for c in (1.0, 2.0, 3.0, 4.0)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tails_of_normal(dtype: Any) -> None:
    """Refuses tails cut at 4 standard deviations, or too heavy: four statistics, of which the rarest is a count of 66."""
    x = draw(Normal(0.0, 1.0), Key(6), dtype)
    assert max(map(abs, tail_scores(x))) < LIMIT
    assert abs(tail_scores(np.clip(x, -4.0, 4.0))[3]) > LIMIT
    heavy = x * np.sqrt(50 / np.random.default_rng(0).chisquare(50, x.size))  # Student's t
    assert abs(tail_scores(heavy)[3]) > LIMIT


def test_tail_beyond_five_standard_deviations() -> None:
    """Refuses a tail cut at 5 standard deviations. It takes 2^26 samples: 38 lie beyond. False positives about 1e-5."""
    beyond, cut = 0, 0
    for start in range(0, 2**26, 2**22):
        x = draw(Normal(0.0, 1.0), Key(7), size=2**22, start=start)
        beyond += int((np.abs(x) > 5).sum())
        cut += int((np.abs(np.clip(x, -5.0, 5.0)) > 5).sum())
    assert abs(share_score(beyond, 2**26, 2 * float(special.ndtr(-5.0)))) < LIMIT
    assert abs(share_score(cut, 2**26, 2 * float(special.ndtr(-5.0)))) > LIMIT


def test_both_signs_alike() -> None:
    """Refuses a sign bit that also decides something else: the magnitudes of both signs have one law. Two statistics."""
    x = draw(Normal(0.0, 1.0), Key(8))
    assert abs(share_score(int((x > 0).sum()), x.size, 0.5)) < LIMIT
    assert histogram_probability(2 * special.ndtr(np.abs(x)) - 1) > FALSE_POSITIVES
    lopsided = np.where(x > 0, x, -(np.abs(np.roll(x, 1)) ** 1.03))
    positive, negative = lopsided[lopsided > 0], lopsided[lopsided < 0]
    assert abs(scores(positive, 1.0, 3.0)[1]) < LIMIT < abs(scores(negative, 1.0, 3.0)[1])


# The upper bound of narrow types.

NARROW = [np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2]


@pytest.mark.parametrize("dtype", NARROW)
def test_upper_bound_is_never_drawn(dtype: Any) -> None:
    """Refuses the plain cast of a float32 in [0, 1), which rounds up to 1 once in 4096 values or more often; certain."""
    for low, high in ((0.0, 1.0), (-2.0, 2.0), (1.0, 1.25)):
        x = draw(Uniform(low, high), Key(9), dtype)
        assert low <= x.min()
        assert x.max() < high
        naive = draw(Uniform(low, high), Key(9)).astype(dtype).astype(np.float64)
        assert naive.max() == high


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_narrow_values_occur_as_often_as_their_intervals_are_wide(dtype: Any) -> None:
    """Refuses truncation toward zero in the cast: each value of [1/2, 1) stands for the reals nearest to it.

    One chi-square statistic over the values below 1; the clamped last one takes what would have rounded up.
    """
    digits = 11 if dtype is np.float16 else 8
    x = draw(Uniform(0.5, 1.0), Key(10), dtype)
    cells = 2 ** (digits - 1)
    expected = np.full(cells, 1.0)
    expected[[0, -1]] = 0.5, 1.5

    def p_value(values: Array) -> float:
        counts = np.bincount(((values - 0.5) * 2 * cells).astype(np.intp), minlength=cells)
        return float(stats.chisquare(counts, expected * values.size / cells).pvalue)

    assert p_value(x) > FALSE_POSITIVES
    full = draw(Uniform(0.5, 1.0), Key(10))
    assert p_value(np.floor(full * 2 * cells) / (2 * cells)) < FALSE_POSITIVES


# Independence.

SHIFTS = range(-9, 10)


def cross_scores(x: Array, y: Array) -> list[float]:
    """Correlation of two sequences at every small shift against each other."""
    size = x.size - max(SHIFTS)
    return [correlation_score(x[max(-s, 0) :][:size], y[max(s, 0) :][:size]) for s in SHIFTS]


def worst(found: list[float]) -> float:
    return max(map(abs, found))


UNIT = Uniform(-1.0, 1.0)
PAIRS: dict[str, Callable[[Key], Key]] = {
    "next stream": lambda key: Key(key.seed, key.stream + 1),
    "next seed": lambda key: Key(key.seed + 1, key.stream),
    "seed and stream swapped": lambda key: Key(key.stream, key.seed),
    "another name": lambda key: key.fold_in("b"),
    "the next draw": lambda key: key.draw(1),
    "a seed apart by one high bit": lambda key: Key(key.seed ^ 2**63, key.stream),
}


@pytest.mark.parametrize("law", [UNIT, Normal(0.0, 1.0)], ids=["uniform", "normal"])
@pytest.mark.parametrize("name", PAIRS)
def test_streams_are_unrelated(name: str, law: Distribution) -> None:
    """Refuses two streams that are equal, mirrored, or the same words some places on; 19 statistics, so 1.1e-5 in all."""
    key = Key(11, 12)
    assert worst(cross_scores(draw(law, key), draw(law, PAIRS[name](key)))) < LIMIT


def test_streams_refuse_a_stream_that_is_an_offset() -> None:
    """Wrong: the stream number is added to the counter, so that stream 1 is stream 0 from its fifth word on."""
    x, moved = draw(UNIT, Key(11)), draw(UNIT, Key(11), start=4)
    assert worst(cross_scores(x, moved)) > LIMIT
    assert worst(cross_scores(x, x)) > LIMIT
    assert worst(cross_scores(x, -x)) > LIMIT


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("law", [UNIT, Normal(0.0, 1.0)], ids=["uniform", "normal"])
def test_neighbours_are_unrelated(law: Distribution, dtype: Any) -> None:
    """Refuses pairs that share a word, as antithetic or recycled ones do; 18 statistics, so 1e-5 in all."""
    x = draw(law, Key(13), dtype)
    found = [correlation_score(x[:-s], x[s:]) for s in range(1, 10)]
    squares = np.square(x) - np.square(x).mean()
    found += [correlation_score(squares[:-s], squares[s:]) for s in range(1, 10)]
    assert worst(found) < LIMIT


def test_neighbours_refuse_shared_words() -> None:
    x = draw(UNIT, Key(13))
    antithetic = np.repeat(x[::2], 2) * np.tile([1.0, -1.0], x.size // 2)
    assert abs(correlation_score(antithetic[:-1], antithetic[1:])) > LIMIT
    averaged = (x + np.roll(x, 1)) / 2
    assert abs(correlation_score(averaged[:-1], averaged[1:])) > LIMIT
    shared_size = np.abs(np.repeat(x[::2], 2)) * np.sign(x)  # uncorrelated, and yet not independent
    squares = np.square(shared_size) - np.square(shared_size).mean()
    assert abs(correlation_score(shared_size[:-1], shared_size[1:])) < LIMIT < abs(correlation_score(squares[:-1], squares[1:]))


def row_scores(x: Array) -> list[float]:
    """Correlation of each row with the next one, at every small shift."""
    return cross_scores(x[:-1].reshape(-1), x[1:].reshape(-1))


@pytest.mark.parametrize("columns", [16, 1024])
def test_rows_are_unrelated(columns: int) -> None:
    """Refuses rows that overlap; 19 statistics, so 1.1e-5 in all."""
    shape = (SAMPLES // columns, columns)
    assert worst(row_scores(gpuinit.RandomNormal(stddev=1.0, seed=14)(shape).astype(np.float64))) < LIMIT


def test_rows_refuse_overlap() -> None:
    """Wrong: row r begins at counter r, so that it repeats row r - 1 from its fifth element on."""
    base = draw(Normal(0.0, 1.0), Key(14), size=4 * 2**16 + 16)
    overlapping = np.lib.stride_tricks.sliding_window_view(base, 16)[::4][: 2**16]
    assert worst(row_scores(np.ascontiguousarray(overlapping))) > LIMIT


def bit_scores(values: Array) -> list[float]:
    """How often each of the 24 bits of a uniform value is set, and how often it equals that of the next value."""
    k = (values * 2.0**24).astype(np.int64)
    flips = k[:-1] ^ k[1:]
    return [share_score(int((n >> bit & 1).sum()), n.size, 0.5) for n in (k, flips) for bit in range(24)]


def test_every_bit_is_fair() -> None:
    """Refuses low bits with a pattern; 48 statistics, so 2.7e-5 in all."""
    x = draw(Uniform(0.0, 1.0), Key(15))
    assert worst(bit_scores(x)) < LIMIT
    state = np.zeros(SAMPLES, np.uint64)
    for i in range(1, 2**12):  # a linear congruence modulo 2^24: its lowest bit alternates
        state[i] = (state[i - 1] * np.uint64(1140671485) + np.uint64(12820163)) % np.uint64(2**24)
    assert worst(bit_scores(state[: 2**12] / 2.0**24)) > LIMIT


# Complex values.


def complex_scores(x: Array, variance: float, kurtosis: float) -> list[float]:
    """Mean and variance of each part, and their correlation: five statistics."""
    parts = [statistic for part in (x.real, x.imag) for statistic in scores(part, variance / 2, kurtosis)]
    return [*parts, correlation_score(np.ascontiguousarray(x.real), np.ascontiguousarray(x.imag))]


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_complex_normal(dtype: Any) -> None:
    """Refuses parts that each have the whole variance, or that share a word; 2.9e-6 in all."""
    x = draw(Normal(0.0, 3.0), Key(16), dtype)
    assert worst(complex_scores(x, 9.0, 3.0)) < LIMIT
    assert worst(complex_scores(x * math.sqrt(2), 9.0, 3.0)) > LIMIT
    assert worst(complex_scores(x.real * (1 + 1j), 9.0, 3.0)) > LIMIT


@pytest.mark.parametrize(("name", "kind"), [("HeNormal", "truncated"), ("GlorotUniform", "uniform"), ("LecunUniform", "uniform")])
def test_complex_presets(name: str, kind: str) -> None:
    """Refuses E|x|^2 twice what the formula says; five statistics."""
    shape = (1024, 1024)
    scale, fan, _ = PRESETS[name]
    x = getattr(gpuinit, name)(seed=17)(shape, "complex64").reshape(-1)
    variance = variance_of(scale, fan, shape)
    assert worst(complex_scores(x, variance, KURTOSIS[kind])) < LIMIT
    assert worst(complex_scores(x * np.float32(math.sqrt(2)), variance, KURTOSIS[kind])) > LIMIT


def test_complex_mean() -> None:
    """Refuses a mean added to the real part alone, or divided by sqrt 2 with the parts; two statistics."""
    x = draw(Normal(1.0 - 2.0j, 1.0), Key(18), np.complex64)
    for part, mean in ((x.real, 1.0), (x.imag, -2.0)):
        assert abs(mean_score(part, mean, 0.5)) < LIMIT
        assert abs(mean_score(part, mean / math.sqrt(2), 0.5)) > LIMIT
