"""Calls that a backend traces, that Keras infers shapes with, and that it distributes: the same bits, when they come to be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import same_bits

pytest.importorskip("keras")

import keras
import numpy as np
from keras_table import BACKEND, RANDOM, TABLE, Row, array, name_of

import gpuinit
import gpuinit.keras as ours

pytestmark = pytest.mark.frameworks

SHAPE = (12, 9)
on_jax = pytest.mark.skipif(BACKEND != "jax", reason="of JAX")
on_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="of TensorFlow")


def core(seed: Any, dtype: str = "float32") -> np.ndarray[Any, Any]:
    made: np.ndarray[Any, Any] = gpuinit.HeNormal(seed=seed)(SHAPE, dtype, device="cpu")
    return made


def traced(function: Any) -> Any:
    """What the backend's compiler makes of a function; itself where the backend has none."""
    if BACKEND == "jax":
        import jax

        return jax.jit(function)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.function(function)
    return function


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "float8_e4m3fn", "float8_e5m2", "complex64"])
def test_a_traced_call(dtype: str) -> None:
    assert same_bits(array(traced(lambda: ours.HeNormal(seed=1)(SHAPE, dtype))()), core(1, dtype))


@pytest.mark.parametrize("row", TABLE, ids=name_of)
def test_a_traced_call_of_each(row: Row) -> None:
    """The shape is known while tracing, STFT's output's too."""
    shapes = []

    def function() -> Any:
        made = row.make()(row.shape)
        shapes.append(tuple(made.shape))
        return made

    expected = row.expected()
    assert same_bits(array(traced(function)()), expected) and shapes[0] == expected.shape


@pytest.mark.parametrize("row", RANDOM, ids=name_of)
def test_a_generator_in_a_traced_function(row: Row) -> None:
    """Each run draws anew, where the state is a part of the graph: a constant made while tracing would repeat."""
    generator = keras.random.SeedGenerator(5)
    init = row.make(seed=generator)
    if BACKEND == "jax":
        import jax

        def run(state: Any) -> Any:
            with keras.StatelessScope([(generator.state, state)]) as scope:
                made = init(row.shape)
            return made, scope.get_current_value(generator.state)

        compiled, state = jax.jit(run), generator.state.value
        first, state = compiled(state)
        second, state = compiled(state)
        assert state.tolist() == [5, 2]
    else:
        compiled = traced(lambda: init(row.shape))
        first, second = compiled(), compiled()
        assert array(generator.state).tolist() == [5, 2]
    assert same_bits(array(first), row.expected(seed=5))
    assert same_bits(array(second), row.expected(seed=gpuinit.Key(5).draw(1)))


def test_bad_arguments_are_refused_while_tracing() -> None:
    for init in (ours.HeNormal(seed=1), ours.HeNormal(seed=keras.random.SeedGenerator(1))):
        with pytest.raises(ValueError, match="draws random numbers"):
            traced(lambda init=init: init(SHAPE, "int32"))()


def test_a_stateless_scope_keeps_the_generators_state() -> None:
    generator = keras.random.SeedGenerator(5)
    with keras.StatelessScope() as scope:
        first, second = (ours.HeNormal(seed=generator)(SHAPE) for _ in range(2))
        assert array(scope.get_current_value(generator.state)).tolist() == [5, 2]
    assert same_bits(array(first), core(5)) and same_bits(array(second), core(gpuinit.Key(5).draw(1)))
    assert array(generator.state).tolist() == [5, 0]


