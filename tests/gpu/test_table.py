"""Tables and shards on a real GPU: ids there give rows there, the CPU's bits, no memory but the rows'."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from initializer_table import ELEMENTWISE, Row, name_of

from gpu.rig import Rig, same, strided, untouched_around
from gpu.test_foreign import load
from gpuinit import Shard, Table
from gpuinit.hashing import element_hash

pytestmark = pytest.mark.gpu

FAR = 10**12
ROWS = np.array([5, FAR - 1, 3, 0, 2**32 + 1, 5, 2**31, 2**39 + 7])
TABLE = Table((FAR, 128), "truncated_normal", seed=7, name="users")
DTYPES = ["float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "complex64", "complex128"]


def wanted(index: Any, table: Table = TABLE) -> np.ndarray[Any, Any]:
    """The same part as the CPU makes it."""
    config = {**table.get_config(), "device": "cpu"}
    return np.ascontiguousarray(Table.from_config(config)[index])


@pytest.mark.parametrize("row", ELEMENTWISE, ids=name_of)
@pytest.mark.parametrize("dtype", DTYPES)
def test_ids_on_the_gpu_give_rows_there(row: Row, dtype: str, gpu: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the default device; in rows, columns, steps and several axes: rejects ids in 32 bits or in float64."""
    monkeypatch.setenv("GPUINIT_DEVICE", "cpu")
    table = Table((FAR, 128), row.make(), dtype)
    ids = gpu.put(ROWS)
    assert isinstance(table[ROWS], np.ndarray)
    for index in ((), (slice(16, 64),), (slice(None, None, -3),), (77,)):
        assert same(gpu, table[(ids, *index)], wanted((ROWS, *index), table))
        assert same(gpu, table[(ids.reshape(2, 4), *index)], wanted((ROWS.reshape(2, 4), *index), table))
    few = ROWS[ROWS < 2**31]
    assert same(gpu, table[gpu.put(few.astype(np.int32))], wanted(few, table))
    assert table[ids[:0]].shape == (0, 128)


def test_ids_of_other_owners(gpu: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUINIT_DEVICE", "cpu")
    assert same(gpu, TABLE[gpu.numba(ROWS)], wanted(ROWS))
    torch = load("torch")
    assert same(gpu, TABLE[gpu.foreign(gpu.torch(torch.from_numpy(ROWS)))], wanted(ROWS))
    out = gpu.torch(torch.ones(len(ROWS), 128))
    TABLE.rows_into(gpu.foreign(out), gpu.put(ROWS))
    assert out.cpu().numpy().tobytes() == wanted(ROWS).tobytes()


def test_shards_with_ids_on_the_gpu(gpu: Rig) -> None:
    """Of rows far from the start, of columns, of both; the caller's ids stay as they are."""
    for start in (1, 2**32 - 3, FAR - 2**20):
        shard = Shard(TABLE, (slice(start, start + 2**20), slice(32, 96)), "cuda")
        picked = np.array([0, 9, 2**20 - 1, 9], np.int32)
        ids = gpu.put(picked)
        expected = wanted((start + picked.astype(np.int64), slice(32, 96)))
        assert same(gpu, shard[ids], expected)
        assert same(gpu, shard[picked], expected)
        assert same(gpu, ids, picked)
        out, held = strided(gpu, expected.shape, "float32")
        shard.rows_into(out, ids)
        assert same(gpu, out, expected) and untouched_around(gpu, out, held)
        assert same(gpu, shard[5:9], wanted((slice(start + 5, start + 9), slice(32, 96))))
    small = Table((1001, 128), "random_normal", "bfloat16", seed=7, device="cuda")
    whole = wanted(..., small)
    for axis in (0, 1):
        for shard, part in zip(small.shards(3, axis), np.array_split(whole, 3, axis), strict=True):
            assert same(gpu, shard.make(), np.ascontiguousarray(part))


@pytest.mark.parametrize("kind", ["int32", "int64"])
def test_bad_ids_write_nothing(kind: str, gpu: Rig) -> None:
    table = Table((1000, 128), seed=7)
    out, held = strided(gpu, (3, 128), "float32")
    for wrong in (1000, -1, np.iinfo(kind).max, np.iinfo(kind).min):
        ids = gpu.put(np.array([0, wrong, 999], kind))
        for ask in (
            lambda ids=ids: table.rows_into(out, ids),
            lambda ids=ids: table[ids],
            lambda ids=ids: table.shard(0, 1)[ids],
        ):
            with pytest.raises(IndexError, match=rf"rows\[1\]={wrong} is not a row of a tensor with 1000 rows"):
                ask()
    assert (gpu.host(held).view(np.uint8) == 0xCA).all()
    assert same(gpu, table[gpu.put(np.array([3], kind))], wanted([3], table))


def test_many_rows_take_their_own_memory(gpu: Rig) -> None:
    """What CuPy's pool lends is the rows and a few numbers: rejects a table, or a copy of rows or ids, that is made aside."""
    count = gpu.size(2**20, 2000)
    picked = np.random.default_rng(5).integers(0, FAR, count)
    ids = gpu.put(picked)
    before = gpu.used_bytes()
    rows = TABLE[ids]
    if not gpu.rehearsal:
        assert rows.nbytes <= gpu.used_bytes() - before < rows.nbytes + 2**20
        assert gpu.cupy.get_default_memory_pool().total_bytes() < rows.nbytes + ids.nbytes + 2**24
    some = np.arange(0, count, 997)
    assert same(gpu, rows[::997], wanted(picked[some]))
    out = gpu.empty((count, 128), "float32")
    assert element_hash(TABLE.rows_into(out, ids)) == element_hash(rows)


def test_rows_on_the_ids_own_gpu(gpu: Rig) -> None:
    """Rejects rows on CuPy's current GPU where the ids lie on another."""
    if gpu.device_count() < 2:
        pytest.skip(f"needs two GPUs, and there is {gpu.device_count()}")
    with gpu.cupy.cuda.Device(1):
        ids = gpu.put(ROWS)
    rows = TABLE[ids]
    assert rows.device.id == 1 and gpu.cupy.cuda.runtime.getDevice() == 0
    with gpu.cupy.cuda.Device(1):
        assert same(gpu, rows, wanted(ROWS))
    with pytest.raises(ValueError, match="rows lies on cuda:1, and the tensor on cuda:0"):
        Shard(TABLE, (), "cuda:0")[ids]
    first, second = Table((1000, 128), seed=1).shards(2, devices=["cuda:0", "cuda:1"])
    assert (first.make().device.id, second.make().device.id) == (0, 1)
