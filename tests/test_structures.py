"""Writers of structures: equal to the plain definition, in whole and in part, into any strides and dtype."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import ml_dtypes
import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gpuinit
from gpuinit.arrays import cast
from gpuinit.backends.structures import write
from gpuinit.region import Region
from gpuinit.structures import Constant, Diagonal, Fourier, Haar, Sparse, Structure, Tap

TABLE = np.arange(1, 36).reshape(5, 7)
DTYPES = [np.dtype(name) for name in ("bool", "uint8", "int64", "float16", "float32", "float64", "complex128")] + [
    np.dtype(kind) for kind in (ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn)
]


def written(structure: Structure, region: Region, dtype: Any) -> Any:
    """The region, written into every second element of a reversed array whose others must stay as they are."""
    dtype = np.dtype(dtype)
    around = np.ones(tuple(2 * count + 1 for count in region.counts), dtype)
    out = around[tuple(slice(count * 2 - 1, None, -2) if count else slice(0, 0) for count in region.counts)]
    write(out, structure, region, None, None, None)  # type: ignore[arg-type]
    result = out.copy()
    out[...] = np.ones((), dtype)
    assert (around == np.ones((), dtype)).all()
    return result


def plain(structure: Structure, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """The definition, element by element."""
    if isinstance(structure, Constant):
        return np.broadcast_to(structure.value, shape).astype(dtype)
    assert isinstance(structure, Diagonal)
    whole = np.zeros(shape, dtype)
    for step in range(min(shape)):
        whole[structure.row + step, structure.column + step] = structure.gain
    return whole


STRUCTURES = [
    (Constant(3), (5, 7)),
    (Constant(TABLE), (5, 7)),
    (Constant(TABLE[:1]), (5, 7)),
    (Constant(TABLE[:, :1]), (5, 7)),
    (Constant(TABLE[0]), (5, 7)),
    (Constant(TABLE[:1, :1]), (1, 7)),
    (Diagonal(2.0, 0, 0), (6, 6)),
    (Diagonal(2.0, 0, 1), (5, 7)),
    (Diagonal(2.0, 2, 0), (7, 4)),
    (Diagonal(2.0, 0, 0), (0, 4)),
]


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(STRUCTURES), st.sampled_from(DTYPES), st.data())
def test_every_part_equals_the_definition(
    given_: tuple[Structure, tuple[int, int]], dtype: np.dtype[Any], data: st.DataObject
) -> None:
    structure, shape = given_
    ends = [sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n)))) for n in shape]
    block = tuple(slice(*pair) for pair in ends)
    rows = None
    if shape[0] and data.draw(st.booleans()):
        rows = np.array(data.draw(st.lists(st.integers(0, shape[0] - 1), max_size=9)), np.int64)
        block = (slice(None), block[1])
    region = Region.of(shape, block, rows)
    assert (written(structure, region, dtype) == plain(structure, shape, dtype)[region.slices]).all()


def test_parts_of_what_no_memory_holds() -> None:
    shape = (10**12, 128)
    region = Region.of(shape, (slice(10**11, 10**11 + 2), slice(3, 6)))
    assert written(Constant(np.arange(128)), region, "float32").tolist() == [[3, 4, 5], [3, 4, 5]]
    region = Region.of(shape, None, [126, 10**12 - 1, 5])
    picked = written(Diagonal(1.0, 3, 0), region, "int8")
    assert np.argwhere(picked).tolist() == [[0, 123], [2, 2]]


BIG = np.random.default_rng(1).standard_normal((1500, 1500))


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize(
    "initializer",
    [
        *(gpuinit.Constant(value) for value in (2.0, BIG, BIG.T, BIG[:1], BIG[:, :1], (8 * BIG).astype(np.int64))),
        *(gpuinit.Identity(), gpuinit.Zeros(), gpuinit.STFT(), gpuinit.STFT("imag", None)),
    ],
    ids=repr,
)
def test_no_temporary_of_the_tensors_size(initializer: gpuinit.Initializer, dtype: str) -> None:
    """Less than 800 KiB for 4.5 MB or more; rejects a kernel made whole in float64 and an array cast whole."""
    shape = (1500, 1, 1500) if isinstance(initializer, gpuinit.STFT) else (1500, 1500)
    out = np.empty(shape, gpuinit.dtypes.canonical(dtype))
    initializer.fill(out[:3], shape=shape, block=slice(0, 3))
    tracemalloc.start()
    initializer.fill(out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 800 * 1024


def test_no_temporary_of_the_size_of_rows() -> None:
    out = np.empty((2500, 1500), np.float32)
    rows = np.random.default_rng(1).integers(0, 1500, 2500)
    initializer = gpuinit.Constant(BIG)
    tracemalloc.start()
    initializer.fill(out, shape=BIG.shape, rows=rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 800 * 1024
    assert (out == BIG.astype(np.float32)[rows]).all()


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_runs_of_large_arrays_do_not_show(data: st.DataObject) -> None:
    """Arrays of more than a run, broadcast along any axes, whole, in blocks and by rows."""
    shape = data.draw(st.sampled_from([(3, 90, 120), (20_000, 3), (2, 20_000), (1, 1, 30_000), (9_000, 1, 2)]))
    kept = tuple(n if data.draw(st.booleans()) else 1 for n in shape)[data.draw(st.integers(0, 1)) :]
    value = np.random.default_rng(1).standard_normal(kept)
    starts = [data.draw(st.integers(0, n // 3)) for n in shape]
    rows = np.arange(shape[0] + 5)[::-1] % shape[0] if data.draw(st.booleans()) else None
    block = tuple(slice(None if rows is not None and axis == 0 else start, None) for axis, start in enumerate(starts))
    region = Region.of(shape, block, rows)
    for dtype in (np.float32, ml_dtypes.bfloat16):
        wanted = np.broadcast_to(value.astype(np.float32), shape).astype(dtype)[region.slices]
        assert (written(Constant(value.astype(np.float32)), region, dtype) == wanted).all()


def test_what_can_be_made_in_blocks() -> None:
    divisible = [
        Structure(),
        Constant(1),
        Diagonal(1.0, 0, 0),
        Fourier("real", np.ones(1)),
        Tap(Diagonal(1.0, 0, 0), (1, 2), (0,)),
    ]
    assert all(structure.divisible for structure in divisible)
    assert not any(structure.divisible for structure in (Haar(1.0), Sparse(1.0, 1), Tap(Haar(1.0), (1, 2), (0,))))


# Refusals


@pytest.mark.parametrize(
    ("structure", "dtype", "message"),
    [
        (Constant(1e6), "float16", "float16 cannot hold 1000000.0: its finite values run to"),
        (Constant(np.array([1.0, 1e6])), "float16", "float16 cannot hold 1000000.0"),
        (Constant(1j), "float32", "float32 cannot hold a complex value such as 1j"),
        (Diagonal(-300.0, 0, 0), "int8", "int8 cannot hold -300.0: its values run from -128 to 127"),
        (Fourier("real", np.array([0.0, 1e6])), "float16", "float16 cannot hold 1000000.0"),
        (Fourier("real", np.array([1.0])), "uint8", "uint8 cannot hold -1.0"),
        (Haar(-1e6), "float16", "float16 cannot hold gain=-1000000.0"),
    ],
)
def test_a_structure_refuses_what_a_dtype_cannot_hold(structure: Structure, dtype: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        structure.check(np.dtype(dtype))
    structure.check(np.dtype("complex128"))


@pytest.mark.parametrize("way", ["call", "fill", "law"])
@pytest.mark.parametrize(
    ("make", "dtype", "shape"),
    [
        (lambda source: gpuinit.Orthogonal(1e6, seed=source), "float16", (2, 2)),
        (lambda source: gpuinit.Orthogonal(1e6, seed=source), "int8", (2, 2)),
        (lambda source: gpuinit.RandomNormal(0, 1e6, seed=source), "float16", (2, 2)),
        (lambda source: gpuinit.Constant(np.array([[1.0] * 30_000, [1e6] * 30_000])), "float16", (2, 30_000)),
        (lambda source: gpuinit.Identity(1e6), "float16", (2, 2)),
        (lambda source: gpuinit.STFT("real", [1.0, 1e6], None), "float16", (2, 1, 5)),
    ],
)
def test_a_refused_call_changes_nothing(make: Any, dtype: str, shape: tuple[int, ...], way: str) -> None:
    """No key is drawn and no element is written; rejects a check in the backend, after the draw."""
    source = gpuinit.SeedGenerator(5)
    before = repr(source)
    out = np.full(shape, 7, dtype)
    initializer = make(source)
    ways = {
        "call": lambda: initializer(shape, dtype),
        "fill": lambda: initializer.fill(out),
        "law": lambda: initializer.law(shape, np.dtype(dtype)),
    }
    with pytest.raises(ValueError, match=f"{dtype}"):
        ways[way]()
    assert repr(source) == before
    assert (out == 7).all()


# Fourier


def exact(side: str, t: int, f: int, period: int) -> float:
    with mpmath.workdps(40):
        angle = 2 * mpmath.pi * t * f / period
        return float(mpmath.cos(angle) if side == "real" else -mpmath.sin(angle))


@pytest.mark.parametrize("side", ["real", "imag"])
@pytest.mark.parametrize("shape", [(7, 1, 2), (9, 1, 3), (16, 1, 9), (31, 1, 8), (5, 1, 1025)])
def test_fourier_is_exact_to_an_ulp(side: Any, shape: tuple[int, ...]) -> None:
    window = np.arange(shape[0]) - 2.5
    kernel = written(Fourier(side, window), Region.of(shape), "float64")
    for t in range(shape[0]):
        for f in {0, 1, shape[2] // 2, shape[2] - 1}:
            value = exact(side, t, f, 2 * (shape[2] - 1))
            if abs(value) < 1e-15:  # the exact value is 0
                assert kernel[t, 0, f] == 0
            else:
                assert abs(kernel[t, 0, f] / window[t] / value - 1) < 6e-16


def test_fourier_far_out() -> None:
    shape = (10**6, 1, 2**40 + 1)  # t f has 60 bits, and 2 (K - 1) is beyond 2^31
    region = Region.of(shape, (slice(10**6 - 2, 10**6), slice(None), slice(2**40 - 3, 2**40)))
    kernel = written(Fourier("real", np.ones(10**6)), region, "float64")
    for row, t in enumerate(range(10**6 - 2, 10**6)):
        for column, f in enumerate(range(2**40 - 3, 2**40)):
            assert abs(kernel[row, 0, column] - exact("real", t, f, 2**41)) < 1e-15


@pytest.mark.parametrize("side", ["real", "imag"])
@pytest.mark.parametrize("window", ["hann", "hamming", None, [1.0, -2, 3, 4, 5, 6, 7, 8]])
@pytest.mark.parametrize("scaling", ["density", "spectrum", None])
@pytest.mark.parametrize("periodic", [False, True])
def test_stft_is_keras_formula(side: str, window: Any, scaling: str | None, periodic: bool) -> None:
    from scipy.signal import get_window

    t, f = np.arange(8)[:, None, None], np.arange(5)[None, None, :]
    w = get_window(window, 8, periodic) if isinstance(window, str) else np.ones(8) if window is None else np.array(window)
    divisor = {"density": math.sqrt((w**2).sum()), "spectrum": np.abs(w).sum(), None: 1.0}[scaling]
    divisor = 1.0 if window is None else divisor
    angle = -2 * np.pi * t * f / 8
    wanted = (np.cos(angle) if side == "real" else np.sin(angle)) * w[:, None, None] / divisor
    made = gpuinit.STFT(side, window, scaling, periodic)((8, 3, 5), "float64")
    assert made.shape == (8, 1, 5)  # whatever the channels are
    np.testing.assert_allclose(made, wanted, rtol=0, atol=1e-14 * np.abs(wanted).max())


def test_stft_parts_and_shapes() -> None:
    initializer = gpuinit.STFT()
    whole = initializer((8, 4, 5))
    out = np.empty((8, 1, 5), np.float32)
    assert (initializer.fill(out, shape=(8, 4, 5)) == whole).all()
    assert (initializer.fill(out) == whole).all()
    part = initializer((8, 4, 5), block=(slice(None), slice(0, 1), slice(2, 4)), rows=[7, 3, 3])
    assert (part == whole[[7, 3, 3], :, 2:4]).all()
    assert initializer((0, 1, 5)).shape == (0, 1, 5)
    assert initializer((4, 2, 0)).shape == (4, 1, 0)
    with pytest.raises(ValueError, match=r"\(8, 1, 5\)"):
        initializer.fill(np.empty((8, 4, 5)))
    for shape, message in [((8, 5), "needs 3"), ((8, 1, 1), "1 frequency"), ((2, 1, 3), "scaling")]:
        with pytest.raises(ValueError, match=message):
            initializer(shape)
    with pytest.raises(ValueError, match="window has length 3"):
        gpuinit.STFT(window=np.ones(3))((4, 1, 3))


# Casting


def nearest(x: float, dtype: Any) -> float:
    """The nearest value of a small dtype, ties to even, by looking at all of them."""
    patterns = np.arange(2 ** (8 * np.dtype(dtype).itemsize), dtype=np.uint64)
    with np.errstate(invalid="ignore"):
        values = patterns.astype(f"u{np.dtype(dtype).itemsize}").view(dtype).astype(np.float64)
        distance = np.where(np.isfinite(values), np.abs(values - x), np.inf)
    best = np.flatnonzero(distance == distance.min())
    return float(values[min(best, key=lambda pattern: pattern % 2)])


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2]),
    st.integers(0, 126),
    st.sampled_from([0.0, 2.0**-40, -(2.0**-40)]),
    st.sampled_from([-1, 1]),
)
def test_cast_rounds_once(dtype: Any, pattern: int, nudge: float, sign: int) -> None:
    """At and beside the midpoints of neighbours: rejects a cast that goes through float32."""
    size = np.dtype(dtype).itemsize
    pair = np.array([0, 1], f"u{size}") + np.array(pattern if size == 1 else 251 * pattern, f"u{size}")
    low, high = pair.view(dtype).astype(float)
    if not math.isfinite(high):
        return
    x = sign * (low + high) / 2 * (1 + nudge)
    assert float(cast(x, np.dtype(dtype)).astype(float)) == nearest(x, dtype)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint32", "int64", "uint64"])
def test_cast_to_integers_at_their_ends(dtype: str) -> None:
    kind, info = np.dtype(dtype), np.iinfo(dtype)
    for value in (info.min, info.max):
        assert cast(value, kind) == value
    outside: list[float] = [info.min - 1, info.max + 1, float(info.max) * 2 + 2, float(info.min) * 2 - 2]
    for beyond in outside:
        with pytest.raises(ValueError, match=dtype):
            cast(beyond, kind)
    assert cast(float(info.min), kind) == info.min
    assert cast(-0.9, kind) == 0
