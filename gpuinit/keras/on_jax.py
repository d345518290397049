"""Keras on JAX: gpuinit.jax's arrays, whole or one shard a device; while JAX traces, a callback that makes it later."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

import jax

from gpuinit import dtypes
from gpuinit.jax.placement import default_device, from_array, make_on
from gpuinit.jax.sharding import check_fits, concrete, sharded
from gpuinit.jax.staging import is_staging
from gpuinit.jax.tensors import Tensor
from gpuinit.keras.request import Request

__all__ = ["tensor"]


def tensor(request: Request) -> jax.Array:
    """A new array on JAX's default device, or distributed as the layout says, each device making its own shard.

    Where JAX has 64-bit types switched off, float64 means float32, and so on, as everywhere in JAX. While JAX traces, the array
    is made on the CPU each time that the traced function runs.
    """
    request = dataclasses.replace(request, dtype=jax.dtypes.canonicalize_dtype(request.dtype).name)
    if is_staging():
        return _traced(request)
    if request.layout is None:
        return from_array(make_on(_asked(request), None, None, default_device()))
    return _distributed(request)


def _asked(request: Request) -> Tensor:
    """What gpuinit.jax makes of it; the key is the initializer's own."""
    return Tensor.of(request.initializer(request.next_state()), request.shape, dtypes.canonical(request.dtype))


def _distributed(request: Request) -> jax.Array:
    sharding = concrete(getattr(request.layout, "backend_layout", request.layout), "layout")
    context: Any = contextlib.nullcontext()
    if isinstance(getattr(sharding, "mesh", None), jax.sharding.AbstractMesh):  # Keras' call: it names the mesh by jax.set_mesh
        mesh = jax.sharding.get_mesh()
        sharding = jax.sharding.NamedSharding(mesh, sharding.spec)
        context = jax.set_mesh(mesh)  # Keras has made the axes explicit, which those of its generators are not
    check_fits(request.output_shape, sharding, "layout")  # before anything is drawn
    with context:
        asked = _asked(request)
    return sharded(asked, None, sharding, "layout")


def _traced(request: Request) -> jax.Array:
    state = request.next_state()
    spec = jax.ShapeDtypeStruct(request.output_shape, request.dtype)
    array = jax.pure_callback(request.array, spec, *[] if state is None else [state], vmap_method="sequential")
    if request.layout is None:
        return array
    return jax.lax.with_sharding_constraint(array, getattr(request.layout, "backend_layout", request.layout))
