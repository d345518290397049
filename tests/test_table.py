"""Tables that are not there: every index against NumPy's of the whole, ids near the limits, keys, configs, growth, memory.

New arrays are full of poison before they are filled (the fixture `poisoned_memory`).
"""

from __future__ import annotations

import itertools
import json
import pickle
import re
import statistics
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import POISON, poisoned, same_bits
from hypothesis import given, settings
from hypothesis import strategies as st
from initializer_table import ALL, FLOATS, INTEGERS, Row

import gpuinit
from gpuinit import Key, SeedGenerator, Table, distributions, structures
from gpuinit.backends import cpu, specification
from gpuinit.recipe import Recipe

pytestmark = pytest.mark.usefixtures("poisoned_memory")
Array = np.ndarray[Any, Any]
every = pytest.mark.parametrize("row", ALL, ids=lambda row: f"{row.name}-{len(row.shape)}")
UNSIGNED = {"bool", "uint8", "uint16", "uint32", "uint64"}
ANY_SHAPE = {"Zeros", "Ones", "Constant", "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling"}
"""Those that make tensors of any shape, a scalar among them."""
INDEX = "neither an integer, nor a slice, nor an array of row ids"


class Ramp(gpuinit.Initializer):
    """Draws nothing, and says so by the hook alone."""

    def distribution(self, shape: tuple[int, ...]) -> structures.Constant:
        return structures.Constant(np.arange(shape[-1]))


class Mine(gpuinit.RandomInitializer):
    """A random one of a user."""

    def __init__(self, width: float = 1.0, seed: Any = None) -> None:
        super().__init__(seed)
        self.width = width

    def distribution(self, shape: tuple[int, ...]) -> distributions.Distribution:
        return distributions.Uniform(-self.width, self.width)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width}


class Unseeded(gpuinit.Initializer):
    """Draws, and takes no seed."""

    def distribution(self, shape: tuple[int, ...]) -> distributions.Distribution:
        return distributions.Normal(0.0, 1.0)


class AsInKeras(gpuinit.Initializer):
    """Overrides the call alone: what a part of it is nobody knows."""

    def __call__(self, shape: Any, dtype: Any = None, **options: Any) -> Any:
        return np.zeros(shape, dtype)


@gpuinit.quantile
def wedge(u: float, scale: float = 1.0) -> float:
    """A density that rises from 0 to scale."""
    return scale * gpuinit.exact.sqrt(u)


def whole(table: Table) -> Array:
    """The table as its initializer makes it, of the same key and by one call."""
    init = table.initializer
    if table.key is not None:
        init = init.clone()
        init.seed = table.key  # type: ignore[attr-defined, unused-ignore]
    made: Array = init(table._asked, table.dtype, device="cpu")
    return made


def table_of(row: Row, dtype: str = "float32", shape: tuple[int, ...] | None = None, **more: Any) -> Table:
    return Table(row.shape if shape is None else shape, row.make(), dtype, device="cpu", **more)


# Indices


def lengths(row: Row) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes that the initializer takes; axes of 0 and 1 among them."""
    if row.name in ANY_SHAPE:
        return st.lists(st.integers(0, 6), max_size=4).map(tuple)
    if row.name in {"STFT", "Dirac", "DeltaOrthogonal"} or "batch_axes" in row.arguments:
        return st.just(row.shape)
    return st.tuples(st.integers(0, 9), st.integers(0, 9))


def slices(length: int) -> st.SearchStrategy[slice]:
    """Bounds from the end, beyond both ends and missing; steps of either sign and beyond the length."""
    bounds = st.none() | st.integers(-length - 3, length + 3)
    return st.builds(slice, bounds, bounds, st.none() | st.sampled_from([1, 1, 2, 3, -1, -2, -3, 9, -9, 10**30]))


def ids(length: int) -> st.SearchStrategy[Any]:
    """Ids in any order, with repeats, of 0 to 3 axes: arrays of any integer type, lists, ranges, memoryviews."""
    shapes = st.lists(st.integers(0, 3), min_size=1, max_size=3).map(tuple)
    if not length:
        shapes = shapes.map(lambda shape: (0, *shape[1:]))

    def of(shape: tuple[int, ...]) -> st.SearchStrategy[Any]:
        size = int(np.prod(shape))
        numbers = st.lists(st.integers(0, max(length - 1, 0)), min_size=size, max_size=size)
        given = numbers.map(lambda picked: np.array(picked, np.int64).reshape(shape))
        kinds: list[Any] = [
            *(np.dtype(kind) for kind in ("i1", "u2", "i4", "u4", "i8", "u8", ">i4", ">u8")),
            np.ndarray.tolist,
            lambda array: np.repeat(array, 2, axis=-1)[..., ::2],
            lambda array: memoryview(array) if array.ndim == 1 and array.size else array,
        ]
        return st.builds(
            lambda array, kind: array.astype(kind) if isinstance(kind, np.dtype) else kind(array), given, st.sampled_from(kinds)
        )

    ranges = slices(length).map(lambda part: range(*part.indices(length)))
    return shapes.flatmap(of) | ranges


@st.composite
def indices(draw: Any, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """An index, and what NumPy takes for it."""
    count = draw(st.integers(0, len(shape)))
    cut = draw(st.integers(0, count))
    ellipsis = draw(st.booleans())
    axes = [*range(cut), *range(len(shape) - (count - cut), len(shape))] if ellipsis else list(range(count))
    entries = []
    for axis in axes:
        kinds = [slices(shape[axis])]
        if shape[axis]:
            kinds.append(st.integers(0, shape[axis] - 1) | st.integers(0, shape[axis] - 1).map(np.uint8))
        if axis == 0:
            kinds.append(ids(shape[0]))
        entries.append(draw(st.one_of(kinds)))
    theirs = [entry if isinstance(entry, (slice, int)) else np.array(entry, np.int64) for entry in entries]
    if ellipsis:
        entries.insert(cut, ...)
        theirs.insert(cut, ...)
    if len(entries) == 1 and draw(st.booleans()):
        return entries[0], tuple(theirs)
    return tuple(entries), tuple(theirs)


@every
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_index_is_numpys_of_the_whole(row: Row, data: st.DataObject) -> None:
    """Any part of any initializer's tensor in any dtype, asked for twice; rejects a part that is drawn as a tensor of its own."""
    shape = data.draw(lengths(row), label="shape")
    signed = [dtype for dtype in INTEGERS if dtype not in UNSIGNED]
    integers = signed if row.name == "STFT" else [] if isinstance(row.make(), gpuinit.RandomInitializer) else INTEGERS
    dtype = data.draw(st.sampled_from(FLOATS + integers), label="dtype")
    name = data.draw(st.sampled_from([None, "a", "users/\N{GREEK SMALL LETTER ALPHA}"]), label="name")
    table = table_of(row, dtype, shape, name=name)
    expected = whole(table)
    assert table.shape == expected.shape and table.dtype == expected.dtype
    assert (table.size, table.nbytes, table.ndim) == (expected.size, expected.nbytes, expected.ndim)
    for _ in range(3):
        index, theirs = data.draw(indices(table.shape), label="index")
        for _ in range(2):
            assert same_bits(np.asarray(table[index]), np.asarray(expected[theirs]))


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("length", [0, 1, 5])
def test_every_slice(length: int, axis: int) -> None:
    """All bounds and steps around an axis: rejects bounds of an empty slice that runs backwards taken for a block's (-1)."""
    shape = (length, 3) if axis == 0 else (3, length)
    table = Table(shape, seed=3, device="cpu")
    expected = table[...]
    bounds = [None, *range(-length - 2, length + 3), 10**30, -(10**30)]
    for start, stop, step in itertools.product(bounds, bounds, [None, 1, 2, 5, 10**30, -1, -2, -5, -(10**30)]):
        part = (slice(None),) * axis + (slice(start, stop, step),)
        clamped = (slice(None),) * axis + (slice(*(n and max(-(2**60), min(n, 2**60)) for n in (start, stop, step))),)
        assert same_bits(np.ascontiguousarray(table[part]), np.ascontiguousarray(expected[clamped])), part


