"""Keras on JAX: an array handed over by DLPack, or one shard a device; while JAX traces, a callback that makes it later."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

import gpuinit
from gpuinit.interop import Export
from gpuinit.keras.request import Request

__all__ = ["tensor"]


def tensor(request: Request) -> jax.Array:
    """A new array on JAX's default device, or distributed as the layout says, each device making its own shard.

    Where JAX has 64-bit types switched off, float64 means float32, and so on, as everywhere in JAX. While JAX traces, the array
    is made on the CPU each time that the traced function runs.
    """
    request = dataclasses.replace(request, dtype=jax.dtypes.canonicalize_dtype(request.dtype).name)
    probe = jnp.zeros(())
    if isinstance(probe, jax.core.Tracer):
        return _traced(request)
    if request.layout is None:
        [device] = probe.devices()
        return _made(request, device, None)
    return _distributed(request, _sharding(request.layout))


def _made(request: Request, device: jax.Device, block: Any) -> jax.Array:
    """The tensor, or a block of it, on one device: made there where gpuinit can, else on the CPU and copied."""
    on_gpu = device.platform == "gpu" and gpuinit.default_device() != "cpu"
    name = f"cuda:{device.local_hardware_id}" if on_gpu else "cpu"
    array = request.initializer(request.state)(request.shape, request.dtype, device=name, block=block)
    made = jax.dlpack.from_dlpack(Export(array))
    return made if made.devices() == {device} else jax.device_put(made, device)


def _distributed(request: Request, sharding: jax.sharding.Sharding) -> jax.Array:
    initializer, shape = request.initializer(request.state), request.output_shape
    if not gpuinit.Table(request.shape, initializer, request.dtype).divisible:  # all of it is needed for any part
        return jax.device_put(_made(request, jax.local_devices()[0], None), sharding)
    blocks = sharding.addressable_devices_indices_map(shape)
    shards = [_made(request, device, _whole(block, shape)) for device, block in blocks.items()]
    return jax.make_array_from_single_device_arrays(shape, sharding, shards)


def _whole(block: Any, shape: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(*part.indices(length)[:2]) for part, length in zip(block, shape, strict=True))


def _sharding(layout: Any) -> jax.sharding.Sharding:
    """A keras.distribution.TensorLayout or a sharding of JAX's as one of real devices; Keras names the mesh by `jax.set_mesh`."""
    sharding = getattr(layout, "backend_layout", layout)
    if isinstance(getattr(sharding, "mesh", None), jax.sharding.AbstractMesh):
        return jax.sharding.NamedSharding(jax.sharding.get_mesh(), sharding.spec)
    return sharding


def _traced(request: Request) -> jax.Array:
    def make(state: Any) -> Any:
        return request.array(None if request.state is None else state)

    state = jnp.zeros(2, jnp.uint32) if request.state is None else request.state
    spec = jax.ShapeDtypeStruct(request.output_shape, request.dtype)
    array = jax.pure_callback(make, spec, state, vmap_method="sequential")
    if request.layout is None:
        return array
    return jax.lax.with_sharding_constraint(array, getattr(request.layout, "backend_layout", request.layout))
