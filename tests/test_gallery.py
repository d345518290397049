"""The gallery: laws of their formulas, accurate in both tails, of the right moments, and the same bits everywhere."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from alone import by_numpy
from conftest import WAYS, drawn, poisoned, same_bits

import gpuinit
from gpuinit import dtypes, gallery
from gpuinit.key import Key
from gpuinit.region import Region

REALS = [np.float32, np.float64]


def true_normal(u: Any) -> Any:
    from test_exact import true_normal

    return true_normal(u)


TRUE: dict[str, tuple[Callable[[Any], Any], float]] = {
    "cauchy": (lambda u: mp.tan(mp.pi * (u - mp.mpf(1) / 2)), 4),
    "exponential": (lambda u: -mp.log(u), 2),
    "gumbel": (lambda u: -mp.log(-mp.log(u)), 3),
    "laplace": (lambda u: mp.log(2 * u) if u < 0.5 else -mp.log(2 * (1 - u)), 2),
    "logistic": (lambda u: mp.log(u / (1 - u)), 4),
    "log_normal": (lambda u: mp.exp(true_normal(u)), 24),
    "random_sign": (lambda u: mp.mpf(-1 if u < 0.5 else 1), 0),
}
"""The exact quantile, and the greatest error of ours in units in the last place (gumbel: of the greater of |x| and 1)."""


def make(name: str, **arguments: Any) -> gpuinit.Initializer:
    made: gpuinit.Initializer = getattr(gallery, name)(**arguments)
    return made


def test_the_table_is_complete() -> None:
    assert sorted(TRUE) == sorted(gallery.__all__)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", TRUE)
def test_accuracy(name: str, real: Any) -> None:
    """At random u, every power of two to both ends, and around the middle; rejects a tail or a middle that loses its digits."""
    bits, fraction = np.finfo(real).bits, int(np.finfo(real).nmant)
    rng = np.random.default_rng(4)
    k = [*(int(n) for n in rng.integers(0, 2**fraction, 300)), *(2**power for power in range(fraction)), 0]
    k += [2**fraction - 1 - n for n in k] + [2 ** (fraction - 1) + d for d in range(-20, 20)]
    words = np.array([n << (bits - fraction) for n in k], f"u{bits // 8}")
    got = by_numpy(make(name, seed=1).law((3,), np.dtype(real)), words)
    exact, bound = TRUE[name]
    with mp.workdps(40):
        for n, value in zip(k, got, strict=True):
            true = exact((mp.mpf(n) + mp.mpf(1) / 2) / 2**fraction)
            size = max(abs(float(true)), 1.0) if name == "gumbel" else abs(float(true))
            unit = np.spacing(real(size))
            assert abs(float((mp.mpf(float(value)) - true) / mp.mpf(float(unit)))) <= bound, (n, value, true)


def test_the_log_normal_s_error_is_that_of_its_exponent() -> None:
    """Why its bound is 24: exp turns 4 units of a z of 5.4 (float64: 8.2) into 4 |z| of the value."""
    assert TRUE["log_normal"][1] > 4 * 5.4 + 1


def sample(init: gpuinit.Initializer, size: int) -> np.ndarray[Any, Any]:
    """float32 values of the specification, in float64."""
    return drawn(WAYS["specification"], init.distribution(()), Key(9), Region.of((size,)), np.float32).astype(np.float64)


MOMENTS: dict[str, tuple[dict[str, float], float, float, float]] = {
    # arguments, mean, variance, fourth central moment over the variance squared
    "exponential": ({"scale": 0.5}, 0.5, 0.25, 9.0),
    "gumbel": ({"loc": 1.0, "scale": 0.5}, 1 + 0.5 * 0.5772156649, math.pi**2 / 24, 5.4),
    "laplace": ({"loc": 1.0, "scale": 0.5}, 1.0, 0.5, 6.0),
    "logistic": ({"loc": 1.0, "scale": 0.5}, 1.0, math.pi**2 / 12, 4.2),
    "random_sign": ({"scale": 0.5}, 0.0, 0.25, 1.0),
}
SIZE = 400_000


@pytest.mark.parametrize("name", MOMENTS)
def test_moments(name: str) -> None:
    """Mean and variance within 5 standard errors (one false alarm in 10^6); a scale 2 % off is found, its square is far off."""
    arguments, mean, variance, kurtosis = MOMENTS[name]
    values = sample(make(name, **arguments), SIZE)
    off_mean, off_variance = math.sqrt(variance / SIZE), variance * math.sqrt(max(kurtosis - 1, 0) / SIZE)

    def fits(x: Any) -> bool:
        return bool(abs(x.mean() - mean) <= 5 * off_mean and abs(x.var() - variance) <= 5 * off_variance + 1e-5 * variance)

    assert fits(values)
    center = arguments.get("loc", 0.0)
    assert not fits(center + (values - center) * 1.02)
    assert not fits(center + (values - center) * arguments["scale"])


CUMULATIVE: dict[str, Callable[[Any], Any]] = {
    "cauchy": lambda z: 0.5 + np.arctan(z) / math.pi,
    "exponential": lambda z: -np.expm1(-z),
    "gumbel": lambda z: np.exp(-np.exp(-z)),
    "laplace": lambda z: np.where(z < 0, np.exp(np.minimum(z, 0)) / 2, 1 - np.exp(-np.maximum(z, 0)) / 2),
    "logistic": lambda z: 1 / (1 + np.exp(-z)),
    "log_normal": lambda z: np.vectorize(lambda x: math.erfc(-math.log(x) / math.sqrt(2)) / 2)(z),
}


def kolmogorov(values: Any, cumulative: Callable[[Any], Any]) -> float:
    """sqrt n times the greatest distance between the sample's distribution function and the law's."""
    p = cumulative(np.sort(values))
    place = np.arange(len(values) + 1) / len(values)
    return float(math.sqrt(len(values)) * max((place[1:] - p).max(), (p - place[:-1]).max()))


@pytest.mark.parametrize("name", CUMULATIVE)
def test_kolmogorov(name: str) -> None:
    """Below 2.8 but for one sample in 3 10^6; rejects a scale a tenth off, and the mirror image of a skewed law."""
    values = sample(make(name), 100_000)
    assert kolmogorov(values, CUMULATIVE[name]) < 2.8
    if name == "log_normal":
        assert kolmogorov(values**1.1, CUMULATIVE[name]) > 2.8
    else:
        assert kolmogorov(values * 1.1, CUMULATIVE[name]) > 2.8
    if name == "gumbel":
        assert kolmogorov(-values, CUMULATIVE[name]) > 50


ARGUMENTS: dict[str, dict[str, float]] = {
    **{name: {"loc": 0.5, "scale": 2.0} for name in ("gumbel", "laplace", "logistic")},
    "cauchy": {"loc": 0.5, "scale": 1e-5},
    "exponential": {"scale": 2.0},
    "log_normal": {"mean": -0.5, "stddev": 0.75},
    "random_sign": {"scale": 0.25},
}
PARTS = [
    Region.of((2**12 + 7,)),
    Region.of((2**33, 7), (slice(2**33 - 9, 2**33 - 2), slice(1, 6))),
    Region.of((1000, 9), rows=[7, 0, 999, 7]),
]


def state(name: str) -> Any:
    return make(name, **ARGUMENTS[name]).distribution(())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["laplace", "log_normal", "random_sign", "cauchy"])
def test_compiled_equals_specification(name: str, dtype: str) -> None:
    for region in PARTS:
        one, two = (drawn(way, state(name), Key(3), region, dtypes.canonical(dtype)) for way in WAYS.values())
        assert same_bits(one, two)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float8_e4m3fn", "float8_e5m2", "complex64", "complex128"])
def test_every_dtype(dtype: str) -> None:
    """One law in the other dtypes; strides too."""
    kind = dtypes.canonical(dtype)
    law = state("logistic").sampler(kind)
    for region in PARTS:
        one, two = (poisoned((*region.counts[:-1], 2 * region.counts[-1]), kind)[..., ::2] for _ in range(2))
        WAYS["specification"](one, law, region, Key(4))
        WAYS["compiled"](two, law, region, Key(4))
        assert same_bits(np.ascontiguousarray(one), np.ascontiguousarray(two))


@pytest.mark.parametrize("dtype", dtypes.RANDOM)
def test_narrow_and_complex_values_are_those_of_float32_rounded(dtype: str) -> None:
    kind = dtypes.canonical(dtype)
    real = dtypes.component(kind)
    single = drawn(WAYS["specification"], state("laplace"), Key(2), Region.of((600,)), dtypes.computed_in(real))
    out = drawn(WAYS["specification"], state("laplace"), Key(2), Region.of((600 * real.itemsize // kind.itemsize,)), kind)
    assert same_bits(out.view(real), single.astype(real))


def test_the_gpu_s_kernel_gives_the_specification_s_bits(gpu: Any) -> None:
    """Through the whole CUDA backend, its kernel run on the host: dense, blocks, rows; never by the CUDA C++ kernels."""
    from host.driver import on_host

    for name, dtype in (("laplace", "float32"), ("log_normal", "bfloat16"), ("gumbel", "complex128")):
        init = make(name, seed=6, **ARGUMENTS[name])
        for options in ({}, {"block": (slice(3, 9), slice(1, 30))}, {"rows": [5, 0, 5]}):
            made = init((50, 33), dtype, device="cuda", **options)
            assert same_bits(on_host(made), init((50, 33), dtype, device="cpu", **options))
    assert {launch.kernel[:2] for launch in gpu.launched} == {
        ("fill", getattr(gallery, name)._quantile) for name in ("laplace", "log_normal", "gumbel")
    }


def test_names_on_the_command_line(tmp_path: Any) -> None:
    from gpuinit.cli import main

    out = tmp_path / "w.npy"
    assert main(["create", "--shape", "100,8", "--init", "laplace", "--arg", "scale=0.1", "--out", str(out), "--quiet"]) == 0
    assert same_bits(np.load(out), gallery.laplace(scale=0.1, seed=0)((100, 8), device="cpu"))


GOLDEN = json.loads((Path(__file__).parent / "golden" / "user.json").read_text(encoding="utf-8"))["cases"]


def golden_patterns(case: dict[str, Any], way: Callable[..., None]) -> str:
    init = make(case["law"], **{name: float.fromhex(value) for name, value in case["arguments"].items()})
    key = Key(*(int(word, 16) for word in case["key"]))
    rows = np.array([int(index, 16) for index in case["indices"]], np.int64)
    kind = dtypes.canonical(case["dtype"])
    made = drawn(way, init.distribution(()), key, Region.of((2**63,), rows=rows), kind).view(dtypes.component(kind))
    return made.view(f"u{made.itemsize}").astype(f">u{made.itemsize}").tobytes().hex()


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: f"{case['law']}-{case['dtype']}")
def test_golden(case: dict[str, Any]) -> None:
    assert golden_patterns(case, WAYS["specification"]) == case["values"]


@pytest.mark.parametrize("law", ["laplace", "log_normal"])
def test_golden_compiled(law: str) -> None:
    for case in GOLDEN:
        if case["law"] == law and case["dtype"] in ("float32", "float64"):
            assert golden_patterns(case, WAYS["compiled"]) == case["values"]


def test_the_golden_vectors_have_every_law_and_dtype() -> None:
    assert {(case["law"], case["dtype"]) for case in GOLDEN} == {
        (law, dtype) for law in gallery.__all__ for dtype in dtypes.RANDOM
    }
