"""The launchers of the Numba kernels: fills of any part, constants, copies, structures, the hash, the check of row ids."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from gpuinit import dtypes
from gpuinit.backends.cuda.geometry import Around, around, blocks, unsigned
from gpuinit.backends.cuda.launch import Launch
from gpuinit.backends.layout import Layout
from gpuinit.key import Key
from gpuinit.sampler import Sampler

__all__ = [
    "clears",
    "constants",
    "copies",
    "diagonals",
    "fills",
    "fouriers",
    "hashes",
    "ids_of",
    "limits",
    "row_checks",
]

_NO_ROWS = np.uint64(0)


def ids_of(rows: Any) -> str:
    """The name of the kind of row ids, for the kernels."""
    return "none" if rows is None else str(rows.dtype.name)


def fills(sampler: Sampler, key: Key, where: Layout, address: int, ids: str, rows: int, processors: int) -> Iterator[Launch]:
    """The launches that fill a region: `where` in components of the dtype, `address` of the region's first element.

    `ids` is the kind of row ids at the address `rows`.
    """
    real = dtypes.component(sampler.dtype)
    per = 16 // sampler.reals.itemsize
    frame = sampler.reals.copy()
    if sampler.dtype == real:
        frame[:7] = frame[[0, 1, 1, 3, 4, 3, 4]]
    words = [np.uint32(word) for number in (key.seed, key.stream) for word in (number & 0xFFFFFFFF, number >> 32)]
    law = (*words, *frame, *sampler.integers)
    aligned = where.base % per == 0 and all(axis.step % per == 0 for axis in where.axes)
    slots = -(-where.length // per) if aligned else (where.length + 2 * per - 2) // per
    packed = where.stride == real.itemsize or where.length == 1
    for part in around(where.axes, ids != "none"):
        grid, block = blocks(slots, part.runs, processors)
        begin = (unsigned(address + part.jump), unsigned(where.base + part.step), unsigned(where.length))
        shape = (unsigned(where.stride), unsigned(slots), unsigned(part.runs), *part.counts, *part.steps, *part.jumps)
        kernel = ("fill", sampler.quantile, real.name, ids)
        yield Launch(kernel, grid, block, (*begin, *shape, unsigned(rows), unsigned(int(packed)), *law))


def constants(where: Layout, address: int, even: bytes, odd: bytes, processors: int) -> Iterator[Launch]:
    """The launches that write the pattern `even` to elements at even places of a run, and `odd` to the others."""
    if even == odd and not where.axes and where.stride == len(even) and len(even) < 8:
        yield from _wide_constants(where.length * len(even), address, even, processors)
        return
    patterns = (np.uint64(int.from_bytes(even, "little")), np.uint64(int.from_bytes(odd, "little")))
    for part in around(where.axes, False):
        grid, block = blocks(where.length, part.runs, processors)
        begin = (unsigned(address + part.jump), unsigned(where.length), unsigned(where.stride), unsigned(part.runs))
        yield Launch(("constant", str(len(even))), grid, block, (*begin, *part.counts, *part.jumps, *patterns))


def _wide_constants(nbytes: int, address: int, pattern: bytes, processors: int) -> Iterator[Launch]:
    """Consecutive elements of fewer than 8 bytes, as words of 8 bytes between the edges."""
    size = len(pattern)
    head = min(-address % 8, nbytes)
    middle = (nbytes - head) // 8 * 8
    pieces = ((0, head, pattern), (head, middle, pattern * (8 // size)), (head + middle, nbytes - head - middle, pattern))
    for start, count, repeated in pieces:
        if count:
            width = len(repeated)
            value = np.uint64(int.from_bytes(repeated, "little"))
            grid, block = blocks(count // width, 1, processors)
            shape = (unsigned(count // width), unsigned(width), unsigned(1), unsigned(1), unsigned(1), *(unsigned(0),) * 3)
            yield Launch(("constant", str(width)), grid, block, (unsigned(address + start), *shape, value, value))


def copies(
    where: Layout, source_stride: int, size: int, address: int, source: int, ids: str, rows: int, processors: int
) -> Iterator[Launch]:
    """The launches that copy elements of `size` bytes; the steps of `where` are bytes of the source, as `source_stride` is."""
    for part in around(where.axes, ids != "none"):
        grid, block = blocks(where.length, part.runs, processors)
        begin = (unsigned(address + part.jump), unsigned(source + part.step), unsigned(where.length))
        shape = (unsigned(where.stride), unsigned(source_stride), unsigned(part.runs), *part.counts)
        kernel = ("copy", str(size), ids)
        yield Launch(kernel, grid, block, (*begin, *shape, *part.jumps, *part.steps, unsigned(rows)))


def diagonals(
    address: int,
    first_row: int,
    count: int,
    period: int,
    turns: int,
    length: int,
    columns: int,
    shift: int,
    strides: tuple[int, int],
    pattern: bytes,
    ids: str,
    rows: int,
    processors: int,
) -> Launch:
    """The launch that writes a diagonal's elements; see `kernels.cuda_copy.diagonal_part` for the numbers."""
    grid, block = blocks(count, 1, processors)
    numbers = (
        address,
        first_row,
        count,
        period,
        turns,
        length,
        columns,
        shift,
        *strides,
        int.from_bytes(pattern, "little"),
        rows,
    )
    return Launch(("diagonal", str(len(pattern)), ids), grid, block, tuple(map(unsigned, numbers)))


