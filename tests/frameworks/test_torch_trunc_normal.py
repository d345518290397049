"""`trunc_normal_`: no value outside [a, b] in any dtype, the right law wherever the mean lies, and the ends to the last bit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

scipy_stats = pytest.importorskip("scipy.stats")
torch = pytest.importorskip("torch")
from torch_memory import bits, poisoned  # noqa: E402

import gpuinit  # noqa: E402
from gpuinit import dtypes  # noqa: E402
from gpuinit.torch import trunc_normal_  # noqa: E402

pytestmark = pytest.mark.frameworks

KEY = gpuinit.Key(155588)
REAL = ("float16", "bfloat16", "float32", "float64", "float8_e4m3fn", "float8_e5m2")
SIZE = 2**16


def drawn(dtype: str = "float32", size: int = SIZE, **arguments: float) -> np.ndarray[Any, Any]:
    """Values, exactly, in float64."""
    tensor, _ = poisoned((size,), dtype)
    values: np.ndarray[Any, Any] = trunc_normal_(tensor, **arguments, seed=KEY).double().numpy()
    return values


def by_sigmas(dtype: str, mean: float, std: float, a: float, b: float) -> np.ndarray[Any, Any]:
    """What truncation at (a - mean) / std and (b - mean) / std draws: the ends are rounded twice."""
    init = gpuinit.TruncatedNormal(mean, std, KEY, (a - mean) / std, (b - mean) / std)
    values: np.ndarray[Any, Any] = init((SIZE,), dtype).astype(np.float64)
    return values


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(REAL),
    st.floats(-4, 4),
    st.floats(1e-3, 3),
    st.floats(-4, 4),
    st.one_of(st.floats(0, 6), st.floats(0, 1e-14)),
)
def test_no_value_lies_outside(dtype: str, mean: float, std: float, a: float, width: float) -> None:
    """Means inside and far outside, intervals down to some units in the last place; an error only where there is no value."""
    b = a + width
    if dtypes.at_least(a, dtypes.canonical(dtype)) > dtypes.at_most(b, dtypes.canonical(dtype)):
        with pytest.raises(ValueError, match=rf"dtype={dtype} has no value in \[a, b\]"):
            drawn(dtype, 64, mean=mean, std=std, a=a, b=b)
        return
    values = drawn(dtype, 512, mean=mean, std=std, a=a, b=b)
    assert a <= values.min() and values.max() <= b


def test_the_ends_are_not_passed_by_a_last_bit() -> None:
    """Intervals of two to four float64 values: no other is drawn. Rejects truncation in standard deviations, rounded twice.

    That it is rejected is shown: it leaves some of these intervals, or finds no value in them.
    """
    failed = 0
    generator = np.random.default_rng(5)
    for number in range(120):
        mean, std, a = generator.uniform(-1, 1), generator.uniform(0.01, 1), generator.uniform(-1, 1)
        inside = [a]
        for _ in range(1 + number % 3):
            inside.append(math.nextafter(inside[-1], math.inf))
        assert set(drawn("float64", 4096, mean=mean, std=std, a=a, b=inside[-1]).tolist()) <= set(inside)
        try:
            failed += not set(by_sigmas("float64", mean, std, a, inside[-1]).tolist()) <= set(inside)
        except ValueError:
            failed += 1
    assert failed > 10


def test_both_ends_are_reached() -> None:
    """Intervals of two to four bfloat16 values: all are drawn. Rejects an interval that lost an end, or both, by rounding."""
    generator = np.random.default_rng(6)
    for number in range(300):
        mean, std = generator.uniform(-1, 1), generator.uniform(0.1, 1)
        inside = [dtypes.at_least(generator.uniform(-1, 1), dtypes.canonical("bfloat16"))]
        for _ in range(1 + number % 3):
            inside.append(-dtypes.below(-inside[-1], dtypes.canonical("bfloat16")))
        assert set(drawn("bfloat16", 4096, mean=mean, std=std, a=inside[0], b=inside[-1]).tolist()) == set(inside)


@pytest.mark.parametrize(("a", "b"), [(-0.04, 0.04), (-2.0, 2.0), (-0.01, 0.03), (0.05, 0.07), (-math.inf, 0.01), (-1e30, 1e30)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_the_bits_are_the_cores(dtype: str, a: float, b: float) -> None:
    """Where rounding moves no end, those of gpuinit.TruncatedNormal; ends beyond the dtype's range are no ends."""
    tensor, _ = poisoned((500,), dtype)
    trunc_normal_(tensor, 0.0, 0.02, a, b, seed=KEY)
    beyond = a == -1e30
    core = gpuinit.RandomNormal(0.0, 0.02, KEY) if beyond else gpuinit.TruncatedNormal(0.0, 0.02, KEY, a / 0.02, b / 0.02)
    assert bits(tensor) == core((500,), dtype).tobytes()


