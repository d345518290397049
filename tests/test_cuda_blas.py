"""Products of row-major matrices by a column-major library: a fake cuBLAS that reads addresses and flags as cuBLAS does."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gpuinit.backends.cuda.blas import Blas, Matrix, missing
from gpuinit.backends.cuda.driver import Driver


class Fake:
    """gemm and trsm of column-major matrices at addresses of this process, with the numbers of CuPy's cuBLAS for its flags."""

    CUBLAS_OP_N, CUBLAS_OP_T = 0, 1
    CUBLAS_FILL_MODE_LOWER, CUBLAS_FILL_MODE_UPPER = 0, 1
    CUBLAS_SIDE_LEFT, CUBLAS_SIDE_RIGHT = 0, 1
    CUBLAS_DIAG_NON_UNIT, CUBLAS_DIAG_UNIT = 0, 1
    CUBLAS_DEFAULT_MATH, CUBLAS_POINTER_MODE_HOST, CUBLAS_POINTER_MODE_DEVICE = 0, 0, 1

    def __init__(self) -> None:
        self.modes = {"Math": 3, "Pointer": self.CUBLAS_POINTER_MODE_DEVICE}  # of another user of the handle: TF32
        self.seen: list[Any] = []

    def getMathMode(self, handle: int) -> int:
        return self.modes["Math"]

    def setMathMode(self, handle: int, mode: int) -> None:
        self.modes["Math"] = mode

    def getPointerMode(self, handle: int) -> int:
        return self.modes["Pointer"]

    def setPointerMode(self, handle: int, mode: int) -> None:
        self.modes["Pointer"] = mode

    def setStream(self, handle: int, stream: int) -> None:
        self.seen.append(("stream", handle, stream))

    def sgemm(self, *arguments: int) -> None:
        self._gemm(np.float32, *arguments)

    def dgemm(self, *arguments: int) -> None:
        self._gemm(np.float64, *arguments)

    def strsm(self, *arguments: int) -> None:
        self._trsm(np.float32, *arguments)

    def dtrsm(self, *arguments: int) -> None:
        self._trsm(np.float64, *arguments)

    def _gemm(
        self, kind: Any, handle: int, trans_a: int, trans_b: int, m: int, n: int, k: int, alpha: int, a: int, lda: int, b: int,
        ldb: int, beta: int, c: int, ldc: int,
    ) -> None:  # fmt: skip
        """C = alpha op(A) op(B) + beta C; op(A) is m x k, op(B) k x n."""
        self.seen.append(("gemm", self.modes["Math"], self.modes["Pointer"]))
        left = columns(kind, a, m, k, lda) if trans_a == 0 else columns(kind, a, k, m, lda).T
        right = columns(kind, b, k, n, ldb) if trans_b == 0 else columns(kind, b, n, k, ldb).T
        out, factor = columns(kind, c, m, n, ldc), scalar(kind, beta)
        out[...] = scalar(kind, alpha) * (left @ right) + (factor * out if factor else 0)

    def _trsm(
        self, kind: Any, handle: int, side: int, uplo: int, trans: int, diag: int, m: int, n: int, alpha: int, a: int, lda: int,
        b: int, ldb: int,
    ) -> None:  # fmt: skip
        """B = alpha op(A)^-1 B (left) or alpha B op(A)^-1 (right), B m x n; of A one triangle is read."""
        self.seen.append(("trsm", self.modes["Math"], self.modes["Pointer"]))
        order = m if side == self.CUBLAS_SIDE_LEFT else n
        whole = columns(kind, a, order, order, lda)
        triangle = np.tril(whole) if uplo == self.CUBLAS_FILL_MODE_LOWER else np.triu(whole)
        if diag == self.CUBLAS_DIAG_UNIT:
            np.fill_diagonal(triangle, 1)
        inverse = np.linalg.inv(triangle.astype(np.float64))
        inverse = inverse.T if trans == self.CUBLAS_OP_T else inverse
        out = columns(kind, b, m, n, ldb)
        out[...] = scalar(kind, alpha) * (inverse @ out if side == self.CUBLAS_SIDE_LEFT else out @ inverse)


def columns(kind: Any, address: int, rows: int, count: int, step: int) -> np.ndarray[Any, Any]:
    """A column-major matrix at an address, its columns `step` elements apart."""
    assert step >= rows, "a leading dimension below the number of rows, which cuBLAS refuses"
    size = np.dtype(kind).itemsize
    nbytes = ((count - 1) * step + rows) * size
    return np.ndarray((rows, count), kind, (ctypes.c_char * nbytes).from_address(address), 0, (size, step * size))


