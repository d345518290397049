"""Which elements of a logical tensor are wanted: all, a block, rows by id, or rows of a block."""

from __future__ import annotations

import math
import reprlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuinit.key import integer, shown

__all__ = ["Region", "checked_rows", "checked_shape"]

MOST_ELEMENTS = 2**63


@dataclass(slots=True, eq=False)  # not frozen: that takes a microsecond of every call
class Region:
    """A box of a logical tensor of the given shape, its first axis possibly picked by ids.

    `starts` and `counts` describe the box, an entry an axis. Where `rows` (ids in any order, repeats allowed: a NumPy array of
    int64, or what a backend's own check gave) is there, it stands in place of the first axis, whose start is 0 and whose
    count is len(rows).
    """

    logical: tuple[int, ...]
    starts: tuple[int, ...]
    counts: tuple[int, ...]
    rows: Any = None

    @classmethod
    def of(cls, shape: tuple[int, ...], block: Any = None, rows: Any = None, check: Any = None) -> Region:
        """The region that the arguments `block=` and `rows=` of an initializer name; `shape` is already checked.

        `check(rows, length)` gives the ids as a backend takes them, each in 0 .. length - 1; None means `checked_rows`.
        """
        if block is None and rows is None:
            return cls(shape, (0,) * len(shape), shape)
        starts, counts = _checked_block(shape, block)
        if rows is None:
            return cls(shape, starts, counts)
        if not shape:
            raise ValueError("rows= needs a tensor with at least one axis, and shape is ()")
        if block is not None and counts[0] != shape[0]:
            raise ValueError(f"block={block!r}: with rows= the first slice must be full, as rows picks axis 0")
        ids = (check or checked_rows)(rows, shape[0])
        return cls(shape, (0, *starts[1:]), (len(ids), *counts[1:]), ids)

    @property
    def whole(self) -> bool:
        """Whether it is the whole tensor in its own order."""
        return self.rows is None and self.counts == self.logical

    @property
    def size(self) -> int:
        """How many elements it has."""
        return math.prod(self.counts)

    @property
    def slices(self) -> tuple[Any, ...]:
        """The index that picks it out of the whole tensor."""
        box = tuple(slice(start, start + count) for start, count in zip(self.starts, self.counts, strict=True))
        return box if self.rows is None else (self.rows, *box[1:])

    def along(self, axes: tuple[int, ...]) -> Region:
        """The same region of some of its axes alone, in the order given; rows by id belong to axis 0."""
        logical, starts, counts = (tuple(each[axis] for axis in axes) for each in (self.logical, self.starts, self.counts))
        return Region(logical, starts, counts, self.rows if 0 in axes else None)

    def components(self, parts: int) -> Region:
        """The same region with each element split into `parts` consecutive ones (2: real and imaginary part)."""
        if parts == 1:
            return self
        return Region((*self.logical, parts), (*self.starts, 0), (*self.counts, parts), self.rows)

    def strides(self) -> tuple[int, ...]:
        """How far apart neighbours along each axis are, in elements of the logical tensor; zeros where it has none."""
        if 0 in self.logical:
            return (0,) * len(self.logical)
        strides = [1]
        for length in self.logical[:0:-1]:
            strides.append(strides[-1] * length)
        return tuple(reversed(strides))[: len(self.logical)]

    def indices(self, start: int, stop: int) -> np.ndarray[Any, Any]:
        """The linear indices (uint64, C order of the logical tensor) of its elements start .. stop - 1."""
        position = np.arange(start, stop, dtype=np.uint64)
        index = np.zeros(stop - start, np.uint64)
        strides = self.strides()
        for axis in reversed(range(len(self.counts))):
            coordinate, position = self._step(position, axis)
            index += coordinate * np.uint64(strides[axis] % 2**64)  # 2^64 where parts of 2^63 elements stand in one row
        return index

    def _step(self, position: Any, axis: int) -> tuple[Any, Any]:
        if axis == 0:
            coordinate, rest = position, position
        else:
            rest, coordinate = np.divmod(position, np.uint64(self.counts[axis]))
        if axis == 0 and self.rows is not None:
            return self.rows.view(np.uint64)[coordinate.astype(np.intp)], rest
        return coordinate + np.uint64(self.starts[axis]), rest


