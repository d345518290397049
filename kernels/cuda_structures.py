"""The Numba CUDA kernels of diagonals, sparse matrices and Fourier kernels, as `kernels.cuda_kernels` has the others."""

# mypy: ignore-errors
from __future__ import annotations

import warnings

import numpy as np

with warnings.catch_warnings():  # numba-cuda 0.30 uses what NumPy 2.5 deprecates
    warnings.simplefilter("ignore", DeprecationWarning)
    from numba import cuda

from gpuinit.kernels import cuda_copy, cuda_fourier, cuda_sparse

__all__ = ["PARTS", "WRAPPERS"]


def _diagonal(part):
    def diagonal(out, first_row, count, period, turns, length, columns, shift, jump, stride, pattern, rows):
        x = np.uint64(cuda.blockIdx.x) * np.uint64(cuda.blockDim.x) + np.uint64(cuda.threadIdx.x)
        y = np.uint64(cuda.blockIdx.y) * np.uint64(cuda.blockDim.y) + np.uint64(cuda.threadIdx.y)
        wide, high = (
            np.uint64(cuda.gridDim.x) * np.uint64(cuda.blockDim.x),
            np.uint64(cuda.gridDim.y) * np.uint64(cuda.blockDim.y),
        )
        part(x, wide, y, high, out, first_row, count, period, turns, length, columns, shift, jump, stride, pattern, rows)

    return diagonal


def _limits(part):
    def limits(uniform, rows, columns, zeros, limits):
        x = np.uint64(cuda.blockIdx.x) * np.uint64(cuda.blockDim.x) + np.uint64(cuda.threadIdx.x)
        y = np.uint64(cuda.blockIdx.y) * np.uint64(cuda.blockDim.y) + np.uint64(cuda.threadIdx.y)
        wide, high = (
            np.uint64(cuda.gridDim.x) * np.uint64(cuda.blockDim.x),
            np.uint64(cuda.gridDim.y) * np.uint64(cuda.blockDim.y),
        )
        part(x, wide, y, high, uniform, rows, columns, zeros, limits)

    return limits


def _clear(part):
    def clear(out, uniform, limits, first_row, count, columns, jump, stride, rows):
        x = np.uint64(cuda.blockIdx.x) * np.uint64(cuda.blockDim.x) + np.uint64(cuda.threadIdx.x)
        y = np.uint64(cuda.blockIdx.y) * np.uint64(cuda.blockDim.y) + np.uint64(cuda.threadIdx.y)
        wide, high = (
            np.uint64(cuda.gridDim.x) * np.uint64(cuda.blockDim.x),
            np.uint64(cuda.gridDim.y) * np.uint64(cuda.blockDim.y),
        )
        part(x, wide, y, high, out, uniform, limits, first_row, count, columns, jump, stride, rows)

    return clear


def _fourier(part):
    def fourier(out, window, first_time, times, first_frequency, frequencies, half, jump, stride, rows):
        x = np.uint64(cuda.blockIdx.x) * np.uint64(cuda.blockDim.x) + np.uint64(cuda.threadIdx.x)
        y = np.uint64(cuda.blockIdx.y) * np.uint64(cuda.blockDim.y) + np.uint64(cuda.threadIdx.y)
        wide, high = (
            np.uint64(cuda.gridDim.x) * np.uint64(cuda.blockDim.x),
            np.uint64(cuda.gridDim.y) * np.uint64(cuda.blockDim.y),
        )
        part(x, wide, y, high, out, window, first_time, times, first_frequency, frequencies, half, jump, stride, rows)

    return fourier


PARTS = {
    "diagonal": cuda_copy.diagonal_part,
    "limits": cuda_sparse.limits_part,
    "clear": cuda_sparse.clear_part,
    "fourier": cuda_fourier.fourier_part,
}
"""What one thread of each does."""
WRAPPERS = {"diagonal": _diagonal, "limits": _limits, "clear": _clear, "fourier": _fourier}
"""The kernel around each; all arguments are uint64."""