def scalar(kind: Any, address: int) -> Any:
    return columns(kind, address, 1, 1, 1)[0, 0]


def given(array: np.ndarray[Any, Any]) -> Matrix:
    """Where a NumPy matrix of consecutive columns lies."""
    assert array.strides[1] == array.itemsize
    return Matrix(array.ctypes.data, *array.shape, array.strides[0] // array.itemsize)


def some(rows: int, count: int, kind: Any, seed: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """A matrix inside a larger one, and the larger one."""
    whole = np.random.default_rng(seed).standard_normal((rows + 2, count + 3)).astype(kind)
    return whole[1:-1, 1:-2], whole


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("subtracted", [False, True])
@pytest.mark.parametrize("size", [(3, 4, 5), (7, 2, 1), (1, 1, 6)])
def test_products(kind: Any, transposed: bool, subtracted: bool, size: tuple[int, int, int]) -> None:
    """Everything around the matrix stays as it is; what is not added to is not read."""
    rows, count, inner = size
    left, _ = some(*((inner, rows) if transposed else (rows, inner)), kind, 1)
    right, _ = some(inner, count, kind, 2)
    out, whole = some(rows, count, kind, 3)
    if not subtracted:
        out[...] = np.nan
    product = (left.T if transposed else left) @ right
    wanted = whole.copy()
    wanted[1:-1, 1:-2] = out - product if subtracted else product
    blas = Blas(Fake(), 5, np.dtype(kind))
    blas.product(given(out), given(left), given(right), transposed=transposed, subtracted=subtracted)
    assert np.allclose(whole, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("size", [(4, 7), (5, 2), (1, 3)])
def test_triangular_solves(kind: Any, size: tuple[int, int]) -> None:
    """What lies below the diagonal is not read: NaN there."""
    order, count = size
    upper, _ = some(order, order, kind, 4)
    np.fill_diagonal(upper, 3)
    wanted_of = np.triu(upper).astype(np.float64)
    upper[np.tril_indices(order, -1)] = np.nan
    out, whole = some(order, count, kind, 5)
    wanted = whole.copy()
    wanted[1:-1, 1:-2] = np.linalg.solve(wanted_of, out)
    with np.errstate(invalid="ignore"):
        Blas(Fake(), 5, np.dtype(kind)).solve_upper(given(upper), given(out))
    assert np.allclose(whole, wanted, rtol=0, atol=1e-5)


def test_the_driver_asks_for_full_precision_and_restores_the_handle(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake()
    cuda = SimpleNamespace(cublas=fake, device=SimpleNamespace(get_cublas_handle=lambda: 9))
    driver = Driver.__new__(Driver)
    driver._cupy = SimpleNamespace(cuda=cuda)
    monkeypatch.setattr(driver, "stream", lambda: 77)
    a, b, c = (np.ones((3, 3), np.float32) for _ in range(3))
    with pytest.raises(KeyError), driver.products(np.dtype(np.float32)) as blas:  # noqa: PT012
        blas.product(given(c), given(a), given(b))
        blas.solve_upper(given(a), given(c))
        raise KeyError
    assert fake.seen == [("stream", 9, 77), ("gemm", 0, 0), ("trsm", 0, 0)]
    assert fake.modes == {"Math": 3, "Pointer": 1} and (c[2] == 3).all()


def test_the_flags_are_those_of_cupy_s_library() -> None:
    """Where cuBLAS is installed; nothing is called."""
    try:
        from cupy_backends.cuda.libs import cublas
    except ImportError:
        pytest.skip("cuBLAS is not installed")
    for name in (name for name in vars(Fake) if name.startswith("CUBLAS")):
        assert getattr(cublas, name) == getattr(Fake, name), name
    for name in ("sgemm", "dgemm"):
        assert getattr(cublas, name).__doc__.startswith(
            f"{name}(intptr_t handle, int transa, int transb, int m, int n, int k, size_t alpha, size_t A, int lda, size_t B, "
            "int ldb, size_t beta, size_t C, int ldc)"
        )
    for name in ("strsm", "dtrsm"):
        assert getattr(cublas, name).__doc__.startswith(
            f"{name}(intptr_t handle, int side, int uplo, int trans, int diag, int m, int n, size_t alpha, size_t Aarray, "
            "int lda, size_t Barray, int ldb)"
        )


def test_the_package_that_is_missing() -> None:
    assert missing("12.9").endswith("pip install nvidia-cublas-cu12") and missing("13.0").endswith("pip install nvidia-cublas")
