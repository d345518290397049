"""Tables as Dask arrays: the bits of the whole in any blocks, small tasks, and no more made than is asked for."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import DTYPES, same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

import gpuinit

dask = pytest.importorskip("dask", reason="gpuinit[dask] is not installed")
pytest.importorskip("dask.array", reason="gpuinit[dask] is not installed")

Array = np.ndarray[Any, Any]

BLOCK = 100
TABLE = gpuinit.Table((1000, 64), seed=1)

INDICES: dict[str, Callable[[Any], Any]] = {
    "rows": lambda a: a[130:150],
    "across blocks": lambda a: a[95:305],
    "steps": lambda a: a[3:500:7, ::2],
    "reversed": lambda a: a[::-1],
    "one row": lambda a: a[5],
    "one column": lambda a: a[:, 5],
    "one element": lambda a: a[10:20][3, 5],
    "new axis": lambda a: a[5:7, None],
    "slices of slices": lambda a: a[100:300][5:20][:, 3:9],
    "and more": lambda a: a[100:300][5:20][:, 3:9] * 2 + a[:15, 10:16],
    "transposed": lambda a: a[150:160].T[3:5],
    "ids": lambda a: a[[5, 700, 5]],
    "ids in an array": lambda a: a[np.array([999, 0, 555])],
    "ids of a slice": lambda a: a[130:150][[2, 1]],
    "columns by number": lambda a: a[:, [3, 1, 3]],
    "ids and columns": lambda a: a[[5, 700]][:, [3, 1]],
    "a mask": lambda a: a[np.arange(1000) % 499 == 3],
    "nothing": lambda a: a[7:7],
}


class Spied(gpuinit.Table):
    """A table that writes down how many elements it makes at a time."""

    made: list[int] = []  # noqa: RUF012

    def _part(self, block: Any, ids: Any, device: Any) -> Any:
        part = super()._part(block, ids, device)
        self.made.append(part.size)
        return part


def computed(array: Any) -> Any:
    return array.compute(scheduler="synchronous")


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    result = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@st.composite
def cut(draw: st.DrawFn) -> tuple[tuple[int, ...], Any]:
    """A shape of up to three axes, and chunks in one of the ways that Dask takes them."""
    shape = tuple(draw(st.lists(st.integers(0, 13), max_size=3)))
    sizes = st.integers(1, 17)

    def explicit(length: int) -> tuple[int, ...]:
        ends = sorted(draw(st.lists(st.integers(0, length), max_size=4)))
        return tuple(b - a for a, b in zip([0, *ends], [*ends, length], strict=True))

    way = draw(st.integers(0, 5))
    if way == 0:
        return shape, draw(st.sampled_from(["auto", -1, "64 B", "1 KiB"]))
    if way == 1:
        return shape, draw(sizes)
    if way == 2:
        return shape, tuple(draw(st.one_of(sizes, st.sampled_from([-1, "auto"]))) for _ in shape)
    if way == 3:
        return shape, {axis: draw(sizes) for axis in range(len(shape)) if draw(st.booleans())}
    return shape, tuple(explicit(length) for length in shape)


@given(cut(), st.sampled_from(DTYPES), st.integers(0, 2**64 - 1))
@settings(max_examples=150, deadline=None)
def test_blocks_are_those_of_the_whole(given_: tuple[tuple[int, ...], Any], dtype: Any, seed: int) -> None:
    shape, chunks = given_
    table = gpuinit.Table(shape, dtype=dtype, seed=seed)
    array = table.to_dask(chunks)
    assert array.shape == table.shape and array.dtype == table.dtype
    assert same_bits(np.asarray(computed(array)), table[...])


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 9), st.integers(0, 1), st.integers(1, 7), st.data())
@settings(max_examples=60, deadline=None)
def test_blocks_of_shards(rows: int, columns: int, world: int, axis: int, step: int, data: st.DataObject) -> None:
    """The arrays of shards, put together, are the whole's."""
    table = gpuinit.Table((rows, columns), "he_normal", "bfloat16", seed=data.draw(st.integers(0, 2**32)))
    parts = [computed(shard.to_dask(step)) for shard in table.shards(world, axis)]
    assert same_bits(np.concatenate(parts, axis), table[:])


@pytest.mark.parametrize("name", INDICES)
def test_an_index_of_the_array_is_that_of_the_whole(name: str) -> None:
    """With NumPy's result; in no task is more made than its block, and slices are made without the rest of theirs."""
    table = Spied._of(TABLE.initializer, TABLE.shape, TABLE.dtype, TABLE.key, None, None)
    Spied.made.clear()
    index = INDICES[name]
    found = computed(index(table.to_dask((BLOCK, -1))))
    expected = index(TABLE[:])
    assert same_bits(np.asarray(found), np.asarray(expected))
    assert max(Spied.made, default=0) <= BLOCK * 64
    asked = {"rows": 20 * 64, "across blocks": 210 * 64, "one row": 64, "one column": 1000, "transposed": 10 * 64}
    if name in asked:
        assert sum(Spied.made) == asked[name]


def test_reductions_and_threads() -> None:
    """What Dask fuses onto the blocks, by its threads."""
    array = TABLE.to_dask((BLOCK, 17))
    with dask.config.set(scheduler="threads", num_workers=4):
        assert same_bits(array.max(axis=0).compute(), TABLE[:].max(axis=0))
        assert same_bits((array * 2)[::3].T.compute(), (TABLE[:] * 2)[::3].T)
        assert same_bits(array.rechunk((333, 64)).compute(), TABLE[:])


