"""The Numba CUDA kernels give the CPU's bits: their threads compiled for the CPU, under the production launchers and backend.

The device "cuda" is `HostDriver`'s: CuPy arrays around this process' memory, full of poison at first.
"""

from __future__ import annotations

import itertools
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import gpuinit
from gpuinit import Key, dtypes, hashing
from gpuinit.backends.cuda import geometry
from gpuinit.backends.cuda.geometry import Around, around, blocks
from gpuinit.backends.layout import Axis

pytest.importorskip("cupy", reason="CuPy is not installed")
from host.driver import POISON, on_host

KEY = Key(0x123456789ABCDEF0, 2**63 + 5)
DRAWN = [
    (gpuinit.RandomUniform(-1.0, 2.0, seed=KEY), "float32"),
    (gpuinit.RandomUniform(-0.05, 0.05, seed=KEY), "float8_e5m2"),
    (gpuinit.RandomNormal(0.5, 2.0, seed=KEY), "bfloat16"),
    (gpuinit.RandomNormal(0.5, 2.0, seed=KEY), "complex128"),
    (gpuinit.TruncatedNormal(0.0, 0.05, seed=KEY), "float32"),
    (gpuinit.TruncatedNormal(0.1, 1.0, seed=KEY, lower=-1.0, upper=3.0), "float16"),
    (gpuinit.TruncatedNormal(0.1, 1.0, seed=KEY, lower=-1.0, upper=3.0), "complex64"),
    (gpuinit.TruncatedNormal(0.0, 1.0, seed=KEY, lower=5.0, upper=6.0), "float64"),
]
REGIONS: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((10**9, 130), {"block": (slice(999_999_000, 999_999_050), slice(64, 128))}),
    ((10**9, 131), {"block": (slice(2**25, 2**25 + 9), slice(5, 122))}),
    ((2**40, 3), {"rows": [5, 3, 3, 2**40 - 1, 0]}),
    ((10**9, 130), {"rows": np.array([5, 10**9 - 1, 3], np.int32), "block": (slice(None), slice(1, 130))}),
    ((30, 20, 10, 13), {"block": (slice(1, 5), slice(2, 9), slice(3, 9), slice(4, 12))}),
    ((4, 3, 5, 6, 13), {"block": (slice(1, 4), slice(0, 2), slice(3, 5), slice(1, 5), slice(4, 10))}),
    ((30, 20, 10, 13), {"rows": [1, 9, 3], "block": (slice(None), slice(2, 9), slice(3, 9), slice(4, 12))}),
    ((7, 1), {"rows": [6]}),
    ((2**62,), {"block": (slice(2**62 - 5, 2**62),)}),
    ((5, 0), {"rows": [1, 1]}),
]


def same(made: Any, wanted: np.ndarray[Any, Any]) -> bool:
    found = on_host(made)
    return found.shape == wanted.shape and found.dtype == wanted.dtype and found.tobytes() == wanted.tobytes()


def strided(driver: Any, shape: tuple[int, ...], dtype: Any) -> tuple[Any, Any]:
    """Every other element, from the second on, of a transposed array full of poison; and all of it."""
    whole = driver.empty(tuple(2 * length + 1 for length in reversed(shape)), dtype)
    return whole.transpose()[tuple(slice(1, None, 2) for _ in shape)], whole


def untouched(whole: Any, shape: tuple[int, ...]) -> bool:
    """Whether all elements that `strided` left out are still poison."""
    memory = on_host(whole)
    left = np.ones(memory.shape, bool)
    left.T[tuple(slice(1, None, 2) for _ in shape)] = False
    return bool((memory.view(np.uint8).reshape(*memory.shape, -1)[left] == POISON).all())


