"""Shards of a table: together they are the whole, each is made by itself, and far from the start as near it."""

from __future__ import annotations

import itertools
import json
import pickle
import re
import subprocess
import sys
import threading

import numpy as np
import pytest
from conftest import POISON, poisoned, same_bits
from hypothesis import given, settings
from hypothesis import strategies as st
from initializer_table import ALL, FLOATS, Row

import gpuinit
from gpuinit import Shard, Table
from gpuinit.hashing import element_hash
from gpuinit.table import boundaries

pytestmark = pytest.mark.usefixtures("poisoned_memory")
every = pytest.mark.parametrize("row", ALL, ids=lambda row: f"{row.name}-{len(row.shape)}")
SPLITS = [1, 2, 3, 5, 12, 17]
"""How many shards: some divide an axis of 12 or 9, some leave a remainder, some exceed it."""


# The cuts


@pytest.mark.parametrize("length", [0, 1, 2, 7, 12, 100, 10**12 + 7, 2**63])
@pytest.mark.parametrize("parts", [1, 2, 3, 7, 8, 101])
def test_cuts(length: int, parts: int) -> None:
    """One after the other from 0 to the end, the longer ones first; rejects rounding in float64 and a short last shard."""
    ends = [boundaries(length, parts, number) for number in range(parts)]
    assert ends[0][0] == 0 and ends[-1][1] == length
    assert all(before[1] == after[0] for before, after in itertools.pairwise(ends))
    sizes = [stop - start for start, stop in ends]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] - sizes[-1] <= 1
    if length <= 100:
        assert sizes == [len(part) for part in np.array_split(np.arange(length), parts)]
    start, stop = boundaries(length, 10**15, 10**15 - 1)  # the last of very many, without a list of them
    assert stop == length and stop - start == length // 10**15


@every
@pytest.mark.parametrize("dtype", ["float32", "float8_e5m2", "complex128"])
def test_together_they_are_the_whole(row: Row, dtype: str) -> None:
    """Along every axis, from either end, into even, uneven and empty parts: rejects fans and draws of a shard's own shape."""
    table = Table(row.shape, row.make(), dtype, device="cpu")
    whole = table[...]
    for axis in range(-whole.ndim, whole.ndim):
        for n in SPLITS if dtype == "float32" else [3]:
            shards = table.shards(n, axis)
            expected = np.array_split(whole, n, axis)
            assert len(shards) == n
            for rank, (shard, part) in enumerate(zip(shards, expected, strict=True)):
                assert shard.shape == part.shape and shard.dtype == part.dtype and shard.nbytes == part.nbytes
                assert same_bits(shard.make(), np.ascontiguousarray(part)) and same_bits(shard[...], np.asarray(shard))
                again = table.shard(rank, n, axis)
                assert again.block == shard.block and again.table is table
                out = poisoned(tuple(2 * length for length in part.shape), dtype)[(slice(None, None, -2),) * part.ndim]
                assert shard.into(out) is out and np.array_equal(out.view(f"V{out.itemsize}"), part.view(f"V{out.itemsize}"))


@every
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_shard_is_indexed_from_its_own_first_row(row: Row, data: st.DataObject) -> None:
    """Ids, blocks and outs of any box: rejects ids of the whole, ids moved twice, and blocks moved once too little."""
    dtype = data.draw(st.sampled_from(FLOATS))
    table = Table(row.shape, row.make(), dtype, device="cpu")
    ends = [sorted(data.draw(st.lists(st.integers(0, length), min_size=2, max_size=2))) for length in table.shape]
    shard = Shard(table, tuple(slice(*each) for each in ends))
    part = table[...][tuple(slice(*each) for each in ends)]
    assert shard.shape == part.shape and same_bits(shard[...], np.ascontiguousarray(part))
    rows = len(part)
    assert len(shard) == rows
    picked = np.array(data.draw(st.lists(st.integers(0, rows - 1), max_size=6) if rows else st.just([])), np.int64)
    before = picked.copy()
    for ids in (picked, picked.tolist(), picked.astype(np.uint64), np.stack([picked, picked])):
        assert same_bits(np.ascontiguousarray(shard[ids]), part[np.asarray(ids, np.int64)])
    out = poisoned((len(picked), *part.shape[1:]), dtype)
    assert same_bits(shard.rows_into(out, picked), part[picked])
    assert np.array_equal(picked, before), "the ids of the caller have been moved"
    assert same_bits(np.ascontiguousarray(shard[::-2, ..., 1:]), np.ascontiguousarray(part[::-2, ..., 1:]))
    assert same_bits(np.ascontiguousarray(shard[1:-1]), np.ascontiguousarray(part[1:-1]))
    middle = part[1:-1]
    assert same_bits(shard.rows_into(poisoned(middle.shape, dtype), slice(1, -1)), np.ascontiguousarray(middle))
    for wrong in (rows, -1):
        with pytest.raises(IndexError, match=rf"rows\[0\]={wrong} is not a row of a tensor with {rows} rows"):
            shard[[wrong]]
        with pytest.raises(IndexError, match=f"row {wrong} of an array of shape"):
            shard[wrong]


