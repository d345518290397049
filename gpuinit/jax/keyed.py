"""Initializers that take their key when they are called, as JAX's do, and arrays over several devices from any initializer."""

from __future__ import annotations

from typing import Any

import jax
from jax.sharding import Sharding

import gpuinit
from gpuinit.jax.keys import as_key, key_of_words, words_of
from gpuinit.jax.placement import default_device, from_array, home, make_on
from gpuinit.jax.sharding import concrete, sharded
from gpuinit.jax.staging import is_staging, staged
from gpuinit.jax.tensors import Tensor, canonical_dtype

__all__ = ["KeyedInitializer", "make_sharded"]


class KeyedInitializer:
    """A gpuinit initializer as JAX and Flax call one: `init(key, shape, dtype, out_sharding)`.

    Args:
        initializer: any of gpuinit's, by instance, class, name or config; the key stands in place of its own seed.
        dtype: the element type of calls that name none; None means JAX's default float.
        column_axis: where the last axis of what the initializer makes is put.

    Raises:
        TypeError: it is no initializer with a `distribution`.

    The factories of `gpuinit.jax` make these. A call's bits are `initializer(shape, dtype)`'s with seed=gpuinit.jax.as_key(key),
    whether it stands inside jax.jit or not.
    """

    def __init__(self, initializer: Any, dtype: Any = None, column_axis: int = -1) -> None:
        found = gpuinit.get(initializer)
        if not isinstance(found, gpuinit.Initializer):
            raise TypeError(f"initializer={initializer!r} must be a gpuinit initializer's instance, class, name or config")
        self.initializer = found
        self.dtype = dtype
        self.column_axis = column_axis

    def __call__(self, key: Any, shape: Any, dtype: Any = None, out_sharding: Any = None) -> jax.Array:
        """Make the tensor.

        Args:
            key: one JAX key, typed or of words, or a gpuinit.Key (see `as_key`). What draws nothing takes no heed of it.
            shape: dimensions, integers >= 0.
            dtype: element type; None means the one given at construction. float64 is float32 where x64 is off, with a warning.
            out_sharding: None, a NamedSharding, or a PartitionSpec of the mesh of `jax.set_mesh`; outside `jax.jit` any Sharding.

        Returns:
            A jax.Array. Outside `jax.jit` it lies where JAX's own would: with `out_sharding`, else where the key is committed to,
            else on the default device; it is made in place there, on a GPU too if gpuinit can use it. Inside `jax.jit`, `vmap`,
            `scan` the host makes it when the program runs, and it is copied to the device; `jax.eval_shape` makes nothing.

        Raises:
            TypeError, ValueError: an argument is wrong, or the dtype is none that the initializer makes.
        """
        tensor = self.tensor(shape, dtype)
        words = words_of(key) if tensor.random else None
        if isinstance(words, jax.core.Tracer) or is_staging():
            return staged(tensor, words, out_sharding)
        drawn = None if words is None else key_of_words(words)
        place = concrete(out_sharding, "out_sharding") if out_sharding is not None else home(key) if tensor.random else None
        if place is not None:
            return sharded(tensor, drawn, place, "out_sharding")
        return from_array(make_on(tensor, drawn, None, default_device()))

    def tensor(self, shape: Any, dtype: Any = None) -> Tensor:
        """What a call makes, checked, before it is made."""
        return Tensor.of(self.initializer, shape, canonical_dtype(self.dtype if dtype is None else dtype), self.column_axis)

    def __repr__(self) -> str:
        further = ("" if self.dtype is None else f", dtype={self.dtype!r}") + (
            "" if self.column_axis == -1 else f", column_axis={self.column_axis}"
        )
        return f"KeyedInitializer({self.initializer!r}{further})"


def make_sharded(init: Any, shape: Any, sharding: Any, *, key: Any = None, dtype: Any = None) -> jax.Array:
    """A tensor over several devices, each shard made by itself on its device: the same bits at any number of devices.

    Args:
        init: an initializer of `gpuinit.jax`, or one of gpuinit's own by instance, class, name or config.
        shape: the whole tensor's dimensions; it may exceed the memory of any device.
        sharding: a jax.sharding.Sharding, or a PartitionSpec of the mesh of `jax.set_mesh`. It must divide the shape.
        key: a JAX key or a gpuinit.Key; None means the seed of gpuinit's own initializer, which must then be the same in all
            processes.
        dtype: element type; None means the initializer's, else JAX's default float.

    Returns:
        A jax.Array of that sharding. Each process makes the shards of its own devices alone, with no communication; the whole is
        never made, but of orthogonal and sparse matrices, once a process.

    Raises:
        TypeError, ValueError: an argument is wrong; the sharding does not divide the shape; there is no key; it stands inside
            jax.jit (there, call an initializer of gpuinit.jax with `out_sharding`).

    Bit-equal to the unsharded tensor of the same key (orthogonal matrices: on the same device).
    """
    keyed = init if isinstance(init, KeyedInitializer) else KeyedInitializer(init)
    tensor = keyed.tensor(shape, dtype)
    place: Sharding = concrete(sharding, "sharding")
    if is_staging() or isinstance(key, jax.core.Tracer):
        raise ValueError("make_sharded stands inside jax.jit: call an initializer of gpuinit.jax with out_sharding= there")
    drawn = as_key(key) if key is not None and tensor.random else None
    if tensor.random and drawn is None:
        drawn = _own_key(init, tensor)
    return sharded(tensor, drawn, place, "sharding")


def _own_key(init: Any, tensor: Tensor) -> gpuinit.Key:
    """The key of an initializer's own seed, drawn once."""
    if isinstance(init, KeyedInitializer):
        raise ValueError(f"key=None: {init!r} takes its key when it is called; give key=jax.random.key(..)")
    if jax.process_count() > 1 and tensor.initializer.get_config().get("seed") is None:
        raise ValueError(
            f"key=None: the seed of {tensor.initializer!r} is another in each of the {jax.process_count()} processes"
        )
    key: gpuinit.Key = gpuinit.Table(tensor.asked, tensor.initializer, tensor.dtype).key
    return key