@pytest.mark.parametrize("init", ["orthogonal", "zeros", "identity", gpuinit.Sparse(0.5)], ids=str)
def test_structures(init: Any) -> None:
    table = gpuinit.Table((24, 24), init, seed=2)
    assert same_bits(computed(table.to_dask((7, 5))), table[:])


def test_a_grown_table() -> None:
    small = gpuinit.Table((50, 4), "random_normal", seed=3)
    assert same_bits(computed(small.grow(90).to_dask(7)[:50]), small[:])


def test_tasks_are_small_and_none_waits_for_another() -> None:
    """Whatever the table's and the blocks' size; rejects a table that is a task of its own, which can be lost with its worker."""
    for rows in (10**3, 10**12):
        array = gpuinit.Table((rows, 128), "random_normal", "bfloat16", seed=1, name="users").to_dask((rows // 50, -1))
        [optimized] = dask.optimize(array)
        for graph in (dict(array.__dask_graph__()), dict(optimized.__dask_graph__())):
            assert set(graph) == {(array.name, block, 0) for block in range(50)}
            assert all(not task.dependencies for task in graph.values())
            assert max(len(pickle.dumps(task)) for task in graph.values()) < 3000


def test_a_trillion_rows() -> None:
    """In blocks of 2^30 rows: nothing is made before it is asked for, and a few rows of a block of 256 GiB alone then."""
    table = Spied((10**12, 128), "random_normal", "bfloat16", seed=1)
    Spied.made.clear()
    began = time.perf_counter()
    array = table.to_dask((2**30, -1))
    size = len(pickle.dumps(array.__dask_graph__()))
    assert time.perf_counter() - began < 5
    assert array.numblocks == (math.ceil(10**12 / 2**30), 1) and size < 100_000
    start = 700 * 2**30 - 1
    found = computed(array[start : start + 3, ::2])
    assert max(Spied.made) <= 3 * 128
    assert same_bits(found, table[start : start + 3, ::2])


def test_names_follow_from_the_table_and_the_chunks_alone() -> None:
    code = "import gpuinit; print(gpuinit.Table((9, 4), 'he_normal', seed=5, name='a').to_dask(3).name)"
    table = gpuinit.Table((9, 4), "he_normal", seed=5, name="a")
    name = table.to_dask(3).name
    assert name == python(code) == python(code)
    assert name == gpuinit.Table.from_config(table.get_config()).to_dask((3, (3, 1))).name
    assert name.startswith("table-")
    others = [
        table.to_dask(4),
        gpuinit.Table((9, 4), "he_normal", seed=6, name="a").to_dask(3),
        gpuinit.Table((9, 4), "he_normal", "float64", seed=5, name="a").to_dask(3),
        gpuinit.Table((9, 4), "he_uniform", seed=5, name="a").to_dask(3),
        gpuinit.Table((9, 4), "he_normal", seed=5, name="a", device="cpu").to_dask(3),
        gpuinit.Table((10, 4), "he_normal", seed=5, name="a").to_dask(3)[:9],
        table.shard(0, 2).to_dask(3),
        table.shard(1, 2).to_dask(3),
    ]
    assert len({name, *(array.name for array in others)}) == 1 + len(others)


class Unwritten(gpuinit.RandomUniform):
    """An initializer that cannot be written down."""

    def get_config(self) -> dict[str, Any]:
        raise TypeError("there is no config")


def test_a_table_without_a_config() -> None:
    table = gpuinit.Table((9, 4), Unwritten(seed=1))
    array = table.to_dask(4)
    assert array.name == table.to_dask(4).name != gpuinit.Table((9, 4), Unwritten(seed=2)).to_dask(4).name
    assert same_bits(computed(array), table[:])


def test_the_kind_of_the_blocks() -> None:
    """NumPy's on the CPU, and where the device is another machine's: then the array is built, and cannot be computed here."""
    meta = TABLE.to_dask()._meta
    assert type(meta) is np.ndarray and meta.dtype == np.float32 and meta.shape == (0, 0)
    elsewhere = gpuinit.Table((9, 4), seed=1, device="cuda:77").to_dask(4)
    assert type(elsewhere._meta) is np.ndarray
    with pytest.raises(gpuinit.DeviceError, match="cuda:77"):
        computed(elsewhere)


def test_the_kind_of_the_blocks_on_a_gpu(gpu: Any) -> None:
    import cupy

    array = gpuinit.Table((9, 4), seed=1, device="cuda:0").to_dask(4)
    assert isinstance(array._meta, cupy.ndarray)
    task = dict(array.__dask_graph__())[(array.name, 2, 0)]
    assert isinstance(task(), cupy.ndarray)


@pytest.mark.parametrize("chunks", [0, 2.5, "many", (1, 2, 3), ((4, 4), (4,)), None, (0, 4)], ids=str)
def test_chunks_that_do_not_fit_are_named(chunks: Any) -> None:
    with pytest.raises(ValueError, match=r"chunks=.* do not cut shape \(1000, 64\) into blocks: ") as caught:
        TABLE.to_dask(chunks)
    assert repr(chunks) in str(caught.value)


def test_without_dask() -> None:
    """The message says how to get it; all else of a table works."""
    code = """
import sys
sys.modules["dask"] = None
import gpuinit
table = gpuinit.Table((3, 2), seed=1)
table[:]
try:
    table.to_dask()
except ImportError as error:
    print(error)
"""
    assert "pip install 'gpuinit[dask]'" in python(code)
