"""Keras on JAX: an array handed over by DLPack, or one shard a device; while JAX traces, a callback that makes it later."""

from __future__ import annotations

import contextlib
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
        return _made(request, request.initializer(request.next_state()), device, None)
    return _distributed(request)


def _made(request: Request, initializer: gpuinit.Initializer, device: jax.Device, block: Any) -> jax.Array:
    """The tensor, or a block of it, on one device: made there where gpuinit can, else on the CPU and copied."""
    on_gpu = device.platform == "gpu" and gpuinit.default_device() != "cpu"
    name = f"cuda:{device.local_hardware_id}" if on_gpu else "cpu"
    made = jax.dlpack.from_dlpack(Export(initializer(request.shape, request.dtype, device=name, block=block)))
    return made if made.devices() == {device} else jax.device_put(made, device)


def _distributed(request: Request) -> jax.Array:
    sharding = getattr(request.layout, "backend_layout", request.layout)
    context: Any = contextlib.nullcontext()
    if isinstance(getattr(sharding, "mesh", None), jax.sharding.AbstractMesh):  # Keras' call: it names the mesh by jax.set_mesh
        mesh = jax.sharding.get_mesh()
        sharding = jax.sharding.NamedSharding(mesh, sharding.spec)
        context = jax.set_mesh(mesh)  # Keras has made the axes explicit, which those of its generators are not
    with context:
        initializer = request.initializer(request.next_state())
    shape = request.output_shape
    if not gpuinit.Table(request.shape, initializer, request.dtype).divisible:  # any part takes as long as all of it
        return jax.device_put(_made(request, initializer, jax.local_devices()[0], None), sharding)
    blocks = {
        device: tuple(slice(*part.indices(length)[:2]) for part, length in zip(block, shape, strict=True))
        for device, block in sharding.addressable_devices_indices_map(shape).items()
    }
    shards = [_made(request, initializer, device, block) for device, block in blocks.items()]
    return jax.make_array_from_single_device_arrays(shape, sharding, shards)


def _traced(request: Request) -> jax.Array:
    state = request.next_state()
    spec = jax.ShapeDtypeStruct(request.output_shape, request.dtype)
    array = jax.pure_callback(request.array, spec, *[] if state is None else [state], vmap_method="sequential")
    if request.layout is None:
        return array
    return jax.lax.with_sharding_constraint(array, getattr(request.layout, "backend_layout", request.layout))