@pytest.mark.parametrize(("init", "dtype"), DRAWN, ids=lambda value: str(value)[:24])
def test_regions_have_the_cpu_s_bits(gpu: Any, init: Any, dtype: str) -> None:
    for shape, part in REGIONS:
        wanted = init(shape, dtype, device="cpu", **part)
        assert same(init(shape, dtype, device="cuda", **part), wanted), (shape, part)
        out, whole = strided(gpu, wanted.shape, wanted.dtype)
        init.fill(out, shape=shape, **part)
        assert same(out, wanted) and untouched(whole, wanted.shape), (shape, part)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float8_e4m3fn", "complex64", "complex128", "int8", "bool"])
@pytest.mark.parametrize("value", [2.0, np.arange(130) % 2], ids=["number", "array"])
def test_constants(gpu: Any, value: Any, dtype: str) -> None:
    init = gpuinit.Constant(value)
    regions = [*REGIONS[:1], *REGIONS[3:4], ((3, 130), {}), ((130,), {}), ((64, 65, 130), {"rows": [1, 1, 63]})]
    for shape, part in regions:
        wanted = init(shape, dtype, device="cpu", **part)
        assert same(init(shape, dtype, device="cuda", **part), wanted), (shape, part)
        out, whole = strided(gpu, wanted.shape, wanted.dtype)
        init.fill(out, shape=shape, **part)
        assert same(out, wanted) and untouched(whole, wanted.shape), (shape, part)


def test_constants_at_every_alignment(gpu: Any) -> None:
    for dtype, offset, count in itertools.product((np.uint8, np.float16, np.float32), range(9), (0, 1, 7, 8, 9, 1003)):
        whole = gpu.empty((count + 20,), np.dtype(dtype))
        gpuinit.Constant(3).fill(whole[offset : offset + count])
        memory = on_host(whole)
        assert (memory[offset : offset + count] == 3).all()
        assert (np.delete(memory, slice(offset, offset + count)).view(np.uint8) == POISON).all()


def test_a_constant_array_that_stands_for_rows(gpu: Any) -> None:
    init = gpuinit.Constant(np.arange(40.0).reshape(10, 1, 4))
    for part in ({}, {"rows": [9, 0, 9]}, {"block": (slice(2, 7), slice(1, 3), slice(0, 4))}):
        assert same(init((10, 3, 4), "float32", device="cuda", **part), init((10, 3, 4), "float32", device="cpu", **part))


