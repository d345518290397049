"""Orthogonal matrices on a GPU: the steps that are not products of large matrices. Numba CUDA kernels.

A stack of normal matrices, whose columns `cuda_reflectors` has made reflectors, becomes Q = H_1 H_2 .. E diag(factors). Small
matrices are made by `apply`; of a large one `panel` takes out some columns at a time for the blocked transform, whose products
are not made here. `finish` rounds.
Map: along x the columns, so that neighbouring threads read neighbouring numbers; along y the matrices, or rows.
Deterministic: sums have a fixed order, and a place is written by one thread alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from gpuinit.kernels import narrow
from gpuinit.kernels.cuda_reflectors import REAL, heads_part, squares_part
from gpuinit.kernels.memory import load, store
from gpuinit.kernels.primitives import clamp, fma, quotient, unbits

__all__ = ["PARTS", "apply_part", "finish_part", "panel_part"]


@functools.cache
def apply_part(precision: str) -> tuple[Callable[..., Any], ...]:
    """part(x, wide, y, high, source, rows, columns, matrices, taus, out): H_1 H_2 .. E of small matrices, a column a thread.

    q = e_c; for j = c .. 0: w = v_j'q as four sums of every fourth row, (a0 + a1) + (a2 + a3), and q = q - (tau_j w) v_j. What
    `heads` left in G is read by all threads of a matrix at the same place; q lies in `out`, an array of G's shape.
    """
    like = REAL[precision](0)
    size, unit = np.uint64(like.itemsize), REAL[precision](1)
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
    like = REAL[precision](0)
    size, unit = np.uint64(like.itemsize), REAL[precision](1)

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
    real = REAL[precision]
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
