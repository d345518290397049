"""Householder reflectors for stacks of small matrices by NumPy: docs/stream.md, section 10, "Small matrices of a stack".

The executable specification of `kernels/cpu_orthogonal.py`, and the CPU's way where nothing is compiled. The matrices stand side
by side, and every rounding is the one that the page states, so the bits are those of every other backend.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuinit.kernels.primitives import clamp, fma

__all__ = ["reflect"]

Array = np.ndarray[Any, Any]
_CHUNK = 2**16
_RUN = 512
_PARTS = 4


def reflect(matrices: Array, gain: Any, bound: Any) -> None:
    """Put the orthogonal matrix of each normal one in its place, times the gain, its values within +-bound.

    Args:
        matrices: float32 or float64 of shape (count, n, k), n >= k >= 1.
        gain, bound: of the same type.
    """
    step = max(1, _CHUNK // matrices[0].size)
    for start in range(0, len(matrices), step):
        _reflect(matrices[start : start + step], gain, bound)


def _reflect(matrices: Array, gain: Any, bound: Any) -> None:
    count, _, columns = matrices.shape
    real = matrices.dtype.type
    totals = _sums_of_squares(matrices)
    q = np.zeros_like(matrices)
    factors = np.empty((count, 1, columns), real)
    for j in reversed(range(columns)):
        v, total = matrices[:, j:, j], totals[:, j]
        x = v[:, 0].copy()
        sign = np.where(x >= 0, real(1), real(-1))
        head = x + sign * np.sqrt(total).astype(real)
        wide, first = head.astype(np.float64), x.astype(np.float64)
        tau = (2.0 / fma(wide, wide, fma(-first, first, total))).astype(real)
        factors[:, 0, j] = -sign * gain
        v[:, 0] = head
        q[:, j, j] = 1
        block = q[:, j:, j:]
        t = tau[:, None] * _products(v, block)
        block[...] = fma(-t[:, None, :], v[:, :, None], block)
    matrices[...] = clamp(q * factors, -bound, bound)


def _sums_of_squares(matrices: Array) -> Array:
    """For each matrix and column j the sum from row j down, in float64, by runs of rows."""
    x = np.tril(matrices).astype(np.float64)
    total = np.zeros((len(x), x.shape[2]))
    for start in range(0, x.shape[1], _RUN):
        run = np.zeros_like(total)
        for r in range(start, min(start + _RUN, x.shape[1])):
            run = fma(x[:, r], x[:, r], run)
        total += run
    return total


def _products(v: Array, block: Array) -> Array:
    """v' block of each matrix, each sum in four parts that take the rows in turns."""
    parts = np.zeros((len(v), _PARTS, block.shape[2]), v.dtype)
    for r in range(0, v.shape[1], _PARTS):
        rows = block[:, r : r + _PARTS]
        part = parts[:, : rows.shape[1]]
        part[...] = fma(v[:, r : r + _PARTS, None], rows, part)
    sums: Array = (parts[:, 0] + parts[:, 1]) + (parts[:, 2] + parts[:, 3])
    return sums