def test_an_id_of_the_next_shard_is_none_of_this() -> None:
    """Rejects a check of moved ids against the whole table; `out` stays as it is."""
    first, second = Table((10, 4), "random_normal", seed=1, device="cpu").shards(2)
    out = poisoned((2, 4), "f4")
    for shard in (first, second):
        for ids in ([0, 5], [-1, 0], np.array([9, 0], np.uint8)):
            with pytest.raises(IndexError, match=r"is not a row of a tensor with 5 rows; ids run from 0 to 4"):
                shard.rows_into(out, ids)
            with pytest.raises(IndexError):
                shard[ids]
    assert (out.view(np.uint8) == POISON).all()


# Far from the start


@pytest.mark.parametrize(
    ("shape", "world", "rank"),
    [
        ((10**12, 128), 1000, 999),
        ((10**12, 128), 7, 3),
        ((2**33, 3), 2, 1),
        ((2**62, 2), 2**40, 2**40 - 1),
        ((2**63, 1), 2**50 + 1, 2**50),
        ((2**63,), 2**60 - 1, 2**60 - 2),
    ],
)
@pytest.mark.parametrize("axis_of_shard", [0, -1])
def test_far_shards(shape: tuple[int, ...], world: int, rank: int, axis_of_shard: int) -> None:
    """Starts beyond 2^32 and near 2^63: rejects ids and offsets in 32 bits or in float64, and lengths that len() cannot tell."""
    table = Table(shape, "random_normal", "bfloat16", seed=3, device="cpu")
    if axis_of_shard == -1 and len(shape) > 1:
        rank, world = rank % shape[1], shape[1]
    shard = table.shard(rank, world, axis_of_shard)
    start, stop = shard.block[0].start, shard.block[0].stop
    rows = stop - start
    assert shard.shape[0] == rows
    ids = sorted({number for number in (0, 1, rows // 2, rows - 2, rows - 1) if 0 <= number < rows})
    columns = tuple(shard.block[1:])
    expected = table[([start + number for number in ids], *columns)]
    assert same_bits(np.ascontiguousarray(shard[ids]), np.ascontiguousarray(expected))
    assert same_bits(np.ascontiguousarray(shard[np.array(ids, np.uint64)]), np.ascontiguousarray(expected))
    out = poisoned(expected.shape, expected.dtype)
    assert same_bits(shard.rows_into(out, ids), np.ascontiguousarray(expected))
    for place, number in enumerate(ids):
        assert same_bits(np.asarray(shard[number]), np.asarray(expected[place]))
        assert same_bits(np.ascontiguousarray(shard[number : number + 1]), np.ascontiguousarray(expected[place : place + 1]))
    with pytest.raises(IndexError, match=f"row {rows} of"):
        shard[rows]


def test_the_last_element_of_all() -> None:
    """Element 2^63 - 1 by itself, as the only one of a shard: its id, moved, is the largest int64."""
    table = Table((2**63,), seed=3, device="cpu")
    shard = Shard(table, (slice(2**63 - 1, 2**63),))
    assert shard.shape == (1,) and len(shard) == 1
    assert same_bits(shard[...], table[2**63 - 1 :]) and same_bits(shard[[0, 0]], table[[2**63 - 1] * 2])
    empty = Shard(table, (slice(2**63, 2**63),))
    assert empty[...].shape == empty[[]].shape == empty[::-1].shape == (0,)
    with pytest.raises(IndexError, match="it has no rows"):
        empty[0]


def test_a_shards_memory_is_its_own() -> None:
    """Of a table that no memory holds; what a shard of it would take is said before it is taken."""
    table = Table((10**12, 128), seed=1, device="cpu")
    assert table.shard(5, 10**9)[...].shape == (1000, 128)
    with pytest.raises(MemoryError, match="takes 256000000000000 bytes, which cannot be allocated here"):
        table.shard(0, 2).make()


# Arguments


def test_arguments_of_shards() -> None:
    table = Table((10, 4), seed=1)
    for arguments, says in (
        ({"n": 0}, "n=0: a table is cut into 1 or more shards"),
        ({"n": -3}, "n=-3"),
        ({"n": 2, "axis": 2}, "axis=2: the table has 2 axes"),
        ({"n": 2, "axis": -3}, "axis=-3: the table has 2 axes"),
        ({"n": 2, "devices": ["cpu"]}, "devices=['cpu'] must be a sequence of 2 device names, one a shard"),
        ({"n": 3, "devices": "cpu"}, "devices='cpu' must be a sequence of 3"),
        ({"n": 2, "devices": ["cpu", "gpu"]}, "device='gpu' is not a device"),
    ):
        with pytest.raises(ValueError, match="^" + re.escape(says)):
            table.shards(**arguments)  # type: ignore[arg-type]
    for arguments, says in (
        ({"rank": 0, "world": 0}, "world=0: it must be an integer >= 1"),
        ({"rank": 3, "world": 3}, "rank=3: it must lie in 0 .. 2"),
        ({"rank": -1, "world": 3}, "rank=-1: it must lie in 0 .. 2"),
        ({"rank": 0, "world": 2, "axis": 9}, "axis=9: the table has 2 axes"),
        ({"rank": 0, "world": 2, "device": "tpu"}, "device='tpu' is not a device"),
    ):
        with pytest.raises(ValueError, match="^" + re.escape(says)):
            table.shard(**arguments)  # type: ignore[arg-type]
    for rank, world, axis in ((0.0, 2, 0), (True, 2, 0), (0, "2", 0), (0, 2, 0.5)):
        with pytest.raises(TypeError, match="is not an integer|is a bool"):
            table.shard(rank, world, axis)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="axis=0: the table has 0 axes"):
        Table((), seed=1).shards(1)
    assert table.shard(np.int64(1), np.uint8(2)).block == (slice(5, 10), slice(0, 4))


def test_boxes() -> None:
    """Any block of a table is a shard; a block's errors, and what is no table."""
    table = Table((10, 4), seed=1, device="cpu")
    for block, shape in (((), (10, 4)), ((slice(2, 5),), (3, 4)), (slice(2, 5), (3, 4)), ((slice(None), slice(1, 2)), (10, 1))):
        shard = Shard(table, block)
        assert shard.shape == shape and len(shard.block) == 2
        assert same_bits(shard[...], np.ascontiguousarray(table[block if block else ...]))
    for block, error in (
        ((slice(-1, 3),), ValueError),
        ((slice(0, 11),), ValueError),
        ((slice(0, 4, 2),), ValueError),
        (3, TypeError),
    ):
        with pytest.raises(error, match="block"):
            Shard(table, block)
    with pytest.raises(TypeError, match="table is a Shard: it must be a Table"):
        Shard(table.shard(1, 2), ())  # type: ignore[arg-type]


def test_devices() -> None:
    """One a shard, or the table's; whether they are there is asked where they are used."""
    table = Table((10, 4), seed=1, device="cpu")
    assert [shard.device for shard in table.shards(2)] == ["cpu", "cpu"]
    assert [shard.device for shard in Table((10, 4), seed=1).shards(2)] == [None, None]
    shards = table.shards(3, devices=("cuda:0", "cpu", None))  # type: ignore[arg-type]
    assert [shard.device for shard in shards] == ["cuda:0", "cpu", "cpu"]
    for shard in shards:
        assert same_bits(shard.make("cpu"), table[shard.block])
    assert table.shard(0, 2, device="cuda").device == "cuda"


# Processes


def test_configs_and_pickles() -> None:
    for table in (
        Table((10**12, 128), "truncated_normal", seed=5, name="users", device="cpu"),
        Table((12, 3, 9), gpuinit.STFT(window=None)),
        Table((2**63, 1), "random_normal", "bfloat16", seed=2**64 - 1),
    ):
        for shard in (
            table.shard(2, 3),
            table.shard(table.shape[-1] - 1, table.shape[-1], -1, "cpu"),
            Shard(table, (slice(7, 7),)),
        ):
            text = json.dumps(shard.get_config(), allow_nan=False)
            assert len(text) < 700 and len(pickle.dumps(shard)) < 900
            for other in (Shard.from_config(json.loads(text)), pickle.loads(pickle.dumps(shard))):
                assert type(other) is Shard and repr(other).startswith(f"Shard([{shard.block[0].start}:")
                assert (other.block, other.device, other.shape) == (shard.block, shard.device, shard.shape)
                assert other.get_config() == shard.get_config()
                some = slice(0, min(shard.shape[0], 3))
                assert same_bits(np.ascontiguousarray(other[some]), np.ascontiguousarray(shard[some]))
    good = Table((10, 4), seed=1).shard(0, 2).get_config()
    for config, says in (
        ({}, "config is not a shard's: it must be a dict of Shard.get_config, with table, block and device"),
        (Table((10, 4), seed=1).get_config(), "config is not a shard's"),
        ({**good, "block": [[0, 11], [0, 4]]}, r"block[0]=slice(0, 11)"),
        ({**good, "device": "tpu"}, "device='tpu' is not a device"),
        ({**good, "table": {}}, "config is not a table's"),
    ):
        with pytest.raises(ValueError, match=re.escape(says)):
            Shard.from_config(config)


RANK = """
import json, sys
import gpuinit
from gpuinit.hashing import element_hash

rank, world, config = int(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
shard = gpuinit.Table.from_config(config).shard(rank, world)
print(element_hash(shard.make(), shard.block[0].start * shard.table.shape[1]))
"""


def test_processes_that_know_the_config_make_the_whole() -> None:
    """Each its rank's part and nothing else: the sum of their hashes is the whole's, in 3 processes as in 1."""
    table = Table((1000, 33), "truncated_normal", seed=8, name="t", device="cpu")
    config = json.dumps(table.get_config())
    command = [sys.executable, "-W", "error", "-c", RANK]
    ranks = [subprocess.Popen([*command, str(rank), "3", config], stdout=subprocess.PIPE, text=True) for rank in range(3)]
    hashes = [int(process.communicate(timeout=120)[0]) for process in ranks]
    assert len(set(hashes)) == 3
    assert sum(hashes) % 2**64 == element_hash(table[...])


def test_threads_share_a_table() -> None:
    """Rows and shards in eight threads at once: rejects state that a look-up leaves in the table."""
    table = Table((10**9, 64), "random_normal", seed=8, device="cpu")
    ids = np.random.default_rng(2).integers(0, 10**9, (8, 50))
    expected = [table[each] for each in ids]
    wrong: list[int] = []

    def work(number: int) -> None:
        for turn in range(20):
            each = (number + turn) % 8
            start = int(ids[each, 0])
            shard = Shard(table, (slice(start, start + 1),))
            if not (same_bits(table[ids[each]], expected[each]) and same_bits(shard[[0]], expected[each][:1])):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_growth_and_shards() -> None:
    """A shard of the old rows is one of the grown table too; the cuts of the grown one are its own."""
    table = Table((10, 4), "random_normal", seed=1, device="cpu")
    grown = table.grow(10**10)
    shard = table.shard(1, 2)
    assert same_bits(Shard(grown, shard.block)[...], shard[...])
    assert grown.shard(1, 2).block[0] == slice(5 * 10**9, 10**10)
    assert same_bits(grown.shard(1, 2)[[0]], grown[[5 * 10**9]])
