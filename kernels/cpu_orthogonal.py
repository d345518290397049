"""Compiled Householder reflectors for stacks of small matrices: docs/stream.md, section 10, "Small matrices of a stack".

Formula: Q = H_0 H_1 .. H_(k-1) E diag(-sign) gain, H_j the reflector of column j of a normal matrix G from row j down.
Map: one matrix after the other. Q grows from its last column to its first in a buffer whose rows are whole tiles of columns; for
a reflector each tile goes down the rows twice, for its products with the vector and to take them away. Neighbouring columns stand
side by side in registers, and no sum goes across columns. The columns that have not begun yet are zero and stay zero.
Deterministic: every operation is stated and rounded once, none is reordered. `backends/reflectors.py` is the same in NumPy.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import njit
from numba.core import types
from numba.np.numpy_support import from_dtype

from gpuinit.kernels import numba_source  # noqa: F401  (teaches Numba the primitives)
from gpuinit.kernels.cache import compile_once, named
from gpuinit.kernels.numba_lane_access import TILE_BYTES, load_tile, store_lanes
from gpuinit.kernels.primitives import clamp, divide, fma, square_root

__all__ = ["compiled_reflect"]

RUN = 512
"""Rows whose squares are summed in one run."""


@functools.cache
def compiled_reflect(precision: str) -> Any:
    """reflect(matrices, gain, bound): puts the orthogonal matrix of each normal one in its place, times the gain, within +-bound.

    `matrices` is a C-contiguous array (count, n, k), n >= k >= 1, of the `precision` float32 or float64, as are gain and bound.
    """
    real = np.dtype(precision).type
    zero, one = real(0), real(1)
    tile = TILE_BYTES // np.dtype(precision).itemsize

    def sum_squares(matrix: Any, total: Any, run: Any) -> None:
        """total[j] = the sum of squares of column j from row j down, in float64; the part above is made zero."""
        rows, columns = matrix.shape
        for r in range(columns):
            matrix[r, r + 1 :] = zero
        total[:] = 0.0
        for start in range(0, rows, RUN):
            run[:] = 0.0
            for r in range(start, min(start + RUN, rows)):
                row = matrix[r]
                for c in range(columns):
                    x = np.float64(row[c])
                    run[c] = fma(x, x, run[c])
            for c in range(columns):
                total[c] = total[c] + run[c]

    def apply(q: Any, width: Any, place: Any, v: Any, minus_tau: Any, zeros: Any) -> None:
        """Take the reflector of v away from one tile of columns, whose first row is at `place`."""
        rows = v.size
        whole = rows // 4 * 4
        a = load_tile(zeros, 0)
        b, c, d = a, a, a
        p = place
        for r in range(0, whole, 4):
            a = fma(v[r], load_tile(q, p), a)
            b = fma(v[r + 1], load_tile(q, p + width), b)
            c = fma(v[r + 2], load_tile(q, p + 2 * width), c)
            d = fma(v[r + 3], load_tile(q, p + 3 * width), d)
            p += 4 * width
        if whole < rows:
            a = fma(v[whole], load_tile(q, p), a)
        if whole + 1 < rows:
            b = fma(v[whole + 1], load_tile(q, p + width), b)
        if whole + 2 < rows:
            c = fma(v[whole + 2], load_tile(q, p + 2 * width), c)
        t = minus_tau * ((a + b) + (c + d))
        p = place
        for r in range(rows):
            store_lanes(q, p, fma(t, v[r], load_tile(q, p)))
            p += width

    sum_squares = njit(named(sum_squares, f"reflect-{precision}-squares"))
    apply = njit(forceinline=True)(named(apply, f"reflect-{precision}-apply"))

    def reflect(matrices: Any, gain: Any, bound: Any) -> None:
        count, rows, columns = matrices.shape
        width = (columns + tile - 1) // tile * tile
        total, run = np.empty(columns), np.empty(columns)
        q, factors, zeros = np.empty(rows * width, real), np.empty(columns, real), np.zeros(tile, real)
        for each in range(count):
            matrix = matrices[each]
            sum_squares(matrix, total, run)
            q[:] = zero
            for j in range(columns - 1, -1, -1):
                x = matrix[j, j]
                length = real(square_root(total[j]))
                sign = one if x >= zero else -one
                head = x + sign * length
                wide, first = np.float64(head), np.float64(x)
                tau = real(divide(2.0, fma(wide, wide, fma(-first, first, total[j]))))
                factors[j] = -sign * gain
                matrix[j, j] = head
                q[j * width + j] = one
                for column in range(j // tile * tile, width, tile):
                    apply(q, width, j * width + column, matrix[j:, j], -tau, zeros)
            for r in range(rows):
                row, made = matrix[r], q[r * width : r * width + columns]
                for c in range(columns):
                    row[c] = clamp(made[c] * factors[c], -bound, bound)

    kind = from_dtype(np.dtype(precision))
    return compile_once(reflect, (types.Array(kind, 3, "C"), kind, kind), f"reflect-{precision}")
