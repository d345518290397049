"""The Numba CUDA kernels by name: each wraps what one thread does, and says the types of its arguments.

A kernel takes numbers only, addresses among them as uint64, so that any driver can launch it.
"""

# mypy: ignore-errors
from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types

with warnings.catch_warnings():  # numba-cuda 0.30 uses what NumPy 2.5 deprecates
    warnings.simplefilter("ignore", DeprecationWarning)
    from numba import cuda

from gpuinit.kernels import cuda_copy, cuda_fill, cuda_hash, cuda_orthogonal, cuda_orthogonal_kernels, cuda_structures
from gpuinit.kernels.cuda_parts import coordinates
from gpuinit.kernels.philox import philox32

__all__ = ["kernel", "parts", "signature"]

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")

_PARTS = {
    "fill": cuda_fill.fill_part,
    "constant": cuda_copy.constant_part,
    "copy": cuda_copy.copy_part,
    "hash": cuda_hash.hash_part,
    "rows": cuda_hash.rows_part,
    **cuda_structures.PARTS,
    **cuda_orthogonal.PARTS,
}


def parts(name: str, *parameters: str) -> tuple[Callable[..., Any], ...]:
    """What one thread of a kernel does, behind the functions that it calls; taught to Numba's compiler."""
    found = _PARTS[name](*parameters)
    if not SIMULATED:
        _teach((philox32,))
        _teach((coordinates, cuda_orthogonal_kernels.thread))
        if name == "fill":
            from gpuinit.kernels.numba_source import teach_quantile

            teach_quantile(parameters[0], 64 if parameters[1] == "float64" else 32)
        _teach(found)
    return found


@functools.cache
def _teach(functions: tuple[Callable[..., Any], ...]) -> None:
    from gpuinit.kernels import numba_memory, numba_source  # noqa: F401  (teach Numba the source)
    from gpuinit.kernels.numba_primitives import teach

    for function in functions:
        teach(function)


@functools.cache
def kernel(name: str, *parameters: str) -> Callable[..., Any]:
    """The kernel as Numba or its simulator compiles it.

    Names and parameters: "fill" (quantile, storage, ids), "constant" (size), "copy" (size, ids), "diagonal" (size, ids),
    "hash" (size), "rows" (ids); "limits" (), "clear" (size, ids), "fourier" (side, storage, ids); "squares", "heads", "apply" and
    "panel" (precision), "finish" (storage).
    """
    return _WRAPPERS[name](parts(name, *parameters)[-1])


def signature(name: str, *parameters: str) -> Any:
    """The types of a kernel's arguments."""
    u8 = types.uint64
    if name == "fill":
        real, word = (types.float64, u8) if parameters[1] == "float64" else (types.float32, types.uint32)
        return types.void(*(u8,) * 16, *(types.uint32,) * 4, *(real,) * 14, *(word,) * 3)
    return types.void(*(u8,) * _WRAPPERS[name](None).__code__.co_argcount)


def _fill(part):
    def fill(
        out,
        base,
        length,
        stride,
        slots,
        runs,
        count_2,
        count_3,
        step_1,
        step_2,
        step_3,
        jump_1,
        jump_2,
        jump_3,
        rows,
        packed,
        k0,
        k1,
        k2,
        k3,
        scale,
        even,
        odd,
        low_even,
        high_even,
        low_odd,
        high_odd,
        c0,
        c1,
        c2,
        c3,
        c4,
        c5,
        c6,
        i0,
        i1,
        i2,
    ):
        x = np.uint64(cuda.blockIdx.x) * np.uint64(cuda.blockDim.x) + np.uint64(cuda.threadIdx.x)
        y = np.uint64(cuda.blockIdx.y) * np.uint64(cuda.blockDim.y) + np.uint64(cuda.threadIdx.y)
        wide, high = (
            np.uint64(cuda.gridDim.x) * np.uint64(cuda.blockDim.x),
            np.uint64(cuda.gridDim.y) * np.uint64(cuda.blockDim.y),
        )
        part(
            x,
            wide,
            y,
            high,
            out,
            base,
            length,
            stride,
            slots,
            runs,
            count_2,
            count_3,
            (step_1, step_2, step_3),
            (jump_1, jump_2, jump_3),
            rows,
            packed,
            (k0, k1, k2, k3),
            (scale, even, odd, low_even, high_even, low_odd, high_odd),
            (c0, c1, c2, c3, c4, c5, c6),
            (i0, i1, i2),
        )

    return fill


