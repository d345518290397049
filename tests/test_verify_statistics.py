"""The p-values of `gpuinit verify` are what they say: uniform where the law is right, small by the right amount in the tails.

Values are NumPy's own (PCG64), through the exact laws. A p-value is held to be uniform by a Kolmogorov-Smirnov test over many
seeds, refused below 1e-5; beside each stands a p-value that is wrong by a quarter, which is refused. Seeds are fixed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from planted import NUMPY
from scipy import special, stats

from gpuinit import battery, dtypes
from gpuinit.backends import specification
from gpuinit.battery import bits, extremes, marginal, orthogonal, statistic
from gpuinit.battery.anderson import anderson_tails
from gpuinit.battery.laws import Law, neighbours
from gpuinit.battery.marginal import values_of
from gpuinit.battery.subjects import SUBJECTS, preset
from gpuinit.battery.suite import Test
from gpuinit.battery.trial import Effort, Trial
from gpuinit.verification import cpu_ways

Array = np.ndarray[Any, Any]
REFUSED = 1e-5
SEEDS, SIZE = 2000, 300


def uniform(p: Any) -> float:
    """How well p-values agree with the uniform law."""
    return float(stats.kstest(np.asarray(p), "uniform").pvalue)


def normals(generator: np.random.Generator) -> Array:
    return generator.standard_normal(SIZE)


CELLS = 16
ONE_SAMPLE: dict[str, Callable[[np.random.Generator], statistic.Statistic]] = {
    "mean": lambda g: statistic.mean(float(normals(g).mean()), SIZE, statistic.Moments(0, 1, 0)),
    "mean of squares": lambda g: statistic.mean(float(np.square(normals(g)).mean()), SIZE, statistic.Moments(1, 2, math.sqrt(8))),
    "mean of reversed squares": lambda g: statistic.mean(
        float(-np.square(normals(g)).mean()), SIZE, statistic.Moments(-1, 2, -math.sqrt(8))
    ),
    "Kolmogorov-Smirnov": lambda g: statistic.kolmogorov(np.sort(g.random(SIZE))),
    "Anderson-Darling": lambda g: statistic.anderson(np.sort(g.random(SIZE))),
    "chi-square": lambda g: statistic.chi_square(g.multinomial(4000, [1 / CELLS] * CELLS), np.full(CELLS, 4000 / CELLS)),
    "squares": lambda g: statistic.squares(normals(g)),
    "largest": lambda g: statistic.largest(normals(g)),
    "count": lambda g: statistic.count(int(g.binomial(10**6, 0.3)), 10**6, 0.3),
    "poisson": lambda g: statistic.poisson(int(g.poisson(10**5)), 1e5),
    "correlations": lambda g: statistic.squares(statistic.correlations(normals(g), normals(g), range(-4, 5))),
}


@pytest.mark.parametrize("name", ONE_SAMPLE)
def test_p_values_are_uniform(name: str) -> None:
    """Two seeds in 10^5 would be refused; the same statistics with a spread a quarter too large are."""
    generator = np.random.default_rng(7)
    found = [ONE_SAMPLE[name](generator) for _ in range(SEEDS)]
    p = np.array([each.p for each in found])
    assert uniform(p) > REFUSED
    assert uniform(2 * special.ndtr(1.25 * special.ndtri(np.maximum(p, 1e-300) / 2))) < REFUSED
    if found[0].regular is not None:
        assert np.allclose(p + [each.regular for each in found], 1, atol=1e-6)


@pytest.mark.parametrize(("size", "value", "p"), [(20, 10, stats.chi2.sf(20 * (1 + 10 / math.sqrt(20)), 20)), (9, 30, None)])
def test_tails_of_skewed_means(size: int, value: float, p: float | None) -> None:
    """A mean of squares of normal numbers is a chi-square variable, and a gamma law is that: exact, at any size."""
    z = value / math.sqrt(size)
    moments = statistic.Moments(1, 2, math.sqrt(8))
    found = statistic.mean(1 + z * math.sqrt(2 / size), size, moments)
    assert math.isclose(found.value, z, rel_tol=1e-12)
    assert math.isclose(found.p or 0, 2 * stats.chi2.sf(size * (1 + z * math.sqrt(2 / size)), size), rel_tol=1e-9)
    assert found.p != pytest.approx(2 * stats.norm.sf(z), rel=0.5)


@pytest.mark.parametrize(("value", "upper"), [(1.933, 0.10), (2.492, 0.05), (3.070, 0.025), (3.857, 0.01), (0.2, 0.9904)])
def test_anderson_darling_has_its_published_quantiles(value: float, upper: float) -> None:
    """Stephens (1974), to the digits printed there."""
    found = anderson_tails(value)
    assert found[0] == pytest.approx(upper, rel=0.03)
    assert sum(found) == pytest.approx(1, abs=1e-9)


def test_anderson_darling_by_its_series() -> None:
    """The sum of chi-square variables over j (j + 1), 100 terms and the mean of the rest, 200,000 times: 5 standard errors."""
    draws = np.random.default_rng(3).chisquare(1, (100, 200_000)).T @ (1 / (np.arange(1, 101) * np.arange(2, 102))) + 1 / 101
    for value in (0.15, 0.25, 0.4, 0.79, 0.81, 1.2, 2.5, 6.0):
        for share, expected in zip(((draws >= value).mean(), (draws <= value).mean()), anderson_tails(value), strict=True):
            assert abs(share - expected) < 5 * math.sqrt(expected * (1 - expected) / len(draws)) + 1e-12


def test_anderson_darling_joins_where_its_formulas_change() -> None:
    """At 0.8 and at 20, and it never rises."""
    for place in (0.8, 20.0):
        below, above = anderson_tails(place - 1e-9), anderson_tails(place + 1e-9)
        assert below == pytest.approx(above, rel=1e-3)
    tails = [anderson_tails(value)[0] for value in np.geomspace(0.01, 700, 400)]
    assert all(a >= b >= 0 for a, b in itertools.pairwise(tails))


# Laws.


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float8_e4m3fn"])
def test_moments_by_an_independent_sum(subject: Any, dtype: str) -> None:
    """Mean and variance by SciPy's own distributions (wide), and by rounding a fine grid of quantiles (narrow)."""
    law, kind = subject.law((64, 256)), dtypes.canonical(dtype)
    if law.normal:
        exact = stats.truncnorm(law.lower, law.upper, law.location, law.scale)
    else:
        exact = stats.uniform(law.low, law.high - law.low)
    center, std = law.spread(kind)
    if dtype == "float32":
        assert center == pytest.approx(exact.mean(), abs=1e-6 * law.scale)
        assert std == pytest.approx(exact.std(), rel=1e-5)
        return
    grid = exact.ppf((np.arange(2**18) + 0.5) / 2**18)
    rounded = np.clip(grid.astype(kind).astype(np.float64), *law.ends(kind))
    assert center == pytest.approx(rounded.mean(), abs=1e-3 * law.scale)
    assert std == pytest.approx(rounded.std(), rel=1e-3)


