"""What the GPU tests stand on: arrays on a GPU, their bits on the host, and the CPU's bits to compare with.

tests/gpu/rehearsal.py has the same over the host's memory.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import gpuinit
from gpuinit import backends, dtypes
from gpuinit.distributions import Distribution
from gpuinit.hashing import Digest, element_hash

__all__ = [
    "BLOCK",
    "POISON",
    "Rig",
    "Stated",
    "cpu_hashes",
    "gpu_hashes",
    "same",
    "strided",
    "untouched_around",
]

POISON = 0xCA
BLOCK = 2**26
"""Elements that the CPU makes and digests at once."""


class Stated(gpuinit.RandomInitializer):
    """The initializer of a given law."""

    def __init__(self, law: Distribution, seed: Any = 0) -> None:
        super().__init__(seed)
        self.stated = law

    def distribution(self, shape: tuple[int, ...]) -> Distribution:
        return self.stated


class Rig:
    """A GPU, as CuPy has it."""

    rehearsal = False

    @property
    def backend(self) -> Any:
        """The backend of the current GPU."""
        return backends.select("cuda")

    @property
    def cupy(self) -> Any:
        import cupy

        return cupy

    def needs_hardware(self, why: str) -> None:
        """Skip the test in a rehearsal."""

    def size(self, real: int, rehearsed: int) -> int:
        """How many elements a test makes."""
        return real

    def device_count(self) -> int:
        return int(self.cupy.cuda.runtime.getDeviceCount())

    def free_bytes(self) -> int:
        """What the current GPU has left, once CuPy's pool has given back what it holds unused."""
        self.cupy.get_default_memory_pool().free_all_blocks()
        return int(self.cupy.cuda.runtime.memGetInfo()[0])

    def used_bytes(self) -> int:
        """What CuPy's pool has lent."""
        return int(self.cupy.get_default_memory_pool().used_bytes())

    def too_many(self) -> int:
        """More bytes than the GPU has."""
        return 2 * int(self.cupy.cuda.runtime.memGetInfo()[1])

    def empty(self, shape: Any, dtype: Any) -> Any:
        """A CuPy array full of POISON."""
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        kind = dtypes.canonical(dtype)
        array = self.cupy.ndarray(shape, kind, self.cupy.cuda.alloc(math.prod(shape) * kind.itemsize))  # float8 too
        if array.nbytes:
            stream = self.cupy.cuda.get_current_stream()
            self.cupy.cuda.runtime.memsetAsync(array.data.ptr, POISON, array.nbytes, stream.ptr)
        return array

    def put(self, array: Any) -> Any:
        """A CuPy array with the values of a NumPy array."""
        given = np.ascontiguousarray(array)
        made = self.empty(given.shape, given.dtype)
        if given.size:
            made.reshape(-1).view(np.uint8).set(given.reshape(-1).view(np.uint8))
        return made

    def host(self, array: Any) -> np.ndarray[Any, Any]:
        """The values of a CuPy array of any strides as a NumPy array: what is copied is the memory that it spans."""
        dtype = np.dtype(array.dtype)
        if not array.size:
            return np.empty(array.shape, dtype)
        reaches = [(length - 1) * stride for length, stride in zip(array.shape, array.strides, strict=True)]
        first = sum(reach for reach in reaches if reach < 0)
        nbytes = sum(map(abs, reaches)) + dtype.itemsize
        memory = self.download(array.data.ptr + first, nbytes, array)
        return np.ndarray(array.shape, dtype, memory, -first, array.strides).copy()

    def download(self, address: int, nbytes: int, keep: Any) -> np.ndarray[Any, Any]:
        cuda = self.cupy.cuda
        memory = cuda.MemoryPointer(cuda.UnownedMemory(address, nbytes, keep), 0)
        found: np.ndarray[Any, Any] = self.cupy.ndarray((nbytes,), np.uint8, memory).get()
        return found

    def stream(self) -> Any:
        """A stream that waits for no other, the default one included."""
        return self.cupy.cuda.Stream(non_blocking=True)

    def synchronize(self) -> None:
        self.cupy.cuda.Device().synchronize()

    def torch(self, tensor: Any) -> Any:
        """A CPU tensor's copy on the GPU."""
        return tensor.to("cuda")

    def foreign(self, value: Any) -> Any:
        """A PyTorch tensor on the GPU, as gpuinit is given it."""
        return value

    def numba(self, array: np.ndarray[Any, Any]) -> Any:
        """A Numba device array with the values of a NumPy array."""
        from numba import cuda

        return cuda.to_device(array)

    def from_numba(self, value: Any) -> np.ndarray[Any, Any]:
        found: np.ndarray[Any, Any] = value.copy_to_host()
        return found


def same(gpu: Rig, array: Any, expected: np.ndarray[Any, Any]) -> bool:
    """Whether an array on the GPU has an expected shape, dtype and every bit."""
    found = gpu.host(array)
    return found.shape == expected.shape and found.dtype == expected.dtype and found.tobytes() == expected.tobytes()


def cpu_hashes(make: Callable[[int, int], np.ndarray[Any, Any]], size: int, block: int = BLOCK) -> dict[str, int]:
    """The element hashes of a tensor in blocks, by "first .. last"; `make(start, stop)` gives elements on the CPU.

    Made and digested one block at a time, by all processors.
    """
    return {name: _digest(make(start, stop), start) for name, start, stop in _blocks(size, block)}


def gpu_hashes(array: Any, block: int = BLOCK) -> dict[str, int]:
    """The same of a 1-D array on the GPU, computed there."""
    return {name: element_hash(array[start:stop], start) for name, start, stop in _blocks(array.size, block)}


def _blocks(size: int, block: int) -> Iterator[tuple[str, int, int]]:
    for start in range(0, size, block):
        stop = min(start + block, size)
        yield f"{start} .. {stop - 1}", start, stop


def _digest(values: np.ndarray[Any, Any], start: int) -> int:
    digest = Digest()  # element_hash's sum, by compiled code
    digest.update(values.reshape(-1), start)
    return digest.hash


def strided(gpu: Rig, shape: tuple[int, ...], dtype: Any) -> tuple[Any, Any]:
    """An array of that shape with gaps on every axis, its axes' order reversed in memory, and the array that it is a view of."""
    held = gpu.empty(tuple(2 * length + 1 for length in reversed(shape)), dtype)
    return held.transpose()[tuple(slice(1, None, 2) for _ in shape)], held


def untouched_around(gpu: Rig, view: Any, held: Any) -> bool:
    """Whether every byte of `held` outside its view is still POISON."""
    memory = gpu.download(held.data.ptr, held.nbytes, held).copy()
    size = np.dtype(view.dtype).itemsize
    begin = view.data.ptr - held.data.ptr
    steps = [[place * stride for place in range(length)] for length, stride in zip(view.shape, view.strides, strict=True)]
    starts = np.array([begin + sum(step) for step in itertools.product(*steps)], np.int64).reshape(math.prod(view.shape), 1)
    memory[starts + np.arange(size)] = POISON
    return bool((memory == POISON).all())