def _constant(part):
    def constant(out, length, stride, runs, count_2, count_3, jump_1, jump_2, jump_3, even, odd):
        x = np.uint64(cuda.blockIdx.x) * np.uint64(cuda.blockDim.x) + np.uint64(cuda.threadIdx.x)
        y = np.uint64(cuda.blockIdx.y) * np.uint64(cuda.blockDim.y) + np.uint64(cuda.threadIdx.y)
        wide, high = (
            np.uint64(cuda.gridDim.x) * np.uint64(cuda.blockDim.x),
            np.uint64(cuda.gridDim.y) * np.uint64(cuda.blockDim.y),
        )
        part(x, wide, y, high, out, length, stride, runs, count_2, count_3, (jump_1, jump_2, jump_3), even, odd)

    return constant


def _copy(part):
    def copy(
        out,
        source,
        length,
        stride,
        source_stride,
        runs,
        count_2,
        count_3,
        jump_1,
        jump_2,
        jump_3,
        source_jump_1,
        source_jump_2,
        source_jump_3,
        rows,
    ):
        x = np.uint64(cuda.blockIdx.x) * np.uint64(cuda.blockDim.x) + np.uint64(cuda.threadIdx.x)
        y = np.uint64(cuda.blockIdx.y) * np.uint64(cuda.blockDim.y) + np.uint64(cuda.threadIdx.y)
        wide, high = (
            np.uint64(cuda.gridDim.x) * np.uint64(cuda.blockDim.x),
            np.uint64(cuda.gridDim.y) * np.uint64(cuda.blockDim.y),
        )
        part(
            x,
            wide,
            y,
            high,
            out,
            source,
            length,
            stride,
            source_stride,
            runs,
            count_2,
            count_3,
            (jump_1, jump_2, jump_3),
            (source_jump_1, source_jump_2, source_jump_3),
            rows,
        )

    return copy


def _hash(part):
    def hash(source, start, length, stride, runs, count_2, count_3, jump_1, jump_2, jump_3, sums):
        x = np.uint64(cuda.blockIdx.x) * np.uint64(cuda.blockDim.x) + np.uint64(cuda.threadIdx.x)
        y = np.uint64(cuda.blockIdx.y) * np.uint64(cuda.blockDim.y) + np.uint64(cuda.threadIdx.y)
        wide, high = (
            np.uint64(cuda.gridDim.x) * np.uint64(cuda.blockDim.x),
            np.uint64(cuda.gridDim.y) * np.uint64(cuda.blockDim.y),
        )
        part(x, wide, y, high, source, start, length, stride, runs, count_2, count_3, (jump_1, jump_2, jump_3), sums)

    return hash


def _rows(part):
    def rows(rows, stride, count, length, places):
        x = np.uint64(cuda.blockIdx.x) * np.uint64(cuda.blockDim.x) + np.uint64(cuda.threadIdx.x)
        y = np.uint64(cuda.blockIdx.y) * np.uint64(cuda.blockDim.y) + np.uint64(cuda.threadIdx.y)
        wide, high = (
            np.uint64(cuda.gridDim.x) * np.uint64(cuda.blockDim.x),
            np.uint64(cuda.gridDim.y) * np.uint64(cuda.blockDim.y),
        )
        part(x, wide, y, high, rows, stride, count, length, places)

    return rows


_WRAPPERS = {
    **{"fill": _fill, "constant": _constant, "copy": _copy, "hash": _hash, "rows": _rows},
    **cuda_structures.WRAPPERS,
    **cuda_orthogonal_kernels.WRAPPERS,
}
