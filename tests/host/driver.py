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

__all__ = ["HostDriver", "at", "on_host", "run_numba"]

POISON = 0xCA
PROCESSORS = 3


class HostDriver(Driver):
    """What `gpuinit.backends.cuda.driver.Driver` does, on the host.

    `launched` lists the kernels; `held` is how many bytes of its arrays live now, `most` how many did at once.
    """

    def __init__(self) -> None:
        self.launched: list[Launch] = []
        self.waited: list[int] = []
        self.synchronized = 0
        self.room = math.inf
        self.entered: list[int] = []
        self.held = self.most = 0

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
        self._count(nbytes)
        weakref.finalize(memory, self._count, -nbytes)
        return around(memory, shape, dtype)

    def _count(self, nbytes: int) -> None:
        self.held += nbytes
        self.most = max(self.most, self.held)

    def free_bytes(self) -> tuple[int, int]:
        return 1000, 2000

    def upload(self, array: np.ndarray[Any, Any]) -> Any:
        plain = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        held = self.empty(plain.shape, np.uint8)
        on_host(held)[...] = plain
        return held

    def download(self, address: int, nbytes: int, keep: Any) -> np.ndarray[Any, Any]:
        return at(address, nbytes).copy()

    def stream(self) -> int:
        return 0

    def wait_for(self, stream: int) -> None:
        self.waited.append(stream)

    def synchronize(self) -> None:
        self.synchronized += 1

    @contextlib.contextmanager
    def products(self, dtype: np.dtype[Any]) -> Iterator[HostBlas]:
        yield HostBlas(dtype)

    def launch(self, launch: Launch) -> None:
        self.launched.append(launch)
        if isinstance(launch.kernel, str):
            machine.run(launch)
        else:
            run_numba(launch)


class HostBlas:
    """What `gpuinit.backends.cuda.blas.Blas` does, by NumPy and SciPy. Below an upper triangle stands what is not read: NaN."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype

    def matrix(self, given: Matrix) -> np.ndarray[Any, Any]:
        """The memory of a matrix."""
        size = self.dtype.itemsize
        nbytes = ((given.rows - 1) * given.step + given.columns) * size
        return np.ndarray((given.rows, given.columns), self.dtype, at(given.address, nbytes), 0, (given.step * size, size))

    def product(self, out: Matrix, left: Matrix, right: Matrix, *, transposed: bool = False, subtracted: bool = False) -> None:
        first, second, target = map(self.matrix, (left, right, out))
        product = (first.T if transposed else first) @ second
        target[...] = target - product if subtracted else product

    def solve_upper(self, upper: Matrix, out: Matrix) -> None:
        from scipy.linalg import solve_triangular

        target = self.matrix(out)
        triangle = np.where(np.tri(upper.rows, k=-1, dtype=bool), np.nan, self.matrix(upper)).astype(self.dtype)
        target[...] = solve_triangular(triangle, target, check_finite=False)


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