@pytest.mark.parametrize("axes", range(5))
def test_tables_of_any_number_of_axes(axes: int) -> None:
    shape = (4, 3, 2, 5)[:axes]
    table = Table(shape, "random_normal", seed=9, device="cpu")
    expected = whole(table)
    assert same_bits(table[...], expected) and same_bits(table[()], expected) and same_bits(table.make(), expected)
    assert same_bits(np.asarray(table), expected) and same_bits(np.array(table), expected)
    assert same_bits(np.asarray(table, "float64"), expected.astype("float64"))
    out = poisoned(shape, "float32")
    assert table.into(out) is out and same_bits(out, expected)
    with pytest.raises(ValueError, match="copy=False: the elements are not there"):
        np.array(table, copy=False)
    with pytest.raises(IndexError, match=f"^too many indices: {axes + 1} for an array of {axes} ax[ei]s"):
        table[(0,) * (axes + 1)]
    if axes:
        assert len(table) == 4 and same_bits(np.stack(list(table)), expected)  # Python's own iteration ends at the IndexError
        assert same_bits(table[np.array([[3, 0], [1, 3]])], expected[[[3, 0], [1, 3]]])
    else:
        with pytest.raises(TypeError, match=r"^len\(\) of an array of shape \(\)"):
            len(table)
        for ask in (lambda: table[[0]], lambda: table[0]):
            with pytest.raises(IndexError, match="too many indices: 1 for an array of 0 axes"):
                ask()
        with pytest.raises(IndexError, match=r"ids need an array with at least one axis, and this one has shape \(\)"):
            table.rows_into(poisoned((1,), "f4"), [0])


def test_torch_ids() -> None:
    """Of any shape and integer type, also those of the framework's own advanced types."""
    torch = pytest.importorskip("torch", reason="torch is not installed (make setup-bench)")
    table = Table((50, 4), "random_normal", seed=1, device="cpu")
    for dtype in (torch.int64, torch.int32, torch.uint8):
        given = torch.tensor([[3, 49], [0, 3]], dtype=dtype)
        assert same_bits(table[given], table[...][[[3, 49], [0, 3]]])
        assert same_bits(table[given[0]], table[...][[3, 49]])
        assert same_bits(table[given.t()[1], 1:3], table[...][[49, 3], 1:3])
        assert same_bits(table[given[0, 1]], table[49])
        out = poisoned((2, 4), "f4")
        assert same_bits(table.rows_into(out, given[1]), table[...][[0, 3]])


def test_what_is_made_of_a_nested_or_empty_list() -> None:
    """Rejects the float64 that NumPy makes of empty lists and of -1 beside 2^63."""
    table = Table((5, 3), seed=1, device="cpu")
    assert table[[]].shape == (0, 3) and table[[[], []]].shape == (2, 0, 3) and table[[[]], 1].shape == (1, 0)
    assert table[[[], []]].dtype == np.float32
    with pytest.raises(IndexError, match=r"^rows\[0\]=-1 is not a row"):
        table[[[-1, 2**63]]]
    with pytest.raises(IndexError, match=r"^rows\[2\]=18446744073709551616 is not a row"):
        table[[[1, 2], [2**64, 9]]]


