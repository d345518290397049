"""gpuinit in JAX: the initializers of `jax.nn.initializers` with gpuinit's bits, sharded arrays made in place, keys and arrays.

    init = gpuinit.jax.he_normal()
    weights = init(jax.random.key(5), (1024, 4096), jnp.bfloat16)

Anything that calls a JAX initializer, Flax's modules first, takes these.
"""

from gpuinit.jax.factories import constant, delta_orthogonal, normal, ones, orthogonal, truncated_normal, uniform, zeros
from gpuinit.jax.keyed import KeyedInitializer, make_sharded
from gpuinit.jax.keys import as_key
from gpuinit.jax.placement import from_array
from gpuinit.jax.scaling import (
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    kaiming_normal,
    kaiming_uniform,
    lecun_normal,
    lecun_uniform,
    variance_scaling,
    xavier_normal,
    xavier_uniform,
)

__all__ = [
    "KeyedInitializer",
    "as_key",
    "constant",
    "delta_orthogonal",
    "from_array",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "kaiming_normal",
    "kaiming_uniform",
    "lecun_normal",
    "lecun_uniform",
    "make_sharded",
    "normal",
    "ones",
    "orthogonal",
    "truncated_normal",
    "uniform",
    "variance_scaling",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]
