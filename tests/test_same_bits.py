"""The promise: an element's bits depend on the key, its index and the dtype alone, not on how or with what it was made."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from conftest import DTYPES, LAWS, WAYS, drawn, poisoned, same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

import gpuinit
from gpuinit import dtypes
from gpuinit.backends import compiled, specification, threads
from gpuinit.key import Key
from gpuinit.region import Region

WORD64 = st.integers(0, 2**64 - 1)
KEYS = st.builds(Key, WORD64, WORD64)
EDGES = [2**31, 2**32, 2**33, 2**34, 3 * 2**34, 2**40, 2**62]


def _indices(shape: tuple[int, ...], axes: list[list[int]]) -> list[int]:
    """Linear indices by the definition, in Python integers."""
    return [
        sum(position * math.prod(shape[axis + 1 :]) for axis, position in enumerate(place)) for place in itertools.product(*axes)
    ]


def _by_index(law: Any, key: Key, dtype: Any, indices: list[int]) -> np.ndarray[Any, Any]:
    """Elements by their indices, one after the other, by the specification."""
    parts = 2 if np.dtype(dtype).kind == "c" else 1
    components = np.array([parts * i + part for i in indices for part in range(parts)], np.uint64)
    return specification.values(law.sampler(np.dtype(dtype)), key, components).view(dtype)


@settings(max_examples=300, deadline=None)
@given(
    law=st.sampled_from(LAWS),
    dtype=st.sampled_from(DTYPES),
    key=KEYS,
    shape=st.lists(st.integers(0, 40), min_size=0, max_size=3).map(tuple),
)
def test_compiled_equals_specification(law: Any, dtype: Any, key: Key, shape: tuple[int, ...]) -> None:
    whole = Region.of(shape)
    assert same_bits(drawn(WAYS["compiled"], law, key, whole, dtype), drawn(WAYS["specification"], law, key, whole, dtype))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("law", LAWS, ids=str)
def test_compiled_equals_specification_over_many_words(law: Any, dtype: Any) -> None:
    """2^16 + 7 elements hold some 60 words of the normal's tail: rejects a tail that is not recomputed, or in the wrong place."""
    whole = Region.of((2**16 + 7,))
    assert same_bits(drawn(WAYS["compiled"], law, Key(9), whole, dtype), drawn(WAYS["specification"], law, Key(9), whole, dtype))


@st.composite
def regions(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[slice, ...], list[int] | None]:
    """A logical shape, perhaps far larger than memory, with a small block of it near an edge, and perhaps rows."""
    inner = tuple(draw(st.lists(st.integers(1, 37), min_size=0, max_size=2)))
    edge = draw(st.sampled_from([0, *EDGES]))
    rows_at_edge = edge // math.prod(inner)
    low = max(0, rows_at_edge - draw(st.integers(0, 3)))
    high = low + draw(st.integers(0, 6))
    shape = (high + draw(st.integers(0, 10**6)), *inner)
    block = [slice(low, high)]
    for length in inner:
        start = draw(st.integers(0, length))
        block.append(slice(start, draw(st.integers(start, length))))
    rows = None
    if draw(st.booleans()) and shape[0] > 0:
        rows = draw(st.lists(st.integers(max(0, low - 5), shape[0] - 1), max_size=7))
        block[0] = slice(None)
    return shape, tuple(block), rows


@settings(max_examples=400, deadline=None)
@given(
    law=st.sampled_from(LAWS),
    dtype=st.sampled_from(DTYPES),
    key=KEYS,
    where=regions(),
    name=st.sampled_from(sorted(WAYS)),
)
def test_part_equals_definition(law: Any, dtype: Any, key: Key, where: Any, name: str) -> None:
    """Blocks, rows and rows of blocks around 2^31 .. 2^62 against indices computed by the definition.

    Rejects 32-bit index or counter arithmetic, a run that crosses a carry of the counter, and fans or strides of the part.
    """
    shape, block, rows = where
    region = Region.of(shape, block, rows)
    axes = [rows] if rows is not None else [list(range(block[0].start, block[0].stop))]
    axes += [list(range(part.start, part.stop)) for part in block[1:]]
    expected = _by_index(law, key, dtype, _indices(shape, axes)).reshape(region.counts)
    assert same_bits(drawn(WAYS[name], law, key, region, dtype), expected)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), dtype=st.sampled_from(DTYPES), seed=WORD64)
