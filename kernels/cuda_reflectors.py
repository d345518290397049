"""The reflectors of normal columns on a GPU: sums of squares, and from them each reflector's numbers. Numba CUDA kernels.

A stack of matrices G, each of `rows` >= `columns`, row-major, one after the other; reflector j is H_j = I - tau_j v_j v_j', and
v_j lies on and below the diagonal in column j (docs/stream.md, section 10).
Map: along x the columns, so that neighbouring threads read neighbouring numbers; along y the matrices, and runs of their rows.
Deterministic: sums have a fixed order, and a place is written by one thread alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from gpuinit.kernels.memory import load, store
from gpuinit.kernels.primitives import divide, fma, quotient, select, square_root, unbits

__all__ = ["REAL", "RUN", "heads_part", "squares_part"]

RUN = 512
"""Rows whose squares are summed one after the other."""
REAL: dict[str, Any] = {"float32": np.float32, "float64": np.float64}
"""The computing precisions by name."""


@functools.cache
def squares_part(precision: str) -> tuple[Callable[..., Any], ...]:
    """part(x, wide, y, high, source, rows, columns, runs, matrices, sums): sums of squares on and below the diagonal.

    In float64: sums[matrix, run, j] is that of G[r, j]^2 over the rows r >= j of the run, in order.
    """
    like = REAL[precision](0)
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
    real = REAL[precision]
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
