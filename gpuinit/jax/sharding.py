"""Arrays over several devices: each addressable device's shard is made by itself, from its place in the whole."""

from __future__ import annotations

import itertools
import math
from typing import Any

import jax
from jax.sharding import NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding

import gpuinit
from gpuinit.jax.placement import from_array, make_on
from gpuinit.jax.tensors import Block, Tensor

__all__ = ["check_fits", "concrete", "divided", "sharded"]


def concrete(sharding: Any, name: str) -> Sharding:
    """A sharding with its devices; a PartitionSpec is one of the mesh of `jax.set_mesh`.

    Raises:
        TypeError: it is neither. ValueError: there is no such mesh.
    """
    if isinstance(sharding, PartitionSpec):
        mesh = jax.sharding.get_mesh() if hasattr(jax.sharding, "get_mesh") else None  # JAX 0.8 does not say
        if mesh is None or mesh.empty:
            raise ValueError(
                f"{name}={sharding}: a PartitionSpec needs a mesh; enter one by jax.set_mesh, or give a NamedSharding"
            )
        return NamedSharding(mesh, sharding)
    if not isinstance(sharding, Sharding):
        raise TypeError(
            f"{name}={sharding!r} is a {type(sharding).__name__}: it must be a jax.sharding.Sharding or a PartitionSpec"
        )
    return sharding


def divided(shape: tuple[int, ...], mesh: Any, spec: PartitionSpec, given: str) -> tuple[list[tuple[str, ...]], tuple[int, ...]]:
    """The mesh axes that each axis of a shape is cut along, and the shape of a shard.

    Raises:
        ValueError: the spec, called `given` in the message, does not fit the shape or the mesh.
    """
    names = [() if entry is None else entry if isinstance(entry, tuple) else (entry,) for entry in spec]
    for name in itertools.chain.from_iterable(names):
        if name not in mesh.shape:
            raise ValueError(f"{given}: {name!r} is no axis of the mesh, which has {tuple(mesh.shape)}")
    if len(names) > len(shape):
        raise ValueError(f"{given} has {len(names)} entries, and shape={shape} only {len(shape)} axes")
    names += [()] * (len(shape) - len(names))
    parts = tuple(math.prod(mesh.shape[name] for name in each) for each in names)
    if any(length % n for length, n in zip(shape, parts, strict=True)):
        raise ValueError(f"{given} cuts shape={shape} into {parts} parts, which do not divide it")
    return names, tuple(length // n for length, n in zip(shape, parts, strict=True))


def check_fits(shape: tuple[int, ...], sharding: Sharding, name: str) -> None:
    """Refuse a sharding by names whose mesh does not divide the shape; ValueError says where."""
    if isinstance(sharding, NamedSharding):
        divided(shape, sharding.mesh, sharding.spec, f"{name}={sharding}")


def sharded(tensor: Tensor, key: gpuinit.Key | None, sharding: Sharding, name: str) -> jax.Array:
    """The tensor over the devices of a sharding; no process makes more than its own devices' shards.

    CPU devices that have the same block share its memory. What can only be made whole (an orthogonal matrix) is made once in this
    process, on its first device, and cut.
    """
    check_fits(tensor.shape, sharding, name)
    places = sharding.addressable_devices_indices_map(tensor.shape)
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