def checked_shape(shape: Any) -> tuple[int, ...]:
    """`shape` as a tuple of ints: an iterable of dimensions, or one dimension; each, and their product, at most 2^63."""
    dims = shape if type(shape) is tuple else None
    for length in shape if dims is not None else ():
        if type(length) is not int:
            dims = None
            break
    if dims is None:
        dims = _dimensions(shape)
    if dims and min(dims) < 0:
        raise ValueError(f"shape={_shown(dims)}: dimensions must be >= 0")
    size = math.prod(dims)
    if size > MOST_ELEMENTS:
        raise ValueError(f"shape={_shown(dims)} has {shown(size)} elements; the most is 2^63")
    if size == 0 and max(dims) > MOST_ELEMENTS:
        raise ValueError(f"shape={_shown(dims)} has a dimension of {shown(max(dims))}; the most is 2^63")
    return dims


def _dimensions(shape: Any) -> tuple[int, ...]:
    """The dimensions as ints, whatever iterable has them; it is read once."""
    dims: tuple[Any, ...] | None
    try:
        dims = None if isinstance(shape, (int, str, bytes, bytearray, set, frozenset, dict)) else tuple(shape)
    except TypeError:  # not iterable
        dims = None
    if dims is not None:
        return tuple(integer(length, f"shape: dimension {axis}") for axis, length in enumerate(dims))
    try:
        return (integer(shape, "shape"),)
    except TypeError:
        raise TypeError(f"shape={shape!r} is not a shape: it must be a tuple of integers >= 0") from None


def _shown(dims: tuple[int, ...]) -> str:
    return "(" + ", ".join(map(shown, dims)) + ("," if len(dims) == 1 else "") + ")"


def _checked_block(shape: tuple[int, ...], block: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The starts and counts of the box that `block` names."""
    if block is None:
        return (0,) * len(shape), shape
    if isinstance(block, slice):
        block = (block,)
    if not isinstance(block, (tuple, list)) or not all(isinstance(part, slice) for part in block):
        raise TypeError(f"block={block!r} is not a block: it must be a tuple of slices, one an axis")
    if len(block) > len(shape):
        raise ValueError(f"block has {len(block)} slices, and shape={shape} only {len(shape)} axes")
    starts, counts = [], []
    for axis, length in enumerate(shape):
        part = block[axis] if axis < len(block) else slice(None)
        start = 0 if part.start is None else integer(part.start, f"block[{axis}].start")
        stop = length if part.stop is None else integer(part.stop, f"block[{axis}].stop")
        step = 1 if part.step is None else integer(part.step, f"block[{axis}].step")
        if step != 1:
            raise ValueError(f"block[{axis}].step={shown(step)}: it must be 1 or None")
        if not 0 <= start <= stop <= length:
            raise ValueError(
                f"block[{axis}]=slice({shown(start)}, {shown(stop)}): axis {axis} of shape={shape} needs "
                f"0 <= start <= stop <= {length}"
            )
        starts.append(start)
        counts.append(stop - start)
    return tuple(starts), tuple(counts)


def checked_rows(rows: Any, length: int) -> np.ndarray[Any, Any]:
    """The row ids as int64, each in 0 .. length - 1; compared as Python compares integers, before any conversion."""
    ids = _integers(rows)
    low, high = (int(ids.min()), int(ids.max())) if ids.size else (0, -1)
    if low < 0 or high >= length:
        wrong = np.zeros(ids.shape, bool)
        if low < 0:
            wrong |= ids < 0
        if high >= length:
            wrong |= ids >= length
        place = int(np.argmax(wrong))
        allowed = f"ids run from 0 to {length - 1}, none from the end" if length else "it has no row ids"
        raise IndexError(f"rows[{place}]={shown(int(ids[place]))} is not a row of a tensor with {length} rows; {allowed}")
    return np.require(ids, np.int64, ("C", "A"))


def _integers(rows: Any) -> np.ndarray[Any, Any]:
    """`rows` as a 1-D array of an integer dtype, or of Python ints where NumPy would make something else of them."""
    try:
        ids = np.asarray(rows)
    except ValueError:  # lists of unequal lengths
        raise ValueError(f"rows={reprlib.repr(rows)}: it must be a 1-D array of row ids") from None
    if ids.ndim != 1:
        raise ValueError(f"rows has shape {ids.shape}: it must be a 1-D array of row ids")
    given = isinstance(rows, np.ndarray)
    mixed = isinstance(rows, (list, tuple)) and set(map(type, rows)) != {int}
    if ids.dtype.kind == "O" or mixed or (ids.dtype.kind == "f" and not given):  # [-1, 2**63] becomes float64
        each = enumerate(np.asarray(rows, object))
        return np.array([integer(value, f"rows[{place}]") for place, value in each], object)
    if ids.dtype.kind not in "iu":
        raise TypeError(f"rows has dtype {ids.dtype}: row ids must be integers")
    return ids
