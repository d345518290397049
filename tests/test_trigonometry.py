"""The cosines of Fourier kernels: within a unit in the last place, exact where they can be, and rounded once to any dtype."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest

import gpuinit
from gpuinit.arrays import rounded
from gpuinit.backends import structures
from gpuinit.kernels import cuda_fourier, narrow
from gpuinit.kernels.trigonometry import cosine, minus_sine

HALVES = [1, 2, 3, 4, 5, 6, 7, 8, 256, 1024, 1499, 2**20, 2**20 + 7, 2**31 - 1, 2**40 + 3, 2**52 + 1, 2**53 - 1]
HUGE = [2**62 + 3, 2**63 - 1]
WAVES = {"real": (cosine, mpmath.cos), "imag": (minus_sine, lambda angle: -mpmath.sin(angle))}


def places(half: int) -> Any:
    """The whole turn if it is short; else its quarters, their neighbours, the odd eighths' neighbours, and places at random."""
    if half <= 1024:
        return np.arange(2 * half, dtype=np.uint64)
    near = [half * eighth // 4 + step for eighth in range(8) for step in (-2, -1, 0, 1, 2)]
    some = np.random.default_rng(half).integers(0, 2 * half, 1000, np.uint64).tolist()
    return np.array([place % (2 * half) for place in (*near, *some)], np.uint64)


def worst(side: str, half: int, made: Any = None) -> float:
    """The largest error in units of the last place; where the exact value is 0 it must be +0."""
    wave, exact = WAVES[side]
    turns = places(half)
    error = 0.0
    with mpmath.workdps(60):
        for turn, value in zip(turns.tolist(), (made or wave)(turns, np.uint64(half)).tolist(), strict=True):
            wanted = exact(mpmath.pi * turn / half)
            if abs(wanted) < 1e-50:
                assert value == 0 and math.copysign(1, value) == 1
            else:
                error = max(error, float(abs(mpmath.mpf(value) - wanted) / math.ulp(float(wanted))))
    return error


@pytest.mark.parametrize("side", WAVES)
@pytest.mark.parametrize("half", HALVES + HUGE)
def test_within_a_unit_of_the_last_place(side: str, half: int) -> None:
    """Two where half has more than 53 bits."""
    assert worst(side, half) < (1 if half < 2**53 else 2)


def test_an_angle_in_one_number_is_refused() -> None:
    """What libm's cosine gives for an angle rounded to float64, not reduced first."""

    def naive(turn: Any, half: Any) -> Any:
        return np.cos(np.pi * turn.astype(np.float64) / float(half))

    with pytest.raises(AssertionError):  # cos(pi / 2) is not 0
        worst("real", 1024, naive)
    assert worst("real", 1499, naive) > 100


@pytest.mark.parametrize("half", [1, 2, 4, 6, 1024, 2**62])
def test_exact_values(half: int) -> None:
    """Quarters, and the half at 60 degrees where there is such a place."""
    turns = np.array([0, half // 2, half, 2 * half - 1 - (half - 1) // 2], np.uint64)
    if half % 2 == 0:
        assert cosine(turns, np.uint64(half)).tolist() == [1, 0, -1, 0]
        assert minus_sine(turns, np.uint64(half)).tolist() == [0, -1, 0, 1]
    if half % 3 == 0:
        assert cosine(np.array([half // 3], np.uint64), np.uint64(half)) == 0.5


@pytest.mark.parametrize("half", [5, 1499, 2**31 - 1])
def test_symmetries_hold_bit_for_bit(half: int) -> None:
    turn = places(half)
    turn = turn[turn > 0]
    back = np.uint64(2 * half) - turn
    assert (cosine(turn, np.uint64(half)) == cosine(back, np.uint64(half))).all()
    assert (minus_sine(turn, np.uint64(half)) == -minus_sine(back, np.uint64(half))).all()


@pytest.mark.parametrize("side", ["real", "imag"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_a_table_of_cosines_does_not_show(side: str, dtype: str) -> None:
    """The whole kernel looks its cosines up, a small part computes them."""
    init, shape = gpuinit.STFT(side, None), (100, 1, 40)
    whole = init(shape, dtype)
    for t in (0, 1, 77, 99):
        assert init(shape, dtype, block=(slice(t, t + 1),)).tobytes() == whole[t : t + 1].tobytes()
    assert init(shape, dtype, rows=[3]).tobytes() == whole[3:4].tobytes()


def test_a_period_of_cosines_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """2048 for a kernel of 2 million elements: NumPy's fma takes microseconds for each."""
    computed = []

    def counted(turn: Any, half: Any) -> Any:
        computed.append(turn.size)
        return cosine(turn, half)

    monkeypatch.setattr(structures, "cosine", counted)
    gpuinit.STFT()((2048, 1, 1025), device="cpu")
    assert sum(computed) == 2048


# Rounding on the device

NARROW = ["bfloat16", "float16", "float8_e4m3fn", "float8_e5m2"]


def on_device(x: Any, dtype: str) -> Any:
    """A float64 as the device's kernel rounds it."""
    round_to, stored = narrow.STORAGE[dtype]
    computed = {"float64": cuda_fourier.as_it_is, "float32": cuda_fourier.to_nearest}.get(dtype, cuda_fourier.to_odd)
    return np.asarray(round_to(computed(x))).astype(stored)


@pytest.mark.parametrize("dtype", [*NARROW, "float32", "float64"])
def test_the_device_rounds_once(dtype: str) -> None:
    """At and beside the halfway cases, subnormal ones too, and at random. Rejects rounding twice, in float32 first."""
    kind = gpuinit.dtypes.canonical(dtype)
    rng = np.random.default_rng(3)
    most = gpuinit.dtypes.largest(kind)
    x = np.concatenate([rng.standard_normal(20_000) * 2.0 ** rng.integers(-20, 4, 20_000), [0.0, -0.0, most, -most, 1e-300]])
    if dtype in NARROW:
        size = kind.itemsize
        patterns = np.arange(0, 2 ** (8 * size - 1), 1 if size == 1 else 7, dtype=f"u{size}")
        with np.errstate(all="ignore"):
            near = patterns.view(kind).astype(np.float64)
        near = near[np.isfinite(near)]
        halfway = (near[:-1] + near[1:]) / 2
        nudged = [halfway * (1 + step) for step in (0.0, 2.0**-40, -(2.0**-40), 2.0**-52)]
        x = np.concatenate([x, near, *nudged, *(-one for one in nudged)])
    with np.errstate(all="ignore"):
        wanted = rounded(x, kind).view(f"u{kind.itemsize}")
        assert (on_device(x, dtype) == wanted).all()
        if dtype in NARROW:
            twice = np.asarray(narrow.STORAGE[dtype][0](x.astype(np.float32))).astype(wanted.dtype)
            assert (twice != wanted).sum() > 50
