"""The core and TensorFlow's own tensors, with Keras on TensorFlow: filled in place; what a tf.Variable does; what copies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import same_bits

pytest.importorskip("keras")

from keras_table import BACKEND, address

if BACKEND != "tensorflow":
    pytest.skip("of Keras on TensorFlow", allow_module_level=True)

import tensorflow as tf

import gpuinit
import gpuinit.keras as ours
from gpuinit.interop import Export

pytestmark = pytest.mark.frameworks

INIT = gpuinit.RandomNormal(0.0, 0.05, seed=7)
SHAPE = (9, 14)


def imported(array: Any) -> Any:
    return tf.experimental.dlpack.from_dlpack(Export(array).__dlpack__())


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "complex64", "complex128"])
def test_a_tensor_is_filled_where_it_lies(dtype: str) -> None:
    out = tf.fill(SHAPE, tf.cast(7, dtype))
    at = address(out)
    assert INIT.fill(out) is out
    assert same_bits(out.numpy(), INIT(SHAPE, dtype)) and address(out) == at
    table = gpuinit.Table(SHAPE, INIT, dtype)
    part = tf.fill((2, 14), tf.cast(7, dtype))
    table.shard(1, 4).into(part)
    assert same_bits(part.numpy(), INIT(SHAPE, dtype)[3:5])


def test_tensorflow_shares_the_memory_of_equal_tensors() -> None:
    """So a fill is seen in what was made from the tensor before, as docs/keras.md warns."""
    out = tf.zeros(SHAPE)
    same = tf.identity(out)
    INIT.fill(out)
    assert address(same) == address(out) and same_bits(same.numpy(), INIT(SHAPE))


def test_a_variable_takes_values_by_assign() -> None:
    variable = tf.Variable(tf.zeros(SHAPE))
    with pytest.raises(TypeError, match="out is a ResourceVariable"):
        INIT.fill(variable)
    assert (variable.numpy() == 0).all()
    variable.assign(imported(INIT(SHAPE)))
    assert same_bits(variable.numpy(), INIT(SHAPE))


def test_a_variable_takes_the_memory_and_copies_when_it_is_changed() -> None:
    """tf.Variable holds the tensor that it is made from; what changes it writes elsewhere, so the array stays."""
    array = INIT((64, 48))
    variable = tf.Variable(imported(array))
    assert address(variable.read_value()) == array.ctypes.data
    variable.assign_add(tf.ones((64, 48)))
    assert same_bits(array, INIT((64, 48))) and np.array_equal(variable.numpy(), array + 1)


def test_float8_is_copied() -> None:
    """TensorFlow's DLPack does not know the types."""
    with pytest.raises(tf.errors.InvalidArgumentError, match="Unsupported Type Codes: 10"):
        imported(INIT(SHAPE, "float8_e4m3fn"))
    made = ours.RandomNormal(0.0, 0.05, seed=7)(SHAPE, "float8_e4m3fn")
    assert made.dtype.name == "float8_e4m3fn" and same_bits(made.numpy(), INIT(SHAPE, "float8_e4m3fn"))
    with pytest.raises(ValueError, match="cannot be handed over by DLPack"):
        INIT.fill(made)
