"""gpuinit.exact: the stated errors against mpmath, the same bits compiled, and what comes out at the edges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from alone import by_numpy, in_registers, one_by_one
from conftest import same_bits

import gpuinit
from gpuinit import exact
from gpuinit.kernels import exact as kernels
from gpuinit.kernels import primitives

REALS = [np.float32, np.float64]
BOUNDS = {"exp": 1.0, "log": 1.1, "log1p": 2.0, "sinpi": 1.8, "cospi": 1.8, "tanpi": 3.0, "normal": 4.0}
"""Units in the last place, as the docstrings state them."""


def true_normal(u: Any) -> Any:
    """Newton's method (Halley's) on the tail that is nearer."""
    p = min(u, 1 - u)
    if p == mp.mpf(1) / 2:
        return mp.mpf(0)
    z = mp.sqrt(2) * mp.erfinv(1 - 2 * p) if p > mp.mpf(10) ** -6 else mp.sqrt(-2 * mp.log(p))
    for _ in range(6):
        error = mp.erfc(z / mp.sqrt(2)) / 2 - p
        step = error * mp.sqrt(2 * mp.pi) * mp.exp(z * z / 2)
        z += step / (1 - z * step / 2)
    return z if u > p else -z


TRUE: dict[str, Callable[[Any], Any]] = {
    **{"exp": mp.exp, "log": mp.log, "log1p": mp.log1p, "sinpi": mp.sinpi, "cospi": mp.cospi, "normal": true_normal},
    "tanpi": lambda x: mp.sinpi(x) / mp.cospi(x),
}


def uniforms(real: Any, count: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """u of the contract: random ones, the ends, the middle, and towards both ends by powers of two."""
    fraction = int(np.finfo(real).nmant)
    rng = np.random.default_rng(seed)
    k = [*rng.integers(0, 2**fraction, count), *range(40), *(2 ** (fraction - 1) + d for d in range(-40, 40))]
    k += [2**power + int(rng.integers(0, 2**power)) for power in range(fraction)]
    k += [2**fraction - 1 - n for n in k[count:]]
    return np.array([(2 * int(n) + 1) * 2.0 ** -(fraction + 1) for n in k], real)


def inputs(name: str, real: Any) -> np.ndarray[Any, Any]:
    u, rng = uniforms(real, 700), np.random.default_rng(1)
    if name == "exp":
        return np.concatenate(
            [np.log(u), rng.uniform(-80, 80, 700).astype(real), -u, rng.normal(size=300).astype(real) * real(1e-4)]
        )
    if name == "log":
        many = np.exp(rng.uniform(-80, 80, 700)).astype(real)
        near = (1 + rng.uniform(-0.5, 0.5, 700) * 10.0 ** rng.uniform(-7, 0, 700)).astype(real)
        return np.concatenate([u, many, near, -np.log(u), np.array([np.finfo(real).tiny / 4, np.finfo(real).max])])
    if name == "log1p":
        return np.concatenate([-u, u, ((1 - 2 * u) / u), np.exp(rng.uniform(-40, 60, 700)).astype(real)])
    if name == "normal":
        return u
    return np.concatenate([u, u - real(0.5), -u, rng.uniform(-1000, 1000, 700).astype(real)])


def error(got: Any, x: Any, name: str) -> np.ndarray[Any, Any]:
    """In units in the last place of the exact value."""
    with mp.workdps(40):
        found = []
        for value, argument in zip(got, x, strict=True):
            true = TRUE[name](mp.mpf(float(argument)))
            unit = np.spacing(np.abs(got.dtype.type(float(true))))
            found.append(abs(float((mp.mpf(float(value)) - true) / mp.mpf(float(unit)))))
    return np.array(found)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", BOUNDS)
def test_the_stated_error(name: str, real: Any) -> None:
    """At u of the contract, both ends and the middle among them, and at other numbers of the domain."""
    x = inputs(name, real)
    got = getattr(exact, name)(x)
    assert got.dtype == real
    assert error(got, x, name).max() <= BOUNDS[name]


def test_the_bound_would_not_hold_for_the_logarithm_of_the_normal_s_tail() -> None:
    """The check above rejects a logarithm whose error is small against 1, and not against log x near 1."""
    x = uniforms(np.float32, 500)
    assert error(-kernels.negative_log(x), x, "log").max() > 100


def test_float32_logarithm_and_tangent_at_all_u_of_a_stretch() -> None:
    """2^18 consecutive u up to each of 1/2 and 1, against float64's, which is right to 2^-50: rejects a gap between pieces."""
    fraction = 23
    for last in (2 ** (fraction - 1), 2**fraction):
        k = np.arange(last - 2**18, last, dtype=np.float64)
        u = ((2 * k + 1) * 2.0 ** -(fraction + 1)).astype(np.float32)
        for name in ("log", "tanpi"):
            wide = getattr(exact, name)((u - 0.5 if name == "tanpi" else u).astype(np.float64))
            got = getattr(exact, name)(u - np.float32(0.5) if name == "tanpi" else u)
            unit = np.spacing(np.abs(wide).astype(np.float32)).astype(np.float64)
            assert (np.abs(got.astype(np.float64) - wide) <= BOUNDS[name] * unit).all()


def one_of_them(u: Any, which: Any, a: Any) -> Any:
    """One function for each number `which`, of arguments in proportion to a."""
    x = (u - 0.5) * a
    if which < 4:
        if which < 2:
            return exact.log(u * a) if which < 1 else exact.log1p(x)
        return exact.exp(x) if which < 3 else exact.sinpi(x)
    if which < 6:
        return exact.cospi(x) if which < 5 else exact.tanpi(x)
    return exact.normal(u * a) if which < 7 else exact.fma(exact.sqrt(u), a, u) + exact.fma(u, a, -u)


