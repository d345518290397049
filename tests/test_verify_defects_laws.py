"""`gpuinit verify` finds planted defects of laws, bounds and formulas, each by the test that is there for it.

As in tests/test_verify_defects.py. A docstring says how many values show the defect, where a quick run has fewer.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from planted import COMPILED, LARGER, NUMPY, found

from gpuinit import battery, dtypes, sampler
from gpuinit.backends import specification
from gpuinit.battery import extremes, fans, many, marginal
from gpuinit.battery.subjects import SUBJECTS
from gpuinit.battery.trial import QUICK
from gpuinit.distributions import TruncatedNormal
from gpuinit.initializers import variance_scaling
from gpuinit.key import Key
from gpuinit.sampler import Sampler

Array = np.ndarray[Any, Any]
Patch = pytest.MonkeyPatch
LARGEST = replace(LARGER, values=2**19)


@pytest.fixture
def few(monkeypatch: Patch) -> None:
    """Of the marginal suite four laws in four dtypes."""
    only(monkeypatch, "uniform [0, 1)", "normal(0, 1)", "normal(0, 1) in -2 .. 2 std", "HeNormal")
    monkeypatch.setattr(marginal.dtypes, "RANDOM", ("float32", "float64", "bfloat16", "complex64"))


def only(monkeypatch: Patch, *names: str) -> None:
    """Of the marginal suite these laws alone: larger samples take no longer then."""
    kept = tuple(subject for subject in SUBJECTS if subject.name in names)
    assert len(kept) == len(names)
    monkeypatch.setattr(marginal, "SUBJECTS", kept)


def of_values(monkeypatch: Patch, change: Callable[[Any, Sampler, Key, Array], Array]) -> None:
    """NumPy's way computes other values: change(values, sampler, key, index)."""
    monkeypatch.setattr(specification, "values", functools.partial(change, specification.values))


