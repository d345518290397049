"""A driver that stands for CuPy's: CuPy arrays around memory of this process, kernels run by the host's compilers.

CUDA C++ kernels run as tests/host/machine.py has them. A Numba kernel's thread is compiled by Numba for the CPU, from the
source that its CUDA compiler gets, and called for every thread of the grid.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import math
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import cupy
import numba
import numpy as np

from gpuinit.backends.cuda.blas import Matrix
from gpuinit.backends.cuda.driver import Driver
from gpuinit.backends.cuda.launch import Launch
from gpuinit.kernels import cuda_kernels
from host import machine
from host.streams import Streams

__all__ = ["HostDriver", "at", "on_host", "run_numba"]

POISON = 0xCA
PROCESSORS = 3


class HostDriver(Driver):
    """What `gpuinit.backends.cuda.driver.Driver` does, on the host.

    `launched` lists the kernels; `held` is how many bytes of its arrays live now, `most` how many did at once; `held_pinned` is
    that of pinned memory. `streams` says when work is done. Where that is not at once, POISON is written into memory by the
    stream that it was lent on, when that comes to it, and once more after it was given back. It is kept until all work is done,
    so that what uses it too early or too late gets wrong bits.
    """

    def __init__(self) -> None:
        self.launched: list[Launch] = []
        self.waited: list[int] = []
        self.synchronized = 0
        self.room = self.room_pinned = math.inf
        self.entered: list[int] = []
        self.held = self.most = self.held_pinned = 0
        self.streams = Streams()
        self._kept: list[np.ndarray[Any, Any]] = []
        self._pinned: dict[int, int] = {}

    def current(self) -> int:
        return 0

    def processors(self, device: int) -> int:
        return PROCESSORS

    @contextlib.contextmanager
    def on(self, device: int) -> Iterator[None]:
        self.entered.append(device)
        yield

    def device_of(self, address: int) -> int:
        return 0

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
        nbytes = math.prod(shape) * np.dtype(dtype).itemsize
        if nbytes > self.room:
            raise cupy.cuda.memory.OutOfMemoryError(nbytes, 0, 0)
        memory = np.full(nbytes + 64, POISON, np.uint8)
        lent = memory[:]
        self.held += nbytes
        self.most = max(self.most, self.held)
        self._poison(memory, self.streams.current)
        weakref.finalize(lent, self._freed, memory, nbytes, self.streams.current)
        return around(lent, shape, dtype)

    def _freed(self, memory: np.ndarray[Any, Any], nbytes: int, stream: int) -> None:
        self.held -= nbytes
        self._poison(memory, stream)

    def _poison(self, memory: np.ndarray[Any, Any], stream: int) -> None:
        if self.streams.pace == "early":
            return
        if self.streams.idle:
            self._kept.clear()
        self._kept.append(memory)
        self.streams.put(lambda: memory.fill(POISON), stream)

    def pinned(self, nbytes: int) -> np.ndarray[Any, Any]:
        if nbytes > self.room_pinned:
            raise MemoryError
        memory = np.full(nbytes, POISON, np.uint8)
        lent = _Lent(memory)
        self.held_pinned += nbytes
        self._pinned[memory.ctypes.data] = nbytes
        weakref.finalize(lent, self._unpinned, memory)
        return np.asarray(lent)

    def _unpinned(self, memory: np.ndarray[Any, Any]) -> None:
        """Another thread may have it at once, whatever a stream still does."""
        self.held_pinned -= memory.nbytes
        self._pinned.pop(memory.ctypes.data, None)
        memory.fill(POISON)
        self._kept.append(memory)

    def copy_to_pinned(self, address: int, out: np.ndarray[Any, Any]) -> None:
        assert out.flags.c_contiguous
        target, nbytes = out.ctypes.data, out.nbytes

        def copy() -> None:
            inside = [start <= target and target + nbytes <= start + size for start, size in self._pinned.items()]
            assert any(inside), "a copy to memory that is not pinned, or not any more"
            at(target, nbytes)[...] = at(address, nbytes)

        self.streams.put(copy)

    def free_bytes(self) -> tuple[int, int]:
        return 1000, 2000

    def upload(self, array: np.ndarray[Any, Any]) -> Any:
        plain = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        held, staged = self.empty(plain.shape, np.uint8), plain.copy()
        address = held.data.ptr
        self.streams.put(lambda: np.copyto(at(address, staged.nbytes), staged))
        return held

    def download(self, address: int, nbytes: int, keep: Any) -> np.ndarray[Any, Any]:
        self.streams.synchronize()
        return at(address, nbytes).copy()

    def stream(self) -> int:
        return self.streams.current

    def new_stream(self) -> int:
        return self.streams.new()

    def using(self, stream: int) -> contextlib.AbstractContextManager[None]:
        return self.streams.using(stream)

    def end_stream(self, stream: int) -> None:
        self.streams.end(stream)

    def wait_for(self, stream: int) -> None:
        self.waited.append(stream)
        self.streams.wait(stream)

    def let_wait(self, stream: int) -> None:
        ours = self.streams.current
        with self.streams.using(stream):
            self.streams.wait(ours)

    def synchronize(self) -> None:
        self.synchronized += 1
        self.streams.synchronize()

    @contextlib.contextmanager
    def products(self, dtype: np.dtype[Any]) -> Iterator[HostBlas]:
        stream = self.streams.current
        yield HostBlas(dtype, lambda work: self.streams.put(work, stream))

    def launch(self, launch: Launch) -> None:
        self.launched.append(launch)
        run = machine.run if isinstance(launch.kernel, str) else run_numba
        self.streams.put(lambda: run(launch))


class _Lent:
    """Memory that NumPy's arrays hold as long as one of them lives."""

    def __init__(self, memory: np.ndarray[Any, Any]) -> None:
        self.__array_interface__ = memory.__array_interface__


