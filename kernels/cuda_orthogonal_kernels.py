"""The Numba CUDA kernels of orthogonal matrices: each wraps what one thread does (`kernels.cuda_orthogonal`)."""

# mypy: ignore-errors
from __future__ import annotations

import warnings

import numpy as np

with warnings.catch_warnings():  # numba-cuda 0.30 uses what NumPy 2.5 deprecates
    warnings.simplefilter("ignore", DeprecationWarning)
    from numba import cuda

__all__ = ["WRAPPERS", "thread"]


def thread():
    """Which thread this is along x, of how many, and the same along y."""
    return (
        np.uint64(cuda.blockIdx.x) * np.uint64(cuda.blockDim.x) + np.uint64(cuda.threadIdx.x),
        np.uint64(cuda.gridDim.x) * np.uint64(cuda.blockDim.x),
        np.uint64(cuda.blockIdx.y) * np.uint64(cuda.blockDim.y) + np.uint64(cuda.threadIdx.y),
        np.uint64(cuda.gridDim.y) * np.uint64(cuda.blockDim.y),
    )


def _squares(part):
    def squares(source, rows, columns, runs, matrices, sums):
        x, wide, y, high = thread()
        part(x, wide, y, high, source, rows, columns, runs, matrices, sums)

    return squares


def _heads(part):
    def heads(source, rows, columns, runs, matrices, sums, gain, taus, inverses, factors):
        x, wide, y, high = thread()
        part(x, wide, y, high, source, rows, columns, runs, matrices, sums, gain, taus, inverses, factors)

    return heads


def _apply(part):
    def apply(source, rows, columns, matrices, taus, out):
        x, wide, y, high = thread()
        part(x, wide, y, high, source, rows, columns, matrices, taus, out)

    return apply


def _panel(part):
    def panel(matrix, rows, columns, first, width, panel):
        x, wide, y, high = thread()
        part(x, wide, y, high, matrix, rows, columns, first, width, panel)

    return panel


def _finish(part):
    def finish(source, rows, columns, matrices, factors, bound, out, matrix_step, row_step, column_step):
        x, wide, y, high = thread()
        part(x, wide, y, high, source, rows, columns, matrices, factors, bound, out, matrix_step, row_step, column_step)

    return finish


WRAPPERS = {"squares": _squares, "heads": _heads, "apply": _apply, "panel": _panel, "finish": _finish}
"""By the kernel's name, what makes it of its part."""
