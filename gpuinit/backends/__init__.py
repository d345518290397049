"""Where and how tensors are made. `select` is the one place that decides the device.

A backend has a `device` name and two operations, `empty(shape, dtype)` and `fill(out, law, region, key)`; it knows
no initializer.
"""

from __future__ import annotations

import os
from typing import Any, Protocol

import numpy as np

from gpuinit import dtypes
from gpuinit.backends import cpu
from gpuinit.key import Key
from gpuinit.region import Region

__all__ = ["Backend", "DeviceError", "default_device", "owner", "select"]


class Backend(Protocol):
    """Allocates and fills on one device."""

    device: str

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        """A new uninitialized C-contiguous array, 64-byte aligned."""

    def fill(self, out: Any, law: Any, region: Region, key: Key | None) -> None:
        """Write the region of the tensor that `law` (a Sampler or a Structure) and `key` define into `out`, of any strides."""


class DeviceError(RuntimeError):
    """The device asked for cannot be used; the message says what is missing."""


def default_device() -> str:
    """The device meant by `device=None`: that of GPUINIT_DEVICE if set, else the CPU.

    Raises:
        ValueError: GPUINIT_DEVICE is not a device name. DeviceError: it names one that cannot be used.
    """
    asked = os.environ.get("GPUINIT_DEVICE")
    return select(asked).device if asked else "cpu"


def select(device: str | None) -> Backend:
    """The backend of a device: None (the default), "cpu", "cuda" or "cuda:N"."""
    name = "device"
    if device is None:
        name, device = "GPUINIT_DEVICE", os.environ.get("GPUINIT_DEVICE") or "cpu"
    if device == "cpu":
        return cpu.BACKEND
    if not isinstance(device, str) or not (device == "cuda" or (device.startswith("cuda:") and device[5:].isdecimal())):
        raise ValueError(f"{name}={device!r} is not a device: it must be 'cpu', 'cuda' or 'cuda:N'")
    raise DeviceError(f"{name}={device!r} cannot be used: this release of gpuinit fills on the CPU alone; use device='cpu'")


def owner(out: Any) -> tuple[Backend, np.dtype[Any]]:
    """The backend that can write into an existing array, and its dtype; an error says why there is none."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out is a {type(out).__name__}: it must be a NumPy array")
    if not out.flags.writeable:
        raise ValueError("out is read-only: it must be a writable array")
    try:
        kind = dtypes.canonical(out.dtype)
    except ValueError as error:
        raise ValueError(f"out: {error}") from None
    if _overlaps_itself(out):
        raise ValueError(f"out overlaps itself (shape {out.shape}, strides {out.strides}): its elements may share memory")
    return cpu.BACKEND, kind


def _overlaps_itself(array: np.ndarray[Any, Any]) -> bool:
    """Whether some element may share memory with another: an axis steps less far than the axes inside it reach."""
    if array.size < 2 or array.flags.forc:
        return False
    reach = array.itemsize
    for stride, length in sorted((abs(s), n) for s, n in zip(array.strides, array.shape, strict=True) if n > 1):
        if stride < reach:
            return True
        reach += stride * (length - 1)
    return False
