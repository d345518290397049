"""What `table[...]` asks for: the block or the row ids that must be made, and the index that is left to be applied to them."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuinit.backends.cuda.arrays import is_on_gpu
from gpuinit.key import shown

__all__ = ["Selection", "select"]


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """The part that is to be made, and what makes the result of it.

    Attributes:
        block: a slice of step 1 an axis; full along the first where there are ids.
        ids: 1-D row ids, not checked yet, or None. ids_shape: the dimensions that they stand for; None means as they are.
        rest: the index (integers and slices, an entry an axis) still to be applied to the part; None if there is none.
    """

    block: tuple[slice, ...]
    ids: Any = None
    ids_shape: tuple[int, ...] | None = None
    rest: tuple[Any, ...] | None = None

    def finish(self, part: Any) -> Any:
        """The result, of the part that was made."""
        if self.rest is not None:
            part = part[self.rest]
        return part if self.ids_shape is None else part.reshape((*self.ids_shape, *part.shape[1:]))


def select(key: Any, shape: tuple[int, ...]) -> Selection:
    """The selection that `array[key]` names for an array of this shape.

    Raises:
        TypeError: an entry is no integer, slice or, for axis 0, array of ids. IndexError: too many entries, or an integer or a
            range out of range; the message says which. MemoryError: there is no room for the ids of a slice or range.
    """
    entries = _entries(key, len(shape))
    block: list[slice] = []
    rest: list[Any] = []
    part: slice
    then: Any
    ids: Any = None
    ids_shape: tuple[int, ...] | None = None
    for axis, (entry, length) in enumerate(zip(entries, shape, strict=True)):
        if isinstance(entry, slice):
            part, then = _covering(entry, axis, length)
            if axis == 0 and then != slice(None):  # far-apart rows: by their ids, without those between them
                ids = _numbers(range(*entry.indices(length)))
                part, then = slice(0, length), slice(None)
        elif (number := _integer(entry)) is not None:
            part, then = slice(number, number + 1), 0
            _check(number, axis, shape)
        elif axis == 0:
            part, then = slice(0, length), slice(None)
            if isinstance(entry, range):
                for number in (entry[0], entry[-1]) if entry else ():
                    _check(number, 0, shape)
                ids = _numbers(entry)
            else:
                ids, ids_shape = _flat(entry)
        else:
            raise TypeError(f"index {axis} is a {type(entry).__name__}: it must be an integer or a slice; ids pick rows alone")
        block.append(part)
        rest.append(then)
    full = all(isinstance(then, slice) and then == slice(None) for then in rest)
    return Selection(tuple(block), ids, ids_shape, None if full else tuple(rest))


def _entries(key: Any, axes: int) -> list[Any]:
    """The index with an entry an axis: an ellipsis stands for, and what is missing is, full slices."""
    given = list(key) if isinstance(key, tuple) else [key]
    if sum(entry is Ellipsis for entry in given) > 1:
        raise IndexError("an index can have one ellipsis only")
    place = next((place for place, entry in enumerate(given) if entry is Ellipsis), None)
    present = len(given) - (place is not None)
    if present > axes:
        raise IndexError(f"too many indices: {present} for an array of {axes} {'axis' if axes == 1 else 'axes'}")
    full = [slice(None)] * (axes - present)
    return given + full if place is None else given[:place] + full + given[place + 1 :]


def _integer(entry: Any) -> int | None:
    if isinstance(entry, (bool, np.bool_)) or entry is None:
        raise TypeError(f"index {entry!r} is neither an integer, nor a slice, nor an array of row ids")
    if getattr(entry, "shape", ()) != ():
        return None
    try:
        return operator.index(entry)
    except TypeError:
        if isinstance(entry, (float, str, np.floating)):
            raise TypeError(f"index {entry!r} is neither an integer, nor a slice, nor an array of row ids") from None
        return None


def _check(number: int, axis: int, shape: tuple[int, ...]) -> None:
    """Refuse (IndexError) an integer that is none of an axis."""
    if 0 <= number < shape[axis]:
        return
    place = f"row {shown(number)}" if axis == 0 else f"index {shown(number)} along axis {axis}"
    allowed = f"{'ids' if axis == 0 else 'they'} run from 0 to {shape[axis] - 1}, none from the end"
    if not shape[axis]:
        allowed = f"it has no {'rows' if axis == 0 else 'elements there'}"
    raise IndexError(f"{place} of an array of shape {shape}: {allowed}")


def _covering(entry: slice, axis: int, length: int) -> tuple[slice, slice]:
    """The slice of step 1 that holds what a slice picks, and the one that picks it from there."""
    try:
        start, stop, step = entry.indices(length)
    except TypeError:
        raise TypeError(f"index {axis} is {entry!r}: start, stop and step must be integers or None") from None
    picked = range(start, stop, step)
    if not picked:
        return slice(0, 0), slice(None)
    low, high = min(picked[0], picked[-1]), max(picked[0], picked[-1])
    return slice(low, high + 1), slice(None) if step == 1 else slice(None, None, step)


def _flat(ids: Any) -> tuple[Any, tuple[int, ...] | None]:
    """Ids of any shape as 1-D ones, and that shape if it is another; what is no ids is left to their check to refuse."""
    if not is_on_gpu(ids):
        ids = _on_host(ids)
    shape = getattr(ids, "shape", None)
    if shape is None or len(shape) == 1:
        return ids, None
    return ids.reshape(-1), tuple(shape)


def _numbers(numbers: range) -> Any:
    """A range of numbers that int64 holds as an array; its start, stop and step may be beyond that."""
    if not numbers:
        return np.zeros(0, np.int64)
    count = (numbers[-1] - numbers[0]) // numbers.step + 1  # len() ends at 2^63 - 1
    if count == 1:
        return np.array([numbers[0]], np.int64)
    try:
        if count >= 2**60:  # of 2^63 NumPy makes none at all
            raise MemoryError
        array = np.arange(count, dtype=np.int64)
    except MemoryError:
        raise MemoryError(f"{count} row ids take {8 * count} bytes, which cannot be allocated here") from None
    array *= numbers.step
    array += numbers.start
    return array


def _on_host(ids: Any) -> Any:
    """Ids as an array, or as the 1-D list that they are, whose check looks at each."""
    if not isinstance(ids, (list, tuple)):
        return np.asarray(ids)
    try:
        array = np.asarray(ids)
        if array.ndim > 1 and array.dtype.kind not in "iu":  # nested lists that are empty, or mixed and beyond int64
            array = np.asarray(ids, object)
    except (ValueError, OverflowError):  # lists of unequal lengths
        return ids
    return array if array.ndim > 1 else ids
