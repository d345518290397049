"""Parts of a tensor, wherever it is: in memory, in a file, or nowhere yet. What is not asked for is neither read nor made."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from gpuinit.recipe import Recipe
from gpuinit.table import Shard, Table, described
from gpuinit.tables.contents import Block, Contents
from gpuinit.tables.formats import by_suffix
from gpuinit.tables.headers import DamagedError

__all__ = ["Memory", "Reader", "Stored", "Unmade", "boxes"]

Array = np.ndarray[Any, Any]
Box = tuple[slice, ...]

_BLOCK = 1 << 20
"""Bytes of a block that an opened file is asked for; what is read is chosen here."""


class Reader(Protocol):
    """A tensor of which parts can be had."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self, box: Box) -> Array:
        """The elements of a box: slices of step 1, one an axis."""


class Memory:
    """A tensor that is an array."""

    def __init__(self, array: Array) -> None:
        self._array = array
        self.shape, self.dtype = array.shape, array.dtype

    def read(self, box: Box) -> Array:
        return np.asarray(self._array[box])


class Unmade:
    """A table that is not there: the box alone is made, of an orthogonal or sparse matrix once the whole."""

    def __init__(self, table: Table | Shard) -> None:
        self._table = table
        self._whole: Array | None = None
        self.shape, self.dtype = table.shape, table.dtype

    def read(self, box: Box) -> Array:
        if self._table.divisible:
            [made] = self._table.chunks([box], math.prod(part.stop - part.start for part in box) * self.dtype.itemsize)
            return np.array(made)  # a buffer may serve another read
        if self._whole is None:
            self._whole = np.asarray(self._table.make("cpu"))
        return np.asarray(self._whole[box])


class Stored:
    """The tensor of a file (.safetensors, .npy, .zarr), which is open for the time of a read alone.

    `table`: what its recipe says that it holds, None if it has no recipe.

    Raises:
        ValueError: the suffix is not known, or its recipe cannot be followed. OSError: it cannot be read or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._format = path, by_suffix(path, "file")
        with self._opened() as (_, header, recipe):
            self.shape, self.dtype = header.shape, header.dtype
            self.table = None if recipe is None else self._described(recipe)
        if self.table is not None and (self.table.shape, self.table.dtype) != (self.shape, self.dtype):
            raise DamagedError(
                f"file: {str(path)!r} is of shape {self.shape} and dtype {self.dtype.name}, and its recipe of shape "
                f"{self.table.shape} and dtype {self.table.dtype.name}"
            )

    def read(self, box: Box) -> Array:
        out = np.empty(tuple(part.stop - part.start for part in box), self.dtype)
        with self._opened() as (contents, _, _):
            self._read(contents, box, out, self._format.folder)
        return out

    def _read(self, contents: Contents, box: Box, out: Array, at_once: bool) -> None:
        """Read a box, in as many steps as it has runs of consecutive elements where these stand behind each other."""
        axis = _split(self.shape, box)
        if at_once or axis is None:
            start = sum(part.start * math.prod(self.shape[k + 1 :]) for k, part in enumerate(box))
            contents.read(Block(start, box, out.shape), out)
            return
        for place, row in enumerate(range(box[axis].start, box[axis].stop)):
            narrow = (*box[:axis], slice(row, row + 1), *box[axis + 1 :])
            self._read(contents, narrow, out[(slice(None),) * axis + (slice(place, place + 1),)], at_once)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Any]:
        try:
            with self._format.opened(self._path, _BLOCK) as found:
                yield found
        except OSError as error:
            why = error.strerror if error.errno is not None else error
            raise type(error)(f"file: {str(self._path)!r} cannot be read: {why}") from error
        except EOFError as error:
            raise DamagedError(f"file: {str(self._path)!r} cannot be read: {error}") from error
        except ValueError as error:
            raise ValueError(f"file: {str(self._path)!r}: {error}") from error

    def _described(self, recipe: Any) -> Table | Shard:
        try:
            return described(Recipe.from_json(recipe))
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
            raise ValueError(f"its recipe cannot be followed: {error}") from error


def boxes(shape: tuple[int, ...], start: int, stop: int) -> Iterator[Box]:
    """The elements start .. stop - 1 in C order as boxes of consecutive elements, in that order; few of them."""
    if start >= stop:
        return
    if not shape:
        yield ()
        return
    inner = math.prod(shape[1:])
    first, last = -(-start // inner), stop // inner  # whole rows
    row = start // inner
    if stop - start < inner and row == (stop - 1) // inner:
        yield from ((slice(row, row + 1), *box) for box in boxes(shape[1:], start - row * inner, stop - row * inner))
        return
    if row < first:
        yield from ((slice(row, row + 1), *box) for box in boxes(shape[1:], start - row * inner, inner))
    if first < last:
        yield (slice(first, last), *(slice(0, length) for length in shape[1:]))
    if last * inner < stop:
        yield from ((slice(last, last + 1), *box) for box in boxes(shape[1:], 0, stop - last * inner))


def _split(shape: tuple[int, ...], box: Box) -> int | None:
    """The first axis along which a box of more than one row is not consecutive in C order; None if all of it is."""
    whole = len(shape)
    while whole and box[whole - 1] == slice(0, shape[whole - 1]):
        whole -= 1
    return next((axis for axis in range(whole - 1) if box[axis].stop - box[axis].start != 1), None)