class HostBlas:
    """What `gpuinit.backends.cuda.blas.Blas` does, by NumPy and SciPy. Below an upper triangle stands what is not read: NaN."""

    def __init__(self, dtype: np.dtype[Any], put: Callable[[Callable[[], None]], None] = lambda work: work()) -> None:
        self.dtype, self.put = dtype, put

    def matrix(self, given: Matrix) -> np.ndarray[Any, Any]:
        """The memory of a matrix."""
        size = self.dtype.itemsize
        nbytes = ((given.rows - 1) * given.step + given.columns) * size
        return np.ndarray((given.rows, given.columns), self.dtype, at(given.address, nbytes), 0, (given.step * size, size))

    def product(self, out: Matrix, left: Matrix, right: Matrix, *, transposed: bool = False, subtracted: bool = False) -> None:
        first, second, target = map(self.matrix, (left, right, out))

        def work() -> None:
            product = (first.T if transposed else first) @ second
            target[...] = target - product if subtracted else product

        self.put(work)

    def solve_upper(self, upper: Matrix, out: Matrix) -> None:
        from scipy.linalg import solve_triangular

        target, given = self.matrix(out), self.matrix(upper)

        def work() -> None:
            triangle = np.where(np.tri(upper.rows, k=-1, dtype=bool), np.nan, given).astype(self.dtype)
            target[...] = solve_triangular(triangle, target, check_finite=False)

        self.put(work)


def around(memory: np.ndarray[Any, Any], shape: tuple[int, ...], dtype: Any, offset: int = 0) -> Any:
    """A CuPy array over a host's memory, from `offset` bytes behind its first multiple of 64."""
    start = -memory.ctypes.data % 64 + offset
    held = cupy.cuda.UnownedMemory(memory.ctypes.data + start, max(memory.nbytes - start, 1), memory, 0)
    return cupy.ndarray(shape, dtype, cupy.cuda.MemoryPointer(held, 0))


def at(address: int, nbytes: int) -> np.ndarray[Any, Any]:
    """The bytes at an address."""
    if nbytes == 0:
        return np.empty(0, np.uint8)
    return np.frombuffer((ctypes.c_uint8 * nbytes).from_address(address), np.uint8)


def on_host(array: Any) -> np.ndarray[Any, Any]:
    """The memory of a CuPy array that `HostDriver` made, as NumPy sees it."""
    if not array.size:
        return np.empty(array.shape, array.dtype)
    size = array.dtype.itemsize
    pattern = np.dtype(f"u{size}" if size <= 8 else f"V{size}")
    first = at(array.data.ptr, size).view(pattern)
    return np.lib.stride_tricks.as_strided(first, array.shape, array.strides).view(array.dtype)


_ARGUMENTS = {
    "fill": "*a[:8], a[8:11], a[11:14], a[14], a[15], a[16:20], a[20:27], a[27:34], a[34:37]",
    "constant": "*a[:6], a[6:9], *a[9:]",
    "copy": "*a[:8], a[8:11], a[11:14], a[14]",
    "diagonal": "*a",
    "hash": "*a[:7], a[7:10], a[10]",
    "rows": "*a",
    **dict.fromkeys(("limits", "clear", "fourier", "squares", "heads", "apply", "panel", "finish"), "*a"),
}
"""A kernel's arguments as its thread takes them."""


@functools.cache
def _grid(kernel: tuple[str, ...]) -> Callable[..., None]:
    scope: dict[str, Any] = {"part": cuda_kernels.parts(*kernel)[-1], "np": np}
    exec(
        f"""def grid(gx, gy, bx, by, a):
    for y in range(gy * by):
        for x in range(gx * bx):
            part(np.uint64(x), np.uint64(gx * bx), np.uint64(y), np.uint64(gy * by), {_ARGUMENTS[kernel[0]]})
""",
        scope,
    )
    grid = scope["grid"]
    grid.__qualname__ = f"grid-{'-'.join(kernel)}"
    return numba.njit(grid)


def run_numba(launch: Launch) -> None:
    """Run one launch of a Numba kernel."""
    assert isinstance(launch.kernel, tuple)
    _grid(launch.kernel)(*launch.grid, *launch.block, launch.arguments)
