"""Tables and shards on a GPU: ids that lie there give rows there, with the CPU's bits. "cuda" is `HostDriver`'s."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from conftest import same_bits
from initializer_table import ALL, Row

import gpuinit
from gpuinit import Shard, Table
from gpuinit.backends.cuda import probe

cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
from host.driver import POISON, HostDriver, on_host  # noqa: E402

TABLE = Table((10**9, 12), "random_normal", seed=7)
ROWS = np.array([5, 10**9 - 1, 3, 0, 2**29 + 1, 5])


def put(gpu: HostDriver, array: Any) -> Any:
    """A CuPy array with these values."""
    held = gpu.empty(array.shape, array.dtype)
    on_host(held)[...] = array
    return held


def made(array: Any) -> np.ndarray[Any, Any]:
    """The values of what must be a CuPy array."""
    assert isinstance(array, cupy.ndarray)
    return np.ascontiguousarray(on_host(array))


def wanted(index: Any, table: Any = TABLE) -> np.ndarray[Any, Any]:
    """The same part as the CPU makes it."""
    part = table[index] if table.device == "cpu" else on_cpu(table)[index]
    return np.ascontiguousarray(part)


def on_cpu(table: Any) -> Any:
    copy = pickle.loads(pickle.dumps(table))
    copy.device = "cpu"
    return copy


class Interface:
    """Another owner's array, known by its CUDA array interface alone: it has neither shape nor length."""

    def __init__(self, array: Any) -> None:
        self.kept = array
        strides = None if array.flags.c_contiguous else array.strides
        data = {"data": (array.data.ptr, False), "strides": strides, "version": 3, "stream": None}
        self.__cuda_array_interface__ = {"shape": array.shape, "typestr": array.dtype.str, **data}


class Exported:
    """A CPU array that says by DLPack that it lies on a GPU."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0

    def __dlpack__(self, stream: Any = None) -> Any:
        return self.array.__dlpack__()


@pytest.mark.parametrize("kind", ["int32", "int64"])
def test_ids_on_the_gpu_give_rows_there(kind: str, gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the default device: rejects rows that are made on the default device and ids that travel by the host."""
    monkeypatch.setenv("GPUINIT_DEVICE", "cpu")
    downloaded: list[int] = []
    download = gpu.download
    monkeypatch.setattr(gpu, "download", lambda address, *rest: downloaded.append(address) or download(address, *rest))
    monkeypatch.setattr(gpu, "upload", None)
    ids = put(gpu, np.repeat(ROWS, 2).astype(kind))
    for given, picked in ((ids[::2], ROWS), (ids[::-2], ROWS[::-1]), (ids, np.repeat(ROWS, 2)), (ids[:0], ROWS[:0])):
        assert same_bits(made(TABLE[given]), wanted(picked))
        assert same_bits(made(TABLE[given, 3:9]), wanted((picked, slice(3, 9))))
        assert same_bits(made(TABLE[given, ::-5]), wanted((picked, slice(None, None, -5))))
        assert same_bits(made(TABLE[given, 4]), wanted((picked, 4)))
    assert downloaded and not any(0 <= address - ids.data.ptr < ids.nbytes for address in downloaded), "ids came to the host"
    assert isinstance(TABLE[ROWS], np.ndarray) and isinstance(TABLE[3:5], np.ndarray)


def test_ids_of_several_axes(gpu: Any) -> None:
    """Shaped as NumPy shapes them, by views alone: rejects a copy, which CuPy would compile a kernel for."""
    ids = put(gpu, ROWS.reshape(3, 2))
    for index in ((), (slice(2, 5),), (slice(None, None, 3),), (7,), (..., 7)):
        assert same_bits(made(TABLE[(ids, *index)]), wanted((ROWS.reshape(3, 2), *index)))
    assert made(TABLE[put(gpu, np.zeros((2, 0, 3), np.int64))]).shape == (2, 0, 3, 12)
    line = Table((10**9,), "random_uniform", seed=1)
    assert same_bits(made(line[ids]), wanted(ROWS.reshape(3, 2), line))
    cube = Table((10**6, 3, 4), "random_uniform", "bfloat16", seed=1)
    few = np.array([[5], [999_999]])
    assert same_bits(made(cube[put(gpu, few), :, ::2]), wanted((few, slice(None), slice(None, None, 2)), cube))


