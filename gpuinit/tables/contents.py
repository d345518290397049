"""The elements of a tensor in a file: blocks of them written and read at their places, in C order."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from io import FileIO
from typing import Any, NamedTuple, Protocol

import numpy as np

from gpuinit.tables import direct

__all__ = [
    "DIRECT_FROM",
    "Block",
    "Contents",
    "Flushing",
    "Stream",
    "block_at",
    "block_count",
    "blocks",
    "grid",
    "largest",
    "write_at",
]

DIRECT_FROM = 256 << 20
"""Bytes of elements from which on a file is written past the page cache, which could not serve such a file's readers anyway."""

Array = np.ndarray[Any, Any]


class Block(NamedTuple):
    """Consecutive elements that are written at once: where the first stands in C order, the part of the tensor, its shape."""

    start: int
    slices: tuple[slice, ...]
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)

    def elements(self, places: Array, shape: tuple[int, ...]) -> Array:
        """The numbers, in C order in a tensor of this shape, of the elements at these places, in C order in the block."""
        numbers = np.zeros(places.shape, np.int64)
        stride = 1
        for part, length in zip(reversed(self.slices), reversed(shape), strict=True):
            places, place = np.divmod(places, part.stop - part.start)
            numbers += (place + part.start) * stride
            stride *= length
        return numbers

    def in_memory(self, memory: Array, dtype: np.dtype[Any]) -> Array:
        """An array of its shape in the first bytes of a piece of memory."""
        array: Array = memory[: self.size * dtype.itemsize].view(dtype).reshape(self.shape)
        return array


class Contents(Protocol):
    """An open file's elements.

    Attributes:
        grid: the shape of the blocks that are written at once; they follow each other in C order.
    """

    grid: tuple[int, ...]

    def write(self, block: Block, chunk: Array) -> None:
        """Write a block, a C-contiguous array."""

    def read(self, block: Block, out: Array) -> None:
        """Read a block into a C-contiguous array; EOFError if the file has not all of it, OSError if it cannot be read."""

    def sync(self) -> None:
        """Flush what was written before to the disk; from any thread. Once it has failed it always fails."""

    def cut(self, elements: int) -> None:
        """Remove what was written behind the first `elements`."""

    def place(self, element: int, byte: int = 0) -> str:
        """Where a byte of an element stands, for a message."""

    def held(self) -> int:
        """How many elements, from the first on, it has place for: less than all in a file that was cut off."""

    def excess(self) -> int:
        """How many bytes stand behind the last element."""


class Flushing:
    """What is flushed to the disk, and after a flush that failed never again: the system forgets what it could not write, and
    would call it flushed the next time."""

    _lost: OSError | None = None

    def sync(self) -> None:
        """Flush what was written before; the error of the first flush that failed, if there was one."""
        if self._lost is None:
            try:
                self._flush()
            except OSError as error:
                self._lost = error
        if self._lost is not None:
            raise self._lost

    def _flush(self) -> None:
        raise NotImplementedError


class Stream(Flushing):
    """Elements that stand behind each other, little-endian, from a byte of a file on."""

    def __init__(self, file: FileIO, start: int, shape: tuple[int, ...], dtype: np.dtype[Any], nbytes: int) -> None:
        """`start`: the bytes before the first element. `nbytes`: those of a block at most."""
        self._file, self._start, self._itemsize = file, start, dtype.itemsize
        self._end = start + math.prod(shape) * dtype.itemsize
        self._direct = self._end - start >= DIRECT_FROM
        self.grid = grid(shape, max(1, nbytes // dtype.itemsize), direct.PAGE // math.gcd(direct.PAGE, dtype.itemsize))

    def write(self, block: Block, chunk: Array) -> None:
        data, offset = chunk.reshape(-1).view(np.uint8), self._offset(block.start)
        done = direct.write(self._file.fileno(), data, offset) if self._direct else 0
        write_at(self._file, data[done:], offset + done)

    def read(self, block: Block, out: Array) -> None:
        offset, rest = self._offset(block.start), out.reshape(-1).view(np.uint8).data
        while rest:
            count = os.preadv(self._file.fileno(), [rest], offset)
            if not count:
                raise EOFError(f"it ends at byte {offset:,}, and {self._end:,} bytes are needed")
            offset, rest = offset + count, rest[count:]

    def _flush(self) -> None:
        os.fdatasync(self._file.fileno())

    def cut(self, elements: int) -> None:
        self._file.truncate(self._offset(elements))

    def place(self, element: int, byte: int = 0) -> str:
        return f"byte {self._offset(element) + byte:,}"

    def held(self) -> int:
        present = min(self._end, os.fstat(self._file.fileno()).st_size) - self._start
        return max(0, present) // self._itemsize

    def excess(self) -> int:
        return max(0, os.fstat(self._file.fileno()).st_size - self._end)

    def _offset(self, element: int) -> int:
        return self._start + element * self._itemsize


def write_at(file: FileIO, array: Array, offset: int) -> None:
    """Write the bytes of a contiguous array from an offset on, in as many steps as it takes."""
    rest = array.reshape(-1).view(np.uint8).data
    while rest:
        count = os.pwrite(file.fileno(), rest, offset)
        offset, rest = offset + count, rest[count:]


def grid(shape: tuple[int, ...], most: int, unit: int = 1) -> tuple[int, ...]:
    """The shape of blocks of at most `most` >= 1 elements, consecutive in C order, as equal as they can be.

    Where `most` allows it, all but the last of an axis have a multiple of `unit` elements.
    """
    if not shape:
        return ()
    axis = next(k for k in range(len(shape)) if math.prod(shape[k + 1 :]) <= most)
    length, row = shape[axis], math.prod(shape[axis + 1 :])
    step, rows = max(1, most // max(1, row)), unit // math.gcd(unit, row)
    if step < rows:  # no multiple of a unit fits
        rows = 1
    pieces = max(1, -(-length // (step - step % rows)))
    equal = -(-length // (pieces * rows)) * rows
    return tuple(max(1, count) for count in (*(1,) * axis, min(equal, length), *shape[axis + 1 :]))


def blocks(shape: tuple[int, ...], grid: tuple[int, ...], begin: int = 0) -> Iterator[Block]:
    """The blocks of a grid from the element `begin` on, in C order."""
    for number in range(block_count(shape, grid)):
        block = block_at(shape, grid, number)
        if block.start >= begin:
            yield block


def block_count(shape: tuple[int, ...], grid: tuple[int, ...]) -> int:
    """How many blocks a grid has."""
    return math.prod(-(-length // step) for length, step in zip(shape, grid, strict=True))


def largest(shape: tuple[int, ...], grid: tuple[int, ...]) -> int:
    """How many elements the largest block of a grid has: fewer than a step where a chunk reaches out of the tensor."""
    return math.prod(map(min, shape, grid))


def block_at(shape: tuple[int, ...], grid: tuple[int, ...], number: int) -> Block:
    """A block of a grid by its number in C order; those at the ends of axes may be smaller."""
    slices: list[slice] = []
    start, stride = 0, 1
    for length, step in zip(reversed(shape), reversed(grid), strict=True):
        number, place = divmod(number, -(-length // step))
        slices.append(slice(place * step, min(place * step + step, length)))
        start += place * step * stride
        stride *= length
    slices.reverse()
    return Block(start, tuple(slices), tuple(part.stop - part.start for part in slices))
