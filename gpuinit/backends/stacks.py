"""Haar-distributed orthogonal matrices into NumPy arrays: one, a stack of them, or the part of a stack that is asked for.

Matrix b of a stack comes from the elements b n k .. (b + 1) n k - 1 of the normal stream (docs/stream.md, section 10), so any
of them can be made without the others. Many small ones are a work for threads, each taking some matrices at a time;
a large one is a work for BLAS, which has threads of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from gpuinit import dtypes
from gpuinit.backends import reflectors, threads
from gpuinit.backends.layout import consecutive
from gpuinit.backends.orthogonal import orthogonalize
from gpuinit.key import Key
from gpuinit.region import Region
from gpuinit.stack import Stack
from gpuinit.structures import Haar

__all__ = ["Normals", "write_haar"]

Array = np.ndarray[Any, Any]


class Normals(Protocol):
    """Standard normal elements of one stream and dtype."""

    @property
    def compiled(self) -> bool:
        """Whether compiled code serves, here and for what is made of the elements."""

    def fill(self, out: Array, region: Region) -> None:
        """Write the region of the stream's logical tensor into `out`; from any thread."""

    def empty(self, shape: tuple[int, ...]) -> Array:
        """A new array of the dtype."""


def write_haar(
    out: Array, structure: Haar, region: Region, key: Key, normals: Callable[[np.dtype[Any], Key, int], Normals]
) -> None:
    """Write the region of the tensor into `out`; only the matrices that it touches are made.

    Args:
        out: a floating or complex array of the region's shape, not empty, of any strides; types narrower than float32 are
            computed in float32 and rounded once.
        structure: which matrices.
        region: which part of the logical tensor.
        key: the key of the stream.
        normals: normals(dtype, key, work) draws the normal matrices, `work` being about how many operations they will
            take.

    Besides `out`, the work takes memory for one matrix and a panel of at most 512 of its columns (without batch axes and
    with a contiguous `out` of a computed dtype that is not wide: the panel alone); small matrices of a stack a few MiB
    a thread.
    """
    stack = Stack(region.logical, structure.batch)
    part = _Part(stack, region, out)
    computed = out.dtype if out.dtype.kind == "c" else dtypes.computed_in(out.dtype)
    bound = dtypes.at_most(abs(structure.gain), dtypes.component(out.dtype))
    source = normals(computed, key, part.count * stack.rows * stack.columns * stack.tall[1])
    size = stack.rows * stack.columns
    if not (stack.batch and stack.small and structure.method == "auto" and out.dtype.kind != "c"):
        for place in range(part.count):
            matrix = part.buffer(source, place, place + 1)
            part.store(orthogonalize(matrix[0], structure.gain, bound, structure.method)[None], place)
        return
    reflect: Callable[[Array, Any, Any], None] = reflectors.reflect
    if source.compiled:
        from gpuinit.kernels.cpu_orthogonal import compiled_reflect

        reflect = compiled_reflect(computed.name)
    gain, most = computed.type(structure.gain), computed.type(bound)

    def work(first: int, last: int) -> None:  # the matrices that begin among these elements
        start, stop = -(-first // size), -(-last // size)
        if start < stop:
            matrices = part.buffer(source, start, stop)
            reflect(matrices, gain, most)
            part.store(matrices, start)

    threads.run(work, part.count * size)


class _Part:
    """The part of a stack that a region is: its matrices, counted from 0 in the order of the batch axes, and where they go."""

    def __init__(self, stack: Stack, region: Region, out: Array) -> None:
        batch, inner = stack.order[: len(stack.batch)], stack.order[len(stack.batch) :]
        self._stack = stack
        self._which = region.along(batch)
        self._within = region.along(inner)
        self._view = out.transpose(stack.order)
        self.count = self._which.size
        plain = out.dtype.kind == "c" or out.dtype == dtypes.computed_in(out.dtype)
        straight = plain and self._within.whole and not stack.wide and self._view.flags.c_contiguous and out.flags.aligned
        self._straight = self._view.reshape(self.count, *stack.tall) if straight else None

    def buffer(self, source: Normals, start: int, stop: int) -> Array:
        """The normal matrices start .. stop - 1, drawn where they will stay if that can be, else into new memory."""
        size = (stop - start, *self._stack.tall)
        matrices = source.empty(size) if self._straight is None else self._straight[start:stop]
        numbers = self._which.indices(start, stop)
        logical = (self._stack.count, *self._stack.tall)
        if consecutive(numbers):
            source.fill(matrices, Region(logical, (int(numbers[0]), 0, 0), size))
        else:
            source.fill(matrices, Region(logical, (0, 0, 0), size, numbers.view(np.int64)))
        return matrices

    def store(self, made: Array, start: int) -> None:
        """Write matrices, from number `start` on, to their places, unless they are there."""
        if self._straight is not None:
            kept = self._straight[start : start + len(made)]
            if not np.may_share_memory(made, kept):
                kept[...] = made
            return
        matrices = made.swapaxes(1, 2) if self._stack.wide else made
        whole = matrices.reshape(len(made), *self._within.logical)
        part = whole[(slice(None), *self._within.slices)].astype(self._view.dtype, copy=False)
        counts = self._which.counts
        place = np.unravel_index(np.arange(start, start + len(made)), counts) if counts else ()
        self._view[place] = part if counts else part[0]