def test_public_parts_equal_the_whole(data: st.DataObject, dtype: Any, seed: int) -> None:
    """Through the API: any block, rows and both equal those of the whole, whose fans they share."""
    kind = data.draw(st.sampled_from([gpuinit.HeNormal, gpuinit.GlorotUniform, gpuinit.RandomNormal, gpuinit.TruncatedNormal]))
    initializer = kind(seed=seed)
    shape = data.draw(st.lists(st.integers(1, 12), min_size=1, max_size=4).map(tuple))
    whole = initializer(shape, dtype)
    block = []
    for length in shape[: data.draw(st.integers(0, len(shape)))]:
        start = data.draw(st.integers(0, length))
        block.append(slice(start, data.draw(st.integers(start, length))))
    assert same_bits(initializer(shape, dtype, block=tuple(block)), np.ascontiguousarray(whole[tuple(block)]))
    rows = data.draw(st.lists(st.integers(0, shape[0] - 1), max_size=9))
    picked = whole[np.array(rows, np.intp)]
    assert same_bits(initializer(shape, dtype, rows=rows), picked)
    inner = (slice(None), *block[1:])
    assert same_bits(initializer(shape, dtype, rows=rows, block=inner), np.ascontiguousarray(picked[inner]))


@settings(max_examples=150, deadline=None)
@given(
    dtype=st.sampled_from(DTYPES),
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=3).map(tuple),
    steps=st.lists(st.sampled_from([-3, -2, -1, 1, 2, 3]), min_size=3, max_size=3),
    order=st.permutations(range(3)),
    name=st.sampled_from(sorted(WAYS)),
)
def test_strided_output(dtype: Any, shape: tuple[int, ...], steps: list[int], order: list[int], name: str) -> None:
    """An output of any strides gets the same elements, and nothing beside them is touched."""
    law, key, region = LAWS[2], Key(5), Region.of(shape)
    axes = [axis for axis in order if axis < len(shape)]
    memory = poisoned(tuple(shape[axis] * 3 for axis in axes), dtype)
    view = memory.transpose(np.argsort(axes))
    out = view[tuple(slice(None, None, step) for step in steps[: len(shape)])]
    out = out[tuple(slice(0, length) for length in shape)]
    WAYS[name](out, law.sampler(out.dtype), region, key)
    assert same_bits(np.ascontiguousarray(out), drawn(WAYS["specification"], law, key, region, dtype))
    untouched = np.ones(memory.shape, bool).transpose(np.argsort(axes))
    untouched[tuple(slice(None, None, step) for step in steps[: len(shape)])][tuple(slice(0, n) for n in shape)] = False
    rest = memory.transpose(np.argsort(axes))[untouched]
    assert set(rest.tobytes()) <= {0xCA}


def test_contiguous_but_misaligned_output(way: Any) -> None:
    memory = np.zeros(4 * 1921 + 8, np.uint8)
    for shift in (1, 2, 3):
        out = memory[shift : shift + 4 * 1920].view(np.float32)
        way(out, LAWS[0].sampler(np.dtype("f4")), Region.of((1920,)), Key(1))
        assert same_bits(out, drawn(way, LAWS[0], Key(1), Region.of((1920,)), "f4"))


def test_unaligned_output(way: Any) -> None:
    """A field of a packed record lies at odd addresses."""
    records = np.zeros(1000, np.dtype([("tag", "u1"), ("weight", "f4")]))
    way(records["weight"], LAWS[0].sampler(np.dtype("f4")), Region.of((1000,)), Key(1))
    assert same_bits(np.ascontiguousarray(records["weight"]), drawn(way, LAWS[0], Key(1), Region.of((1000,)), "f4"))
    assert not records["tag"].any()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("size", [0, 1, 2, 3, 5, 63, 64, 65, 127, 1023, 1024, 1025, 4097])
def test_odd_sizes_and_starts(dtype: Any, size: int) -> None:
    for start in (0, 1, 2, 3, 1021, 2**32 - 2, 2**34 - 3):
        region = Region.of((start + size + 1,), (slice(start, start + size),))
        expected = _by_index(LAWS[2], Key(3), dtype, list(range(start, start + size)))
        assert same_bits(drawn(WAYS["compiled"], LAWS[2], Key(3), region, dtype), expected)


@pytest.mark.parametrize("edge", [2**31, 2**32, 2**34, 2**36, 2**62])
def test_around_the_edges(edge: int, way: Any) -> None:
    """Elements edge - 2 .. edge + 2 of a tensor of exactly that many or just more elements, in every dtype.

    2^34 is where the counter's low word wraps; rejects an index or counter of 32 bits.
    """
    for dtype in DTYPES:
        region = Region.of((edge + 3,), (slice(edge - 2, edge + 3),))
        assert same_bits(
            drawn(way, LAWS[3], Key(8), region, dtype),
            _by_index(LAWS[3], Key(8), dtype, list(range(edge - 2, edge + 3))),
        )