def test_ids_of_other_owners(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By DLPack and by the CUDA array interface, which need not say shape or length in any other way."""
    monkeypatch.setenv("GPUINIT_DEVICE", "cpu")
    ids = put(gpu, np.repeat(ROWS, 2))
    for given in (Exported(ROWS), Interface(ids[::2]), Exported(ROWS.astype(np.int32))):
        assert same_bits(made(TABLE[given]), wanted(ROWS))
        assert same_bits(made(TABLE[given, 2:4]), wanted((ROWS, slice(2, 4))))
    assert TABLE[Interface(ids[:0])].shape == (0, 12)


@pytest.mark.parametrize("row", ALL, ids=lambda row: f"{row.name}-{len(row.shape)}")
def test_every_initializer(row: Row, gpu: Any) -> None:
    """Rows by ids there, blocks, and shards of rows and of columns (matrices of one kind are the CPU's within rounding)."""
    close = row.name in ("Orthogonal", "DeltaOrthogonal") and "batch_axes" not in row.arguments
    ids = np.array([5, 0, 11, 5])
    for dtype in ("float32", "bfloat16"):
        table = Table(row.shape, row.make(), dtype, device="cuda")
        other = on_cpu(table)
        for part, same in (
            (table[put(gpu, ids)], other[ids]),
            (table[ids], other[ids]),
            (table[3:7, ..., 1:4], other[3:7, ..., 1:4]),
            (table.shard(1, 3)[put(gpu, ids[1:2])], other.shard(1, 3)[ids[1:2]]),
            (table.shard(1, 2)[put(gpu, ids[:2])], other.shard(1, 2)[ids[:2]]),
            (table.shard(1, 2, -1)[put(gpu, ids)], other.shard(1, 2, -1)[ids]),
            (table.shard(2, 3).make(), other.shard(2, 3).make()),
        ):
            if close:
                tolerance = 1e-5 if dtype == "float32" else 1e-2
                assert np.allclose(made(part).astype("f8"), same.astype("f8"), atol=tolerance)
            else:
                assert same_bits(made(part), np.ascontiguousarray(same))


@pytest.mark.parametrize("kind", ["int32", "int64"])
@pytest.mark.parametrize("start", [1, 2**31, 2**32 + 7, 10**12 - 2**20])
def test_a_shard_of_rows_with_ids_on_the_gpu(kind: str, start: int, gpu: Any) -> None:
    """Far from the table's start: rejects ids that are moved in their own 32 bits, in place, or not at all."""
    table = Table((10**12, 12), "random_normal", seed=7)
    shard = Shard(table, (slice(start, start + 2**20), slice(3, 9)))
    picked = np.array([0, 7, 2**20 - 1, 7], kind)
    ids = put(gpu, picked)
    expected = wanted((start + picked.astype(np.int64), slice(3, 9)), table)
    assert same_bits(made(shard[ids]), expected)
    assert same_bits(made(shard[ids.reshape(2, 2), 1:]), expected[:, 1:].reshape(2, 2, 5))
    assert same_bits(on_host(ids), picked), "the ids of the caller have been moved"
    out = gpu.empty((8, 12), np.dtype(np.float32))
    part = out[::-2, ::2]
    assert shard.rows_into(part, ids) is part
    assert same_bits(made(part), expected)
    assert (on_host(out)[:, 1::2].copy().view(np.uint8) == POISON).all() and (
        on_host(out)[::2].copy().view(np.uint8) == POISON
    ).all()
    assert shard[ids[:0]].shape == (0, 6)
    for wrong in (2**20, -1):
        with pytest.raises(IndexError, match=rf"rows\[1\]={wrong} is not a row of a tensor with 1048576 rows"):
            shard[put(gpu, np.array([0, wrong], kind))]


def test_rows_into_memory_there(gpu: Any) -> None:
    """Contiguous, strided and other owners' outs, ids of either side and slices; one array is neither made nor copied."""
    expected = wanted(ROWS)
    ids = put(gpu, ROWS)
    out = gpu.empty(expected.shape, np.dtype(np.float32))
    allocated: list[Any] = []
    allocate = gpu.empty
    gpu.empty = lambda shape, dtype: allocated.append(shape) or allocate(shape, dtype)
    assert TABLE.rows_into(out, ids) is out and same_bits(made(out), expected)
    assert sum(8 * int(np.prod(shape)) for shape in allocated) < expected.nbytes + 2**16, allocated
    gpu.empty = allocate
    for given in (ROWS, ROWS.tolist(), Exported(ROWS), Interface(ids)):
        out = gpu.empty(expected.shape, np.dtype(np.float32))
        assert same_bits(made(TABLE.rows_into(out, given)), expected)
    out = gpu.empty((4, 12), np.dtype(np.float32))
    assert same_bits(made(TABLE.rows_into(out, slice(-4, None))), wanted(slice(10**9 - 4, 10**9)))
    small = Table((6, 12), "random_normal", seed=7)
    other = gpu.empty((6, 12), np.dtype(np.float32))
    assert small.into(Interface(other)) is not None and same_bits(made(other), wanted(..., small))


def test_what_is_refused_there_writes_nothing(gpu: Any) -> None:
    """IndexError with the id and its place, found where the ids lie; TypeErrors and ValueErrors before that."""
    out = gpu.empty((2, 12), np.dtype(np.float32))
    for ids, error, says in (
        (np.array([0, 10**9]), IndexError, r"rows\[1\]=1000000000 is not a row of a tensor with 1000000000 rows"),
        (np.array([-1, 0], np.int32), IndexError, r"rows\[0\]=-1 is not a row"),
        (np.array([0, 1], np.uint64), TypeError, "rows has dtype uint64: row ids on a GPU must be int32 or int64"),
        (np.array([0.0, 1.0]), TypeError, "rows has dtype float64"),
    ):
        given = put(gpu, ids)
        with pytest.raises(error, match=says):
            TABLE.rows_into(out, given)
        with pytest.raises(error, match=says):
            TABLE[given]
        with pytest.raises(error, match=says):
            TABLE[given.reshape(2, 1)]
    ids = put(gpu, np.array([0, 1]))
    with pytest.raises(ValueError, match=r"rows has shape \(2, 1\): it must be a 1-D array"):
        TABLE.rows_into(out, ids.reshape(2, 1))
    with pytest.raises(ValueError, match=r"out has shape \(2, 12\), and the part to fill has shape \(1, 12\)"):
        TABLE.rows_into(out, ids[:1])
    with pytest.raises(TypeError, match="out has dtype float64: it must be float32"):
        TABLE.rows_into(gpu.empty((2, 12), np.dtype(np.float64)), ids)
    with pytest.raises(TypeError, match="on a GPU, and the tensor is made on the CPU: copy the ids to the host"):
        TABLE.rows_into(np.zeros((2, 12), np.float32), ids)
    with pytest.raises(TypeError, match="on a GPU, and the tensor is made on the CPU"):
        Table((10**9, 12), seed=1, device="cpu")[ids]
    assert (on_host(out).view(np.uint8) == POISON).all()


def test_devices(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a table, of a shard, of one call; and ids on a GPU that cannot be used."""
    assert isinstance(TABLE[3:5], cupy.ndarray) and isinstance(TABLE[3], cupy.ndarray), "the default is the GPU here"
    monkeypatch.setenv("GPUINIT_DEVICE", "cpu")
    small = Table((10, 12), "random_normal", seed=7)
    expected = small[...]
    first, second = small.shards(2, devices=["cuda", "cpu"])
    assert same_bits(made(first[...]), expected[:5]) and same_bits(second[...], expected[5:])
    assert same_bits(made(small.make("cuda:0")), expected) and same_bits(first.make("cpu"), expected[:5])
    assert same_bits(np.asarray(Table((10, 12), "random_normal", seed=7, device="cuda")), expected)
    assert same_bits(made(Table.from_config({**small.get_config(), "device": "cuda"})[[3, 9]]), expected[[3, 9]])
    ids = put(gpu, np.array([3, 9]))
    monkeypatch.setattr(probe, "status", lambda: probe.Status(False, problem="There is no driver."))
    with pytest.raises(gpuinit.DeviceError, match="rows lies on a GPU that gpuinit cannot use: There is no driver."):
        small[ids]


def test_making_a_table_touches_no_gpu(gpu: Any) -> None:
    """Nor does growing, cutting or passing one on: rejects a backend that is made to look at a name."""
    table = Table((10**12, 12), seed=1, device="cuda:0")
    pickle.loads(pickle.dumps(table.grow(2 * 10**12).shard(3, 7, device="cuda")))
    assert gpu.entered == [] and gpu.launched == []


def test_no_memory_there(gpu: Any) -> None:
    gpu.room = 10_000
    with pytest.raises(
        MemoryError, match=r"shape=\(1000000000, 12\) of float32 takes 48000000000 bytes on cuda:0, where 1000 of"
    ):
        TABLE[...]
    assert gpu.launched == []