@pytest.mark.parametrize("seed", [3, "generator"])
def test_shapes_are_inferred(seed: Any) -> None:
    """A layer that makes a tensor when called, in a functional model: Keras infers its shape, on PyTorch by meta tensors."""
    generator = keras.random.SeedGenerator(3)

    class Adds(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return x + ours.HeNormal(seed=generator if seed == "generator" else seed)((4, 4), dtype=x.dtype)

    x = keras.Input((4, 4))
    y = Adds()(x)
    assert y.shape == (None, 4, 4)
    model = keras.Model(x, y)
    assert array(generator.state)[1] == 0
    made = array(model(keras.ops.zeros((1, 4, 4))))
    assert same_bits(made[0], gpuinit.HeNormal(seed=3)((4, 4), device="cpu"))


def test_a_layer_made_in_a_call_is_initialized_afterwards() -> None:
    """Keras then asks for placeholders first, and for the values when the scope has ended."""

    class Builds(keras.layers.Layer):
        def build(self, shape: Any) -> None:
            self.inner = keras.layers.Dense(4, kernel_initializer=ours.HeNormal(seed=3))

        def call(self, x: Any) -> Any:
            return self.inner(x)

    layer = Builds()
    assert layer(keras.Input((5,))).shape == (None, 4)
    layer(keras.ops.zeros((1, 5)))
    assert same_bits(array(layer.inner.kernel), gpuinit.HeNormal(seed=3)((5, 4), device="cpu"))


@on_jax
def test_vmap_repeats() -> None:
    import jax
    import jax.numpy as jnp

    made = jax.vmap(lambda x: x + ours.HeNormal(seed=1)(SHAPE))(jnp.zeros((3, *SHAPE)))
    assert all(same_bits(np.asarray(one), core(1)) for one in made)


@on_tensorflow
def test_xla() -> None:
    """What is made while tracing is captured, so XLA compiles it; an operation that runs Python could not be."""
    import tensorflow as tf

    compiled = tf.function(lambda x: x + ours.HeNormal(seed=1)(SHAPE), jit_compile=True)
    assert same_bits(array(compiled(tf.zeros(SHAPE))), core(1))


@on_tensorflow
def test_large_tensors_do_not_become_a_part_of_the_graph() -> None:
    """A constant in the graph's definition is bounded by 2 GiB, and copied."""
    import tensorflow as tf

    function = tf.function(lambda: ours.HeNormal(seed=1)((512, 512)))
    assert len(function.get_concrete_function().graph.as_graph_def().SerializeToString()) < 10_000


@on_jax
def test_large_arrays_do_not_become_constants() -> None:
    import jax

    lowered = jax.jit(lambda: ours.HeNormal(seed=1)((512, 512))).lower()
    assert len(lowered.as_text()) < 10_000


DISTRIBUTED = """
import jax, keras, numpy as np
import gpuinit, gpuinit.keras as ours
from gpuinit.backends import cpu

assert len(jax.devices()) == 4
made = []
empty = cpu.CPU.empty
cpu.CPU.empty = lambda self, shape, dtype: made.append(shape) or empty(self, shape, dtype)
mesh = keras.distribution.DeviceMesh((2, 2), ("batch", "model"), keras.distribution.list_devices())
layouts = keras.distribution.LayoutMap(mesh)
layouts["dense/kernel"] = ("batch", "model")
layouts["columns/kernel"] = (None, "model")
layouts["orthogonal/kernel"] = ("model", None)
keras.distribution.set_distribution(keras.distribution.ModelParallel(layout_map=layouts, batch_dim_name="batch"))

def check(name, init, core, shape, parts):
    expected = core(shape)
    made.clear()
    layer = keras.layers.Dense(shape[1], kernel_initializer=init, use_bias=False, name=name)
    layer.build((None, shape[0]))
    value = layer.kernel.value
    assert np.asarray(value).tobytes() == expected.tobytes(), name
    assert len(value.sharding.device_set) == 4
    assert [shard.data.shape for shard in value.addressable_shards] == [parts] * 4, name
    return set(made)

assert check("dense", ours.HeNormal(seed=1), gpuinit.HeNormal(seed=1), (6, 8), (3, 4)) == {(3, 4)}
assert check("columns", ours.GlorotUniform(seed=2), gpuinit.GlorotUniform(seed=2), (6, 8), (6, 4)) == {(6, 4)}
assert check("replicated", ours.HeNormal(seed=1), gpuinit.HeNormal(seed=1), (6, 8), (6, 8)) == {(6, 8)}
check("orthogonal", ours.Orthogonal(seed=3), gpuinit.Orthogonal(seed=3), (6, 8), (3, 8))

generator = keras.random.SeedGenerator(5)
check("dense", ours.HeNormal(seed=generator), gpuinit.HeNormal(seed=5), (6, 8), (3, 4))
assert np.asarray(generator.state.value).tolist() == [5, 1]

layout = keras.distribution.TensorLayout(("batch", "model"), mesh)
array = ours.HeNormal(seed=1)((6, 8), "bfloat16", layout=layout)
assert array.sharding.is_equivalent_to(layout.backend_layout, 2)
assert np.asarray(array).tobytes() == gpuinit.HeNormal(seed=1)((6, 8), "bfloat16").tobytes()
for init, shape, wrong in (
    (ours.HeNormal(seed=generator), (7, 8), layout),
    (ours.HeNormal(seed=generator), (8,), layout),
    (ours.Zeros(), (8, 8), "batch"),
):
    try:
        init(shape, layout=wrong)
    except (TypeError, ValueError) as error:
        assert str(error).startswith("layout="), error
    else:
        raise AssertionError(wrong)
assert np.asarray(generator.state.value).tolist() == [5, 1], "a refused call has drawn"
array = jax.jit(lambda: ours.HeNormal(seed=1)((6, 8), layout=layout))()
assert array.sharding.is_equivalent_to(layout.backend_layout, 2)
assert np.asarray(array).tobytes() == gpuinit.HeNormal(seed=1)((6, 8)).tobytes()
array = jax.jit(ours.HeNormal(seed=1).__call__, out_shardings=layout.backend_layout, static_argnames=["shape", "dtype"])(
    shape=(6, 8), dtype="float32"
)
assert np.asarray(array).tobytes() == gpuinit.HeNormal(seed=1)((6, 8)).tobytes()
with jax.default_device(jax.devices()[2]):
    array = ours.HeNormal(seed=1)((6, 8))
assert array.devices() == {jax.devices()[2]}
with keras.device("cpu:1"):
    array = ours.HeNormal(seed=1)((6, 8))
assert array.devices() == {jax.devices()[1]}
print("done")
"""


@on_jax
def test_each_device_makes_its_own_shard(tmp_path: Path) -> None:
    """Under a keras.distribution, on four devices: no array of the whole shape is made where a layout cuts it, and bits agree."""
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=4", "GPUINIT_DEVICE": "cpu"}
    run = subprocess.run([sys.executable, "-c", DISTRIBUTED], capture_output=True, text=True, env=environment, timeout=240)
    assert run.stdout.strip() == "done", run.stderr
