"""Where and how tensors are made. `select` is the one place that decides the device.

A backend has a `device` name and the operations of `Backend`, `empty(shape, dtype)` and `fill(out, law, region, key)` above
all; it knows no initializer.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import numpy as np

from gpuinit import dtypes
from gpuinit.backends import cpu, dlpack
from gpuinit.backends.cuda import probe
from gpuinit.backends.cuda.arrays import DeviceArray, is_on_gpu
from gpuinit.backends.errors import DeviceError
from gpuinit.key import Key
from gpuinit.region import Region

__all__ = ["Backend", "DeviceError", "checked_name", "default_device", "lent", "owner", "select"]


class Backend(Protocol):
    """Allocates and fills on one device."""

    device: str

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        """A new uninitialized C-contiguous array, 64-byte aligned."""

    def fill(self, out: Any, law: Any, region: Region, key: Key | None) -> None:
        """Write the region of the tensor that `law` (a Sampler or a Structure) and `key` define into `out`, of any strides."""

    def checked_rows(self, rows: Any, length: int) -> Any:
        """Row ids as `fill` takes them in a region, each in 0 .. length - 1; TypeError, ValueError or IndexError otherwise."""

    def moved_rows(self, rows: Any, by: int) -> Any:
        """Checked row ids with `by` added to each."""

    def chunks(
        self, law: Any, key: Key | None, dtype: np.dtype[Any], regions: Iterable[Region], most: int
    ) -> Iterator[np.ndarray[Any, Any]]:
        """The regions of the tensor that `law` and `key` define, each as a C-contiguous NumPy array in host memory, in order.

        An array is valid until the second next one is asked for. `most`: the bytes of the largest region. A backend may ask for
        the next region, and begin it, before it gives one.
        """


def default_device() -> str:
    """The device meant by `device=None`: that of GPUINIT_DEVICE if set, else CuPy's current GPU if CUDA can be used, else "cpu".

    Raises:
        ValueError: GPUINIT_DEVICE is not a device name. DeviceError: it names one that cannot be used.
    """
    return select(None).device


def select(device: str | None, near: Any = None) -> Backend:
    """The backend of a device: None, "cpu", "cuda" (CuPy's current one) or "cuda:N".

    None means the GPU that the array `near` lies on, if it lies on one, else the default.
    """
    name = "device"
    if device is None and near is not None and is_on_gpu(near):
        near_it: Backend = _holder(near)
        return near_it
    if device is None:
        name, device = "GPUINIT_DEVICE", os.environ.get("GPUINIT_DEVICE") or None
    if device == "cpu":
        return cpu.BACKEND
    if device is None:
        return _gpu(name, "cuda", None) if probe.status().usable else cpu.BACKEND
    checked_name(device, name)
    return _gpu(name, device, int(device[5:]) if device != "cuda" else None)


def checked_name(device: Any, name: str = "device") -> str:
    """A device's name; ValueError for what is none. Whether the device is there is not asked, and no GPU is touched."""
    is_name = isinstance(device, str) and (device in ("cpu", "cuda") or (device.startswith("cuda:") and device[5:].isdecimal()))
    if not is_name:
        raise ValueError(f"{name}={device!r} is not a device: it must be 'cpu', 'cuda' or 'cuda:N'")
    return str(device)


def _gpu(name: str, device: str, number: int | None) -> Backend:
    """The backend of a GPU, None meaning CuPy's current one; DeviceError says why there is none."""
    found = probe.status()
    if not found.usable:
        raise DeviceError(f"{name}={device!r} cannot be used: {found.problem} {found.remedy}".rstrip())
    if number is not None and number >= len(found.devices):
        count = len(found.devices)
        known = "one GPU, 'cuda:0'" if count == 1 else f"{count} GPUs, 'cuda:0' to 'cuda:{count - 1}'"
        raise DeviceError(f"{name}={device!r} cannot be used: this machine has {known}")
    if number is not None and found.devices[number].problem:
        raise DeviceError(f"{name}={device!r} cannot be used: {found.devices[number].problem}")
    from gpuinit.backends.cuda import devices

    backend: Backend = devices.backend(number)
    return backend


def owner(out: Any) -> tuple[Backend, Any]:
    """The backend that can write into an existing array, and the array as its `fill` takes it; an error says why there is none.

    What comes back has `shape` and a `dtype` that gpuinit knows.
    """
    out = _writable(out)
    if is_on_gpu(out):
        return _owner_on_gpu(out)
    if not isinstance(out, np.ndarray):
        if not dlpack.is_on_host(out):
            raise TypeError(
                f"out is a {type(out).__name__}: it must be a NumPy or CuPy array, a tensor with __dlpack__, or an array on a "
                "GPU with __cuda_array_interface__"
            )
        out = dlpack.host_view(out, "out")
    if not out.flags.writeable:
        raise ValueError("out is read-only: it must be a writable array")
    try:
        dtypes.canonical(out.dtype)
    except ValueError as error:
        raise ValueError(f"out: {error}") from None
    if out.size > 1 and not out.flags.forc:
        _check_overlap(out.shape, out.strides, out.itemsize)
    return cpu.BACKEND, out


def lent(
    address: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    dtype: np.dtype[Any],
    *,
    gpu: int | None = None,
    stream: int = 0,
    keep: Any = None,
) -> Any:
    """Memory of another library as an array that `owner` takes.

    Args:
        address: of its first element. strides: in bytes.
        gpu: the number of the GPU that it lies on; None means the host.
        stream: there, the stream its owner works on, as CUDA knows it. A fill waits for what that has been given before, and what
            it is given afterwards waits for the fill; the host waits for neither.
        keep: what must live as long as the array.
    """
    if gpu is None:
        return dlpack.borrowed(address, shape, strides, dtype, keep)
    return DeviceArray(address, shape, strides, dtype, gpu, stream=stream, foreign=True, ordered=True, keep=keep)


def _writable(out: Any) -> Any:
    """The array, or the memory of a PyTorch tensor that autograd does not look at now; an error for what may not be written."""
    if type(out).__module__.partition(".")[0] in ("jax", "jaxlib"):
        raise TypeError(
            "out is a JAX array, which is immutable: make a new one by an initializer of gpuinit.jax, or by "
            "jax.dlpack.from_dlpack(initializer(shape, dtype))"
        )
    if type(out) is np.ndarray:
        return out
    if getattr(out, "is_meta", False) is True:
        raise ValueError("out is on the meta device and has no memory: materialize it first, module.to_empty(device=...)")
    if hasattr(out, "is_neg") and out.is_neg() is True:  # PyTorch's DLPack hands over the memory without the sign
        raise ValueError("out is a lazy negative: fill the tensor that it is a view of")
    if getattr(out, "requires_grad", False) is not True:
        return out
    torch = sys.modules.get(type(out).__module__.partition(".")[0])
    if getattr(torch, "is_grad_enabled", lambda: True)():
        raise ValueError(
            "out requires a gradient: fill it inside torch.no_grad(), or out.detach(), or use gpuinit.torch.init_, which tells "
            "autograd"
        )
    return out.detach()


def _owner_on_gpu(out: Any) -> tuple[Backend, Any]:
    backend = _holder(out, "out")
    target = backend.target(out)
    if not target.c_contiguous:
        _check_overlap(target.shape, target.strides, target.dtype.itemsize)
    return backend, target


def _holder(array: Any, name: str = "rows") -> Any:
    """The backend of the GPU that an array lies on."""
    found = probe.status()
    if not found.usable:
        raise DeviceError(f"{name} lies on a GPU that gpuinit cannot use: {found.problem} {found.remedy}".rstrip())
    from gpuinit.backends.cuda import devices

    return devices.owner(array)


def _check_overlap(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> None:
    """Refuse an array some of whose elements may share memory: an axis steps less far than the axes inside it reach."""
    reach = itemsize
    for stride, length in sorted((abs(s), n) for s, n in zip(strides, shape, strict=True) if n > 1):
        if stride < reach:
            raise ValueError(f"out overlaps itself (shape {shape}, strides {strides}): its elements may share memory")
        reach += stride * (length - 1)