def test_last_element_of_the_largest_tensor(way: Any) -> None:
    region = Region.of((2**63,), (slice(2**63 - 3, 2**63),))
    for dtype in DTYPES:
        assert same_bits(
            drawn(way, LAWS[0], Key(8), region, dtype), _by_index(LAWS[0], Key(8), dtype, list(range(2**63 - 3, 2**63)))
        )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_chunks_make_the_whole(dtype: Any) -> None:
    """A tensor filled in chunks of odd sizes, as a file is, equals the one filled in one go."""
    initializer = gpuinit.HeNormal(seed=7)
    shape = (131, 61)
    whole = initializer(shape, dtype)
    pieces = poisoned(shape, dtype)
    for start in range(0, 131, 17):
        rows = slice(start, min(start + 17, 131))
        initializer.fill(pieces[rows], shape=shape, block=(rows,))
    assert same_bits(pieces, whole)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_thread_count_and_piece_do_not_matter(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    before = threads.get_num_threads()
    regions = [
        Region.of((20011,)),
        Region.of((2**33, 61), (slice(2**32 - 9, 2**32 + 90), slice(3, 50))),
        Region.of((2**40, 37), None, [2**39, 5, 2**31 - 1] * 30),
    ]
    try:
        threads.set_num_threads(count)
        for region, dtype in itertools.product(regions, ("f4", "f8", "c8", "c16", DTYPES[3])):
            expected = drawn(WAYS["specification"], LAWS[2], Key(4), region, dtype)
            for piece in (97, 1021, 4096, 2**19):
                monkeypatch.setattr(threads, "PIECE", piece)
                assert same_bits(drawn(WAYS["compiled"], LAWS[2], Key(4), region, dtype), expected), (region, dtype, piece)
    finally:
        threads.set_num_threads(before)


@pytest.mark.parametrize(
    "dtype", [d for d in DTYPES if d.name in ("bfloat16", "float16", "float8_e4m3fn", "float8_e5m2")], ids=str
)
@pytest.mark.parametrize("law", LAWS[:7], ids=str)
def test_narrow_types_are_float32_rounded_once(law: Any, dtype: Any, way: Any) -> None:
    """min(max(round(x), lo), hi) of the float32 value; rejects rounding by truncation, and rounding past a bound."""
    region = Region.of((5000,))
    single = drawn(way, law, Key(2), region, np.float32)
    sampler = law.sampler(dtype)
    rounded = single.astype(dtype).astype(np.float32)
    low, high = sampler.reals[3], sampler.reals[4]
    assert same_bits(drawn(way, law, Key(2), region, dtype), np.minimum(np.maximum(rounded, low), high).astype(dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, DTYPES[3], DTYPES[4], np.complex64], ids=str)
@pytest.mark.parametrize("shift", [0, 4, 64])
def test_large_fills_that_stream(dtype: Any, shift: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing past the caches gives the same elements, whatever the alignment, and touches nothing beside them."""
    itemsize = np.dtype(dtype).itemsize
    memory = poisoned((64 + 40_000 * itemsize + 64 * itemsize,), np.uint8)
    start = -memory.ctypes.data % 64 + shift * itemsize
    out = memory[start : start + 40_000 * itemsize].view(dtype)
    monkeypatch.setattr(compiled, "STREAM", 0)
    compiled.fill(out, LAWS[0].sampler(out.dtype), Region.of((40_000,)), Key(6))
    assert same_bits(out, drawn(WAYS["specification"], LAWS[0], Key(6), Region.of((40_000,)), dtype))
    assert set(memory[:start].tobytes() + memory[start + out.nbytes :].tobytes()) <= {0xCA}


def test_growing_a_table_keeps_its_rows() -> None:
    initializer = gpuinit.RandomNormal(seed=3)
    assert same_bits(initializer((1000, 24))[:700], initializer((700, 24)))


def test_fortran_order_output_gets_the_same_elements() -> None:
    initializer = gpuinit.GlorotUniform(seed=11)
    out = np.asfortranarray(poisoned((37, 53), np.float32))
    assert initializer.fill(out) is out
    assert same_bits(np.ascontiguousarray(out), initializer((37, 53)))


def test_every_dtype_is_here() -> None:
    assert {dtype.name for dtype in DTYPES} == set(dtypes.RANDOM)
