"""Arrays in a GPU's memory, whoever owns them: CuPy's, and anything with __dlpack__ or __cuda_array_interface__."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuinit import dtypes
from gpuinit.backends import dlpack

__all__ = ["DeviceArray", "device_of", "is_on_gpu", "packed", "view"]

_CUDA, _CUDA_MANAGED = 2, 13


@dataclass(frozen=True, slots=True)
class DeviceArray:
    """Where an array lies, and how.

    Attributes:
        strides: in bytes. device: the GPU's number. writeable: whether its owner lets it be written.
        stream: the owner's stream, where it is known and not the current one. foreign: whether CuPy does not own it.
        ordered: whether what the owner's stream is given later must wait for us, in place of the host.
        keep: what must live as long as the memory is used.
    """

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype[Any]
    device: int
    writeable: bool = True
    stream: int | None = None
    foreign: bool = False
    ordered: bool = False
    keep: Any = None

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def size(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)

    @property
    def c_contiguous(self) -> bool:
        """Whether its elements follow each other in C order."""
        return self.size == 0 or all(
            length == 1 or stride == expected
            for length, stride, expected in zip(self.shape, self.strides, packed(self.shape, self.dtype.itemsize), strict=True)
        )


def packed(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """The strides of a C-contiguous array."""
    strides: list[int] = []
    for length in reversed(shape):
        strides.append(itemsize)
        itemsize *= max(length, 1)
    return tuple(reversed(strides))


def is_on_gpu(value: Any) -> bool:
    """Whether the object says that its memory is a GPU's; it is asked for nothing that would copy or wait."""
    if isinstance(value, (np.ndarray, np.generic, list, tuple, int, DeviceArray)):
        return isinstance(value, DeviceArray)
    if _is_cupy(value):
        return True
    try:
        kind = value.__dlpack_device__()[0]
    except Exception:  # no such method, or an object that cannot tell
        return hasattr(value, "__cuda_array_interface__")
    return int(kind) in (_CUDA, _CUDA_MANAGED)


def device_of(value: Any, pointer_device: Callable[[int], int]) -> int:
    """The number of the GPU that an array `is_on_gpu` lies on; `pointer_device` tells it of an address."""
    if isinstance(value, DeviceArray):
        return value.device
    if _is_cupy(value):
        return int(value.data.device_id)
    if hasattr(value, "__dlpack_device__"):
        return int(value.__dlpack_device__()[1])
    address = value.__cuda_array_interface__["data"][0]
    return pointer_device(address) if address else 0


def view(value: Any, stream: Callable[[], int], pointer_device: Callable[[int], int], name: str) -> DeviceArray:
    """Where an array on a GPU lies.

    Args:
        value: `is_on_gpu`. stream: gives the current stream, which the owner is asked to let wait for what it still computes.
        pointer_device: tells an address' GPU. name: the argument's, for messages.

    Raises:
        TypeError, ValueError: its dtype is unknown here, or its owner does not hand it over; the message says why.
    """
    if _is_cupy(value):
        return DeviceArray(
            value.data.ptr, tuple(value.shape), tuple(value.strides), _dtype(value.dtype, name), value.data.device_id, keep=value
        )
    if hasattr(value, "__dlpack__"):
        return _from_dlpack(value, stream(), name)
    return _from_interface(value, device_of(value, pointer_device), name)


def _is_cupy(value: Any) -> bool:
    kind = type(value)
    return kind.__module__.partition(".")[0] == "cupy" and hasattr(kind, "data") and hasattr(kind, "strides")


def _dtype(dtype: Any, name: str) -> np.dtype[Any]:
    try:
        return dtypes.canonical(dtype)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _from_interface(value: Any, device: int, name: str) -> DeviceArray:
    """By the CUDA array interface, version 2 or 3."""
    given = value.__cuda_array_interface__
    dtype = _dtype(np.dtype(given["typestr"]), name)
    if given.get("mask") is not None:
        raise ValueError(f"{name} has a mask: it must be an array without one")
    shape = tuple(given["shape"])
    strides = given.get("strides")
    strides = packed(shape, dtype.itemsize) if strides is None else tuple(strides)
    address, read_only = given["data"]
    return DeviceArray(address or 0, shape, strides, dtype, device, not read_only, given.get("stream"), True, keep=value)


def _from_dlpack(value: Any, stream: int, name: str) -> DeviceArray:
    """By DLPack. The capsule is kept, not consumed: when it goes, its owner knows that the memory is no longer used."""
    try:
        capsule = value.__dlpack__(stream=stream or 1)  # DLPack's name for the legacy default stream
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{name} cannot be handed over by DLPack: {error}") from None
    found = dlpack.describe(capsule, name)
    return DeviceArray(
        found.address,
        found.shape,
        found.strides or packed(found.shape, found.dtype.itemsize),
        found.dtype,
        found.device_id,
        found.writeable,
        foreign=True,
        keep=(value, capsule),
    )
