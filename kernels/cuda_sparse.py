"""The choice of zeros in the columns of a sparse matrix on a GPU (docs/stream.md, section 10). Numba CUDA kernels.

Formula: of the uniforms u(r, c) of a column c, zero are the rows with the `zeros` least pairs (u, r): those up to the column's
limit, a pair with exactly `zeros` up to it. Every u is an integer times 2^-53, so bisection of integers finds one.
Map: limits: along x the columns, so neighbouring threads read neighbouring places; clear: along y the rows, along x the columns.
Deterministic: every such limit chooses the same, and a place is written once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from gpuinit.kernels.cuda_parts import ID_DTYPES
from gpuinit.kernels.memory import load, store
from gpuinit.kernels.primitives import shift_right, to_float_unsigned

__all__ = ["clear_part", "limits_part"]

_PATTERN = {"1": np.uint8, "2": np.uint16, "4": np.uint32, "8": np.uint64}
_REAL, _WORD, _SIZE = np.float64(0), np.uint64(0), np.uint64(8)


@functools.cache
def limits_part() -> tuple[Callable[..., Any], ...]:
    """part(x, wide, y, high, uniform, rows, columns, zeros, limits): each column's limit, for 1 <= zeros <= rows.

    `uniform` is the address of `rows` times `columns` float64 in C order. At `limits` lie the float64 u of each column, and
    behind them the uint64 r of each.
    """
    one, most, unit = np.uint64(1), np.uint64(2**53 - 1), np.float64(2.0**-53)

    def limit_of(first: Any, step: Any, rows: Any, zeros: Any) -> Any:
        low, high = _WORD, most
        while low < high:
            middle = low + shift_right(high - low, one)
            limit = to_float_unsigned(middle) * unit
            count, row = _WORD, _WORD
            while row < rows:
                if load(first + row * step, _REAL) <= limit:
                    count += one
                row += one
            if count < zeros:
                low = middle + one
            else:
                high = middle
                if count == zeros:  # after about log2(rows) steps; only where u repeats are all 53 needed
                    low = middle
        return to_float_unsigned(low) * unit

    def part(x: Any, wide: Any, y: Any, high: Any, uniform: Any, rows: Any, columns: Any, zeros: Any, limits: Any) -> None:
        column, step = x + y * wide, columns * _SIZE
        while column < columns:
            first = uniform + column * _SIZE
            limit = limit_of(first, step, rows, zeros)
            left, row = zeros, _WORD
            while row < rows:
                if load(first + row * step, _REAL) < limit:
                    left -= one
                row += one
            last, row = _WORD, _WORD
            while left > _WORD:  # rows whose u is the limit, as many as are left
                if load(first + row * step, _REAL) == limit:
                    left -= one
                    last = row
                row += one
            store(limits + column * _SIZE, limit)
            store(limits + (columns + column) * _SIZE, last)
            column += wide * high

    return limit_of, part


@functools.cache
def clear_part(size: str, ids: str) -> tuple[Callable[..., Any], ...]:
    """part(x, wide, y, high, out, uniform, limits, first_row, count, columns, jump, stride, rows): zeros up to the limits.

    Row r of the selection's `count` rows is number `first_row` + r, or the id; `uniform` has all rows of its `columns`. A zero
    has `size` bytes.
    """
    zero, id_like, has_rows = _PATTERN[size](0), ID_DTYPES[ids](0), ids != "none"
    id_size = np.uint64(id_like.itemsize)

    def part(
        x: Any,
        wide: Any,
        y: Any,
        high: Any,
        out: Any,
        uniform: Any,
        limits: Any,
        first_row: Any,
        count: Any,
        columns: Any,
        jump: Any,
        stride: Any,
        rows: Any,
    ) -> None:
        row = y
        while row < count:
            number = first_row + row
            if has_rows:
                number = np.uint64(load(rows + row * id_size, id_like))
            column = x
            while column < columns:
                drawn = load(uniform + (number * columns + column) * _SIZE, _REAL)
                limit = load(limits + column * _SIZE, _REAL)
                if drawn < limit or (drawn == limit and number <= load(limits + (columns + column) * _SIZE, _WORD)):
                    store(out + row * jump + column * stride, zero)
                column += wide
            row += high

    return (part,)
