"""Constants, copies and diagonals on a GPU, as bit patterns of 1, 2, 4 or 8 bytes. Numba CUDA kernels.

Map: along y the runs of the selection, along x the elements of a run; of a diagonal, along x its rows.
Deterministic: a place is written once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from gpuinit.kernels.cuda_parts import ID_DTYPES, coordinates
from gpuinit.kernels.memory import load, store
from gpuinit.kernels.primitives import quotient

__all__ = ["constant_part", "copy_part", "diagonal_part"]

_PATTERN = {"1": np.uint8, "2": np.uint16, "4": np.uint32, "8": np.uint64}


@functools.cache
def constant_part(size: str) -> tuple[Callable[..., Any], ...]:
    """part(x, wide, y, high, out, length, stride, runs, count_2, count_3, jumps, even, odd): one pattern or two in turns.

    `even` goes to the elements of a run at even places, `odd` to those at odd ones; each is a uint64 that ends in the pattern.
    """
    pattern = _PATTERN[size]
    one = np.uint64(1)

    def part(
        x: Any,
        wide: Any,
        y: Any,
        high: Any,
        out: Any,
        length: Any,
        stride: Any,
        runs: Any,
        count_2: Any,
        count_3: Any,
        jumps: Any,
        even: Any,
        odd: Any,
    ) -> None:
        run = y
        while run < runs:
            first, second, third = coordinates(run, count_2, count_3)
            address = out + first * jumps[0] + second * jumps[1] + third * jumps[2]
            element = x
            while element < length:
                store(address + element * stride, pattern(odd if element & one == one else even))
                element += wide
            run += high

    return (part,)


@functools.cache
def copy_part(size: str, ids: str) -> tuple[Callable[..., Any], ...]:
    """part(x, wide, y, high, out, source, length, stride, source_stride, runs, count_2, count_3, jumps, source_jumps, rows).

    A stride or jump of 0 in the source repeats what is there; ids pick along the source's first axis.
    """
    like, id_like, has_rows = _PATTERN[size](0), ID_DTYPES[ids](0), ids != "none"
    id_size = np.uint64(id_like.itemsize)

    def part(
        x: Any,
        wide: Any,
        y: Any,
        high: Any,
        out: Any,
        source: Any,
        length: Any,
        stride: Any,
        source_stride: Any,
        runs: Any,
        count_2: Any,
        count_3: Any,
        jumps: Any,
        source_jumps: Any,
        rows: Any,
    ) -> None:
        run = y
        while run < runs:
            first, second, third = coordinates(run, count_2, count_3)
            address = out + first * jumps[0] + second * jumps[1] + third * jumps[2]
            if has_rows:
                first = np.uint64(load(rows + first * id_size, id_like))
            origin = source + first * source_jumps[0] + second * source_jumps[1] + third * source_jumps[2]
            element = x
            while element < length:
                store(address + element * stride, load(origin + element * source_stride, like))
                element += wide
            run += high

    return (part,)


@functools.cache
def diagonal_part(size: str, ids: str) -> tuple[Callable[..., Any], ...]:
    """part(x, wide, y, high, out, first_row, count, period, turns, length, columns, shift, jump, stride, pattern, rows).

    Row r of the selection's `count` rows (number `first_row` + r, or the id) is element o = number - the diagonal's first row,
    which the caller has taken off `first_row`; it lies in column o + `shift` of the selection's `columns`, if at all. The
    diagonal begins again every `period` rows, `turns` times in all, and has `length` elements each time.
    """
    kind, id_like, has_rows = _PATTERN[size], ID_DTYPES[ids](0), ids != "none"
    id_size = np.uint64(id_like.itemsize)

    def part(
        x: Any,
        wide: Any,
        y: Any,
        high: Any,
        out: Any,
        first_row: Any,
        count: Any,
        period: Any,
        turns: Any,
        length: Any,
        columns: Any,
        shift: Any,
        jump: Any,
        stride: Any,
        pattern: Any,
        rows: Any,
    ) -> None:
        row = x + y * wide
        while row < count:
            order = first_row + row
            if has_rows:
                order = first_row + np.uint64(load(rows + row * id_size, id_like))
            turn = quotient(order, period)
            order -= turn * period
            column = order + shift
            if turn < turns and order < length and column < columns:
                store(out + row * jump + column * stride, kind(pattern))
            row += wide * high

    return (part,)