@pytest.mark.parametrize("dtype", ["float16", "float8_e5m2", "float8_e4m3fn"])
def test_ends_beyond_the_range_are_no_ends(dtype: str) -> None:
    tensor, _ = poisoned((500,), dtype)
    trunc_normal_(tensor, 0.5, 0.25, -1e9, 1e9, seed=KEY)
    assert bits(tensor) == gpuinit.RandomNormal(0.5, 0.25, KEY)((500,), dtype).tobytes()
    trunc_normal_(tensor, 0.5, 0.25, 0.5, 1e9, seed=KEY)
    assert bits(tensor) == gpuinit.TruncatedNormal(0.5, 0.25, KEY, 0.0, math.inf)((500,), dtype).tobytes()


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"),
    [(0.0, 1.0, -2.0, 2.0), (0.0, 0.02, -0.03, 0.03), (0.1, 0.02, -2.0, 2.0), (1.0, 0.5, -1.0, 0.0), (-3.0, 1.0, 2.0, 4.0)],
)
def test_law(mean: float, std: float, a: float, b: float) -> None:
    """Kolmogorov and Smirnov's test with 65,536 values at p < 1e-6: five cases, false positives 5e-6.

    Rejects, as shown, a and b read as standard deviations, the mean as the interval's middle, a uniform law on [a, b].
    """
    values = drawn(mean=mean, std=std, a=a, b=b)

    def fits(mean: float, std: float, a: float, b: float) -> bool:
        law = scipy_stats.truncnorm((a - mean) / std, (b - mean) / std, mean, std)
        return bool(scipy_stats.kstest(values, law.cdf).pvalue > 1e-6)

    assert fits(mean, std, a, b)
    in_sigmas = (mean, std, mean + a * std, mean + b * std)
    assert in_sigmas == (mean, std, a, b) or not fits(*in_sigmas) or b - a > 50 * std
    assert mean == (a + b) / 2 or not fits((a + b) / 2, std, a, b)
    assert scipy_stats.kstest(values, scipy_stats.uniform(a, b - a).cdf).pvalue < 1e-6


def test_a_std_of_a_thousandth() -> None:
    """What PyTorch before 2.12 got wrong (pytorch#155588): values 2000 standard deviations out."""
    for dtype in REAL[:4]:
        values = drawn(dtype, 2**18, std=0.001)
        assert np.abs(values).max() < 0.0064
        assert abs(values.std() / 0.001 - 1) < 0.01


def test_a_mean_far_outside_needs_no_warning() -> None:
    """PyTorch warns there that the law may be wrong; here the nearer end is where values are."""
    values = drawn(mean=-20.0, std=1.0, a=5.0, b=9.0)
    assert values.min() >= 5.0
    assert abs((values - 5.0).mean() * 25 - 1) < 0.05  # density ~ exp(-25 (x - 5)), a little steeper


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_numbers_have_no_order(dtype: str) -> None:
    tensor = torch.ones(3, dtype=getattr(torch, dtype))
    with pytest.raises(ValueError, match=rf"dtype={dtype} is complex: the bounds a=-2\.0, b=2\.0 are those of real numbers"):
        trunc_normal_(tensor)
    assert (tensor == 1).all()


def test_one_value_alone() -> None:
    assert set(drawn("bfloat16", 100, a=0.5, b=0.501).tolist()) == {0.5}
    assert set(drawn("float32", 100, a=0.5, b=0.5).tolist()) == {0.5}
