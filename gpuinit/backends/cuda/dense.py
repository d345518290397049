"""The launcher of dense fills: which kernel, which geometry and which numbers fill a range of elements.

It knows the kernel of kernels/dense_fill.cu and nothing of a device: what it gives can be launched on a GPU, or by a
host's compiler in a test.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from gpuinit import dtypes
from gpuinit.backends.cuda.launch import Launch
from gpuinit.kernels import cuda_source
from gpuinit.kernels.philox import constants
from gpuinit.kernels.primitives import fma
from gpuinit.key import Key
from gpuinit.sampler import Sampler

__all__ = ["MOST_VECTORS", "covers", "kernel", "launches"]

VECTOR = 16
MOST_VECTORS = 2**30
"""Vectors of one launch at most: their numbers stay far below 2^32."""
TILES_PER_BLOCK = 16
BLOCKS_PER_PROCESSOR = 16
_SMALLEST_SCALE = 2.0**-60


@functools.lru_cache(maxsize=1024)
def covers(sampler: Sampler) -> bool:
    """Whether the dense kernels have the sampler's quantile, and give its very bits.

    They clamp by the GPU's minimum and maximum, which put -0 below +0, where the stream keeps a zero that compares equal to
    its bound. The two differ only where a value can be -0, which takes a product that underflows, and a bound is 0.
    """
    if sampler.quantile not in cuda_source.QUANTILES:
        return False
    bounds = sampler.reals[3:7]
    return sampler.quantile == "unit" or bool(bounds.all()) or float(sampler.reals[0]) >= _SMALLEST_SCALE


def launches(sampler: Sampler, key: Key, start: int, count: int, address: int, processors: int) -> Iterator[Launch]:
    """The launches that write elements start .. start + count - 1 to consecutive memory.

    Args:
        sampler: of the dtype; `covers` it.
        start, count: in components of the dtype: a complex element counts two.
        address: of the first component, a multiple of its size.
        processors: multiprocessors of the device.
    """
    plan = _plan(sampler)
    end = start + count
    while start < end:
        head = address % VECTOR // plan.itemsize
        carry = -(-(start + 1) // plan.period) * plan.period  # where the counter's upper word changes next
        stop = min(end, carry, start + MOST_VECTORS * plan.elements - head)
        yield _launch(plan, sampler, key, start, stop - start, address, head, processors)
        address += (stop - start) * plan.itemsize
        start = stop


def kernel(sampler: Sampler, shifted: bool = False) -> tuple[str, int]:
    """The kernel that a sampler's elements are drawn by, and the vectors of a thread; see `cuda_source.dense_kernel`."""
    plan = _plan(sampler)
    found: tuple[str, int] = cuda_source.dense_kernel(sampler.quantile, plan.storage, plan.bounds, shifted)
    return found


class _Plan:
    """What a sampler's launches share."""

    def __init__(self, sampler: Sampler) -> None:
        real = dtypes.component(sampler.dtype)
        self.storage = real.name
        self.itemsize = real.itemsize
        self.elements = VECTOR // real.itemsize
        self.per_counter = VECTOR // sampler.reals.itemsize
        self.period = self.per_counter << 32
        self.bounds = _bounds(sampler)
        self.paired = sampler.dtype != real
        self.fraction = 2 ** np.finfo(sampler.reals.dtype).nmant - 1
        self.structure = _structure(sampler.reals.dtype.name)

    def reals(self, sampler: Sampler, odd_first: bool) -> np.ndarray[Any, Any]:
        """The law's constants, those of the parts at even places of a vector before those at odd ones."""
        order = [0, 1, 2, 3, 4, 5, 6]
        if not self.paired:
            order = [0, 1, 1, 3, 4, 3, 4]
        elif odd_first:
            order = [0, 2, 1, 5, 6, 3, 4]
        reals = sampler.reals.copy()
        reals[:7] = sampler.reals[order]
        return reals


