"""Flax's own modules, nnx and linen, with gpuinit's initializers: the bits that their keys give, in every way they are made."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import same_bits

import gpuinit

jax = pytest.importorskip("jax")
pytest.importorskip("flax")
from flax import linen, nnx  # noqa: E402

import gpuinit.jax  # noqa: E402

pytestmark = pytest.mark.frameworks

EXAMPLE = Path(__file__).parents[2] / "examples/flax_models.py"
SAID = """\
nnx: equal bits inside jit: True
nnx: equal bits over 8 devices: True
nnx: equal bits over 8 devices, inside jit: True
nnx: each of 8 devices holds (64, 32) of (64, 256)
nnx: scores are finite: True
linen: equal bits inside jit: True
"""


class Noted:
    """An initializer that keeps what it was called with and what it gave."""

    def __init__(self, init: Any) -> None:
        self.init, self.calls = init, []  # type: ignore[var-annotated]

    def __call__(self, key: Any, shape: Any, dtype: Any = None, **further: Any) -> Any:
        made = self.init(key, shape, dtype, **further)
        self.calls.append((gpuinit.jax.as_key(key), tuple(shape), dtype, np.asarray(made)))
        return made


def equal(one: Any, other: Any) -> bool:
    return all(jax.tree.leaves(jax.tree.map(lambda a, b: same_bits(np.asarray(a), np.asarray(b)), one, other)))


NNX = {
    "linear": lambda init, **options: nnx.Linear(12, 20, kernel_init=init, **options),
    "conv": lambda init, **options: nnx.Conv(3, 8, (3, 5), kernel_init=init, **options),
    "general": lambda init, **options: nnx.LinearGeneral((3, 4), (2, 5), axis=(-2, -1), kernel_init=init, **options),
    "attention": lambda init, **options: nnx.MultiHeadAttention(4, 16, kernel_init=init, decode=False, **options),
    "embed": lambda init, **options: nnx.Embed(50, 6, embedding_init=init, **options),
    "lstm": lambda init, **options: nnx.LSTMCell(
        6, 8, kernel_init=init, recurrent_kernel_init=gpuinit.jax.orthogonal(), **options
    ),
}
LINEN = {
    "dense": (lambda init: linen.Dense(20, kernel_init=init), (2, 12)),
    "conv": (lambda init: linen.Conv(8, (3, 5), kernel_init=init), (1, 9, 9, 3)),
    "attention": (lambda init: linen.MultiHeadDotProductAttention(4, kernel_init=init), (2, 5, 16)),
}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", NNX)
def test_nnx_modules_get_the_bits_of_their_keys(name: str, dtype: str) -> None:
    init = Noted(gpuinit.jax.he_normal())
    module = NNX[name](init, rngs=nnx.Rngs(3), param_dtype=dtype)
    held = [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(nnx.state(module, nnx.Param))]
    assert init.calls
    for key, shape, asked, made in init.calls:
        assert asked == dtype and same_bits(made, gpuinit.HeNormal(seed=key)(shape, dtype))
        assert made.tobytes() in held, "the module holds something else"


@pytest.mark.parametrize("name", NNX)
def test_nnx_modules_are_the_same_inside_jit(name: str) -> None:
    def make(rngs: Any) -> Any:
        return NNX[name](gpuinit.jax.glorot_uniform(), rngs=rngs)

    plain = nnx.state(make(nnx.Rngs(3)), nnx.Param)
    assert equal(plain, nnx.state(nnx.jit(make)(nnx.Rngs(3)), nnx.Param))
    shapes = nnx.state(nnx.eval_shape(lambda: make(nnx.Rngs(3))), nnx.Param)
    assert jax.tree.map(np.shape, plain) == jax.tree.map(np.shape, shapes)


def test_nnx_vmap_over_layers() -> None:
    @nnx.split_rngs(splits=4)
    @nnx.vmap
    def layers(rngs: Any) -> Any:
        return nnx.Linear(6, 8, kernel_init=gpuinit.jax.he_normal(), rngs=rngs)

    kernel = np.asarray(layers(nnx.Rngs(3)).kernel.get_value())
    assert kernel.shape == (4, 6, 8) and len({layer.tobytes() for layer in kernel}) == 4
    assert same_bits(np.asarray(nnx.jit(layers)(nnx.Rngs(3)).kernel.get_value()), kernel)


@pytest.mark.parametrize("name", LINEN)
def test_linen_modules_get_the_bits_of_their_keys(name: str) -> None:
    init = Noted(gpuinit.jax.lecun_uniform())
    make, shape = LINEN[name]
    variables = make(init).init(jax.random.key(3), np.ones(shape, np.float32))
    assert init.calls
    whole = [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(variables)]
    for key, asked, dtype, made in init.calls:
        assert same_bits(made, gpuinit.LecunUniform(seed=key)(asked, dtype)) and made.tobytes() in whole
    module = make(gpuinit.jax.lecun_uniform())
    assert equal(variables, jax.jit(module.init)(jax.random.key(3), np.ones(shape, np.float32)))


def test_linen_scan_and_vmap_over_layers() -> None:
    class Layer(linen.Module):
        @linen.compact
        def __call__(self, x: Any, _: Any) -> Any:
            return linen.Dense(8, kernel_init=gpuinit.jax.he_normal())(x), None

    x = np.ones((2, 8), np.float32)
    scanned = linen.scan(Layer, variable_axes={"params": 0}, split_rngs={"params": True}, length=5)()
    variables = scanned.init(jax.random.key(3), x, None)
    kernel = np.asarray(variables["params"]["Dense_0"]["kernel"])
    assert kernel.shape == (5, 8, 8) and len({layer.tobytes() for layer in kernel}) == 5
    assert equal(variables, jax.jit(scanned.init)(jax.random.key(3), x, None))
    mapped = linen.vmap(Layer, in_axes=(0, None), variable_axes={"params": 0}, split_rngs={"params": True})()
    kernel = np.asarray(mapped.init(jax.random.key(3), x[None].repeat(3, 0), None)["params"]["Dense_0"]["kernel"])
    assert kernel.shape == (3, 8, 8) and len({layer.tobytes() for layer in kernel}) == 3


def test_partitioned_parameters() -> None:
    init = linen.with_partitioning(gpuinit.jax.he_normal(), ("a", None))
    variables = linen.Dense(8, kernel_init=init).init(jax.random.key(3), np.ones((2, 6), np.float32))
    plain = linen.Dense(8, kernel_init=gpuinit.jax.he_normal()).init(jax.random.key(3), np.ones((2, 6), np.float32))
    assert variables["params"]["kernel"].names == ("a", None) and equal(linen.unbox(variables), plain)


def test_initializers_can_be_pickled() -> None:
    """What JAX's own, which are closures, cannot."""
    init = pickle.loads(pickle.dumps(gpuinit.jax.variance_scaling(2.0, "fan_geo_avg", "uniform", batch_axis=0)))
    key = jax.random.key(3)
    expected = gpuinit.jax.variance_scaling(2.0, "fan_geo_avg", "uniform", batch_axis=0)(key, (2, 3, 4))
    assert same_bits(np.asarray(init(key, (2, 3, 4))), np.asarray(expected))


def test_the_example_keeps_its_word() -> None:
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, str(EXAMPLE)], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(SAID), done.stdout
    assert done.stdout.count("True") == 7 and "False" not in done.stdout
