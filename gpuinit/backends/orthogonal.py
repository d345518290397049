"""Haar-distributed orthogonal matrices on the CPU.

Of a standard normal matrix G (n rows, k <= n columns, drawn from the stream) column j gives x_j = G[j:, j] and with it
the reflector

    H_j = I - tau v v*,   v = x_j + s_j |x_j| e_j,   tau = 2 / v*v,   s_j = sign of G[j, j] (complex: its phase);

Q = H_1 H_2 .. H_k E diag(-s), E the first k columns of I, is Haar-distributed (Stewart, 1980, sec. 3; Mezzadri, 2007,
sec. 4). The reflectors are the contract; how they are applied differs by shape and device.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gpuinit import dtypes
from gpuinit.key import Key

__all__ = ["haar"]

Array = np.ndarray[Any, Any]
_TALL = 4
"""From this ratio of rows to columns on, the blocked way is the faster one, as measured on 2 cores."""
_RUN = 64


def haar(
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    gain: float,
    method: str,
    key: Key,
    normal: Callable[[tuple[int, int], np.dtype[Any], Key], Array],
) -> Array:
    """`gain` times a Haar-distributed matrix of prod(shape[:-1]) rows and shape[-1] columns, in that shape.

    Args:
        shape: at least two dimensions.
        dtype: floating or complex; types narrower than float32 are computed in float32 and rounded.
        gain: finite; the dtype can hold it.
        method: "auto", the reflectors; "qr" or "svd", other samples of the same law.
        key: the key of the stream.
        normal: normal((n, k), dtype, key) draws G, n = max(rows, columns), k = min(rows, columns), as a new array; a
            wide matrix is the transpose of the tall one.

    Returns:
        A new array, its values in [-|gain|, |gain|], in either memory order. The work needs memory for one more matrix
        of its size in the computed type ("svd": about five more).
    """
    rows, columns = math.prod(shape[:-1]), shape[-1]
    size = (max(rows, columns), min(rows, columns))
    if 0 in size:
        return np.empty(shape, dtype)
    computed = dtype if dtype.kind == "c" else dtypes.computed_in(dtype)
    make = {"auto": _reflect, "qr": _qr, "svd": _svd}[method]
    matrix = make(normal(size, computed, key), gain)
    if rows < columns:
        matrix = matrix.T
    parts = (matrix if matrix.flags.c_contiguous else matrix.T).view(dtypes.component(computed))
    bound = dtypes.at_most(abs(gain), dtypes.component(dtype))
    np.clip(parts, -bound, bound, out=parts)  # rounding may have left the interval by an ulp
    return matrix.astype(dtype, copy=False).reshape(shape)


def _reflect(normal: Array, gain: float) -> Array:
    tall = normal.shape[0] >= _TALL * normal.shape[1]
    return _apply_blocked(normal, gain) if tall else _apply_lapack(normal, gain)


def _apply_lapack(normal: Array, gain: float) -> Array:
    """The product of the reflectors by LAPACK's orgqr (ungqr): most accurate, and the faster way near square."""
    diagonal = np.diagonal(normal).copy()
    lengths, signs = _lengths(normal), _signs(diagonal)
    vectors = np.asfortranarray(normal)
    vectors /= diagonal + signs * lengths  # a head of 1, which LAPACK implies; it does not read above it
    matrix = _generate(vectors, 1 + np.abs(diagonal) / lengths)
    matrix *= -gain * signs
    return matrix


def _apply_blocked(normal: Array, gain: float) -> Array:
    """The product of the reflectors by the UT transform, all matrix products (Joffrain et al., 2006): faster when tall.

    Q = E - V T V_top*,  T^-1 = triu(V*V, 1) + D,  D = diag(V*V) / 2 = |x_j| (|x_j| + |x_jj|) from accurate lengths: the
    diagonal of the rounded V*V would cost ten times the error.
    """
    from scipy.linalg import solve_triangular

    size = normal.shape[1]
    each = np.arange(size)
    diagonal = np.diagonal(normal).copy()
    lengths, signs = _lengths(normal), _signs(diagonal)
    vectors, top = normal, normal[:size]
    top[...] = np.tril(top)
    top[each, each] += signs * lengths
    inverse = np.triu(_gram(vectors))
    inverse[each, each] = lengths * (lengths + np.abs(diagonal))
    matrix: Array = vectors @ -solve_triangular(inverse, top.conj().T)
    matrix[each, each] += 1
    matrix *= -gain * signs
    return matrix


def _qr(normal: Array, gain: float) -> Array:
    """The Q of the normal matrix's QR factorization, its columns' signs such that R has a positive diagonal."""
    from scipy.linalg import get_lapack_funcs

    factored = np.asfortranarray(normal)
    geqrf = get_lapack_funcs("geqrf", (factored,))
    factored, tau, _, _ = geqrf(factored, lwork=_RUN * factored.shape[1], overwrite_a=True)
    signs = _signs(np.diagonal(factored).copy())
    matrix = _generate(factored, tau)
    matrix *= gain * signs
    return matrix


def _svd(normal: Array, gain: float) -> Array:
    """U V* of the normal matrix's singular value decomposition, which no choice of signs changes."""
    from scipy.linalg import svd

    left, _, right = svd(normal, full_matrices=False, overwrite_a=True, check_finite=False)
    matrix: Array = left @ right
    matrix *= gain
    return matrix


def _generate(vectors: Array, tau: Array) -> Array:
    """H_1 H_2 .. H_k E from the reflectors below the diagonal of a column-major array, in place."""
    from scipy.linalg import get_lapack_funcs

    generate = get_lapack_funcs("ungqr" if vectors.dtype.kind == "c" else "orgqr", (vectors,))
    matrix: Array = generate(vectors, tau, lwork=_RUN * vectors.shape[1], overwrite_a=True)[0]
    return matrix


def _gram(matrix: Array) -> Array:
    """A*A without a copy of A."""
    if matrix.dtype.kind != "c":
        return matrix.T @ matrix
    from scipy.linalg import get_blas_funcs

    conjugate: Array = get_blas_funcs("gemm", (matrix,))(1, matrix.T, matrix.T, trans_b=2)
    return conjugate.conj()


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
