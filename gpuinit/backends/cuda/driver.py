"""The one place that speaks to a GPU, through CuPy: memory, streams, kernels."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from gpuinit.backends.cuda import libcuda
from gpuinit.backends.cuda.arrays import DeviceArray, view
from gpuinit.backends.cuda.blas import Blas, missing
from gpuinit.backends.cuda.launch import Launch
from gpuinit.backends.errors import DeviceError

__all__ = ["Driver"]

_MULTIPROCESSORS = 16
"""cudaDevAttrMultiProcessorCount."""
_NO_MEMORY = 2
"""cudaErrorMemoryAllocation."""


class Driver:
    """CuPy as the backend uses it: current device and stream are CuPy's, memory comes from its allocator.

    What compiles at run time in CuPy itself (its elementwise kernels, which need CUDA's headers) is not used.
    """

    def __init__(self) -> None:
        import cupy

        self._cupy = cupy
        self._functions: dict[tuple[int, Any], Any] = {}
        self._modules: list[Any] = []
        self._lock = threading.Lock()

    def current(self) -> int:
        """The number of CuPy's current device."""
        return int(self._cupy.cuda.runtime.getDevice())

    def processors(self, device: int) -> int:
        """How many multiprocessors a device has."""
        return int(self._cupy.cuda.runtime.deviceGetAttribute(_MULTIPROCESSORS, device))

    @contextlib.contextmanager
    def on(self, device: int) -> Iterator[None]:
        """While the block runs, `device` is the current one."""
        with self._cupy.cuda.Device(device):
            yield

    def device_of(self, address: int) -> int:
        """The number of the device that an address belongs to."""
        return int(self._cupy.cuda.runtime.pointerGetAttributes(address).device)

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        """An uninitialized array on the current device, from CuPy's current allocator; MemoryError if there is no room."""
        try:
            memory = self._cupy.cuda.alloc(math.prod(shape) * dtype.itemsize)
            return self._cupy.ndarray(shape, dtype, memory)  # with memory given, CuPy takes float8 as well
        except self._cupy.cuda.runtime.CUDARuntimeError as error:  # what an allocation without a pool raises
            if error.status != _NO_MEMORY:
                raise
            raise MemoryError(str(error)) from None

    def free_bytes(self) -> tuple[int, int]:
        """How many bytes the current device has left, those that CuPy's pool holds unused among them, and in all."""
        free, total = self._cupy.cuda.runtime.memGetInfo()
        return int(free) + int(self._cupy.get_default_memory_pool().free_bytes()), int(total)

    def view(self, value: Any, name: str) -> DeviceArray:
        """Where an array on a GPU lies; its owner's work on it is waited for by the current stream."""
        if isinstance(value, DeviceArray) and not value.ordered:
            return value
        array = value if isinstance(value, DeviceArray) else view(value, self.stream, self.device_of, name)
        if array.stream is not None and array.stream != self.stream():
            self.wait_for(array.stream)
        return array

    def upload(self, array: np.ndarray[Any, Any]) -> Any:
        """A copy of an array's bytes on the current device, ordered by the current stream."""
        plain = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        held = self.empty(plain.shape, plain.dtype)
        held.set(plain)
        return held

    def download(self, address: int, nbytes: int, keep: Any) -> np.ndarray[Any, Any]:
        """A copy of device memory, once everything before it on the current stream is done."""
        cuda = self._cupy.cuda
        memory = cuda.MemoryPointer(cuda.UnownedMemory(address, nbytes, keep, self.current()), 0)
        return np.asarray(self._cupy.ndarray((nbytes,), np.uint8, memory).get())

    def stream(self) -> int:
        """The current stream, as CUDA knows it."""
        return int(self._cupy.cuda.get_current_stream().ptr)

    def wait_for(self, stream: int) -> None:
        """Let the current stream wait for what another has been given so far."""
        event = self._cupy.cuda.Event(disable_timing=True)
        self._cupy.cuda.runtime.eventRecord(event.ptr, stream)
        self._cupy.cuda.runtime.streamWaitEvent(self.stream(), event.ptr)

    def let_wait(self, stream: int) -> None:
        """Let another stream wait for what the current one has been given so far."""
        if stream == self.stream():
            return
        event = self._cupy.cuda.Event(disable_timing=True)
        self._cupy.cuda.runtime.eventRecord(event.ptr, self.stream())
        self._cupy.cuda.runtime.streamWaitEvent(stream, event.ptr)

    def synchronize(self) -> None:
        """Wait until the current stream has done all that it was given."""
        self._cupy.cuda.get_current_stream().synchronize()

    def new_stream(self) -> Any:
        """A stream of the current device that waits for no other by itself."""
        return self._cupy.cuda.Stream(non_blocking=True)

    @contextlib.contextmanager
    def using(self, stream: Any) -> Iterator[None]:
        """While the block runs, a stream that `new_stream` made is the current one."""
        with stream:
            yield

    def end_stream(self, stream: Any) -> None:
        """Give back to the device what CuPy's pool keeps for a stream that has nothing left to do and is not used again."""
        self._cupy.get_default_memory_pool().free_all_blocks(stream)

    def pinned(self, nbytes: int) -> np.ndarray[Any, Any]:
        """Uninitialized pinned memory from CuPy's current allocator, which the array holds; MemoryError if there is no room."""
        try:
            memory = self._cupy.cuda.alloc_pinned_memory(max(nbytes, 1))
        except self._cupy.cuda.runtime.CUDARuntimeError as error:
            if error.status != _NO_MEMORY:
                raise
            raise MemoryError(str(error)) from None
        return np.frombuffer(memory, np.uint8, nbytes)

    def copy_to_pinned(self, address: int, out: np.ndarray[Any, Any]) -> None:
        """Put on the current stream a copy of device memory into a C-contiguous array in pinned memory."""
        runtime = self._cupy.cuda.runtime
        runtime.memcpyAsync(out.ctypes.data, address, out.nbytes, runtime.memcpyDeviceToHost, self.stream())

    def launch(self, launch: Launch) -> None:
        """Put a kernel on the current stream of the current device; what CUDA refuses is raised here."""
        self._function(launch.kernel)(launch.grid, launch.block, launch.arguments)

    @contextlib.contextmanager
    def products(self, dtype: np.dtype[Any]) -> Iterator[Blas]:
        """cuBLAS on the current stream, in full precision: no TF32, whatever CuPy's handle was set to and is again afterwards.

        Raises:
            DeviceError: cuBLAS is not installed.
        """
        cuda = self._cupy.cuda
        try:
            library = cuda.cublas
        except ImportError as error:
            runtime = libcuda.dotted(int(cuda.runtime.runtimeGetVersion()))
            raise DeviceError(f"{missing(runtime)}, or use device='cpu'") from error
        handle = int(cuda.device.get_cublas_handle())
        modes = ((library.getMathMode, library.setMathMode), (library.getPointerMode, library.setPointerMode))
        before = [(give, take(handle)) for take, give in modes]
        library.setStream(handle, self.stream())
        library.setMathMode(handle, library.CUBLAS_DEFAULT_MATH)
        library.setPointerMode(handle, library.CUBLAS_POINTER_MODE_HOST)
        try:
            yield Blas(library, handle, dtype)
        finally:
            for give, mode in before:
                give(handle, mode)

    def _function(self, kernel: str | tuple[str, ...]) -> Any:
        key = (self.current(), kernel)
        found = self._functions.get(key)
        if found is None:
            with self._lock:
                found = self._functions.get(key) or self._load(kernel)
                self._functions[key] = found
        return found

    def _load(self, kernel: str | tuple[str, ...]) -> Any:
        """Load a kernel into the current device's context, compiled before or now."""
        from gpuinit.kernels import cuda_build

        architecture = int(self._cupy.cuda.Device().compute_capability)
        image = cuda_build.kernel_image(kernel, architecture)
        module = self._cupy.cuda.Module()
        try:
            module.load(image)
        except Exception as error:
            if image.startswith(b"\x7fELF"):
                raise
            raise RuntimeError(
                f"{kernel} was compiled to PTX alone, as nvJitLink is missing or too old, and the driver does not take it: "
                "install or update nvidia-nvjitlink"
            ) from error
        self._modules.append(module)
        return module.get_function(cuda_build.entry(image))
