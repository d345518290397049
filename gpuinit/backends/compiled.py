"""The compiled CPU path: the stream's kernels, compiled by Numba, over a pool of threads."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from gpuinit import dtypes
from gpuinit.backends import threads
from gpuinit.backends.layout import layout
from gpuinit.kernels.philox import schedule
from gpuinit.key import Key
from gpuinit.region import Region
from gpuinit.sampler import Sampler

__all__ = ["fill", "load", "usable"]

STREAM = 2**24
"""From this many bytes on, a fill whose quantile has no tail writes past the caches, which could not keep the output anyway."""
_NO_AXES = np.zeros((0, 3), np.int64)
_NO_ROWS = np.zeros(0, np.int64)
_ZERO = np.uint64(0)


@functools.cache
def usable() -> bool:
    """Whether Numba can compile here; loading it takes a few hundred milliseconds the first time."""
    try:
        import numba

        import gpuinit.kernels.cpu_fill  # noqa: F401
    except Exception:  # a Numba that does not fit this NumPy or Python fails in ways of its own
        return False
    return not numba.config.DISABLE_JIT


def load(sampler: Sampler) -> None:
    """Load or compile the sampler's kernel, so that threads find it ready."""
    _plan(sampler)


def fill(out: np.ndarray[Any, Any], sampler: Sampler, region: Region, key: Key) -> None:
    """Write the region of the sampled tensor into `out`, an array of any strides of the region's shape."""
    kernel, parts, itemsize = _plan(sampler)
    size = out.size * parts
    if region.whole and out.flags.c_contiguous:
        where: tuple[Any, ...] = (_ZERO, size, _NO_AXES, _NO_ROWS, itemsize)
    else:
        where = _where(region.components(parts), out.strides if parts == 1 else (*out.strides, itemsize))
    address, constants = out.ctypes.data, (_schedule(key), sampler.reals, sampler.integers, out.nbytes >= STREAM)
    if size <= threads.PIECE:
        kernel(address, 0, size, *where, *constants)
    else:

        def work(first: int, last: int, alive: Any = out) -> None:  # an interrupt may free `out` while a helper still writes
            kernel(address, first, last, *where, *constants)

        threads.run(work, size)


@functools.lru_cache(maxsize=1024)
def _plan(sampler: Sampler) -> tuple[Any, int, int]:
    """The sampler's kernel, the components of an element, and the bytes of one."""
    from gpuinit.kernels.cpu_fill import compiled_fill

    real = dtypes.component(sampler.dtype)
    parts = sampler.dtype.itemsize // real.itemsize
    return compiled_fill(sampler.quantile, real.name, parts == 2), parts, real.itemsize


def _where(region: Region, strides: tuple[int, ...]) -> tuple[Any, ...]:
    """The kernel's arguments base, length, axes, rows, stride for a region written with these strides (bytes)."""
    base, length, stride, axes = layout(region, strides)
    signed = [(count, step if step < 2**63 else step - 2**64, jump) for count, step, jump in axes]  # the kernel adds modulo 2^64
    table = np.array(signed, np.int64).reshape(-1, 3)
    return np.uint64(base), length, table, _NO_ROWS if region.rows is None else region.rows, stride


@functools.lru_cache(maxsize=256)
def _schedule(key: Key) -> np.ndarray[Any, Any]:
    """What the rounds need of the key, for the kernels' `key`."""
    return np.array(schedule(key.seed, key.stream), np.uint64)