def toward_zero(values: Any, law: Sampler, key: Key, index: Array) -> Array:
    if law.dtype != ml_dtypes.bfloat16:
        return values(law, key, index)
    single = values(Sampler(law.quantile, np.dtype(np.float32), law.reals, law.integers), key, index)
    cut: Array = (single.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    return cut.astype(law.dtype)


def rounded_twice(values: Any, law: Sampler, key: Key, index: Array) -> Array:
    """By way of float16, which keeps 11 bits for a while."""
    if law.dtype != ml_dtypes.bfloat16:
        return values(law, key, index)
    return (
        values(Sampler(law.quantile, np.dtype(np.float16), law.reals, law.integers), key, index)
        .astype(np.float32)
        .astype(law.dtype)
    )


@pytest.mark.parametrize("wrong", [toward_zero, rounded_twice])
def test_rounding(wrong: Any, monkeypatch: Patch) -> None:
    """2^19 values. By float16 ties come once in 8 and go to even. Toward zero the last value of the normal law shows it too."""
    of_values(monkeypatch, wrong)
    only(monkeypatch, "uniform [0, 1)")
    monkeypatch.setattr(marginal.dtypes, "RANDOM", ("bfloat16",))
    assert "representable values" in found(marginal.MARGINAL, LARGEST)
    if wrong is toward_zero:
        assert "values at extreme words" in found(extremes.EXTREMES)


@pytest.fixture
def open_end_reached(monkeypatch: Patch) -> Iterator[None]:
    """The upper bound of a uniform law is taken as that of a closed interval."""

    def closed(dtype: Any, low: float, high: float, interval: str) -> tuple[float, float]:
        real = dtypes.component(dtype)
        return dtypes.at_least(low, real), dtypes.at_most(high, real)

    sampler.uniform.cache_clear()
    monkeypatch.setattr(sampler, "_bounds", closed)
    yield
    sampler.uniform.cache_clear()


def test_upper_bound_is_reached(open_end_reached: None, few: None) -> None:
    """Of bfloat16: once in 512 values, so a sample shows it; at the greatest word it is certain."""
    assert "bounds" in found(marginal.MARGINAL)
    assert "bounds at extreme words" in found(extremes.EXTREMES)


def cut_at_five(values: Array, law: Any) -> None:
    if getattr(law, "quantile", "") == "symmetric" and values.dtype.kind == "f":
        scale, location = float(law.reals[0]), float(law.reals[1])
        np.clip(values, location - 5 * scale, location + 5 * scale, out=values)


def test_tail_cut_at_five_standard_deviations() -> None:
    """By 2^26 values, of which 38 should lie beyond, and by the extreme words for certain, in NumPy's way too."""
    assert "values at extreme words" in found(extremes.EXTREMES, alter=cut_at_five)
    assert set(found(many.MANY, QUICK, COMPILED, cut_at_five)) == {"beyond 5 std"}


@pytest.mark.parametrize(("name", "alter"), [
    ("mean of many", lambda values, law: np.add(values, 0.001, out=values)),
    ("variance of many", lambda values, law: np.multiply(values, 1.0008, out=values)),
    ("sign", lambda values, law: np.abs(values, out=values, where=np.arange(values.size).reshape(values.shape) % 1000 == 0)),
    ("beyond 3 std", lambda values, law: np.multiply(values, 1.0025, out=values, where=np.abs(values) > 2.9)),
    ("beyond 4 std", lambda values, law: np.clip(values, -4, 4, out=values)),
])  # fmt: skip
def test_small_shifts_of_many_values(name: str, alter: Any) -> None:
    """2^26 values: 0.001 standard deviations, 0.0008 of the scale, a sign in a thousand, a tail moved by 1 in 400, one cut."""
    assert name in found(many.MANY, QUICK, COMPILED, alter)


def skewed(values: Array, law: Any) -> None:
    if values.dtype == np.float32 and law.quantile == "symmetric":
        values += np.float32(0.04) * (np.square(values) - 1)


def a_dozen_uniforms(values: Array, law: Any) -> None:
    values[...] = np.random.default_rng(0).random((12, *values.shape), np.float32).sum(axis=0) - 6


def shifted(values: Array, law: Any) -> None:
    if values.dtype == np.float64 and law.quantile == "unit":
        values[...] = np.minimum(values + 0.02, 1 - 2.0**-53)


def dented(values: Array, law: Any) -> None:
    """A part in 256 of the density, at 0.2, lies a little higher."""
    if values.dtype == np.float64 and law.quantile == "unit":
        here = (values >= 51 / 256) & (values < 52 / 256) & (np.arange(values.size).reshape(values.shape) % 2 == 0)
        values[here] += 1 / 256


def heavy(values: Array, law: Any) -> None:
    if values.dtype == np.float32 and law.quantile == "symmetric":
        values[np.abs(values) > 3] *= 1.1


@pytest.mark.parametrize(("name", "alter"), [
    ("mean", shifted),
    ("skewness", skewed),
    ("Kolmogorov-Smirnov", shifted),
    ("histogram", dented),
    ("histogram of the tails", heavy),
])  # fmt: skip
def test_other_laws(name: str, alter: Any, few: None) -> None:
    assert name in found(marginal.MARGINAL, LARGER, NUMPY, alter)


def test_a_dozen_uniforms(monkeypatch: Patch) -> None:
    """2^19 values: the same mean, variance and skewness, and a kurtosis of 2.9."""
    only(monkeypatch, "normal(0, 1)")
    monkeypatch.setattr(marginal.dtypes, "RANDOM", ("float32",))
    names = set(found(marginal.MARGINAL, LARGEST, NUMPY, a_dozen_uniforms))
    assert "kurtosis" in names and not names & {"mean", "variance", "skewness"}


def test_clipping_in_place_of_truncation(monkeypatch: Patch, few: None) -> None:
    """What lies outside +-2 is put on the bounds: 4.6 per cent there."""

    def clipped(self: TruncatedNormal, dtype: Any) -> Sampler:
        plain, cut = sampler.normal(dtype, self.mean, self.std), sampler.truncated_normal(dtype, self.mean, self.std, -2.0, 2.0)
        return Sampler(plain.quantile, dtype, np.concatenate([plain.reals[:3], cut.reals[3:7], plain.reals[7:]]), plain.integers)

    monkeypatch.setattr(TruncatedNormal, "sampler", clipped)
    reasons = found(marginal.MARGINAL)
    assert {"Anderson-Darling", "histogram of the tails", "variance"} <= set(reasons)
    assert "bounds" not in reasons


# Formulas.


def test_fan_out_for_fan_in(monkeypatch: Patch) -> None:
    fans_of = variance_scaling.compute_fans
    monkeypatch.setattr(variance_scaling, "compute_fans", lambda *given: fans_of(*given)[::-1])
    assert "variance of presets" in found(fans.FANS)


def test_receptive_field_forgotten(monkeypatch: Patch) -> None:
    monkeypatch.setattr(variance_scaling, "compute_fans", lambda shape, *axes: shape[-2:])
    assert "variance of presets" in found(fans.FANS)


def test_correction_of_truncation_forgotten(monkeypatch: Patch, few: None) -> None:
    monkeypatch.setattr(variance_scaling, "_TRUNCATED_STD", 1.0)
    assert "variance of presets" in found(fans.FANS)
    assert "variance" in found(marginal.MARGINAL)


def test_samples_that_are_all_a_little_too_good() -> None:
    """p-values of 0.6 to 1 each, none of which is suspect."""
    [test] = [test for test in marginal.MARGINAL.tests if test.name == "histogram"]
    p = np.random.default_rng(0).uniform(0.6, 1.0, 120)
    outcomes = [
        battery.Outcome(NUMPY, "values", test, str(n), battery.Statistic(0.0, each, 1 - each)) for n, each in enumerate(p)
    ]
    assert battery.judge(outcomes).ok
    together = battery.together(outcomes)
    assert battery.TOGETHER.name == "p-values together"
    assert together is not None and together.p is not None and together.p < 3e-10
    assert math.isclose(together.value, math.sqrt(120) * 0.6, rel_tol=0.05)
