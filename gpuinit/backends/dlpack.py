"""DLPack capsules: where the tensor in one lies, and a capsule that says another element type.

Source: dlpack.h, versions 0.8 to 1.1 (DLTensor, DLManagedTensor, DLManagedTensorVersioned).
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import numpy as np

from gpuinit import dtypes

__all__ = ["Described", "borrowed", "describe", "host_view", "is_on_host", "retype"]

_CPU, _CUDA_HOST = 1, 3
_READ_ONLY = 1


class _Tensor(ctypes.Structure):
    """DLTensor."""

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


class _Versioned(ctypes.Structure):
    """DLManagedTensorVersioned."""

    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("manager", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
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
_CODES = {name: code for code, name in _NAMES.items()}


class Described(NamedTuple):
    """What a capsule says: where its tensor lies, strides in bytes, and whether its owner lets it be written."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None
    dtype: np.dtype[Any]
    device_id: int
    writeable: bool


def describe(capsule: Any, name: str) -> Described:
    """What an unconsumed capsule says of its tensor; strides of None mean C order. ValueError: a type unknown here, or no memory.

    It is valid as long as the capsule, and what it was made from, are kept.
    """
    tensor, flags = _tensor(capsule)
    code = (tensor.code, tensor.bits)
    if code not in _NAMES or tensor.lanes != 1:
        raise ValueError(f"{name}: DLPack type code {tensor.code} of {tensor.bits} bits is not a dtype that gpuinit knows")
    dtype = dtypes.canonical(_NAMES[code])
    shape = tuple(tensor.shape[: tensor.ndim]) if tensor.ndim else ()
    strides = tuple(step * dtype.itemsize for step in tensor.strides[: tensor.ndim]) if tensor.ndim and tensor.strides else None
    if not tensor.data and 0 not in shape:
        raise ValueError(
            f"{name} has no memory that it hands over: its storage was freed, or it is a wrapper, as a DTensor is, which "
            "gpuinit.torch.init_ fills"
        )
    address = (tensor.data or 0) + tensor.byte_offset
    return Described(address, shape, strides, dtype, tensor.device_id, not flags & _READ_ONLY)


def retype(capsule: Any, dtype: np.dtype[Any]) -> Any:
    """The capsule, whose elements are now said to be of another dtype of their width."""
    tensor, _ = _tensor(capsule)
    tensor.code, tensor.bits = _CODES[dtype.name]
    return capsule


def is_on_host(value: Any) -> bool:
    """Whether an object hands its memory over by DLPack and says that it lies where the CPU reads and writes it."""
    try:
        return hasattr(value, "__dlpack__") and int(value.__dlpack_device__()[0]) in (_CPU, _CUDA_HOST)
    except Exception:  # an object that cannot tell
        return False


def host_view(value: Any, name: str) -> np.ndarray[Any, Any]:
    """An array in host memory as NumPy's, of any dtype that gpuinit knows, without a copy.

    Raises:
        ValueError: its owner does not hand it over, or its dtype is unknown here; the message says why.
    """
    if type(value).__module__.partition(".")[0] == "tensorflow":  # asked for a capsule of strings it ends the process
        try:
            dtypes.canonical(value.dtype)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    try:
        capsule = _capsule(value)
    except Exception as error:  # owners raise what they like
        raise ValueError(f"{name} is a {type(value).__name__} that cannot be handed over by DLPack: {error}") from None
    found = describe(capsule, name)
    view = borrowed(found.address, found.shape, found.strides, found.dtype, (value, capsule))
    view.flags.writeable = found.writeable
    return view


def borrowed(
    address: int, shape: tuple[int, ...], strides: tuple[int, ...] | None, dtype: np.dtype[Any], keep: Any
) -> np.ndarray[Any, Any]:
    """Memory at an address as an array, which holds `keep`; strides in bytes, None meaning C order."""
    return np.asarray(_Memory(address, shape, strides, dtype.itemsize, keep)).view(dtype)


def _capsule(value: Any) -> Any:
    try:
        return value.__dlpack__(max_version=(1, 0))
    except TypeError:  # from before DLPack 1.0
        return value.__dlpack__()


def _tensor(capsule: Any) -> tuple[Any, int]:
    """The DLTensor in a capsule, and its flags."""
    valid, pointer = ctypes.pythonapi.PyCapsule_IsValid, ctypes.pythonapi.PyCapsule_GetPointer
    valid.restype, valid.argtypes = ctypes.c_int, (ctypes.py_object, ctypes.c_char_p)
    pointer.restype, pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    if valid(capsule, b"dltensor_versioned"):
        managed = _Versioned.from_address(pointer(capsule, b"dltensor_versioned"))
        return managed.tensor, int(managed.flags)
    return _Tensor.from_address(pointer(capsule, b"dltensor")), 0


class _Memory:
    """What NumPy's arrays hold as long as one of them lives."""

    def __init__(self, address: int, shape: tuple[int, ...], strides: tuple[int, ...] | None, itemsize: int, keep: Any) -> None:
        self.keep = keep
        self.__array_interface__ = {
            "version": 3,
            "data": (address, False),
            "shape": shape,
            "strides": strides,
            "typestr": f"|V{itemsize}",
        }
