"""Initializers inside jax.jit, vmap, scan and eval_shape: callbacks to the host, one a device where there is a sharding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from gpuinit.jax.keys import key_of_words
from gpuinit.jax.sharding import divided
from gpuinit.jax.tensors import Tensor

__all__ = ["is_staging", "staged"]


def is_staging() -> bool:
    """Whether JAX records operations now, in place of doing them."""
    return isinstance(jnp.zeros(()), jax.core.Tracer)


def staged(tensor: Tensor, words: Any, out_sharding: Any) -> jax.Array:
    """The tensor as an operation of the program that is being traced; `words`: its key's, or None if it needs none.

    With a sharding every device's callback makes that device's block; without one the device that runs the callback makes all.
    """
    if out_sharding is None:
        # A callback's result belongs to the first device alone, which jit cannot return in a mesh; behind a barrier it is free.
        return jax.lax.optimization_barrier(_local(tensor, words, tensor.shape, {}))
    mesh, spec = _mesh_and_spec(out_sharding)
    names, counts = divided(tensor.shape, mesh, spec, f"out_sharding={out_sharding}")

    def on_each(words: Any) -> jax.Array:
        return _local(tensor, words, counts, {axis: jax.lax.axis_index(each) for axis, each in enumerate(names) if each})

    every = jax.shard_map(on_each, mesh=mesh, in_specs=PartitionSpec(), out_specs=spec, check_vma=False)
    made: jax.Array = every(words)
    return made


def _local(tensor: Tensor, words: Any, counts: tuple[int, ...], places: dict[int, Any]) -> jax.Array:
    """What one device has: the block of `counts` elements an axis, number `places[axis]` along that axis, 0 along the others."""
    scalar = tensor.scalar
    if scalar is not None:
        return jnp.full(counts, scalar)
    result = jax.ShapeDtypeStruct(counts, tensor.dtype)
    made: jax.Array = jax.pure_callback(_OnHost(tensor, counts), result, words, places, vmap_method="sequential")
    return made


@dataclass(frozen=True)
class _OnHost:
    """The callback; equal ones are one to JAX's caches."""

    tensor: Tensor
    counts: tuple[int, ...]

    def __call__(self, words: Any, places: dict[int, Any]) -> np.ndarray[Any, Any]:
        key = None if words is None else key_of_words(words)
        starts = [int(places.get(axis, 0)) * count for axis, count in enumerate(self.counts)]
        block = tuple((start, start + count) for start, count in zip(starts, self.counts, strict=True))
        made: np.ndarray[Any, Any] = self.tensor.make(key, block, "cpu")
        return made


def _mesh_and_spec(out_sharding: Any) -> tuple[Any, PartitionSpec]:
    if isinstance(out_sharding, NamedSharding):
        return out_sharding.mesh, out_sharding.spec
    if not isinstance(out_sharding, PartitionSpec):
        raise TypeError(
            f"out_sharding={out_sharding!r} is a {type(out_sharding).__name__}: inside jax.jit it must be a NamedSharding or a "
            "PartitionSpec"
        )
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty:
        raise ValueError(f"out_sharding={out_sharding}: a PartitionSpec needs a mesh; enter one by jax.set_mesh")
    return mesh, out_sharding
