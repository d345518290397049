"""Flax models whose weights do not depend on how they are made: `python examples/flax_models.py`.

A language model in `flax.nnx` and one in `flax.linen`, both with gpuinit's initializers in place of JAX's. Each is made three
times: as it stands, inside `jax.jit`, and over eight devices (of this machine's CPU), where every device makes its own shards of
the matrices and no other. The three hold the same bits.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx
from jax.sharding import PartitionSpec as P

import gpuinit.jax as init

WORDS, WIDTH, HEADS, LAYERS = 512, 64, 4, 3
EMBEDDING = init.truncated_normal(0.02)
ATTENTION = init.glorot_uniform()
HIDDEN = init.he_normal()
OUTPUT = init.variance_scaling(1 / (2 * LAYERS), "fan_in", "truncated_normal")


def over(initializer: Any, sharding: P | None) -> Any:
    """An initializer that gives each device its shard: what Flax calls with key, shape and dtype, the sharding being set."""
    return functools.partial(initializer, out_sharding=sharding)


class Block(nnx.Module):
    """Attention and a perceptron, each added to what comes in; `axis` names the mesh axis that hidden units lie along."""

    def __init__(self, rngs: nnx.Rngs, axis: str | None) -> None:
        self.attention = nnx.MultiHeadAttention(HEADS, WIDTH, kernel_init=ATTENTION, decode=False, rngs=rngs)
        columns, rows = (P(None, axis), P(axis, None)) if axis else (None, None)
        self.up = nnx.Linear(WIDTH, 4 * WIDTH, kernel_init=over(HIDDEN, columns), bias_init=init.zeros, rngs=rngs)
        self.down = nnx.Linear(4 * WIDTH, WIDTH, kernel_init=over(OUTPUT, rows), bias_init=init.zeros, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = x + self.attention(x)
        return x + self.down(jax.nn.relu(self.up(x)))


class Model(nnx.Module):
    """Words, blocks, and scores of the next word."""

    def __init__(self, rngs: nnx.Rngs, axis: str | None = None) -> None:
        table = P(axis, None) if axis else None
        self.words = nnx.Embed(WORDS, WIDTH, embedding_init=over(EMBEDDING, table), rngs=rngs)
        self.blocks = nnx.List([Block(rngs, axis) for _ in range(LAYERS)])

    def __call__(self, words: jax.Array) -> jax.Array:
        x = self.words(words)
        for block in self.blocks:
            x = block(x)
        return self.words.attend(x)


class Scanned(linen.Module):
    """The same idea in linen, its layers in one scan: their weights are stacked, each layer's drawn from a key of its own."""

    @linen.compact
    def __call__(self, words: jax.Array) -> jax.Array:
        table = linen.Embed(WORDS, WIDTH, embedding_init=EMBEDDING)
        layers = linen.scan(_Layer, variable_axes={"params": 0}, split_rngs={"params": True}, length=LAYERS)
        x, _ = layers()(table(words), None)
        return table.attend(x)


class _Layer(linen.Module):
    @linen.compact
    def __call__(self, x: jax.Array, _: None) -> tuple[jax.Array, None]:
        x = x + linen.MultiHeadDotProductAttention(HEADS, kernel_init=ATTENTION)(x)
        hidden = linen.Dense(4 * WIDTH, kernel_init=HIDDEN, bias_init=init.zeros)(x)
        return x + linen.Dense(WIDTH, kernel_init=OUTPUT, bias_init=init.zeros)(jax.nn.relu(hidden)), None


def equal(one: Any, other: Any) -> bool:
    """Whether two trees of arrays have the same structure and the same bits."""
    same = jax.tree.map(lambda a, b: np.asarray(a).tobytes() == np.asarray(b).tobytes(), one, other)
    return all(jax.tree.leaves(same))


def main() -> None:
    """Make both models in each way, compare, and say what a device holds."""
    jax.config.update("jax_num_cpu_devices", 8)
    words = jnp.arange(32).reshape(2, 16)

    plain = nnx.state(Model(nnx.Rngs(0)), nnx.Param)
    print("nnx: equal bits inside jit:", equal(plain, nnx.state(nnx.jit(Model)(nnx.Rngs(0)), nnx.Param)))
    with jax.set_mesh(jax.make_mesh((8,), ("model",), axis_types=(jax.sharding.AxisType.Auto,))):
        model = Model(nnx.Rngs(0), "model")
        print("nnx: equal bits over 8 devices:", equal(plain, nnx.state(model, nnx.Param)))
        inside = nnx.jit(functools.partial(Model, axis="model"))(nnx.Rngs(0))
        print("nnx: equal bits over 8 devices, inside jit:", equal(plain, nnx.state(inside, nnx.Param)))
        up = model.blocks[0].up.kernel.get_value()
        print(f"nnx: each of {len(up.devices())} devices holds {up.sharding.shard_shape(up.shape)} of {up.shape}")
        print("nnx: scores are finite:", bool(jnp.isfinite(model(words)).all()))

    scanned = Scanned()
    variables = scanned.init(jax.random.key(0), words)
    print("linen: equal bits inside jit:", equal(variables, jax.jit(scanned.init)(jax.random.key(0), words)))
    kernel = np.asarray(variables["params"]["Scan_Layer_0"]["Dense_0"]["kernel"])
    print("linen: no two layers alike:", len({layer.tobytes() for layer in kernel}) == LAYERS)
    print(f"linen: std {kernel.std():.4f}, He's is {math.sqrt(2 / WIDTH):.4f}")
    print("linen: scores are finite:", bool(jnp.isfinite(scanned.apply(variables, words)).all()))


if __name__ == "__main__":
    main()
