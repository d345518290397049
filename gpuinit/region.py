"""Which elements of a logical tensor are wanted: all, a block, rows by id, or rows of a block."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuinit.key import integer

__all__ = ["Region", "checked_shape"]

MOST_ELEMENTS = 2**63


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """A box of a logical tensor of the given shape, its first axis possibly picked by ids.

    `starts` and `counts` describe the box, an entry an axis. Where `rows` (int64 ids, any order, repeats allowed) is given, it
    stands in place of the first axis, whose start is 0 and whose count is len(rows).
    """

    logical: tuple[int, ...]
    starts: tuple[int, ...]
    counts: tuple[int, ...]
    rows: np.ndarray[Any, Any] | None = None

    @classmethod
    def of(cls, shape: tuple[int, ...], block: Any = None, rows: Any = None) -> Region:
        """The region that the arguments `block=` and `rows=` of an initializer name; `shape` is already checked."""
        if block is None and rows is None:
            return cls(shape, (0,) * len(shape), shape)
        starts, counts = _checked_block(shape, block)
        if rows is None:
            return cls(shape, starts, counts)
        if not shape:
            raise ValueError("rows= needs a tensor with at least one axis, and shape is ()")
        if block is not None and counts[0] != shape[0]:
            raise ValueError(f"block={block!r}: with rows= the first slice must be full, as rows picks axis 0")
        ids = _checked_rows(rows, shape[0])
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

    def components(self, parts: int) -> Region:
        """The same region with each element split into `parts` consecutive ones (2: real and imaginary part)."""
        if parts == 1:
            return self
        return Region((*self.logical, parts), (*self.starts, 0), (*self.counts, parts), self.rows)

    def strides(self) -> tuple[int, ...]:
        """How far apart neighbours along each axis are, in elements of the logical tensor."""
        strides = [1]
        for length in self.logical[:0:-1]:
            strides.append(strides[-1] * length)
        return tuple(reversed(strides))[: len(self.logical)] if self.logical else ()

    def indices(self, start: int, stop: int) -> np.ndarray[Any, Any]:
        """The linear indices (uint64, C order of the logical tensor) of its elements start .. stop - 1."""
        position = np.arange(start, stop, dtype=np.uint64)
        index = np.zeros(stop - start, np.uint64)
        for axis in reversed(range(len(self.counts))):
            coordinate, position = self._step(position, axis)
            index += coordinate * np.uint64(self.strides()[axis])
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
    """`shape` as a tuple of ints: a tuple or list of dimensions, or one dimension; at most 2^63 elements."""
    dims = shape if type(shape) is tuple else None
    for length in shape if dims is not None else ():
        if type(length) is not int:
            dims = None
            break
    if dims is None:
        dims = _checked_slowly(shape)
    if dims and min(dims) < 0:
        raise ValueError(f"shape={dims}: dimensions must be >= 0")
    if math.prod(dims) > MOST_ELEMENTS:
        raise ValueError(f"shape={dims} has {math.prod(dims)} elements; the most is 2^63")
    return dims


def _checked_slowly(shape: Any) -> tuple[int, ...]:
    if isinstance(shape, (int, np.integer)) and not isinstance(shape, bool):
        return (int(shape),)
    if isinstance(shape, (str, bytes)) or not hasattr(shape, "__iter__"):
        raise TypeError(f"shape={shape!r} is not a shape: it must be a tuple of integers >= 0")
    return tuple(integer(d, f"shape={tuple(shape)!r}: dimension") for d in shape)


def _checked_block(shape: tuple[int, ...], block: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if block is None:
        return (0,) * len(shape), shape
    if isinstance(block, slice):
        block = (block,)
    if not isinstance(block, (tuple, list)) or not all(isinstance(part, slice) for part in block):
        raise TypeError(f"block={block!r} is not a block: it must be a tuple of slices, one an axis")
    if len(block) > len(shape):
        raise ValueError(f"block={block!r} has {len(block)} slices, and shape={shape} only {len(shape)} axes")
    starts, counts = [], []
    for axis, length in enumerate(shape):
        part = block[axis] if axis < len(block) else slice(None)
        start = 0 if part.start is None else integer(part.start, f"block: start of axis {axis}")
        stop = length if part.stop is None else integer(part.stop, f"block: stop of axis {axis}")
        if part.step is not None and integer(part.step, f"block: step of axis {axis}") != 1:
            raise ValueError(f"block={block!r}: the step of axis {axis} is {part.step}; it must be 1 or None")
        if not 0 <= start <= stop <= length:
            raise ValueError(f"block={block!r}: axis {axis} of shape={shape} needs 0 <= start <= stop <= {length}")
        starts.append(start)
        counts.append(stop - start)
    return tuple(starts), tuple(counts)


def _checked_rows(rows: Any, length: int) -> np.ndarray[Any, Any]:
    ids = np.asarray(rows)
    if ids.ndim != 1:
        raise ValueError(f"rows has shape {ids.shape}: it must be a 1-D array of row ids")
    if ids.size == 0 and ids.dtype.kind == "f" and not isinstance(rows, np.ndarray):
        ids = ids.astype(np.int64)  # an empty list
    if ids.dtype.kind not in "iu":
        raise TypeError(f"rows has dtype {ids.dtype}: row ids must be integers")
    wrong = (ids < 0) | (ids >= length) if length < 2**63 else ids < 0
    if wrong.any():
        place = int(np.argmax(wrong))
        raise IndexError(
            f"rows[{place}]={ids[place]} is not a row of a tensor with {length} rows; ids run from 0 to {length - 1}"
        )
    return np.ascontiguousarray(ids, dtype=np.int64)
