"""The CPU backend: allocates aligned memory and fills it, by NumPy at first and by compiled code from when that pays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gpuinit.backends import compiled, specification, structures
from gpuinit.backends.cuda.arrays import is_on_gpu
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
        start = -memory.ctypes.data % ALIGNMENT
        return memory[start : start + size].view(dtype).reshape(shape)

    def fill(self, out: np.ndarray[Any, Any], law: Any, region: Region, key: Key | None) -> None:
        """Write the region of the tensor that `law` and `key` define into `out`, of any strides."""
        if out.size == 0:
            return
        if not isinstance(law, Sampler):
            structures.write(out, law, region, key, self.normal, self.fill)
            return
        assert key is not None
        if self._drawn <= BREAK_EVEN:
            self._drawn += out.size
        if self._drawn > BREAK_EVEN and compiled.usable():
            compiled.fill(out, law, region, key)
        else:
            specification.fill(out, law, region, key)

    def checked_rows(self, rows: Any, length: int) -> np.ndarray[Any, Any]:
        """Row ids as int64, each in 0 .. length - 1."""
        if is_on_gpu(rows):
            raise TypeError(
                f"rows is a {type(rows).__name__} on a GPU, and the tensor is made on the CPU: copy the ids to the host"
            )
        return checked_rows(rows, length)

    def to_host(self, array: np.ndarray[Any, Any], out: np.ndarray[Any, Any]) -> None:
        """Copy an array into another of its shape and dtype."""
        out[...] = array

    def normal(self, shape: tuple[int, ...], dtype: np.dtype[Any], key: Key) -> np.ndarray[Any, Any]:
        """The standard normal tensor of a stream, which orthogonal matrices are made from."""
        out = self.empty(shape, dtype)
        self.fill(out, normal_sampler(dtype, 0.0, 1.0), Region.of(shape), key)
        return out


BACKEND = CPU()
