"""Shapes, blocks and row ids: every refusal with its message, and which elements a region has, against NumPy's indexing."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from conftest import LAWS, poisoned
from hypothesis import given, settings
from hypothesis import strategies as st

import gpuinit
from gpuinit import Key
from gpuinit.fans import compute_fans
from gpuinit.region import MOST_ELEMENTS, Region, checked_shape

INTEGERS = [*(np.dtype(f"{kind}{size}") for kind in "iu" for size in (1, 2, 4, 8)), *map(np.dtype, (">i4", ">u2", ">i8", ">u8"))]
HUGE = 10**5000
"""More digits than Python writes (sys.get_int_max_str_digits), so that a message with it as it is would be another error."""


# Shapes


class Sized:
    """A dimension that is an integer by `__index__` alone."""

    def __index__(self) -> int:
        return 3


@pytest.mark.parametrize(
    "shape",
    [
        (3, 4),
        [3, 4],
        iter([3, 4]),
        map(int, "34"),
        (d for d in (3, 4)),
        range(3, 5),
        np.array([3, 4]),
        np.array([3, 4], ">u2"),
        (np.int8(3), np.uint64(4)),
        (Sized(), 4),
        np.empty((3, 4)).shape,
    ],
    ids=lambda shape: type(shape).__name__,
)
def test_shapes_of_every_kind(shape: Any) -> None:
    """Rejects a check that reads a generator twice: the second time it is empty, and the tensor a scalar."""
    checked = checked_shape(shape)
    assert checked == (3, 4)
    assert type(checked) is tuple and all(type(length) is int for length in checked)


def test_a_generator_is_a_shape_of_a_call() -> None:
    expected = gpuinit.HeNormal(seed=1)((3, 4))
    assert np.array_equal(gpuinit.HeNormal(seed=1)(d for d in (3, 4)), expected)  # type: ignore[arg-type, unused-ignore]


@pytest.mark.parametrize("shape", [5, np.int16(5), np.array(5), Sized()], ids=lambda shape: type(shape).__name__)
def test_one_dimension_is_a_shape(shape: Any) -> None:
    assert checked_shape(shape) == (int(np.asarray(shape.__index__())),)


@pytest.mark.parametrize("shape", ["34", b"34", None, True, 3.0, np.True_, {3, 4}, {3: 4}, np.array(3.0)], ids=repr)
def test_what_is_no_shape(shape: Any) -> None:
    """Rejects characters and sets (whose order is nobody's) as dimensions."""
    with pytest.raises(TypeError, match=rf"^shape={re.escape(repr(shape))} is not a shape: it must be a tuple of integers >= 0$"):
        checked_shape(shape)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 4.0), "shape: dimension 1=4.0 is not an integer"),
        ((True, 4), "shape: dimension 0=True is a bool: it must be an integer"),
        ([3, np.True_], "shape: dimension 1="),
        ((3, None), "shape: dimension 1=None is not an integer"),
        (["3"], "shape: dimension 0='3' is not an integer"),
        (np.array([1.0, 2.0]), "shape: dimension 0="),
        ([[3, 4]], "shape: dimension 0=[3, 4] is not an integer"),
        (iter([HUGE, 1.5]), "shape: dimension 1=1.5 is not an integer"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_dimensions_are_integers(shape: Any, message: str) -> None:
    with pytest.raises(TypeError, match="^" + re.escape(message)):
        checked_shape(shape)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((-1,), "shape=(-1,): dimensions must be >= 0"),
        ((-2, -3), "shape=(-2, -3): dimensions must be >= 0"),  # whose product is positive
        ((0, -1), "shape=(0, -1): dimensions must be >= 0"),
        ([4, np.int64(-1)], "shape=(4, -1): dimensions must be >= 0"),
        ((-HUGE,), "shape=(about -10^5000,): dimensions must be >= 0"),
        ((2**63 + 1,), "shape=(9223372036854775809,) has 9223372036854775809 elements; the most is 2^63"),
        ((2**32, 2**32), "shape=(4294967296, 4294967296) has 18446744073709551616 elements; the most is 2^63"),
        (10**30, f"shape=({10**30},) has {10**30} elements; the most is 2^63"),
        ((2**60,) * 400, "has about 10^7225 elements; the most is 2^63"),
        ((10**200,), "shape=(about 10^200,) has about 10^200 elements; the most is 2^63"),
        ((HUGE, 1), "shape=(about 10^5000, 1) has about 10^5000 elements; the most is 2^63"),
        ((10**30, 0), f"shape=({10**30}, 0) has a dimension of {10**30}; the most is 2^63"),
        ([0, 2**63 + 1], "shape=(0, 9223372036854775809) has a dimension of 9223372036854775809; the most is 2^63"),
        ((0, HUGE), "shape=(0, about 10^5000) has a dimension of about 10^5000; the most is 2^63"),
    ],
    ids=lambda value: value[:50] if isinstance(value, str) else "",
)
def test_dimensions_that_cannot_be(shape: Any, message: str) -> None:
    """Rejects a check of the product alone, behind which a 0 or a second negative dimension hides the rest."""
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        checked_shape(shape)
    assert str(caught.value).startswith("shape=")
    with pytest.raises(ValueError, match=r"^shape="):
        gpuinit.HeNormal(seed=1)(shape)
    with pytest.raises(ValueError, match=r"^shape="):
        gpuinit.Zeros()(shape)


