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
        ids: 1-D row ids, not checked yet, or None. ids_shape: the dimensions that they stand for.
        rest: the index (integers and slices, an entry an axis) still to be applied to the part; None if there is none.
    """

    block: tuple[slice, ...]
    ids: Any = None
    ids_shape: tuple[int, ...] = ()
    rest: tuple[Any, ...] | None = None

    def finish(self, part: Any) -> Any:
        """The result, of the part that was made."""
        if self.rest is not None:
            part = part[self.rest]
        return part if len(self.ids_shape) == (self.ids is not None) else part.reshape(*self.ids_shape, *part.shape[1:])


def select(key: Any, shape: tuple[int, ...]) -> Selection:
    """The selection that `array[key]` names for an array of this shape.

    Raises:
        TypeError: an entry is no integer, slice or, for axis 0, array of ids. IndexError: too many entries, or an integer out of
            range; the message says which.
    """
    entries = _entries(key, len(shape))
    block: list[slice] = []
    rest: list[Any] = []
    part: slice
    then: Any
    ids: Any = None
    ids_shape: tuple[int, ...] = ()
    for axis, (entry, length) in enumerate(zip(entries, shape, strict=True)):
        if isinstance(entry, slice):
            part, then = _covering(entry, axis, length)
            if axis == 0 and then != slice(None):  # far-apart rows: by their ids, without those between them
                picked = range(*entry.indices(length))
                ids, ids_shape = _numbers(picked), (len(picked),)
                part, then = slice(0, length), slice(None)
        elif (number := _integer(entry)) is not None:
            part, then = slice(number, number + 1), 0
            if not 0 <= number < length:
                raise IndexError(f"{_place(axis, number)} of an array of shape {shape}: {_allowed(axis, length)}")
        elif axis == 0:
            part, then = slice(0, length), slice(None)
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


def _place(axis: int, number: int) -> str:
    return f"row {shown(number)}" if axis == 0 else f"index {shown(number)} along axis {axis}"


def _allowed(axis: int, length: int) -> str:
    if not length:
        return f"it has no {'rows' if axis == 0 else 'elements there'}"
    return f"{'ids' if axis == 0 else 'they'} run from 0 to {length - 1}, none from the end"


def _covering(entry: slice, axis: int, length: int) -> tuple[slice, slice]:
    """The slice of step 1 that holds what a slice picks, and the one that picks it from there."""
    try:
        start, stop, step = entry.indices(length)
    except TypeError:
        raise TypeError(f"index {axis} is {entry!r}: start, stop and step must be integers or None") from None
    picked = range(start, stop, step)
    if not picked:
        return slice(min(start, length), min(start, length)), slice(None)
    low, high = min(picked[0], picked[-1]), max(picked[0], picked[-1])
    return slice(low, high + 1), slice(None) if step == 1 else slice(None, None, step)


def _flat(ids: Any) -> tuple[Any, tuple[int, ...]]:
    """Ids of any shape as 1-D ones, and their shape; whatever else it is, is left to the check of ids to refuse."""
    if not is_on_gpu(ids):
        ids = _on_host(ids)
    shape = getattr(ids, "shape", None)
    if shape is None:
        return ids, (len(ids),) if hasattr(ids, "__len__") else ()
    return (ids if len(shape) == 1 else ids.reshape(-1)), tuple(shape)


def _numbers(numbers: range) -> Any:
    """A range as an array, whose stop may be beyond any int64."""
    array = np.arange(len(numbers), dtype=np.int64)
    array *= numbers.step
    array += numbers.start
    return array


def _on_host(ids: Any) -> Any:
    if isinstance(ids, range):
        return _numbers(ids)
    if not isinstance(ids, (list, tuple)):
        return np.asarray(ids)
    try:
        array = np.asarray(ids)
    except (ValueError, OverflowError):  # lists of unequal lengths
        return ids
    return array if array.ndim > 1 else ids