@pytest.mark.parametrize("dtype", dtypes.RANDOM)
def test_the_ends_of_a_law_are_those_of_its_dtype(dtype: str) -> None:
    """The least and greatest value inside, by trying the neighbours; a uniform law's upper end is left out."""
    kind = dtypes.component(dtypes.canonical(dtype))
    for law in (Law(False, 0.0, 1.0, 0.0, 1.0), Law(True, 0.1, 0.3, -2.0, 2.0), Law(False, 0.0, 0.1, -1.0, 1.0)):
        least, greatest = law.ends(kind)
        before, after = neighbours(np.array([least, greatest]), kind)
        assert before[0] < law.low <= least < greatest
        assert greatest <= law.high <= after[1]
        assert law.normal or greatest < law.high


def test_places_of_rounded_values_are_uniform() -> None:
    """Normal numbers of NumPy, rounded by ml_dtypes to types of 8 bits and more; cut toward zero they are refused."""
    generator, law = np.random.default_rng(5), Law(True, 0.0, 1.0)
    for dtype in (ml_dtypes.float8_e5m2, ml_dtypes.bfloat16, np.float32):
        x = generator.standard_normal(50_000)
        sample = values_of(x.astype(dtype), law, generator)
        assert uniform(sample.sorted) > REFUSED
    cut = np.trunc(x * 4) / 4
    assert uniform(values_of(cut.astype(ml_dtypes.float8_e5m2), law, generator).sorted) < REFUSED