@pytest.mark.parametrize("shape", [(), (0,), (2**63,), (2**31, 2**32), (1, 2**63, 1), (0, 2**63), (2**40, 2**40, 0), (0, 0)])
def test_dimensions_up_to_the_limit(shape: tuple[int, ...]) -> None:
    assert checked_shape(shape) is shape  # a tuple of ints is not copied: calls are cheap


@pytest.mark.parametrize("shape", [(0, 2**40, 2**40), (2**62, 2**62, 0), (2**63, 0)])
def test_an_empty_part_of_a_wide_empty_tensor(shape: tuple[int, ...], way: Callable[..., None]) -> None:
    """Rejects strides and offsets that overflow though no element has them."""
    ends = tuple(slice(length - min(length, 2), length) for length in shape)
    region = Region.of(shape, ends)
    out = poisoned(region.counts, "f4")
    way(out, LAWS[0].sampler(out.dtype), region, Key(1))
    assert gpuinit.HeNormal(seed=1)(shape, block=ends).shape == tuple(min(length, 2) for length in shape)


# What axes may be asked for


@pytest.mark.parametrize("axes", [[0] * 30, [0, 0], [0, -2], [1, -1], (-1, 0, 1)])
def test_an_axis_counts_once_in_a_fan(axes: list[int]) -> None:
    """Rejects a product over repeated axes, which grows beyond any float."""
    for name, arguments in (("input_axes", (axes, [1])), ("output_axes", ([0], axes))):
        message = f"{name}={list(axes)} names an axis of shape=(1099511627776, 128) twice"
        with pytest.raises(ValueError, match=re.escape(message)):
            compute_fans((2**40, 128), *arguments)
        with pytest.raises(ValueError, match=name):
            gpuinit.HeNormal(1, *arguments)((2**40, 128), rows=[0])
    assert compute_fans((3, 4), axes) == (3, 4)  # one argument alone is ignored
    assert compute_fans((3, 4), [0, 1], [1, 0]) == (12, 12)  # an axis may serve both


def test_axes_are_integers() -> None:
    for axis in (0.0, True, "0"):
        with pytest.raises(TypeError, match="input_axes: axis="):
            compute_fans((3, 4), [axis], [1])  # type: ignore[list-item]
    assert compute_fans((3, 4), iter([np.int8(-1)]), (d for d in [0])) == (4, 3)  # type: ignore[arg-type]