def limits(uniform: int, rows: int, columns: int, zeros: int, address: int, processors: int) -> Launch:
    """The launch that finds the limits of a sparse matrix' columns; see `kernels.cuda_sparse.limits_part` for the numbers."""
    grid, block = blocks(columns, 1, processors)
    return Launch(("limits",), grid, block, tuple(map(unsigned, (uniform, rows, columns, zeros, address))))


def clears(
    address: int,
    uniform: int,
    limits: int,
    first_row: int,
    count: int,
    columns: int,
    strides: tuple[int, int],
    size: int,
    ids: str,
    rows: int,
    processors: int,
) -> Launch:
    """The launch that writes a sparse matrix' zeros; see `kernels.cuda_sparse.clear_part` for the numbers."""
    grid, block = blocks(columns, count, processors)
    numbers = (address, uniform, limits, first_row, count, columns, *strides, rows)
    return Launch(("clear", str(size), ids), grid, block, tuple(map(unsigned, numbers)))


def fouriers(
    address: int,
    window: int,
    times: tuple[int, int],
    frequencies: tuple[int, int],
    half: int,
    strides: tuple[int, int],
    kernel: tuple[str, str],
    ids: str,
    rows: int,
    processors: int,
) -> Launch:
    """The launch that writes a Fourier kernel; see `kernels.cuda_fourier.fourier_part` for the numbers, (first, count) a pair."""
    grid, block = blocks(frequencies[1], times[1], processors)
    numbers = (address, window, *times, *frequencies, half, *strides, rows)
    return Launch(("fourier", *kernel, ids), grid, block, tuple(map(unsigned, numbers)))


def hashes(part: Around, length: int, stride: int, size: int, address: int, start: int, processors: int) -> tuple[Launch, int]:
    """The launch that hashes runs of an array, but for the address that its sums go to, and how many they are."""
    grid, block = blocks(length, part.runs, min(processors, 32))
    begin = (unsigned(address + part.jump), unsigned(start + part.step), unsigned(length), unsigned(stride))
    launch = Launch(("hash", str(size)), grid, block, (*begin, unsigned(part.runs), *part.counts, *part.jumps))
    return launch, grid[0] * grid[1] * block[0] * block[1]


def row_checks(address: int, stride: int, count: int, length: int, ids: str, processors: int) -> tuple[Launch, int]:
    """The launch that looks for ids outside 0 .. length - 1, but for the address of its places, and how many they are."""
    grid, block = blocks(count, 1, min(processors, 32))
    launch = Launch(("rows", ids), grid, block, tuple(map(unsigned, (address, stride, count, length))))
    return launch, grid[0] * block[0]