WRONG: dict[str, tuple[Any, str]] = {
    "-1": (-1, "row -1 of an array of shape (7, 3): ids run from 0 to 6, none from the end"),
    "7": (np.int8(7), "row 7 of"),
    "huge": (-(10**400), "row about -10^400 of"),
    "column": ((0, 3), "index 3 along axis 1 of an array of shape (7, 3): they run from 0 to 2, none from the end"),
    "column from the end": ((slice(None), -1), "index -1 along axis 1"),
    "list": ([0, 6, 7], "rows[2]=7 is not a row of a tensor with 7 rows; ids run from 0 to 6, none from the end"),
    "negative list": ([-7], "rows[0]=-7 is not"),
    "uint64": (np.array([2**64 - 1, 0], np.uint64), "rows[0]=18446744073709551615 is not"),
    "int8": (np.array([[0, 1], [-128, 0]], np.int8), "rows[2]=-128 is not"),
    "objects": ([10**400], "rows[0]=about 10^400 is not"),
    "range": (range(3, 8), "row 7 of"),
    "range down": (range(6, -2, -1), "row -1 of"),
    "range beyond int64": (range(2**63 - 1, 2**63 + 1), "row 9223372036854775807 of"),
    "range beyond uint64": (range(2**64, 2**64 + 1), "row 18446744073709551616 of"),
    "range longer than len": (range(2**70), f"row {2**70 - 1} of"),
    "range of a wide step": (range(0, 2**70, 2**69), f"row {2**69} of"),
    "columns too": (([7], slice(0, 0)), "rows[0]=7 is not"),
}