def test_the_number_of_a_preset_is_its_formula() -> None:
    """He: 2 / fan_in, Glorot: 2 / (fan_in + fan_out), Lecun: 1 / fan_in, receptive field included."""
    shape, fan_in, fan_out = (3, 5, 8, 24), 120, 360
    for name, variance in (("He", 2 / fan_in), ("Glorot", 2 / (fan_in + fan_out)), ("Lecun", 1 / fan_in)):
        for kind in ("Normal", "Uniform"):
            assert preset(name + kind).law(shape).spread(np.dtype(np.float64))[1] == pytest.approx(math.sqrt(variance), rel=1e-6)


# Judging.


def outcome(p: float | None, regular: float | None = None, right: bool | None = None) -> battery.Outcome:
    test = Test("a test", "something", lambda sample: None)
    return battery.Outcome(NUMPY, "suite", test, "sample", battery.Statistic(1.0, p, regular, right))


def test_holm_rejects_what_it_should() -> None:
    """Of four hypotheses the least is compared with rate / 4, the next with rate / 3; what is exact counts by itself."""
    found = [outcome(0.2), outcome(0.012), outcome(0.016), outcome(0.5)]
    assert [o.statistic.p for o, _ in battery.judge(found, 0.05).wrong] == [0.012, 0.016]
    assert battery.judge([outcome(0.013), outcome(0.014), outcome(0.5), outcome(0.6)], 0.05).ok
    verdict = battery.judge([outcome(0.9), outcome(None, right=False), outcome(None, right=True)])
    assert (len(verdict.wrong), verdict.hypotheses) == (1, 1)
    assert not battery.judge([outcome(math.nan)]).ok
    assert battery.judge([outcome(1 - 1e-9, 1e-9)], 1e-6).wrong[0][1].startswith("too regular")


QUIET = [suite for suite in battery.SUITES if suite not in (bits.BITS, bits.VECTORS, extremes.EXTREMES)]
RUNS = 40
TINY = Effort(2**10, 2**12, 2**11, 32, 2**11, 1, 40, 20, 0.0)


@pytest.fixture(scope="module")
def runs() -> list[list[battery.Outcome]]:
    """Runs of all that has chance in it, over words of NumPy's generator and by the engine's quantiles, for some of the laws."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(marginal, "SUBJECTS", SUBJECTS[::4])
        patch.setattr(orthogonal, "LARGE", ())
        patch.setattr(marginal.dtypes, "RANDOM", ("float32", "float64", "float8_e4m3fn", "complex64"))
        done = []
        for seed in range(RUNS):
            generator = np.random.default_rng(seed)

            def words(key: Any, index: Array, bits: int, generator: np.random.Generator = generator) -> Array:
                return generator.integers(0, 2**bits, len(index), np.uint32 if bits == 32 else np.uint64)

            patch.setattr(specification, "words", words)
            done.append(list(battery.run([Trial(NUMPY, cpu_ways()[NUMPY], seed, TINY)], suites=QUIET)))
        return done


def test_runs_over_a_good_generator_are_uniform(runs: list[list[battery.Outcome]]) -> None:
    """Every test by itself: the p-values of one sample a run over 40 seeds, and none below 1e-8 in 7,000."""
    found: dict[tuple[str, str], list[float]] = {}
    for run in runs:
        for each in run:
            if each.statistic.p is not None:
                found.setdefault((each.test.name, each.sample), []).append(each.statistic.p)
    assert len({name for name, _ in found}) == sum(len(suite.tests) for suite in QUIET) - len(("bounds", "Gram matrix")) + 1
    assert min(min(p) for p in found.values()) > 1e-8
    for (name, sample), p in found.items():
        continuous = len(set(p)) > RUNS // 2
        share = np.mean(np.array(p) <= 0.1)
        assert len(p) == RUNS
        assert uniform(p) > REFUSED / 10 if continuous else share < 0.1 + 5 * math.sqrt(0.09 / RUNS), (name, sample)


def test_the_false_alarm_rate_is_kept(runs: list[list[battery.Outcome]]) -> None:
    """At a rate of 0.3 three runs in ten may be accused: of 40 at most 27, with a chance of 1e-6 for more; at 1e-6 none is."""
    accused = sum(not battery.judge(run, 0.3).ok for run in runs)
    assert 1 <= accused <= 27
    assert all(battery.judge(run).ok for run in runs)