@pytest.mark.parametrize("real", REALS)
def test_compiled_equals_specification(real: Any) -> None:
    """Every bit, in registers and one by one, arguments small and beyond the domain, infinities and nan included."""
    bits = np.finfo(real).bits
    rng = np.random.default_rng(2)
    words = rng.integers(0, 2**bits, 501, np.uint64).astype(f"u{bits // 8}")
    words[:4] = 0, 2**bits - 1, 2 ** (bits - 1), 2 ** (bits - 1) - 1
    sampler = gpuinit.quantile(one_of_them, package="tests")(0.0, 0.75).law((3,), np.dtype(real))
    for which in range(8):
        for parameter in (0.75, 8.0, 1e10, 1e37, 1e-37, np.inf):
            sampler.reals[7:9] = which, parameter
            wanted = by_numpy(sampler, words)
            for compiled in (in_registers, one_by_one):
                got = compiled(sampler, words)
                assert same_bits(np.where(np.isnan(got), 0, got), np.where(np.isnan(wanted), 0, wanted)), (which, parameter)
                assert (np.isnan(got) == np.isnan(wanted)).all()


@pytest.mark.parametrize("real", REALS)
def test_edges(real: Any) -> None:
    inf, nan, tiny, most = np.inf, np.nan, np.finfo(real).smallest_subnormal, np.finfo(real).max
    cases: dict[str, list[tuple[float, float]]] = {
        "log": [(0.0, -inf), (-1.0, nan), (inf, inf), (nan, nan), (1.0, 0.0), (-tiny, nan)],
        "log1p": [(-1.0, -inf), (-2.0, nan), (inf, inf), (nan, nan), (0.0, 0.0), (tiny, tiny)],
        "exp": [(0.0, 1.0), (-inf, 0.0), (inf, inf), (nan, nan), (-1e4, 0.0), (1e4, inf)],
        "sinpi": [(0.0, 0.0), (0.5, 1.0), (1.0, 0.0), (-0.5, -1.0), (1.5, -1.0), (inf, nan), (nan, nan), (2.0**60, nan)],
        "cospi": [(0.0, 1.0), (0.5, 0.0), (1.0, -1.0), (-0.5, 0.0), (2.0, 1.0), (inf, nan), (nan, nan), (2.0**60, nan)],
        "tanpi": [(0.0, 0.0), (0.25, 1.0), (0.75, -1.0), (-0.25, -1.0), (inf, nan), (nan, nan)],
        "normal": [(0.5, 0.0), (0.0, nan), (1.0, nan), (-1.0, nan), (2.0, nan), (nan, nan)],
        "sqrt": [(0.0, 0.0), (4.0, 2.0), (-1.0, nan), (inf, inf)],
    }
    for name, pairs in cases.items():
        x, wanted = (np.array(column, real) for column in zip(*pairs, strict=True))
        np.testing.assert_allclose(getattr(exact, name)(x), wanted, rtol=4e-16, atol=0, err_msg=name)
    assert np.isinf(exact.tanpi(real(0.5)))
    assert exact.exp(np.log(most) * real(0.9999)) > most / 10
    assert 0 < exact.exp(real(np.log(float(tiny)) * 0.99)) < np.finfo(real).tiny


def test_numbers_and_shapes() -> None:
    """A Python number gives float64; arrays keep their shape, and float32 where all arguments have it."""
    assert isinstance(exact.log(2), np.float64) and exact.log(2) == np.log(2.0)
    assert exact.exp(np.zeros((2, 3), np.float32)).shape == (2, 3)
    assert exact.fma(np.ones((2, 1), np.float32), np.ones(3, np.float32), np.float32(1)).dtype == np.float32
    assert exact.fma(np.ones((2, 1), np.float32), np.ones(3), 1).shape == (2, 3)
    assert exact.sqrt(np.zeros((0, 4))).shape == (0, 4)


@pytest.mark.parametrize("real", REALS)
def test_fma_rounds_once_and_takes_everything(real: Any) -> None:
    """Random, cancelling, overflowing, subnormal and infinite ones, against rationals; rejects a product rounded first."""
    from fractions import Fraction

    info, rng = np.finfo(real), np.random.default_rng(3)
    some = np.array(
        [0.0, -0.0, 1.0, -1.0, info.max, -info.max, info.tiny, info.smallest_subnormal, np.inf, -np.inf, np.nan], real
    )
    a, b, c = (grid.reshape(-1) for grid in np.meshgrid(some, some, some))
    x, y = (rng.normal(size=3000).astype(real) for _ in range(2))
    with np.errstate(all="ignore"):
        a, b, c = np.concatenate([a, x]), np.concatenate([b, y]), np.concatenate([c, -(x * y)])
        got = np.asarray(primitives.fma(a, b, c))
    assert (got[-3000:] != 0).mean() > 0.9
    for one, two, three, value in zip(a, b, c, got, strict=True):
        if not np.isfinite([one, two, three]).all():
            with np.errstate(all="ignore"):
                np.testing.assert_array_equal(value, three if np.isfinite([one, two]).all() else one * two + three)
            continue
        exactly = Fraction(float(one)) * Fraction(float(two)) + Fraction(float(three))
        if np.isfinite(value):
            with np.errstate(over="ignore"):
                below, above = (np.nextafter(value, real(direction)) for direction in (-np.inf, np.inf))
            distance = abs(Fraction(float(value)) - exactly)
            assert all(distance <= abs(Fraction(float(n)) - exactly) for n in (below, above) if np.isfinite(n))
        else:
            assert abs(exactly) > Fraction(float(info.max))
