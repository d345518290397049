"""Which device an array belongs on, and the hand-over of what is made there to JAX."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding

import gpuinit
from gpuinit.interop import Export
from gpuinit.jax.tensors import Block, Tensor

__all__ = ["default_device", "from_array", "home", "make_on"]


def from_array(array: Any, sharding: Sharding | None = None) -> jax.Array:
    """What gpuinit made as a jax.Array: the same memory wherever JAX takes it.

    Args:
        array: NumPy's or CuPy's, of any dtype that gpuinit makes. It is given away: nobody may write into it any more. NumPy's is
            made read-only, so that who tries gets an error.
        sharding: where it is put; None means JAX's default device for NumPy's, and the GPU that it lies on for CuPy's.

    Returns:
        The jax.Array, which keeps the memory. NumPy's is aliased on every CPU device if it is C-contiguous and starts at a
        multiple of 64 bytes, as gpuinit's arrays do, and copied to other devices; CuPy's is aliased on its GPU. A 64-bit dtype is
        converted, and so copied, where x64 is off.

    Raises:
        TypeError: it is neither. ValueError: gpuinit knows no such dtype.
    """
    if isinstance(array, np.ndarray):
        gpuinit.dtypes.canonical(array.dtype)
        array.flags.writeable = False
        return jax.device_put(array, sharding)
    if isinstance(array, jax.Array) or not hasattr(array, "__cuda_array_interface__"):
        raise TypeError(f"array is a {type(array).__name__}: it must be NumPy's or CuPy's")
    there = jax.dlpack.from_dlpack(Export(array if array.flags.c_contiguous else array.copy()))
    return there if sharding is None else jax.device_put(there, sharding)


def make_on(tensor: Tensor, key: gpuinit.Key | None, block: Block | None, device: jax.Device) -> Any:
    """A block of a tensor made where `device` has its memory, if gpuinit can and may work there, else in the host's.

    GPUINIT_DEVICE=cpu says that it may not. key: None means the key of the tensor's own initializer.
    """
    if device.platform in ("gpu", "cuda"):
        try:
            if gpuinit.default_device() != "cpu":
                return tensor.make(key, block, f"cuda:{device.local_hardware_id}")
        except gpuinit.DeviceError:  # no CuPy, no CUDA, another maker's GPU: the host makes the same bits
            pass
    return tensor.make(key, block, "cpu")


def default_device() -> jax.Device:
    """The device that JAX puts new arrays on, `jax.default_device` heeded."""
    chosen = jax.config.jax_default_device
    if chosen is None or isinstance(chosen, str):
        return jax.local_devices(backend=chosen)[0]
    return chosen


def home(key: Any) -> Sharding | None:
    """Where JAX puts what it draws from this key: where the key is committed to, else (None) on the default device."""
    if not isinstance(key, jax.Array) or not key.committed:
        return None
    if isinstance(key.sharding, NamedSharding):
        return NamedSharding(key.sharding.mesh, PartitionSpec())
    return SingleDeviceSharding(*key.devices()) if len(key.devices()) == 1 else None
