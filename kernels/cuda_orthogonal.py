"""Orthogonal matrices on a GPU: the steps that are not products of large matrices. Numba CUDA kernels.

A stack of matrices G, each of `rows` >= `columns`, row-major, one after the other, becomes Q = H_1 H_2 .. E diag(factors) by the
reflectors H_j = I - tau_j v_j v_j' of its columns (docs/stream.md, section 10). The first steps are shared: `squares`, then
`heads`, which leaves v_j on and below the diagonal of G. Small matrices go on with `apply`; of a large one `panel` takes out
some columns at a time for the blocked transform, whose products are not made here. `finish` rounds.
Map: along x the columns, so that neighbouring threads read neighbouring numbers; along y the matrices, and what else there is.
Deterministic: sums have a fixed order, and a place is written by one thread alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from gpuinit.kernels import narrow
from gpuinit.kernels.memory import load, store
from gpuinit.kernels.primitives import clamp, divide, fma, quotient, select, square_root, unbits

__all__ = ["PARTS", "RUN", "apply_part", "finish_part", "heads_part", "panel_part", "squares_part"]

RUN = 512
"""Rows whose squares are summed one after the other."""
_REAL: dict[str, Any] = {"float32": np.float32, "float64": np.float64}


@functools.cache
def squares_part(precision: str) -> tuple[Callable[..., Any], ...]:
    """part(x, wide, y, high, source, rows, columns, runs, matrices, sums): sums of squares on and below the diagonal.

    In float64: sums[matrix, run, j] is that of G[r, j]^2 over the rows r >= j of the run, in order.
    """
    like = _REAL[precision](0)
    size, eight = np.uint64(like.itemsize), np.uint64(8)
    run_length, zero, one = np.uint64(RUN), np.float64(0), np.uint64(1)

    def part(
        x: Any,
        wide: Any,
        y: Any,
        high: Any,
        source: Any,
        rows: Any,
        columns: Any,
        runs: Any,
        matrices: Any,
        sums: Any,
    ) -> None:
        place = y
        while place < runs * matrices:
            matrix = quotient(place, runs)
            begin = (place - matrix * runs) * run_length
            end = begin + run_length if begin + run_length < rows else rows
            column = x
            while column < columns:
                row = begin if begin > column else column
                total = zero
                address = source + ((matrix * rows + row) * columns + column) * size
                while row < end:
                    number = np.float64(load(address, like))
                    total = fma(number, number, total)
                    address += columns * size
                    row += one
                store(sums + (place * columns + column) * eight, total)
                column += wide
            place += high

    return (part,)


@functools.cache
def heads_part(precision: str) -> tuple[Callable[..., Any], ...]:
    """part(x, wide, y, high, source, rows, columns, runs, matrices, sums, gain, taus, inverses, factors): each reflector.

    With S the sum of a column's runs and x = G[j, j]: the head x +- sqrt(S), away from zero, takes the place of x; tau =
    2 / (v'v) with v'v = (S - x^2) + head^2; inverse = v'v / 2, which is 1 / tau without the rounding of tau; factor =
    -sign(x) gain. `gain` is the bit pattern of a float64; the last three are arrays of (matrices, columns).
    """
    real = _REAL[precision]
    like = real(0)
    size, eight = np.uint64(like.itemsize), np.uint64(8)
    zero, half, two, one = np.float64(0), np.float64(0.5), np.float64(2), np.uint64(1)

    def part(
        x: Any,
        wide: Any,
        y: Any,
        high: Any,
        source: Any,
        rows: Any,
        columns: Any,
        runs: Any,
        matrices: Any,
        sums: Any,
        gain: Any,
        taus: Any,
        inverses: Any,
        factors: Any,
    ) -> None:
        scale = real(unbits(gain))
        matrix = y
        while matrix < matrices:
            column = x
            while column < columns:
                square = zero
                run = np.uint64(0)
                while run < runs:
                    square = square + load(sums + ((matrix * runs + run) * columns + column) * eight, zero)
                    run += one
                address = source + ((matrix * rows + column) * columns + column) * size
                first = load(address, like)
                length = real(square_root(square))
                head = first + select(first >= like, length, -length)
                long_head, long_first = np.float64(head), np.float64(first)
                norm = fma(long_head, long_head, fma(-long_first, long_first, square))
                place = (matrix * columns + column) * size
                store(address, head)
                store(taus + place, real(divide(two, norm)))
                store(inverses + place, real(norm * half))
                store(factors + place, select(first >= like, -scale, scale))
                column += wide
            matrix += high

    return (part,)


@functools.cache
def apply_part(precision: str) -> tuple[Callable[..., Any], ...]:
    """part(x, wide, y, high, source, rows, columns, matrices, taus, out): H_1 H_2 .. E of small matrices, a column a thread.

    q = e_c; for j = c .. 0: w = v_j'q as four sums of every fourth row, (a0 + a1) + (a2 + a3), and q = q - (tau_j w) v_j. What
    `heads` left in G is read by all threads of a matrix at the same place; q lies in `out`, an array of G's shape.
    """
    like = _REAL[precision](0)
    size, unit = np.uint64(like.itemsize), _REAL[precision](1)
    one, two, three, four = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)

    def part(
        x: Any,
        wide: Any,
        y: Any,
        high: Any,
        source: Any,
        rows: Any,
        columns: Any,
        matrices: Any,
        taus: Any,
        out: Any,
    ) -> None:
        step = columns * size
        matrix = y
        while matrix < matrices:
            vectors = source + matrix * rows * step
            column = x
            while column < columns:
                target = out + matrix * rows * step + column * size
                row = np.uint64(0)
                while row < rows:
                    store(target + row * step, unit if row == column else like)
                    row += one
                j = column + one
                while j > np.uint64(0):
                    j -= one
                    left = rows - j
                    v, q = vectors + j * step + j * size, target + j * step
                    a0, a1, a2, a3 = like, like, like, like
                    row = np.uint64(0)
                    while row + three < left:
                        a0 = fma(load(v, like), load(q, like), a0)
                        a1 = fma(load(v + step, like), load(q + step, like), a1)
                        a2 = fma(load(v + two * step, like), load(q + two * step, like), a2)
                        a3 = fma(load(v + three * step, like), load(q + three * step, like), a3)
                        v += four * step
                        q += four * step
                        row += four
                    if row < left:
                        a0 = fma(load(v, like), load(q, like), a0)
                    if row + one < left:
                        a1 = fma(load(v + step, like), load(q + step, like), a1)
                    if row + two < left:
                        a2 = fma(load(v + two * step, like), load(q + two * step, like), a2)
                    t = load(taus + (matrix * columns + j) * size, like) * ((a0 + a1) + (a2 + a3))
                    v, q = vectors + j * step + j * size, target + j * step
                    row = np.uint64(0)
                    while row < left:
                        store(q, fma(-t, load(v, like), load(q, like)))
                        v += step
                        q += step
                        row += one
                column += wide
            matrix += high

    return (part,)


@functools.cache
def panel_part(precision: str) -> tuple[Callable[..., Any], ...]:
    """part(x, wide, y, high, matrix, rows, columns, first, width, panel): take out the reflectors of `width` columns.

    `panel`, of rows - `first` rows, gets columns `first` .. of the matrix from row `first` on, zeros above the diagonal; in their
    place in the matrix comes the identity's.
    """
    like = _REAL[precision](0)
    size, unit = np.uint64(like.itemsize), _REAL[precision](1)

    def part(
        x: Any,
        wide: Any,
        y: Any,
        high: Any,
        matrix: Any,
        rows: Any,
        columns: Any,
        first: Any,
        width: Any,
        panel: Any,
    ) -> None:
        row = y
        while row < rows:
            column = x
            while column < width:
                address = matrix + (row * columns + first + column) * size
                if row >= first:
                    below = row >= first + column
                    store(panel + ((row - first) * width + column) * size, load(address, like) if below else like)
                store(address, unit if row == first + column else like)
                column += wide
            row += high

    return (part,)


@functools.cache
def finish_part(storage: str) -> tuple[Callable[..., Any], ...]:
    """part(x, wide, y, high, source, rows, columns, matrices, factors, bound, out, matrix_step, row_step, column_step).

    out[matrix, row, column] = cast(clamp(source[matrix, row, column] factors[matrix, column], -bound, bound)), `bound` as the bit
    pattern of a float64, the steps of `out` in bytes. `source` may lie at the same place as `out` if it has its strides and type.
    """
    precision = "float64" if storage == "float64" else "float32"
    real = _REAL[precision]
    like = real(0)
    round_to, stored = narrow.STORAGE[storage]
    size = np.uint64(like.itemsize)

    def part(
        x: Any,
        wide: Any,
        y: Any,
        high: Any,
        source: Any,
        rows: Any,
        columns: Any,
        matrices: Any,
        factors: Any,
        bound: Any,
        out: Any,
        matrix_step: Any,
        row_step: Any,
        column_step: Any,
    ) -> None:
        most = real(unbits(bound))
        place = y
        while place < rows * matrices:
            matrix = quotient(place, rows)
            target = out + matrix * matrix_step + (place - matrix * rows) * row_step
            column = x
            while column < columns:
                scale = load(factors + (matrix * columns + column) * size, like)
                value = clamp(load(source + (place * columns + column) * size, like) * scale, -most, most)
                store(target + column * column_step, stored(round_to(value)))
                column += wide
            place += high

    return (part,)


PARTS = {"squares": squares_part, "heads": heads_part, "apply": apply_part, "panel": panel_part, "finish": finish_part}
"""By the kernel's name."""