def test_a_fan_beyond_every_float() -> None:
    """Of an empty tensor: ValueError, not the OverflowError of a division."""
    shape = (2**62,) * 20 + (0,)
    with pytest.raises(ValueError, match=r"^shape=.* fan"):
        gpuinit.GlorotNormal(seed=1)(shape, block=(slice(0, 1),) * 20)
    assert compute_fans((2**62, 2**62, 0)) == (2**124, 0)


# Blocks


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (3, "block=3 is not a block: it must be a tuple of slices, one an axis"),
        ((slice(None), 3), "block=(slice(None, None, None), 3) is not a block: it must be a tuple of slices, one an axis"),
        ((1, 2), "block=(1, 2) is not a block"),
        ("01", "block='01' is not a block"),
        (Ellipsis, "block=Ellipsis is not a block"),
        ((..., slice(2)), "block=(Ellipsis, slice(None, 2, None)) is not a block"),
        ((slice(2), None), "block=(slice(None, 2, None), None) is not a block"),
        (((0, 2), (0, 3)), "block=((0, 2), (0, 3)) is not a block"),
        (np.array([0, 1]), "block=array([0, 1]) is not a block"),
        (np.s_[[0, 1], :], "block=([0, 1], slice(None, None, None)) is not a block"),
        ((slice(0.0, 2),), "block[0].start=0.0 is not an integer"),
        ((slice("0", 2),), "block[0].start='0' is not an integer"),
        ((slice(2), slice(0, 3.0)), "block[1].stop=3.0 is not an integer"),
        ((slice(True, 2),), "block[0].start=True is a bool: it must be an integer"),
        ((slice(0, True),), "block[0].stop=True is a bool: it must be an integer"),
        ((slice(0, np.True_),), "block[0].stop="),
        ((slice(0, 2, True),), "block[0].step=True is a bool: it must be an integer"),
        ((slice(0, 2, 1.0),), "block[0].step=1.0 is not an integer"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_block(block: Any, message: str) -> None:
    with pytest.raises(TypeError, match="^" + re.escape(message)):
        Region.of((5, 6), block)


NEEDS_5, NEEDS_6 = (f"axis {axis} of shape=(5, 6) needs 0 <= start <= stop <= {5 + axis}" for axis in (0, 1))


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ((slice(0, 5, 2),), "block[0].step=2: it must be 1 or None"),
        ((slice(None), slice(None, None, -1)), "block[1].step=-1: it must be 1 or None"),
        ((slice(0, 0, 0),), "block[0].step=0: it must be 1 or None"),
        ((slice(0, 5, HUGE),), "block[0].step=about 10^5000: it must be 1 or None"),
        ((slice(-1, None),), f"block[0]=slice(-1, 5): {NEEDS_5}"),
        ((slice(0, -1),), f"block[0]=slice(0, -1): {NEEDS_5}"),
        (slice(-5, -1), f"block[0]=slice(-5, -1): {NEEDS_5}"),
        ((slice(0, 6),), f"block[0]=slice(0, 6): {NEEDS_5}"),
        ((slice(6, 6),), f"block[0]=slice(6, 6): {NEEDS_5}"),
        ((slice(6, None),), f"block[0]=slice(6, 5): {NEEDS_5}"),
        ((slice(3, 2),), f"block[0]=slice(3, 2): {NEEDS_5}"),
        ((slice(None), slice(0, 7)), f"block[1]=slice(0, 7): {NEEDS_6}"),
        ((slice(None), slice(np.int8(-1), np.uint8(2))), f"block[1]=slice(-1, 2): {NEEDS_6}"),
        ((slice(0, HUGE),), f"block[0]=slice(0, about 10^5000): {NEEDS_5}"),
        ((slice(2), slice(2), slice(None)), "block has 3 slices, and shape=(5, 6) only 2 axes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_blocks_that_cannot_be(block: Any, message: str) -> None:
    """Rejects Python's own reading of a slice, which cuts it to the axis and counts negative ones from the end."""
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        Region.of((5, 6), block)
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        gpuinit.Zeros().fill(np.empty((5, 6)), shape=(5, 6), block=block)


@pytest.mark.parametrize(
    ("block", "starts", "counts"),
    [
        ((), (0, 0), (5, 6)),
        ([], (0, 0), (5, 6)),
        (slice(1, 3), (1, 0), (2, 6)),
        ([slice(1, 3), slice(4, None)], (1, 4), (2, 2)),
        ((slice(None, None, None), slice(None, 4, 1)), (0, 0), (5, 4)),
        ((slice(np.uint64(1), np.int8(3), np.int64(1)),), (1, 0), (2, 6)),
        ((slice(5, 5), slice(0, 0)), (5, 0), (0, 0)),
        ((slice(0, 5), slice(0, 6)), (0, 0), (5, 6)),
    ],
)
def test_blocks(block: Any, starts: tuple[int, ...], counts: tuple[int, ...]) -> None:
    region = Region.of((5, 6), block)
    assert (region.starts, region.counts, region.rows) == (starts, counts, None)
    assert all(type(number) is int for number in (*region.starts, *region.counts))
    assert region.whole == (counts == (5, 6))


def test_a_scalar_has_the_empty_block_and_no_rows() -> None:
    for region in (Region.of(()), Region.of((), ())):
        assert (region.whole, region.size, region.slices, region.strides()) == (True, 1, (), ())
        assert region.indices(0, 1).tolist() == [0]
    assert gpuinit.Ones()((), block=()).shape == ()
    with pytest.raises(ValueError, match=r"^block has 1 slices, and shape=\(\) only 0 axes$"):
        Region.of((), (slice(None),))
    for block in (None, ()):
        with pytest.raises(ValueError, match=r"^rows= needs a tensor with at least one axis, and shape is \(\)$"):
            Region.of((), block, [0])


# Rows


@pytest.mark.parametrize("first", [slice(0, 4), slice(1, None), slice(1, 5), slice(0, 0)])
def test_rows_need_a_full_first_slice(first: slice) -> None:
    with pytest.raises(ValueError, match=r"^block=\(slice.*: with rows= the first slice must be full, as rows picks axis 0$"):
        Region.of((5, 6), (first, slice(2)), [1])


@pytest.mark.parametrize("first", [slice(None), slice(0, 5), slice(0, None, 1), slice(np.int8(0), np.int64(5))])
def test_rows_with_a_full_first_slice(first: slice) -> None:
    region = Region.of((5, 6), (first, slice(2, 4)), [4, 4, 1])
    assert (region.starts, region.counts, region.whole) == ((0, 2), (3, 2), False)
    assert region.indices(0, 6).tolist() == [26, 27, 26, 27, 8, 9]


@pytest.mark.parametrize("dtype", INTEGERS, ids=lambda dtype: dtype.str)
def test_rows_of_every_integer_dtype(dtype: np.dtype[Any]) -> None:
    """Rejects a bytewise view of ids in the other byte order."""
    for rows in (np.array([3, 0, 3, 1], dtype), np.array([3, 9, 0, 9, 3, 9, 1], dtype)[::2]):
        kept = Region.of((4, 2), None, rows).rows
        assert kept is not None and kept.tolist() == [3, 0, 3, 1]
        assert kept.dtype == np.int64 and kept.dtype.isnative and kept.flags.c_contiguous


@pytest.mark.parametrize(
    "rows",
    [
        [3, 0, 1],
        (3, 0, 1),
        np.array([3, 0, 1], object),
        [np.int8(3), np.uint64(0), 1],
        [Sized(), 0, 1],
        np.array([3, 0, 1]).astype(">i2"),
        np.frombuffer(b"\0" + np.array([3, 0, 1], np.int64).tobytes(), np.int64, offset=1),  # not aligned, read-only
        memoryview(np.array([3, 0, 1], np.int32)),
    ],
)
def test_rows_of_every_kind(rows: Any) -> None:
    kept = Region.of((4, 2), None, rows).rows
    assert kept is not None and kept.tolist() == [3, 0, 1]
    assert kept.dtype == np.int64 and kept.flags.aligned
    assert np.array_equal(gpuinit.HeNormal(1)((4, 2), rows=rows), gpuinit.HeNormal(1)((4, 2))[[3, 0, 1]])


@pytest.mark.parametrize("rows", [[], (), np.array([], np.uint8), np.array([], np.int64), range(0)], ids=repr)
@pytest.mark.parametrize("length", [0, 5, 2**63])
def test_no_rows(rows: Any, length: int) -> None:
    """Rejects the float64 that NumPy makes of an empty list."""
    region = Region.of((length, 0), None, rows)
    assert region.counts == (0, 0) and region.rows is not None and region.rows.dtype == np.int64


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.array([True, False]), "rows has dtype bool: row ids must be integers"),
        (np.array([], bool), "rows has dtype bool: row ids must be integers"),
        (np.array([1.0, 2.0]), "rows has dtype float64: row ids must be integers"),
        (np.array([], np.float32), "rows has dtype float32: row ids must be integers"),
        (np.array(["1"]), "rows has dtype <U1: row ids must be integers"),
        (np.array([1], "m8[s]"), "rows has dtype timedelta64[s]: row ids must be integers"),
        ("12", None),
        ([True, False], "rows[0]=True is a bool: it must be an integer"),
        ([1, True], "rows[1]=True is a bool: it must be an integer"),  # which NumPy reads as [1, 1]
        ([1, np.True_], "rows[1]="),
        ([1, 2.0], "rows[1]=2.0 is not an integer"),
        ([1.5], "rows[0]=1.5 is not an integer"),
        ([2**64, 1.5], "rows[1]=1.5 is not an integer"),
        ([1, None], "rows[1]=None is not an integer"),
        (["1"], "rows[0]='1' is not an integer"),
        ([1j], "rows[0]=1j is not an integer"),
        (np.array([1, 2.5], object), "rows[1]=2.5 is not an integer"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_row_ids_are_integers(rows: Any, message: str | None) -> None:
    """Rejects masks, and rounding what NumPy turned into floats or bools into ints."""
    with pytest.raises(ValueError if message is None else TypeError, match="^" + re.escape(message or "rows has shape ()")):
        Region.of((5, 6), None, rows)


@pytest.mark.parametrize(
    ("rows", "shown"),
    [
        (3, "rows has shape ()"),
        (np.array(3), "rows has shape ()"),
        ([[1, 2]], "rows has shape (1, 2)"),
        (np.array([[1], [2]]), "rows has shape (2, 1)"),
        (np.empty((0, 2), int), "rows has shape (0, 2)"),
        ([[]], "rows has shape (1, 0)"),
        (iter([1, 2]), "rows has shape ()"),
        ({1, 2}, "rows has shape ()"),
        ([[1], [1, 2]], "rows=[[1], [1, 2]]"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_row_ids_are_a_line(rows: Any, shown: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(f"{shown}: it must be a 1-D array of row ids") + "$"):
        Region.of((5, 6), None, rows)


@pytest.mark.parametrize(
    ("length", "rows", "place", "shown"),
    [
        (5, [5], 0, "5"),
        (5, [0, 4, -1], 2, "-1"),
        (5, [4, -5, 7], 1, "-5"),
        (5, np.array([0, 200], np.uint8), 1, "200"),
        (5, np.array([1, -128], np.int8), 1, "-128"),
        (1000, np.array([127, -1], np.int8), 1, "-1"),  # 1000 is no int8
        (2**40, np.array([0, 2**40], np.int64), 1, str(2**40)),
        (2**63 - 1, np.array([2**63 - 1], np.int64), 0, str(2**63 - 1)),
        (2**63 - 1, np.array([2**63 - 1], np.uint64), 0, str(2**63 - 1)),
        (2**63, np.array([2**63 - 1, 2**63], np.uint64), 1, str(2**63)),
        (2**63, np.array([2**64 - 1], ">u8"), 0, str(2**64 - 1)),
        (2**63, np.array([-1], ">i8"), 0, "-1"),
        (2**63, [2**63], 0, str(2**63)),
        (2**53, [2**53, -1], 0, str(2**53)),
        (5, [2**64], 0, str(2**64)),
        (2**63, [2**64], 0, str(2**64)),
        (5, [0, -(2**64)], 1, str(-(2**64))),
        (5, [-1, 2**63], 0, "-1"),
        (2**63, [0, 2**63, -1], 1, str(2**63)),
        (2**63, range(2**63 - 1, 2**63 + 1), 1, str(2**63)),
        (5, np.array([2**64], object), 0, str(2**64)),
        (5, [1, HUGE], 1, "about 10^5000"),
    ],
)
def test_rows_that_are_not_there(length: int, rows: Any, place: int, shown: str) -> None:
    """Rejects positions from the end, and comparing after a conversion to int64 (which wraps) or float64 (which rounds)."""
    message = (
        f"rows[{place}]={shown} is not a row of a tensor with {length} rows; ids run from 0 to {length - 1}, none from the end"
    )
    with pytest.raises(IndexError, match="^" + re.escape(message) + "$"):
        Region.of((length,), None, rows)
    with pytest.raises(IndexError, match=re.escape(message)):
        gpuinit.HeNormal(seed=1)((length,), rows=rows)


@pytest.mark.parametrize("rows", [[0], [-1], np.array([3], np.uint8)])
def test_a_tensor_without_rows(rows: Any) -> None:
    """Rejects "ids run from 0 to -1"."""
    message = f"^{re.escape(f'rows[0]={rows[0]}')} is not a row of a tensor with 0 rows; it has no row ids$"
    with pytest.raises(IndexError, match=message):
        Region.of((0, 4), None, rows)


@st.composite
def _ids_near_a_limit(draw: st.DrawFn) -> tuple[int, np.ndarray[Any, Any]]:
    """A length near a limit of some dtype, and ids of a dtype about it and about 0."""
    dtype = draw(st.sampled_from(INTEGERS))
    limits = [0, 2**7, 2**8, 2**15, 2**16, 2**31, 2**32, 2**53, 2**63]
    length = min(max(draw(st.sampled_from(limits)) + draw(st.integers(-2, 2)), 0), 2**63)
    info = np.iinfo(dtype)
    near = st.sampled_from([0, length, info.min, info.max]).flatmap(lambda n: st.integers(n - 2, n + 2))
    ids = draw(st.lists(near.filter(lambda n: info.min <= n <= info.max), max_size=4))
    return length, np.array(ids, dtype)


@settings(max_examples=400)
@given(_ids_near_a_limit(), st.booleans())
def test_the_range_of_row_ids_is_exact(case: tuple[int, np.ndarray[Any, Any]], listed: bool) -> None:
    """In every dtype and at every length, as arrays and as lists, against Python's integers."""
    length, rows = case
    ids = rows.tolist()
    outside = [place for place, number in enumerate(ids) if not 0 <= number < length]
    if outside:
        with pytest.raises(IndexError, match=rf"^rows\[{outside[0]}\]={ids[outside[0]]} is not a row"):
            Region.of((length,), None, ids if listed else rows)
    else:
        kept = Region.of((length,), None, ids if listed else rows).rows
        assert kept is not None and kept.tolist() == ids


# Which elements a region has


def _block(draw: st.DrawFn, shape: Iterable[int]) -> tuple[slice, ...]:
    starts = [(draw(st.integers(0, length)), length) for length in shape]
    return tuple(slice(start, draw(st.integers(start, length))) for start, length in starts)


@st.composite
def _regions(draw: st.DrawFn) -> tuple[Region, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """A region, the whole tensor of linear indices, and what NumPy picks from it."""
    shape = tuple(draw(st.lists(st.integers(0, 5), max_size=4)))
    whole = np.arange(math.prod(shape)).reshape(shape)
    block = draw(st.sampled_from([None, _block(draw, shape[: draw(st.integers(0, len(shape)))])]))
    rows = None
    if shape and draw(st.booleans()):
        rows = draw(st.lists(st.integers(0, shape[0] - 1), max_size=6)) if shape[0] else []
        block = block and (slice(None), *block[1:])
    picked = whole if block is None else whole[block]
    return Region.of(shape, block, rows), whole, picked if rows is None else picked[np.array(rows, int)]


@given(_regions(), st.data())
def test_a_region_has_the_elements_that_numpy_picks(case: Any, data: st.DataObject) -> None:
    """All its indices and any run of them; rejects the wrong order of axes, and a block's offset lost beside rows."""
    region, whole, picked = case
    assert region.counts == picked.shape and region.size == picked.size and region.logical == whole.shape
    assert np.array_equal(whole[region.slices], picked)
    found = region.indices(0, region.size)
    assert found.dtype == np.uint64 and np.array_equal(found, picked.reshape(-1))
    start = data.draw(st.integers(0, region.size))
    stop = data.draw(st.integers(start, region.size))
    assert np.array_equal(region.indices(start, stop), picked.reshape(-1)[start:stop])
    if region.whole:
        assert np.array_equal(found, np.arange(whole.size))


@given(_regions())
def test_the_strides_are_those_of_the_whole(case: Any) -> None:
    """NumPy's, in bytes of an int8 tensor; rejects strides of the part."""
    region, whole, picked = case
    if whole.size:
        assert region.strides() == np.empty(whole.shape, np.int8).strides
        if picked.size and region.rows is None:
            first = sum(start * step for start, step in zip(region.starts, region.strides(), strict=True))
            corner = first + sum((count - 1) * step for count, step in zip(region.counts, region.strides(), strict=True))
            assert (first, corner) == (picked.min(), picked.max())
    else:
        assert region.strides() == (0,) * whole.ndim


@given(_regions())
def test_components_split_each_element(case: Any) -> None:
    """Real and imaginary parts stand at 2 i and 2 i + 1; rejects parts in planes of their own."""
    region, whole, picked = case
    assert region.components(1) is region
    parts = region.components(2)
    both = np.arange(whole.size * 2).reshape(*whole.shape, 2)
    assert parts.logical == both.shape and parts.counts == (*picked.shape, 2) and parts.whole == region.whole
    assert np.array_equal(both[parts.slices].reshape(-1), parts.indices(0, parts.size))
    assert parts.indices(0, parts.size).tolist() == list(itertools.chain(*((2 * i, 2 * i + 1) for i in picked.flat)))
    assert parts.strides() == (np.empty(both.shape, np.int8).strides if whole.size else (0,) * both.ndim)


@pytest.mark.parametrize("shape", [(2**63,), (1, 2**63), (2**63, 1), (2**31, 2**32), (1, 1, 2**62, 2)])
def test_the_last_elements_of_the_largest_tensors(shape: tuple[int, ...]) -> None:
    """Rejects int64 arithmetic, and strides of components that are 2^64 and do not fit uint64."""
    last = tuple(slice(length - 1, length) for length in shape)
    rows = [shape[0] - 1]
    for region in (Region.of(shape, last), Region.of(shape, (slice(None), *last[1:]), rows)):
        assert region.indices(0, 1).tolist() == [MOST_ELEMENTS - 1]
        assert region.components(2).indices(0, 2).tolist() == [2**64 - 2, 2**64 - 1]


def test_a_region_is_not_whole_by_its_shape_alone() -> None:
    """Rejects a shortcut for all rows in another order."""
    assert not Region.of((3, 2), None, [2, 1, 0]).whole
    assert not Region.of((3, 2), (slice(0, 3), slice(0, 1))).whole
    assert Region.of((3, 2), (slice(0, 3), slice(0, 2))).whole