@pytest.mark.parametrize(
    ("init", "dtype"),
    [
        *((gpuinit.Identity(2.0), dtype) for dtype in ("float32", "bfloat16", "complex64", "int32")),
        *((gpuinit.Orthogonal(seed=3, method="qr"), dtype) for dtype in ("float32", "bfloat16", "float64")),
        (gpuinit.Orthogonal(seed=3), "complex64"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_matrices(gpu: Any, init: Any, dtype: str) -> None:
    """Those that the CPU makes among them, which are copied."""
    for shape in ((50, 40), (40, 50), (1, 1), (0, 3)):
        parts: list[dict[str, Any]] = [{}]
        if shape[0] > 1:
            parts += [
                {"block": (slice(3, 30), slice(5, 17))},
                {"rows": [4, 4, 39, 0]},
                {"rows": [7], "block": (slice(None), slice(3, 9))},
            ]
        for part in parts:
            wanted = init(shape, dtype, device="cpu", **part)
            assert same(init(shape, dtype, device="cuda", **part), wanted), (shape, part)
            out, whole = strided(gpu, wanted.shape, wanted.dtype)
            init.fill(out, shape=shape, **part)
            assert same(out, wanted) and untouched(whole, wanted.shape)


def test_fourier_kernels_are_the_cpu_s(gpu: Any) -> None:
    init = gpuinit.STFT("real", "hann")
    assert same(init((64, 1, 33), "float32", device="cuda"), init((64, 1, 33), "float32", device="cpu"))


def ids_on_gpu(driver: Any, ids: Any, dtype: Any = np.int64) -> Any:
    return driver.upload(np.array(ids, dtype)).view(dtype)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_ids_on_the_gpu(gpu: Any, dtype: Any) -> None:
    init, shape = gpuinit.RandomNormal(seed=KEY), (2**31 + 7, 33)
    chosen = [5, 0, 2**31 - 1 if dtype is np.int32 else 2**31 + 6, 5]
    wanted = init(shape, "float32", rows=chosen, device="cpu")
    ids = ids_on_gpu(gpu, chosen, dtype)
    assert same(init(shape, "float32", rows=ids, device="cuda"), wanted)
    backwards = ids_on_gpu(gpu, chosen[::-1], dtype)[::-1]
    assert same(init(shape, "float32", rows=backwards), wanted)
    identity = gpuinit.Identity()
    assert same(
        identity((9, 9), "float32", rows=ids_on_gpu(gpu, [8, 1], dtype)), identity((9, 9), "float32", rows=[8, 1], device="cpu")
    )
    stft = gpuinit.STFT("imag")
    assert same(
        stft((8, 1, 5), "float32", rows=ids_on_gpu(gpu, [7, 1], dtype)), stft((8, 1, 5), "float32", rows=[7, 1], device="cpu")
    )
    assert init(shape, rows=ids_on_gpu(gpu, [], dtype)).shape == (0, 33)


@pytest.mark.parametrize(
    ("ids", "place", "wrong"), [([5, -1, 2000], 1, -1), ([0] * 5000 + [1000], 5000, 1000), ([2**31 - 1], 0, 2**31 - 1)]
)
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_ids_out_of_range_are_named_before_anything_is_written(gpu: Any, ids: Any, place: int, wrong: int, dtype: Any) -> None:
    out = gpu.empty((len(ids), 8), np.dtype(np.float32))
    init = gpuinit.RandomNormal(seed=1)
    with pytest.raises(IndexError, match=rf"rows\[{place}\]={wrong} is not a row .* ids run from 0 to 999"):
        init.fill(out, shape=(1000, 8), rows=ids_on_gpu(gpu, ids, dtype))
    assert (on_host(out).view(np.uint8) == POISON).all()


def test_ids_of_another_owner_are_copied_before_they_are_looked_at(gpu: Any) -> None:
    """Their owner may free them as soon as the call returns, while the fill still reads."""

    class Foreign:
        def __init__(self, held: Any) -> None:
            self.held = held
            data = (held.data.ptr, False)
            self.__cuda_array_interface__ = {"shape": held.shape, "typestr": held.dtype.str, "data": data, "version": 2}

    init, ids = gpuinit.RandomNormal(seed=KEY), ids_on_gpu(gpu, [5, 3])
    assert same(init((9, 33), "float32", rows=Foreign(ids)), init((9, 33), "float32", rows=[5, 3], device="cpu"))
    assert [launch.kernel[0] for launch in gpu.launched] == ["copy", "rows", "fill"]
    assert int(gpu.launched[-1].arguments[14]) != ids.data.ptr


def test_ids_of_other_kinds_are_refused(gpu: Any) -> None:
    init = gpuinit.RandomNormal(seed=1)
    with pytest.raises(TypeError, match="rows has dtype float32: row ids on a GPU must be int32 or int64"):
        init((10, 8), rows=ids_on_gpu(gpu, [1.0], np.float32))
    with pytest.raises(ValueError, match=r"rows has shape \(2, 2\)"):
        init((10, 8), rows=ids_on_gpu(gpu, [1, 2, 3, 4]).reshape(2, 2))
    with pytest.raises(TypeError, match="rows is a ndarray on a GPU, and the tensor is made on the CPU"):
        init((10, 8), rows=ids_on_gpu(gpu, [1]), device="cpu")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64", "float8_e4m3fn", "complex64", "complex128", "int64"])
def test_the_hash_of_an_array_on_the_gpu(gpu: Any, dtype: str) -> None:
    kind = dtypes.canonical(dtype)
    values = np.random.default_rng(1).integers(0, 256, 7 * 5 * 33 * kind.itemsize, np.uint8).view(kind).reshape(7, 5, 33)
    held = gpu.upload(values).view(kind).reshape(7, 5, 33)
    for index in (np.s_[:], np.s_[1:, ::2], np.s_[..., ::-3], np.s_[2], np.s_[3:3], np.s_[:, :, 4]):
        assert hashing.element_hash(held[index], 77) == hashing.element_hash(values[index], 77), index
    assert hashing.element_hash(held.transpose(2, 0, 1)) == hashing.element_hash(values.transpose(2, 0, 1))
    assert hashing.element_hash(held[0, 0, 0]) == hashing.element_hash(values[0, 0, 0:1])


def test_a_different_bit_changes_the_hash(gpu: Any) -> None:
    values = np.zeros(1000, np.uint8)
    held = gpu.upload(values)
    before = hashing.element_hash(held)
    on_host(held)[999] = 1
    assert hashing.element_hash(held) != before == hashing.element_hash(values)


def test_axes_beyond_three_are_walked_outside() -> None:
    lengths = (2, 3, 4, 5, 6)
    steps = (1000, 301, 70, 13, 2)
    axes = tuple(Axis(n, s, 10 * s) for n, s in zip(lengths, steps, strict=True))
    for picked in (False, True):
        seen = []
        for part in around(axes, picked):
            if picked:
                assert part.axes[0] == axes[0]
            for place in itertools.product(*(range(axis.length) for axis in part.axes)):
                step = part.step + sum(at * axis.step for at, axis in zip(place, part.axes, strict=True))
                jump = part.jump + sum(at * axis.jump for at, axis in zip(place, part.axes, strict=True))
                assert jump == 10 * step
                seen.append(step)
        wanted = [sum(a * s for a, s in zip(place, steps, strict=True)) for place in itertools.product(*map(range, lengths))]
        assert sorted(seen) == sorted(wanted)
        if not picked:
            assert seen == wanted


def test_axes_that_go_on_are_one() -> None:
    assert list(around((Axis(4, 30, 60), Axis(3, 10, 20)), False)) == [
        Around(0, 0, (Axis(1, 0, 0), Axis(1, 0, 0), Axis(12, 10, 20)))
    ]
    assert next(around((), False)).runs == 1


@pytest.mark.parametrize("work", [(1, 1), (0, 0), (1, 10**9), (10**12, 1), (33, 1000), (2, 5), (10**6, 10**6)])
def test_geometry_is_launchable(work: tuple[int, int]) -> None:
    for processors in (1, 132):
        grid, block = blocks(*work, processors)
        assert 1 <= grid[0] < 2**31 and 1 <= grid[1] <= 65535
        assert 1 <= block[0] * block[1] <= geometry.THREADS < 2 * block[0] * (block[1] + 1)
        assert block[0] <= max(work[0], 1)


@pytest.mark.parametrize("processors", [1, 200])
def test_any_geometry_gives_the_same_bits(gpu: Any, processors: int, monkeypatch: pytest.MonkeyPatch) -> None:
    init = gpuinit.RandomNormal(0.5, 2.0, seed=KEY)
    shape, part = (1000, 131), {"block": (slice(1, 990), slice(3, 130))}
    wanted = init(shape, "bfloat16", device="cpu", **part)
    monkeypatch.setattr(geometry, "BLOCKS_PER_PROCESSOR", 3 if processors == 1 else 32)
    backend = gpuinit.backends.select("cuda")
    monkeypatch.setattr(backend, "_processors", processors)
    assert same(init(shape, "bfloat16", device="cuda", **part), wanted)


def test_extended_dtypes_are_ml_dtypes_arrays(gpu: Any) -> None:
    assert gpuinit.Ones()((2,), "bfloat16", device="cuda").dtype == ml_dtypes.bfloat16
    assert gpuinit.Ones()((2,), "float8_e4m3fn", device="cuda").dtype == ml_dtypes.float8_e4m3fn
