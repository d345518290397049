"""The CPU backend: allocates aligned memory and fills it, by NumPy at first and by compiled code from when that pays."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from gpuinit.backends import compiled, specification, structures
from gpuinit.backends.cuda.arrays import is_on_gpu
from gpuinit.backends.layout import pages, placed
from gpuinit.key import Key
from gpuinit.region import Region, checked_rows
from gpuinit.sampler import Sampler
from gpuinit.sampler import normal as normal_sampler

__all__ = ["BACKEND", "CPU"]

ALIGNMENT = 64
BREAK_EVEN = 2**20
"""Values that NumPy draws in about the time that loading the compiled kernels takes."""


class CPU:
    """Fills on the CPU; the same bits by NumPy and by compiled code."""

    device = "cpu"

    def __init__(self) -> None:
        self._drawn = 0

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
        """A new uninitialized C-contiguous array that starts at a multiple of 64 bytes."""
        size = math.prod(shape) * dtype.itemsize
        try:
            memory = np.empty(size + ALIGNMENT, np.uint8)
        except (MemoryError, ValueError, OverflowError):
            raise MemoryError(f"shape={shape} of {dtype.name} takes {size} bytes, which cannot be allocated here") from None
        return np.ndarray(shape, dtype, memory, -memory.ctypes.data % ALIGNMENT)

    def fill(self, out: np.ndarray[Any, Any], law: Any, region: Region, key: Key | None) -> None:
        """Write the region of the tensor that `law` and `key` define into `out`, of any strides."""
        if out.size == 0:
            return
        if not isinstance(law, Sampler):
            structures.write(out, law, region, key, self.normals, self.fill)
            return
        assert key is not None
        fill = compiled.fill if self._pays(out.size) else specification.fill
        fill(out, law, region, key)

    def checked_rows(self, rows: Any, length: int) -> np.ndarray[Any, Any]:
        """Row ids as int64, each in 0 .. length - 1."""
        if is_on_gpu(rows):
            raise TypeError(
                f"rows is a {type(rows).__name__} on a GPU, and the tensor is made on the CPU: copy the ids to the host"
            )
        return checked_rows(rows, length)

    def moved_rows(self, rows: np.ndarray[Any, Any], by: int) -> np.ndarray[Any, Any]:
        """Row ids with `by` added to each."""
        return rows + np.int64(by)

    def chunks(
        self, law: Any, key: Key | None, dtype: np.dtype[Any], regions: Iterable[Region], most: int
    ) -> Iterator[np.ndarray[Any, Any]]:
        """The regions of the tensor, in order, made in two buffers of `most` bytes, the bytes of the largest region.

        An array is valid until the second next one is asked for.

        Raises:
            MemoryError: there is no room for the buffers. ValueError: a region takes more than `most` bytes.
        """
        buffers = [pages(most), pages(most)]
        for turn, region in enumerate(regions):
            chunk = placed(buffers[turn % 2], region, dtype)
            self.fill(chunk, law, region, key)
            yield chunk

    def normals(self, dtype: np.dtype[Any], key: Key, work: int) -> _Normals:
        """The standard normal elements of a stream, which orthogonal matrices are made from by `work` operations."""
        sampler = normal_sampler(dtype, 0.0, 1.0)
        use = self._pays(work)
        if use:
            compiled.load(sampler)
        return _Normals(self, sampler, key, use)

    def _pays(self, values: int) -> bool:
        """Whether compiled code serves, these values counted."""
        if self._drawn <= BREAK_EVEN:
            self._drawn += values
        return self._drawn > BREAK_EVEN and compiled.usable()


class _Normals(NamedTuple):
    """Normal elements by one of the two ways."""

    backend: CPU
    sampler: Sampler
    key: Key
    compiled: bool

    def fill(self, out: np.ndarray[Any, Any], region: Region) -> None:
        """Write the region of the stream's tensor into `out`; from any thread."""
        fill = compiled.fill if self.compiled else specification.fill
        fill(out, self.sampler, region, self.key)

    def empty(self, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        """A new array of the dtype."""
        return self.backend.empty(shape, self.sampler.dtype)


BACKEND = CPU()
