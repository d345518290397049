"""Arrays over several devices: each addressable device's shard is made by itself, from its place in the whole."""

from __future__ import annotations

from typing import Any

import jax
from jax.sharding import NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding

import gpuinit
from gpuinit.jax.placement import from_array, make_on
from gpuinit.jax.tensors import Block, Tensor

__all__ = ["concrete", "sharded"]


def concrete(sharding: Any, name: str) -> Sharding:
    """A sharding with its devices; a PartitionSpec is one of the mesh of `jax.set_mesh`.

    Raises:
        TypeError: it is neither. ValueError: there is no such mesh.
    """
    if isinstance(sharding, PartitionSpec):
        mesh = jax.sharding.get_mesh()
        if mesh.empty:
            raise ValueError(
                f"{name}={sharding}: a PartitionSpec needs a mesh; enter one by jax.set_mesh, or give a NamedSharding"
            )
        return NamedSharding(mesh, sharding)
    if not isinstance(sharding, Sharding):
        raise TypeError(
            f"{name}={sharding!r} is a {type(sharding).__name__}: it must be a jax.sharding.Sharding or a PartitionSpec"
        )
    return sharding


def sharded(tensor: Tensor, key: gpuinit.Key | None, sharding: Sharding, name: str) -> jax.Array:
    """The tensor over the devices of a sharding; no process makes more than its own devices' shards.

    CPU devices that have the same block share its memory. What can only be made whole (an orthogonal matrix) is made once in this
    process, on its first device, and cut.
    """
    try:
        places = sharding.addressable_devices_indices_map(tensor.shape)
    except ValueError as error:
        raise ValueError(f"{name}={sharding} does not fit shape={tensor.shape}: {error}") from None
    whole: Any = None
    on_host: dict[Block, Any] = {}
    shards = []
    for device, index in places.items():
        block: Block = tuple(part.indices(length)[:2] for part, length in zip(index, tensor.shape, strict=True))
        made = on_host.get(block)
        if made is None and tensor.divisible:
            made = make_on(tensor, key, block, device)
        elif made is None:
            whole = make_on(tensor, key, None, device) if whole is None else whole
            made = whole[tuple(slice(*ends) for ends in block)]
        if device.platform == "cpu":
            on_host[block] = made
        shards.append(from_array(made, SingleDeviceSharding(device, memory_kind=sharding.memory_kind)))
    return jax.make_array_from_single_device_arrays(tensor.shape, sharding, shards, dtype=tensor.dtype)