@functools.lru_cache(maxsize=1024)
def _plan(sampler: Sampler) -> _Plan:
    return _Plan(sampler)


def _launch(plan: _Plan, sampler: Sampler, key: Key, start: int, count: int, address: int, head: int, processors: int) -> Launch:
    first = start - head  # the element at the beginning of vector 0; may be one before the tensor's first
    counter, shift = divmod(first, plan.per_counter)
    size = head + count
    vectors = -(-size // plan.elements)
    name, unroll = kernel(sampler, shift != 0)
    tile = cuda_source.THREADS * unroll
    inside = 1 if head else 0
    tiles = max(size // plan.elements - inside, 0) // tile
    end = inside + tiles * tile if tiles else inside
    edges = vectors - tiles * tile
    blocks = min(tiles, max(processors * BLOCKS_PER_PROCESSOR, -(-tiles // TILES_PER_BLOCK)))
    blocks = max(blocks, min(-(-edges // cuda_source.THREADS), processors * BLOCKS_PER_PROCESSOR))
    place = (address - head * plan.itemsize, size, vectors, inside, end, head, shift, counter % 2**32)
    constant = _constant_bytes(sampler, key, start // plan.per_counter >> 32, plan.paired and first % 2 == 1)
    dense = np.frombuffer(bytearray(_PLACE.pack(*place) + constant), plan.structure)
    return Launch(name, (blocks, 1), (cuda_source.THREADS, 1), (dense.reshape(()),))


_PLACE = struct.Struct("=QQ6I")
"""The members of `Dense` before `stream`."""


@functools.lru_cache(maxsize=1024)
def _constant_bytes(sampler: Sampler, key: Key, high: int, odd_first: bool) -> bytes:
    """The members of `Dense` from `stream` on, which do not depend on where a fill begins and how long it is."""
    plan = _plan(sampler)
    dense = np.zeros((), plan.structure)
    dense["first_rounds"], dense["keys"] = constants(key.seed, key.stream, high)
    dense["reals"] = plan.reals(sampler, odd_first)
    dense["integers"] = (*sampler.integers, plan.fraction)
    return dense.tobytes()[_PLACE.size :]


@functools.cache
def _structure(real: str) -> np.dtype[Any]:
    """`Dense<Real>` of kernels/dense_fill.cu."""
    word = "uint32" if real == "float32" else "uint64"
    whole = [(name, "uint32") for name in ("vectors", "first", "end", "head", "shift", "counter")]
    return np.dtype(
        [
            *(("out", "uint64"), ("size", "uint64"), *whole),
            *(("first_rounds", "uint32", 4), ("keys", "uint32", 16)),
            *(("reals", real, 14), ("integers", word, 4)),
        ],
        align=True,
    )


def _bounds(sampler: Sampler) -> str:
    """How the kernel must bound values: one of `cuda_source.BOUNDS`."""
    if not _may_leave_bounds(sampler):
        return "NONE"
    low_even, high_even, low_odd, high_odd = (float(bound) for bound in sampler.reals[3:7])
    return "SYMMETRIC" if -low_even == high_even > 0 and -low_odd == high_odd > 0 else "GENERAL"


def _may_leave_bounds(sampler: Sampler) -> bool:
    """Whether some draw may lie outside the bounds before it is clamped.

    A plain normal's bounds are the dtype's finite range, which the sampler has seen to. A uniform's value grows with its
    integer, so its ends decide.
    """
    scale, *frame = sampler.reals[:7]
    if sampler.quantile == "unit":
        ends = np.array([0, 2 ** (24 if sampler.reals.itemsize == 4 else 53) - 1], sampler.reals.dtype)
        for location, low, high in ((frame[0], frame[2], frame[3]), (frame[1], frame[4], frame[5])):
            drawn = fma(ends, scale, location)
            if drawn[0] < low or drawn[1] > high:
                return True
        return False
    most = dtypes.largest(dtypes.component(sampler.dtype))
    return any(abs(float(bound)) != most for bound in frame[2:])
