"""Arrays in a GPU's memory, whoever owns them: CuPy's, and anything with __dlpack__ or __cuda_array_interface__."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuinit import dtypes

__all__ = ["DeviceArray", "device_of", "is_on_gpu", "packed", "view"]

_CUDA, _CUDA_MANAGED = 2, 13


@dataclass(frozen=True, slots=True)
class DeviceArray:
    """Where an array lies, and how.

    Attributes:
        strides: in bytes. device: the GPU's number. writeable: whether its owner lets it be written.
        stream: the owner's stream, where it is known and not the current one. foreign: whether CuPy does not own it.
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
    return DeviceArray(address or 0, shape, strides, dtype, device, not read_only, given.get("stream"), True, value)


class _Tensor(ctypes.Structure):
    """DLTensor of dlpack.h."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


_NAMES = {
    **{(0, bits): f"int{bits}" for bits in (8, 16, 32, 64)},
    **{(1, bits): f"uint{bits}" for bits in (8, 16, 32, 64)},
    **{(2, bits): f"float{bits}" for bits in (16, 32, 64)},
    **{(5, bits): f"complex{bits}" for bits in (64, 128)},
    (4, 16): "bfloat16",
    (6, 8): "bool",
    (10, 8): "float8_e4m3fn",
    (12, 8): "float8_e5m2",
}
"""DLPack's type codes and widths."""


def _from_dlpack(value: Any, stream: int, name: str) -> DeviceArray:
    """By DLPack. The capsule is kept, not consumed: when it goes, its owner knows that the memory is no longer used."""
    try:
        capsule = value.__dlpack__(stream=stream or 1)  # DLPack's name for the legacy default stream
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{name} cannot be handed over by DLPack: {error}") from None
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    tensor = _Tensor.from_address(pointer(capsule, b"dltensor"))
    code = (tensor.code, tensor.bits)
    if code not in _NAMES or tensor.lanes != 1:
        raise ValueError(f"{name}: DLPack type code {tensor.code} of {tensor.bits} bits is not a dtype that gpuinit knows")
    dtype = dtypes.canonical(_NAMES[code])
    shape = tuple(tensor.shape[: tensor.ndim]) if tensor.ndim else ()
    strides = tuple(step * dtype.itemsize for step in tensor.strides[: tensor.ndim]) if tensor.ndim and tensor.strides else None
    address = (tensor.data or 0) + tensor.byte_offset
    return DeviceArray(
        address, shape, strides or packed(shape, dtype.itemsize), dtype, tensor.device_id, foreign=True, keep=(value, capsule)
    )
