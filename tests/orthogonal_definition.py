"""Section 10 of docs/stream.md for small matrices of a stack, written out in NumPy: each operation rounded once, in order."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import gpuinit
from gpuinit import dtypes
from gpuinit.kernels.primitives import fma
from gpuinit.stack import Stack

__all__ = ["defined", "orthogonal", "reflectors"]

Array = np.ndarray[Any, Any]


def reflectors(normal: Array) -> tuple[Array, Array, Array]:
    """The vectors v_j on and below the diagonal, tau_j, and the signs of the first entries."""
    real, (rows, columns) = normal.dtype.type, normal.shape
    each, squares = np.arange(columns), np.zeros(columns)
    for begin in range(0, rows, 512):
        run = np.zeros(columns)
        for row in range(begin, min(begin + 512, rows)):
            x = np.where(row >= each, normal[row], 0).astype(np.float64)
            run = fma(x, x, run)
        squares = squares + run
    first = normal[each, each]
    signs = np.where(first >= 0, real(1), real(-1))
    heads = first + signs * np.sqrt(squares).astype(real)
    wide, x = heads.astype(np.float64), first.astype(np.float64)
    taus = (2 / fma(wide, wide, fma(-x, x, squares))).astype(real)
    vectors = np.tril(normal)
    vectors[each, each] = heads
    return vectors, taus, signs


def orthogonal(normal: Array, gain: float, dtype: Any) -> Array:
    """The matrix of rows >= columns that a normal one gives."""
    real, (rows, columns) = normal.dtype.type, normal.shape
    vectors, taus, signs = reflectors(normal)
    made = np.eye(rows, columns, dtype=real)
    for j in reversed(range(columns)):
        sums = np.zeros((4, columns - j), real)
        for row in range(j, rows):
            sums[(row - j) % 4] = fma(vectors[row, j], made[row, j:], sums[(row - j) % 4])
        t = taus[j] * ((sums[0] + sums[1]) + (sums[2] + sums[3]))
        for row in range(j, rows):
            made[row, j:] = fma(-t, vectors[row, j], made[row, j:])
    bound = real(dtypes.at_most(abs(gain), np.dtype(dtype)))
    return np.clip(made * (-signs * real(gain)), -bound, bound).astype(dtype)


def defined(shape: tuple[int, ...], batch: tuple[int, ...], gain: float, seed: int, dtype: Any) -> Array:
    """The whole tensor."""
    stack, kind = Stack(shape, batch), dtypes.canonical(dtype)
    size = (stack.count, *stack.tall)
    normal = gpuinit.RandomNormal(0.0, 1.0, seed=seed)(size, dtypes.computed_in(kind), device="cpu")
    made = np.array([orthogonal(matrix, gain, kind) for matrix in normal], kind)
    if stack.wide:
        made = made.transpose(0, 2, 1)
    grouped = np.ascontiguousarray(made).reshape(stack.grouped)
    assert grouped.size == math.prod(shape)
    return grouped.transpose(np.argsort(stack.order))