@pytest.mark.parametrize("case", WRONG)
def test_ids_out_of_range(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """IndexError with the id, before memory is taken; rejects ids that count from the end, that wrap, and OverflowErrors."""
    table = Table((7, 3), "random_normal", seed=1, device="cpu")
    index, says = WRONG[case]
    monkeypatch.setattr(cpu.CPU, "empty", None)
    with pytest.raises(IndexError, match=re.escape(says)):
        table[index]


def test_an_empty_table_has_no_ids() -> None:
    table = Table((0, 3), seed=1, device="cpu")
    for index, says in ((0, "row 0 of an array of shape (0, 3): it has no rows"), ([0], "it has no row ids")):
        with pytest.raises(IndexError, match=re.escape(says)):
            table[index]
    with pytest.raises(IndexError, match="index 0 along axis 1 of .*: it has no elements there"):
        Table((3, 0), seed=1)[:, 0]
    assert table[[]].shape == table[...].shape == table[::-1].shape == (0, 3)
    assert table[np.zeros((2, 0), int), ::-1].shape == (2, 0, 3)


@pytest.mark.parametrize(
    ("index", "says"),
    [
        (None, f"index None is {INDEX}"),
        (True, f"index True is {INDEX}"),
        (np.True_, INDEX),
        (1.0, f"index 1.0 is {INDEX}"),
        (np.float32(1), INDEX),
        ("1", f"index '1' is {INDEX}"),
        ([1.0], "rows[0]=1.0 is not an integer"),
        ([[0.0]], "rows[0]=0.0 is not an integer"),
        ([0, True], "rows[1]=True is a bool"),
        ([True, False], "rows[0]=True is a bool"),
        ([[True, False]], "is a bool"),
        (np.ones(5, bool), "rows has dtype bool: row ids must be integers"),
        (np.ones(2), "rows has dtype float64: row ids must be integers"),
        (np.array(1.0), "rows has dtype float64"),
        ([[0], [1, 2]], "it must be a 1-D array of row ids"),
        ({1, 2}, "rows[0]={1, 2} is not an integer"),
        ((0, None), f"index None is {INDEX}"),
        ((slice(None), [0]), "index 1 is a list: it must be an integer or a slice; ids pick rows alone"),
        (([0], np.array([1])), "index 1 is a ndarray: it must be an integer or a slice"),
        ((slice(None), range(2)), "index 1 is a range: it must be"),
        (slice(1.0, 2), "index 0 is slice(1.0, 2, None): start, stop and step must be integers or None"),
        ((0, slice(None, "2")), "index 1 is slice(None, '2', None): start"),
        (slice(None, None, 0), "slice step cannot be zero"),
        ((..., ...), "an index can have one ellipsis only"),
    ],
    ids=repr,
)
def test_what_is_no_index(index: Any, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Masks, floats, new axes and ids of columns are refused, with what would be right, before memory is taken."""
    table = Table((5, 3), seed=1, device="cpu")
    monkeypatch.setattr(cpu.CPU, "empty", None)
    with pytest.raises((TypeError, ValueError, IndexError), match=re.escape(says)):
        table[index]


# Near the limits


LIMITS = [0, 1, *range(2**31 - 2, 2**31 + 3), *range(2**32 - 2, 2**32 + 3)]


def values(table: Table, rows: Any, columns: Any) -> Array:
    """Elements by the specification, at linear indices of Python's integers; no Region and no index takes part."""
    width = table.shape[1]
    index = np.array([int(row) * width + int(column) for row in rows for column in columns], np.uint64)
    law = table.initializer.law(table.shape, table.dtype)
    assert table.key is not None
    if table.dtype.kind == "c":
        index = (index[:, None] * np.uint64(2) + np.arange(2, dtype=np.uint64)).reshape(-1)
    return specification.values(law, table.key, index).view(table.dtype).reshape(len(rows), len(columns))


@pytest.mark.parametrize("way", ["specification", "compiled"])
@pytest.mark.parametrize(
    ("shape", "rows"),
    [
        ((10**12, 128), [*LIMITS, 10**12 - 1]),
        ((2**33, 1), [*LIMITS, 2**33 - 1]),
        ((2**31 + 3, 2**31 + 2), LIMITS[:7]),
        ((2**62, 2), [0, 2**53 + 1, 2**61, 2**62 - 2, 2**62 - 1]),
        ((2**63, 1), [0, 2**32, 2**62, 2**63 - 3, 2**63 - 2, 2**63 - 1]),
    ],
    ids=lambda value: str(value) if isinstance(value, tuple) else "",
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "complex128"])
def test_far_rows(shape: tuple[int, ...], rows: list[int], dtype: str, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rejects 32-bit ids, ids in float64, and offsets that overflow int64: by both of the CPU's ways, any index."""
    monkeypatch.setattr(cpu.BACKEND, "_drawn", 2**21 if way == "compiled" else -(10**9))
    table = Table(shape, "random_normal", dtype, seed=5, device="cpu")
    columns = sorted({0, shape[1] // 2, shape[1] - 1})
    some = tuple(range(min(shape[1], 3)))
    first = slice(0, len(some))
    expected = values(table, rows, some)
    for asked in (rows, np.array(rows), np.array(rows, np.uint64), np.array(rows)[:, None]):
        assert same_bits(table[asked, first].reshape(expected.shape), expected)
    for column in columns:
        assert same_bits(table[rows, column], values(table, rows, [column])[:, 0])
    for place, row in enumerate(rows):
        assert same_bits(table[row, first], expected[place])
        assert same_bits(table[row : row + 1, first], expected[place : place + 1])
        assert same_bits(np.asarray(table[row, columns[-1]]), values(table, [row], columns[-1:])[0, 0])
        near = range(max(row - 2, 0), min(row + 2, shape[0]))
        assert same_bits(table[near, first], values(table, near, some))
        assert same_bits(table[near.start : near.stop, first], values(table, near, some))
        assert same_bits(np.ascontiguousarray(table[near.start : near.stop : 3, first]), values(table, near[::3], some))
    for wrong in (shape[0], 2**64, -1):
        with pytest.raises(IndexError, match=f"row {wrong} of"):
            table[wrong]
        with pytest.raises(IndexError, match=rf"rows\[1\]={wrong} "):
            table[[0, wrong]]


def test_a_line_of_every_element_there_can_be() -> None:
    """One axis of 2^63: the last element, far steps, and what no memory holds."""
    table = Table((2**63,), seed=5, device="cpu")
    last = table[2**63 - 1]
    assert same_bits(table[[2**63 - 1, 2**63 - 1]], np.array([last, last]))
    assert same_bits(table[2**63 - 1 :: -(2**62)], table[[2**63 - 1, 2**62 - 1]])
    assert same_bits(table[np.array(2**63 - 1, np.uint64)], last)
    assert same_bits(table[range(2**63 - 1, -1, -(2**62))], table[[2**63 - 1, 2**62 - 1]])
    assert table.shape == (2**63,) and table.size == 2**63 and table.nbytes == 2**65
    with pytest.raises(OverflowError):
        len(table)
    for part in (slice(None, None, -1), slice(None, None, 2)):
        with pytest.raises(MemoryError, match="row ids take .* bytes, which cannot be allocated here"):
            table[part]
    with pytest.raises(MemoryError, match="bytes, which cannot be allocated here"):
        table[...]
    with pytest.raises(ValueError, match="the most is 2\\^63"):
        Table((2**63 + 1,))


# Rows into memory that is there


def peak(work: Any) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("way", ["specification", "compiled"])
@pytest.mark.parametrize("init", ["random_uniform", "random_normal", "truncated_normal", "zeros", "identity", "array"])
def test_rows_into_allocates_nothing_of_the_rows_size(init: str, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """10^5 rows, contiguous and strided: rejects rows made aside and copied, and a copy of the ids."""
    monkeypatch.setattr(cpu.BACKEND, "_drawn", 2**21 if way == "compiled" else -(10**9))
    width, count = (64, 10**5) if way == "compiled" else (64, 2 * 10**4)
    chosen: Any = gpuinit.Constant(np.arange(200 * width).reshape(200, width)) if init == "array" else init
    table = Table((200 if init == "array" else 10**9, width), chosen, seed=2, device="cpu")
    picked = np.random.default_rng(1).integers(0, len(table), count)
    expected = table[picked]
    held = poisoned((count, 2 * width + 1), "f4")
    table.rows_into(held[:9, 1::2], picked[:9])  # the kernel is loaded
    for out in (poisoned((count, width), "f4"), held[:, 1::2]):
        most = peak(lambda out=out: table.rows_into(out, picked))
        assert most < (min(picked.nbytes, 2**19) if way == "compiled" else 2**21), most
        assert np.array_equal(out, expected)
    assert (held[:, ::2].copy().view(np.uint8) == POISON).all(), "written beside the rows"


@every
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_rows_into_any_array(row: Row, data: st.DataObject) -> None:
    """Strided, reversed and transposed outs, and slices that count from the end: the bits of the index; gaps stay as they are."""
    dtype = data.draw(st.sampled_from(FLOATS))
    table = table_of(row, dtype)
    picked = data.draw(ids(len(table)).filter(lambda given: np.ndim(given) == 1) | slices(len(table)))
    if isinstance(picked, slice):
        picked = slice(picked.start, picked.stop, 1)
    expected = table[picked]
    order = data.draw(st.permutations(range(expected.ndim)))
    memory = poisoned(tuple(2 * expected.shape[axis] + 1 for axis in order), dtype)
    view = memory.transpose(np.argsort(order))
    signs = [data.draw(st.sampled_from([slice(1, None, 2), slice(-2, 0, -2)])) for _ in expected.shape]
    out = view[tuple(signs)]
    assert table.rows_into(out, picked) is out
    assert same_bits(np.ascontiguousarray(out), expected)
    out.view(f"V{out.itemsize}")[...] = np.frombuffer(bytes([POISON]) * out.itemsize, f"V{out.itemsize}")
    assert (np.ascontiguousarray(memory).reshape(-1).view(np.uint8) == POISON).all()


def overlapping() -> Array:
    return np.lib.stride_tricks.as_strided(poisoned((6,), "f4"), (2, 3), (4, 4))


def read_only() -> Array:
    out = poisoned((2, 3), "f4")
    out.flags.writeable = False
    return out


@pytest.mark.parametrize(
    ("out", "picked", "error", "says"),
    [
        (read_only(), [0, 1], ValueError, "out is read-only"),
        (overlapping(), [0, 1], ValueError, "out overlaps itself"),
        (poisoned((2, 3), "f8"), [0, 1], TypeError, "out has dtype float64: it must be float32"),
        (poisoned((2, 3), ">f4"), [0, 1], ValueError, "out: dtype='>f4' is not in native byte order"),
        (poisoned((2, 3), "i4"), [0, 1], TypeError, "out has dtype int32: it must be float32"),
        (poisoned((2, 3), "f4"), [0, 1, 2], ValueError, "out has shape (2, 3), and the part to fill has shape (3, 3)"),
        (poisoned((3, 2), "f4"), [0, 1], ValueError, "out has shape (3, 2), and the part to fill has shape (2, 3)"),
        (poisoned((6,), "f4"), [0, 1], ValueError, "out has shape (6,)"),
        (poisoned((2, 3), "f4"), [0, 5], IndexError, "rows[1]=5 is not a row of a tensor with 5 rows"),
        (poisoned((2, 3), "f4"), [0, -1], IndexError, "rows[1]=-1 is not a row"),
        (poisoned((2, 3), "f4"), np.array([0.0, 1.0]), TypeError, "rows has dtype float64"),
        (poisoned((2, 3), "f4"), [True, False], TypeError, "rows[0]=True is a bool"),
        (poisoned((1, 2, 3), "f4"), [[0, 1]], ValueError, "rows has shape (1, 2): it must be a 1-D array of row ids"),
        (poisoned((3,), "f4"), 1, ValueError, "rows has shape (): it must be a 1-D array of row ids"),
        (poisoned((2, 3), "f4"), slice(0, 4, 2), ValueError, "ids=slice(0, 4, 2): the step of a slice must be 1"),
        (poisoned((2, 3), "f4"), slice(1, 0, -1), ValueError, "the step of a slice must be 1"),
        (poisoned((2, 3), "f4"), slice(0, 3), ValueError, "out has shape (2, 3), and the part to fill has shape (3, 3)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refused_outs_stay_as_they_are(out: Array, picked: Any, error: type[Exception], says: str) -> None:
    """Rejects a check that comes after the first rows have been written."""
    table = Table((5, 3), "random_normal", seed=1, device="cpu")
    with pytest.raises(error, match=re.escape(says)):
        table.rows_into(out, picked)
    assert (np.ascontiguousarray(out).reshape(-1).view(np.uint8) == POISON).all()


def test_what_is_no_array_is_no_out() -> None:
    with pytest.raises(TypeError, match="out is a list: it must be a NumPy or CuPy array"):
        Table((5, 3), seed=1).rows_into([[0.0] * 3], [0])
    with pytest.raises(ValueError, match=r"out has shape \(5, 2\), and the part to fill has shape \(5, 3\)"):
        Table((5, 3), seed=1).into(poisoned((5, 2), "f4"))


# Which initializers, which keys


@pytest.mark.parametrize(
    ("init", "shape"),
    [
        ("random_uniform", (9, 4)),
        ("HeNormal", (9, 4)),
        (gpuinit.LecunUniform, (9, 4)),
        (gpuinit.serialize(gpuinit.RandomNormal(stddev=2.0)), (9, 4)),
        (Mine(0.5), (9, 4)),
        (Mine, (9, 4)),
        (Unseeded(), (9, 4)),
        (wedge(2.0), (9, 4)),
        (wedge, (9, 4)),
        ("laplace", (9, 4)),
        (gpuinit.STFT(), (8, 3, 5)),
        (gpuinit.Orthogonal(batch_axes=0), (9, 3, 4)),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, (str, tuple)) else str(value),
)
def test_what_gives_an_initializer(init: Any, shape: tuple[int, ...]) -> None:
    """All that `get` takes: names, classes, instances, configs, users' classes and quantiles, other output shapes."""
    table = Table(shape, init, seed=7, name="t", device="cpu")
    made = table.initializer
    expected: Any
    if made.output_shape(shape) == shape:
        key = Key(7).fold_in("t")
        expected = poisoned(shape, "f4")
        cpu.BACKEND.fill(expected, made.law(shape, np.dtype("f4")), gpuinit.region.Region.of(shape), key)
    else:
        expected = made(shape, "float32", device="cpu")
        assert table.shape == (8, 1, 5) and table.nbytes == 160
    assert same_bits(table[...], expected) and same_bits(table[[3, 0, 3]], expected[[3, 0, 3]])
    assert same_bits(table[2, ..., 1:], expected[2, ..., 1:])


@pytest.mark.parametrize("init", [None, 5, object(), lambda shape, dtype=None: np.zeros(shape), dict])
def test_what_gives_none(init: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="init=|Could not interpret"):
        Table((3, 4), init)


def test_an_initializer_of_calls_alone_is_refused() -> None:
    """Rejects rows of `distribution` where the call makes something else."""
    for init in (AsInKeras(), AsInKeras):
        with pytest.raises(TypeError, match="AsInKeras overrides __call__ alone"):
            Table((3, 4), init)

    class Scaled(gpuinit.RandomNormal):
        def __call__(self, *args: Any, **options: Any) -> Any:
            return 2 * super().__call__(*args, **options)

    with pytest.raises(TypeError, match="Scaled overrides __call__ alone"):
        Table((3, 4), Scaled(seed=1))


def test_arguments_are_checked() -> None:
    for arguments, error, says in (
        ({"shape": (-1, 3)}, ValueError, "shape=(-1, 3): dimensions must be >= 0"),
        ({"dtype": "int32"}, ValueError, "dtype=int32: RandomUniform draws random numbers"),
        ({"dtype": "float7"}, ValueError, "float7"),
        ({"seed": -1}, ValueError, "seed=-1 is out of range"),
        ({"seed": "x"}, ValueError, "seed='x' is not an integer"),
        ({"name": 5}, TypeError, "name=5 must be a string or None"),
        ({"device": "gpu"}, ValueError, "device='gpu' is not a device"),
        ({"init": "identity", "shape": (3, 4, 5)}, ValueError, "Identity makes matrices"),
        ({"init": "identity", "seed": "x"}, ValueError, "seed='x' is not an integer"),
    ):
        with pytest.raises(error, match=re.escape(says)):
            Table(**{"shape": (3, 4), **arguments})  # type: ignore[arg-type]


def test_names_and_seeds() -> None:
    """The key is Key(seed).fold_in(name), whatever the initializer's own seed; without a seed it is the initializer's."""
    key = Key(3, 9)
    expected = {
        (5, None): Key(5),
        (5, "a"): Key(5).fold_in("a"),
        (5, ""): Key(5).fold_in(""),
        (np.uint64(2**64 - 1), None): Key(2**64 - 1),
        (key, "b"): key.fold_in("b"),
    }
    for (seed, name), wanted in expected.items():
        table = Table((4, 3), gpuinit.RandomNormal(seed=77), seed=seed, name=name, device="cpu")
        assert table.key == wanted and table.name == name
        assert same_bits(table[...], gpuinit.RandomNormal(seed=wanted)((4, 3)))
    assert Table((4, 3), gpuinit.RandomNormal(seed=77)).key == Key(77)
    assert Table((4, 3), gpuinit.RandomNormal(seed=77), name="a").key == Key(77).fold_in("a")
    assert Table((4, 3)).key != Table((4, 3)).key
    init = gpuinit.RandomNormal()
    assert Table((4, 3), init).key == Table((4, 3), init).key
    assert Table((4, 3), "zeros", seed=5, name="a").key is None


def test_a_seed_generator_is_drawn_from_once() -> None:
    """Rejects a draw for each part, which would not fit together, and a draw by a table that is refused."""
    generator = SeedGenerator(4)
    for refused in (
        {"shape": (-1,)},
        {"dtype": "int8"},
        {"device": "gpu"},
        {"name": 3},
        {"init": "identity", "shape": (3,)},
        {"init": AsInKeras()},
    ):
        with pytest.raises((TypeError, ValueError)):
            Table(**{"shape": (4, 3), "seed": generator, **refused})  # type: ignore[arg-type]
    Table((4, 3), "ones", seed=generator)  # draws nothing
    tables = [Table((40, 3), seed=generator, name=name, device="cpu") for name in (None, "a", "a")]
    draws = [Key(4).draw(number) for number in range(3)]
    assert [table.key for table in tables] == [draws[0], draws[1].fold_in("a"), draws[2].fold_in("a")]
    before = tables[1][...]
    assert same_bits(tables[1][3:9], before[3:9]) and same_bits(tables[1].shard(1, 2)[...], before[20:])
    assert generator.next_key() == Key(4).draw(3)
    own = gpuinit.RandomNormal(seed=SeedGenerator(6))
    assert [Table((4, 3), own).key for _ in range(2)] == [Key(6).draw(0), Key(6).draw(1)]


def test_tables_of_gpuinit_create(tmp_path: Path) -> None:
    """A table equals the file of its name, and the file's recipe is a table."""
    from gpuinit.cli import main

    listed = tmp_path / "tables.csv"
    listed.write_text("feature,rows,dim\nusers,50,8\nitems,7,3\n")
    options = ["--init", "he_normal", "--seed", "5", "--format", "npy", "--quiet", "--out", str(tmp_path / "out")]
    assert main(["create", "--tables", str(listed), *options]) == 0
    for name, shape in (("users", (50, 8)), ("items", (7, 3))):
        made = np.load(tmp_path / "out" / f"{name}.npy")
        assert same_bits(Table(shape, "he_normal", seed=5, name=name, device="cpu")[...], made)
        recipe = Recipe.from_json(json.loads((tmp_path / "out" / f"{name}.json").read_text()))
        table = Table.from_recipe(recipe, name=name, device="cpu")
        assert same_bits(table[...], made) and (table.name, table.key) == (name, Key(5).fold_in(name))
        assert table.recipe == recipe


# Configs and pickles


@every
def test_configs_and_pickles(row: Row) -> None:
    """Through JSON and through pickle: the same bits, and a config of its own again."""
    for dtype in ("float32", "bfloat16"):
        table = table_of(row, dtype, name="t")
        text = json.dumps(table.get_config(), allow_nan=False)
        assert len(text) < 700
        for other in (Table.from_config(json.loads(text)), pickle.loads(pickle.dumps(table))):
            assert type(other) is Table and repr(other).startswith(f"Table({row.shape}, {row.name}(")
            assert (other.shape, other.dtype, other.key, other.name, other.device) == (
                *(table.shape, table.dtype, table.key),
                *("t", "cpu"),
            )
            assert same_bits(other[...], table[...]) and other.get_config() == table.get_config()


def test_configs_of_users_classes() -> None:
    """By custom_objects; what cannot be written down is refused by the config, and pickled all the same."""
    table = Table((6, 4), Mine(3.0), seed=2, device="cpu")
    config = json.loads(json.dumps(table.get_config()))
    other = Table.from_config(config, custom_objects={"Mine": Mine})
    assert same_bits(other[...], table[...]) and isinstance(other.initializer, Mine)
    with pytest.raises(ValueError, match="Could not interpret initializer identifier"):
        Table.from_config(config)
    drawn = Table((6, 4), wedge(3.0), seed=2, device="cpu")
    assert same_bits(Table.from_config(json.loads(json.dumps(drawn.get_config())))[...], drawn[...])
    unseeded = Table((6, 4), Unseeded(), seed=2, device="cpu")
    with pytest.raises(ValueError, match="its recipe needs a constructor that takes `seed`"):
        unseeded.get_config()
    assert same_bits(pickle.loads(pickle.dumps(unseeded))[...], unseeded[...])


def test_configs_that_are_none() -> None:
    good = Table((6, 4), seed=2).get_config()
    without_key = {**good, "recipe": {**good["recipe"], "key": None}}
    for config, error, says in (
        ({}, ValueError, "config is not a table's: it must be a dict of Table.get_config, with name, device and recipe"),
        (None, ValueError, "config is not a table's"),
        ({**good, "more": 1}, ValueError, "config is not a table's"),
        ({**good, "recipe": {}}, ValueError, "not a gpuinit recipe"),
        ({**good, "device": "gpu"}, ValueError, "device='gpu' is not a device"),
        ({**good, "name": 5}, TypeError, "name=5 must be a string or None"),
        (without_key, ValueError, "RandomUniform draws random numbers, and its recipe must have a key"),
        ({**good, "recipe": {**good["recipe"], "contract": 2}}, ValueError, "contract=2"),
    ):
        with pytest.raises(error, match=re.escape(says)):
            Table.from_config(config)  # type: ignore[arg-type]


SHARED = """
import hashlib, json, pickle, sys
import numpy as np
import gpuinit

given = json.load(sys.stdin)
ids = np.array(given["ids"])
for table in (gpuinit.Table.from_config(given["config"]), pickle.loads(bytes.fromhex(given["pickle"]))):
    print(hashlib.sha256(table[ids].tobytes()).hexdigest(), table.device)
"""


def test_two_processes_share_a_table_of_10_12_rows() -> None:
    """By a few hundred bytes, neither having seen the other's rows; a device that is not here is named, not touched."""
    import hashlib

    table = Table((10**12, 128), "truncated_normal", "bfloat16", seed=5, name="users", device="cpu")
    picked = np.random.default_rng(3).integers(0, 10**12, 50)
    config, pickled = table.get_config(), pickle.dumps(table)
    assert len(json.dumps(config)) < 500 and len(pickled) < 500
    given = json.dumps({"config": config, "pickle": pickled.hex(), "ids": picked.tolist()})
    command = [sys.executable, "-W", "error", "-c", SHARED]
    printed = subprocess.run(command, input=given, capture_output=True, text=True, check=True, timeout=120).stdout
    assert printed.split() == [hashlib.sha256(table[picked].tobytes()).hexdigest(), "cpu"] * 2


def test_a_tables_device_is_asked_for_where_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rejects a table that loads CUDA into the process that only passes it on, or that cannot be made without a GPU."""
    from gpuinit.backends.cuda import probe

    def asked() -> Any:
        raise AssertionError("the device was asked for")

    monkeypatch.setattr(probe, "status", asked)
    table = Table((6, 4), seed=2, device="cuda:3")
    for other in (
        table,
        pickle.loads(pickle.dumps(table)),
        Table.from_config(table.get_config()),
        table.grow(9),
        table.shard(0, 2),
    ):
        assert other.device == "cuda:3"
    assert same_bits(table.make("cpu"), Table((6, 4), seed=2, device="cpu")[...])
    assert same_bits(np.asarray(table), table.make("cpu"))
    with pytest.raises(AssertionError, match="asked for"):
        table[0]
    monkeypatch.setattr(probe, "status", lambda: probe.Status(False, problem="There is no driver."))
    with pytest.raises(gpuinit.DeviceError, match="device='cuda:3' cannot be used: There is no driver."):
        table[0]


# Growth


EXACT = {"RandomNormal", "RandomUniform", "TruncatedNormal", "Zeros", "Ones", "Constant", "STFT"}
"""Those of the list whose rows do not depend on how many there are: they always grow."""


def grown_to(table: Table, rows: int) -> tuple[Table | None, str]:
    """The grown table, or None and why there is none."""
    try:
        return table.grow(rows), ""
    except ValueError as error:
        return None, str(error)


@every
@pytest.mark.parametrize("start", [0, 1, 2, 12])
def test_growth_keeps_the_old_rows_or_is_refused(row: Row, start: int) -> None:
    """For every initializer: the grown table is the one that is made at once, and its old rows are the old table's.

    Rejects a check of the class in place of the law, and one that refuses where nothing changes.
    """
    shape = (start, *row.shape[1:])
    try:
        table = table_of(row, shape=shape)
    except ValueError:
        few = {"Dirac": {1}, "DeltaOrthogonal": {0, 1, 2}}  # two groups need two channels; an (out, in) kernel out >= in
        assert start in few[row.name]
        return
    old = table[...]
    for rows in (start, start + 1, start + 2, start + 7, 10 * start + 4):
        try:
            fresh = table_of(row, shape=(rows, *row.shape[1:]))
        except ValueError as error:
            with pytest.raises(ValueError, match=re.escape(str(error))):
                table.grow(rows)
            continue
        made = fresh[...]
        kept = same_bits(made[:start], old)
        grown, refused = grown_to(table, rows)
        if grown is None:
            assert refused.startswith(f"rows={rows}: the table cannot grow from {start} rows") and row.name in refused
            assert start and rows > start and row.name not in EXACT
            assert not kept or row.name in ("Orthogonal", "DeltaOrthogonal", "Sparse"), "refused though nothing changes"
            continue
        assert kept
        assert (grown.shape, grown.key, grown.dtype) == (fresh.shape, fresh.key, fresh.dtype)
        assert same_bits(grown[...], made) and grown.get_config() == fresh.get_config()
        assert same_bits(table[...], old) and table.shape[0] == start, "the table itself has changed"


@pytest.mark.parametrize(
    "init",
    [
        gpuinit.RandomUniform(-1.0, 1.0, seed=1),
        gpuinit.RandomNormal(seed=1),
        gpuinit.TruncatedNormal(lower=-1.0, upper=3.0, seed=1),
        gpuinit.Zeros(),
        gpuinit.Constant(float("nan")),
        gpuinit.Constant(np.arange(6)),
        gpuinit.Constant(np.arange(6).reshape(1, 6)),
        gpuinit.Identity(placement="corner"),
        gpuinit.VarianceScaling(mode="fan_out", seed=1),
        gpuinit.HeUniform(seed=1, input_axes=[1], output_axes=[0]),
        wedge(2.0, seed=1),
        Ramp(),
        Mine(seed=1),
        Unseeded(),
    ],
    ids=repr,
)
def test_what_always_grows(init: Any) -> None:
    """From 0 rows and from 1, in one step and in many, to 10^12: rejects any refusal of a law that does not look at the rows."""
    table = Table((0, 6), init, seed=None, device="cpu")
    key = table.key
    chain = [0, 1, 1, 2, 5, 6, 7, 40, 10**6, 10**12]
    for rows in chain[1:]:
        before, table = table, table.grow(rows)
        assert table.shape == (rows, 6) and table.key == key
        some = list(range(min(len(before), 40))) + [len(before) - 1] * (len(before) > 0)
        assert same_bits(table[some], before[some])
    assert same_bits(Table((0, 6), init, device="cpu").grow(10**12)[[5, 10**12 - 1]], table[[5, 10**12 - 1]])


class Levels(gpuinit.Initializer):
    """A constant that `by` makes of the shape."""

    def __init__(self, by: Any) -> None:
        self.by = by

    def distribution(self, shape: tuple[int, ...]) -> structures.Constant:
        return structures.Constant(self.by(shape))


@pytest.mark.parametrize(
    ("by", "grows"),
    [
        (lambda shape: shape[0], False),
        (lambda shape: 1.0 / max(shape), False),
        (lambda shape: -0.0 if shape[0] > 5 else 0.0, False),
        (lambda shape: np.arange(shape[0])[:, None], True),
        (lambda shape: np.arange(shape[0])[::-1, None], False),
        (lambda shape: np.full(shape, shape[0]), False),
        (lambda shape: np.arange(shape[0] * 3).reshape(shape), True),
        (lambda shape: 7 if shape[0] == 5 else np.full(shape, 7.0), True),
        (lambda shape: np.arange(3) if shape[0] == 5 else np.arange(3)[None] + np.zeros((shape[0], 1)), True),
        (lambda shape: 0.1 if shape[0] == 5 else np.float32(0.1), True),
        (lambda shape: 2**70 + shape[0], True),
    ],
)
def test_constants_grow_by_their_values(by: Any, grows: bool) -> None:
    """A user's constant may depend on the number of rows: rejects a check of the kind of law alone, and one by ==, as -0 == 0."""
    table, fresh = Table((5, 3), Levels(by), device="cpu"), Table((8, 3), Levels(by), device="cpu")
    assert same_bits(fresh[:5], table[...]) == grows
    if grows:
        assert same_bits(table.grow(8)[...], fresh[...])
    else:
        with pytest.raises(ValueError, match="rows=8: the table cannot grow from 5 rows, as those .*: Levels makes rows"):
            table.grow(8)


def test_growth_that_is_refused() -> None:
    """With the reason, and what to do."""
    for init, says in (
        (
            "he_normal",
            "HeNormal draws from a distribution that depends on the number of rows, as fan_in does; take one",
        ),
        ("glorot_uniform", "GlorotUniform draws from a distribution that depends on the number of rows"),
        ("orthogonal", "Orthogonal makes rows that depend on how many there are; make the table with the final number of rows"),
        (gpuinit.Sparse(0.5), "Sparse makes rows that depend on how many there are"),
        (gpuinit.Identity(), "Identity makes rows that depend on how many there are"),
        (gpuinit.Constant(np.ones((6, 4))), "value has shape (6, 4), which does not broadcast to shape=(9, 4)"),
    ):
        with pytest.raises(ValueError, match=re.escape("rows=9: the table cannot grow from 6 rows")) as caught:
            Table((6, 4), init, seed=1).grow(9)
        assert says in str(caught.value)
    table = Table((6, 4), seed=1)
    with pytest.raises(ValueError, match="rows=5 are fewer than the 6 that the table has; a table only grows"):
        table.grow(5)
    with pytest.raises(ValueError, match="rows=about -10\\^400 are fewer"):
        table.grow(-(10**400))
    with pytest.raises(ValueError, match="the most is 2\\^63"):
        table.grow(2**62)
    for rows in (7.0, "7", True, None):
        with pytest.raises(TypeError, match="^rows="):
            table.grow(rows)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"grow: RandomNormal makes a tensor of shape \(\), which has no rows to add"):
        Table((), "random_normal").grow(2)


def test_stacks_and_kernels_that_grow() -> None:
    """Matrices are added to a stack, frames to a kernel without a window; rejects a refusal by kind."""
    stack = Table((5, 4, 3), gpuinit.Orthogonal(seed=1, batch_axes=0), device="cpu")
    assert same_bits(stack.grow(9)[:5], stack[...])
    with pytest.raises(ValueError, match="cannot grow"):
        Table((5, 4, 3), gpuinit.Orthogonal(seed=1, batch_axes=1)).grow(9)
    kernel = Table((5, 7, 4), gpuinit.STFT(window=None), device="cpu")
    assert kernel.shape == (5, 1, 4)
    grown = kernel.grow(9)
    assert grown.shape == (9, 1, 4) and same_bits(grown[:5], kernel[...]) and grown.recipe.shape == (9, 7, 4)
    with pytest.raises(ValueError, match="cannot grow"):
        Table((5, 7, 4), gpuinit.STFT()).grow(9)


# What it costs


def test_a_table_of_10_12_rows_is_made_at_once() -> None:
    """A loose guard, median of 100: rejects anything that looks at the rows."""

    def seconds() -> float:
        began = time.perf_counter()
        Table((10**12, 128), "truncated_normal", seed=1, name="users")
        return time.perf_counter() - began

    assert statistics.median(seconds() for _ in range(100)) < 1e-3


MEMORY = """
from pathlib import Path
import numpy as np
import gpuinit

table = gpuinit.Table((10**12, 128), "truncated_normal", seed=1, device="cpu")
ids = np.random.default_rng(1).integers(0, 10**12, 10**6)
table[ids[: 2**15]]  # compiled code is loaded


def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024


Path("/proc/self/clear_refs").write_text("5")
before = peak()
rows = table[ids.reshape(1000, 1000)]
print(peak() - before - rows.nbytes)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads the peak from Linux's /proc")
def test_a_million_rows_take_their_own_memory() -> None:
    """512 MB of rows and less than 64 MiB beside: rejects rows that are made aside, in float64, or as a list of parts."""
    printed = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True, timeout=120).stdout
    assert -(2**20) <= int(printed) < 64 * 2**20


def test_a_config_does_not_grow_with_the_table() -> None:
    sizes = {len(json.dumps(Table((rows, 128), seed=2**64 - 1).get_config())) for rows in (10**6, 10**12)}
    assert max(sizes) - min(sizes) == 6 and max(sizes) < 450
