"""One Haar-distributed orthogonal matrix on the CPU, by matrix products.

Of a standard normal matrix G (n rows, k <= n columns, drawn from the stream) column j gives x_j = G[j:, j] and with it
the reflector

    H_j = I - tau v v*,   v = x_j + s_j |x_j| e_j,   tau = 2 / v*v,   s_j = sign of G[j, j] (complex: its phase);

Q = H_1 H_2 .. H_k E diag(-s), E the first k columns of I, is Haar-distributed (Stewart, 1980, sec. 3; Mezzadri, 2007,
sec. 4). The reflectors are the contract; how they are applied is not. Stacks of small matrices have a way of their own
(`backends/reflectors.py`, `kernels/cpu_orthogonal.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gpuinit import dtypes

__all__ = ["NARROW_PANEL", "PANEL", "orthogonalize"]

Array = np.ndarray[Any, Any]
PANEL = 512
"""Columns that are applied at once: of 128, 256 and 512 the fastest at 1024 and 4096 columns on two cores of an AMD EPYC."""
NARROW_PANEL = 256
"""The same of matrices of fewer than two panels, so that the workspace is no more than two of them."""
_TEMPORARY = 2**20
_RUN = 64


def orthogonalize(normal: Array, gain: float, bound: float, method: str) -> Array:
    """`gain` times the orthogonal matrix that a tall normal one gives.

    Args:
        normal: C-contiguous, of shape (n, k), n >= k >= 1, float32, float64, complex64 or complex128; it is overwritten.
        gain, bound: finite; real and imaginary parts are held in [-bound, bound].
        method: "auto", the reflectors, in place of `normal`; "qr" or "svd", other samples of the same law.

    Returns:
        `normal` itself by "auto", else a new array in either memory order. Besides, "auto" takes memory for a panel of at
        most 512 columns and 512 rows, "qr" none, "svd" about five more matrices.
    """
    make: Callable[[Array, float], Array] = {"auto": _reflect, "qr": _qr, "svd": _svd}[method]  # type: ignore[assignment]
    made = make(normal, gain)
    parts = (made if made.flags.c_contiguous else made.T).view(dtypes.component(made.dtype))
    np.clip(parts, -bound, bound, out=parts)  # rounding may have left the interval by an ulp
    return made


def _reflect(matrix: Array, gain: float, panel: int | None = None) -> Array:
    """The product of the reflectors by panels of columns, from the last to the first, in place (Joffrain et al., 2006).

    A panel's product is I - V T V*, T^-1 = triu(V*V, 1) + D, D = diag(V*V) / 2 = |x_j| (|x_j| + |x_jj|) from accurate
    lengths: the diagonal of the rounded V*V would cost ten times the error. V's columns make room for Q's.
    """
    columns = matrix.shape[1]
    panel = panel or (PANEL if columns >= 2 * PANEL else NARROW_PANEL)
    diagonal = np.diagonal(matrix).copy()
    lengths, signs = _lengths(matrix), _signs(diagonal)
    for first in reversed(range(0, columns, panel)):
        last = min(first + panel, columns)
        here = slice(first, last)
        each = np.arange(last - first)
        vectors = matrix[first:, here].copy()
        top, below, rest = vectors[: len(each)], vectors[len(each) :], matrix[last:, last:]
        top[...] = np.tril(top)
        top[each, each] += signs[here] * lengths[here]
        inverse = np.triu(_gram(vectors))
        inverse[each, each] = lengths[here] * (lengths[here] + np.abs(diagonal[here]))
        if last < columns:  # the columns behind, still zero in the panel's rows
            weights = _solved(inverse, below.conj().T @ rest)
            np.matmul(top, -weights, out=matrix[first:last, last:])
            _subtract_product(rest, below, weights)
        matrix[:first, here] = 0
        np.matmul(vectors, _solved(inverse, -top.conj().T), out=matrix[first:, here])
        matrix[first:last, here][each, each] += 1
    matrix *= -gain * signs
    return matrix


def _gram(matrix: Array) -> Array:
    """A*A without a copy of A."""
    if matrix.dtype.kind != "c":
        return matrix.T @ matrix
    from scipy.linalg import get_blas_funcs

    conjugate: Array = get_blas_funcs("gemm", (matrix,))(1, matrix.T, matrix.T, trans_b=2)
    return conjugate.conj()


def _solved(triangle: Array, matrix: Array) -> Array:
    """triangle^-1 matrix of an upper triangle, both row-major."""
    from scipy.linalg import get_blas_funcs

    solve = get_blas_funcs("trsm", (triangle,))
    transposed: Array = solve(1, triangle.T, np.ascontiguousarray(matrix).T, side=1, lower=1, overwrite_b=True)
    return transposed.T


def _subtract_product(matrix: Array, left: Array, right: Array) -> None:
    """matrix -= left right, by runs of rows, so that the product takes little memory."""
    step = max(1, _TEMPORARY // matrix.shape[1])
    product = np.empty((min(step, len(matrix)), matrix.shape[1]), matrix.dtype)
    for start in range(0, len(matrix), step):
        rows = matrix[start : start + step]
        rows -= np.matmul(left[start : start + step], right, out=product[: len(rows)])


def _qr(normal: Array, gain: float) -> Array:
    """The Q of the normal matrix's QR factorization, its columns' signs such that R has a positive diagonal."""
    from scipy.linalg import get_lapack_funcs

    factored = np.asfortranarray(normal)
    name = "ungqr" if normal.dtype.kind == "c" else "orgqr"
    factor, generate = get_lapack_funcs(("geqrf", name), (factored,))
    work = _RUN * factored.shape[1]
    factored, tau, _, _ = factor(factored, lwork=work, overwrite_a=True)
    signs = _signs(np.diagonal(factored).copy())
    matrix: Array = generate(factored, tau, lwork=work, overwrite_a=True)[0]
    matrix *= gain * signs
    return matrix


def _svd(normal: Array, gain: float) -> Array:
    """U V* of the normal matrix's singular value decomposition, which no choice of signs changes."""
    from scipy.linalg import svd

    left, _, right = svd(normal, full_matrices=False, overwrite_a=True, check_finite=False)
    matrix: Array = left @ right
    matrix *= gain
    return matrix


def _lengths(normal: Array) -> Array:
    """|x_j|: squares are summed in runs of 64 rows, the runs in float64."""
    columns = normal.shape[1]
    part = dtypes.component(normal.dtype)
    total = np.zeros(columns * normal.itemsize // part.itemsize)
    for start in range(0, columns, _RUN):
        run = np.tril(normal[start : min(start + _RUN, columns)], start).view(part)
        total += np.einsum("ij,ij->j", run, run)
    tail = normal[columns:].view(part)
    whole = len(tail) // _RUN * _RUN
    runs = tail[:whole].reshape(-1, _RUN, len(total))
    total += np.einsum("aij,aij->aj", runs, runs).sum(axis=0, dtype=np.float64)
    total += np.einsum("ij,ij->j", tail[whole:], tail[whole:])
    lengths: Array = np.sqrt(total.reshape(columns, -1).sum(axis=1))
    return lengths.astype(part)


def _signs(diagonal: Array) -> Array:
    """The sign of each number (complex: its phase), 1 for zero."""
    size = np.abs(diagonal)
    signs: Array = np.where(size > 0, diagonal, 1) / np.where(size > 0, size, 1)
    return signs
