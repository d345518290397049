"""Products and triangular solves of row-major matrices on a GPU, by cuBLAS, which is column-major.

A row-major matrix is, read by columns, its transpose: C = A B is asked for as C' = B' A', and U X = W as X' U' = W'.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = ["Blas", "Matrix", "missing"]


class Matrix(NamedTuple):
    """A row-major matrix on a GPU: its first element's address, and how many elements lie from one row to the next."""

    address: int
    rows: int
    columns: int
    step: int


class Blas:
    """cuBLAS for one dtype, on the stream of `handle`.

    Args:
        library: what cupy.cuda.cublas is. handle: of cuBLAS on the current device; scalars are read on the host.
        dtype: float32 or float64, of all matrices.
    """

    def __init__(self, library: Any, handle: int, dtype: np.dtype[Any]) -> None:
        self._library, self._handle = library, handle
        single = dtype == np.float32
        self._gemm = library.sgemm if single else library.dgemm
        self._trsm = library.strsm if single else library.dtrsm
        self._scalars = {number: np.array(number, dtype) for number in (-1, 0, 1)}

    def product(self, out: Matrix, left: Matrix, right: Matrix, *, transposed: bool = False, subtracted: bool = False) -> None:
        """out = left right, or left' right if `transposed`; out - that if `subtracted`. `out` overlaps neither of the others."""
        library, inner = self._library, right.rows
        alpha, beta = (-1, 1) if subtracted else (1, 0)
        operation = library.CUBLAS_OP_T if transposed else library.CUBLAS_OP_N
        self._gemm(
            *(self._handle, library.CUBLAS_OP_N, operation, out.columns, out.rows, inner),
            *(self._scalars[alpha].ctypes.data, right.address, right.step, left.address, left.step),
            *(self._scalars[beta].ctypes.data, out.address, out.step),
        )

    def solve_upper(self, upper: Matrix, out: Matrix) -> None:
        """out = upper^-1 out; what lies below the diagonal of `upper` is not read."""
        library = self._library
        self._trsm(
            *(self._handle, library.CUBLAS_SIDE_RIGHT, library.CUBLAS_FILL_MODE_LOWER, library.CUBLAS_OP_N),
            *(library.CUBLAS_DIAG_NON_UNIT, out.columns, out.rows, self._scalars[1].ctypes.data),
            *(upper.address, upper.step, out.address, out.step),
        )


def missing(runtime: str) -> str:
    """What to say where cuBLAS cannot be loaded; `runtime`: the version of CUDA that CuPy is built for, as "13.0"."""
    package = "nvidia-cublas-cu12" if runtime.startswith("12.") else "nvidia-cublas"
    return f"cuBLAS cannot be loaded, and orthogonal matrices need it, other than small ones: pip install {package}"
