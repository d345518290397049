"""Keras models: built, saved, loaded and run with every initializer where it fits; the usage examples of the API document."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from conftest import same_bits

pytest.importorskip("keras")

import keras
import numpy as np
from keras_table import RANDOM, TABLE, Row, array, name_of

import gpuinit
import gpuinit.keras as ours

pytestmark = [
    pytest.mark.frameworks,
    # Keras on PyTorch converts tensors by np.array(tensor), for which PyTorch 2.13 lacks what NumPy 2.4 asks for
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]


def fits(row: Row, axes: int) -> bool:
    """Whether the class makes kernels of so many axes."""
    return row.name not in ("Identity", "STFT") or (row.name == "Identity" and axes == 2)


def model_of(row: Row) -> Any:
    """A model whose every layer has the initializer; zeros where it makes no kernel of that shape."""

    def initializer(axes: int) -> Any:
        return row.make() if fits(row, axes) else "zeros"

    ids = keras.Input((6,), dtype="int32")
    x = keras.layers.Embedding(11, 8, embeddings_initializer=initializer(2))(ids)
    x = keras.layers.MultiHeadAttention(2, 4, kernel_initializer=initializer(3))(x, x)
    x = keras.layers.EinsumDense("abc,cde->abde", (None, 2, 4), bias_axes="e", kernel_initializer=initializer(3))(x)
    x = keras.layers.Conv2D(5, 3, padding="same", kernel_initializer=initializer(4))(x)
    x = keras.layers.Reshape((6, 10))(x)
    x = keras.layers.LSTM(4, kernel_initializer=initializer(2), recurrent_initializer=initializer(2))(x)
    bias = "zeros" if row.name in ("Identity", "Orthogonal") else row.make()
    return keras.Model(ids, keras.layers.Dense(3, kernel_initializer=initializer(2), bias_initializer=bias)(x))


@pytest.mark.parametrize("row", [row for row in TABLE if row.name != "STFT"], ids=name_of)
def test_build_save_load_and_predict(row: Row, tmp_path: Path) -> None:
    row = row.without_axes
    model = model_of(row)
    assert same_bits(array(model.layers[-1].kernel), row.expected(shape=(4, 3)))
    if row.name not in ("Identity", "Orthogonal"):
        assert same_bits(array(model.layers[-1].bias), row.expected(shape=(3,)))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert len(model.weights) == len(loaded.weights) == 18
    for saved, read in zip(model.weights, loaded.weights, strict=True):
        assert same_bits(array(saved), array(read))
    for layer, again in zip(model.layers, loaded.layers, strict=True):
        for name in ("kernel_initializer", "embeddings_initializer", "recurrent_initializer", "bias_initializer"):
            before, after = getattr(layer, name, None), getattr(again, name, None)
            assert type(before) is type(after) and (before is None or before.get_config() == after.get_config())
    ids = np.arange(12).reshape(2, 6) % 11
    result = model.predict(ids, verbose=0)
    assert result.shape == (2, 3) and np.isfinite(result).all()
    assert np.array_equal(result, loaded.predict(ids, verbose=0))


def test_a_spectrogram_layer_takes_ours() -> None:
    """STFT's kernels are convolution kernels: of a sine, the frequency that it has is the loudest."""
    layer = keras.layers.Conv1D(17, 32, use_bias=False, kernel_initializer=ours.STFT("real", window=None))
    wave = np.cos(2 * np.pi * 5 * np.arange(32) / 32).reshape(1, 32, 1).astype(np.float32)
    assert int(np.abs(array(layer(keras.ops.convert_to_tensor(wave)))).argmax()) == 5


@pytest.mark.parametrize("row", [row for row in RANDOM if "input_axes" in row.arguments], ids=name_of)
def test_attention_and_einsum_layers_set_the_axes(row: Row) -> None:
    """Their kernels (model, heads, head) have fan_in = model and fan_out = heads head; fans of a convolution would be others."""
    row = row.without_axes
    expected = row.expected(shape=(32, 8, 16), input_axes=[0], output_axes=[1, 2])
    layer = keras.layers.EinsumDense("abc,cde->abde", (None, 8, 16), kernel_initializer=row.make())
    layer.build((None, 6, 32))
    assert same_bits(array(layer.kernel), expected) and not same_bits(expected, row.expected(shape=(32, 8, 16)))
    attention = keras.layers.MultiHeadAttention(8, 16, kernel_initializer=row.make())
    attention.build((None, 6, 32), (None, 6, 32))
    for dense in (attention.query_dense, attention.key_dense, attention.value_dense):
        assert same_bits(array(dense.kernel), expected)


def test_clones_and_configs_of_layers() -> None:
    layer = keras.layers.Dense(3, kernel_initializer=ours.Identity(gain=2.0))
    again = keras.layers.Dense.from_config(layer.get_config())
    again.build((None, 3))
    assert type(again.kernel_initializer) is ours.Identity and (array(again.kernel) == 2 * np.eye(3)).all()
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, kernel_initializer=ours.HeNormal(seed=1))])
    assert same_bits(array(keras.models.clone_model(model).weights[0]), array(model.weights[0]))


def test_dtype_policies() -> None:
    """Under mixed precision variables stay float32; under bfloat16 they are drawn in it."""
    layer = keras.layers.Dense(8, kernel_initializer=ours.HeNormal(seed=1), dtype="mixed_bfloat16")
    layer.build((None, 16))
    assert same_bits(array(layer.kernel), gpuinit.HeNormal(seed=1)((16, 8), device="cpu"))
    narrow = keras.layers.Dense(8, kernel_initializer=ours.HeNormal(seed=1), dtype="bfloat16")
    narrow.build((None, 16))
    assert same_bits(array(narrow.kernel), gpuinit.HeNormal(seed=1)((16, 8), "bfloat16", device="cpu"))


def examples(initializers: Any) -> list[Any]:
    """The usage examples of the API document, as they stand there; the layers that they make."""
    made = []
    model = keras.Sequential(
        [
            keras.layers.Dense(64, kernel_initializer="he_normal", activation="relu"),
            keras.layers.Dense(32, kernel_initializer="glorot_uniform", activation="tanh"),
            keras.layers.Dense(10, kernel_initializer="zeros", activation="softmax"),
        ]
    )
    made.append(model)
    model = keras.Sequential(
        [
            keras.layers.Dense(
                64, kernel_initializer=initializers.HeNormal(), bias_initializer=initializers.Zeros(), activation="relu"
            ),
            keras.layers.Dense(32, kernel_initializer=initializers.GlorotUniform(seed=42), activation="tanh"),
            keras.layers.Dense(10, kernel_initializer=initializers.Constant(0.1), activation="softmax"),
        ]
    )
    made.append(model)
    custom_init = initializers.VarianceScaling(scale=2.0, mode="fan_out", distribution="uniform")
    made.append(keras.layers.Dense(128, kernel_initializer=custom_init))
    made.append(keras.layers.LSTM(64, kernel_initializer="orthogonal", recurrent_initializer="orthogonal"))
    return made


@pytest.mark.parametrize("source", [keras.initializers, ours], ids=["keras.initializers", "gpuinit.keras"])
def test_the_usage_examples(source: Any) -> None:
    """As written, under install: what is named by a string is ours, what is named by a class is the class's."""
    with ours.install():
        by_name, by_class, custom, recurrent = examples(source)
    x = np.linspace(-1, 1, 40, dtype=np.float32).reshape(2, 20)
    assert np.allclose(array(by_name(keras.ops.convert_to_tensor(x))), 0.1)  # a softmax of zeros
    first = by_name.layers[0]
    assert isinstance(first.kernel_initializer, ours.HeNormal)
    assert same_bits(array(first.kernel), gpuinit.HeNormal(seed=first.kernel_initializer.seed)((20, 64), device="cpu"))
    assert np.abs(array(by_class(keras.ops.convert_to_tensor(x))).sum(axis=1) - 1).max() < 1e-5
    custom.build((None, 20))
    limit = math.sqrt(3 * 2.0 / 128)
    assert limit / 2 < np.abs(array(custom.kernel)).max() <= limit
    recurrent.build((None, 5, 64))
    kernel = array(recurrent.cell.recurrent_kernel).astype(np.float64)
    assert kernel.shape == (64, 256) and np.abs(kernel @ kernel.T - np.eye(64)).max() < 1e-5
    if source is ours:
        seeded = by_class.layers[1]
        assert same_bits(array(seeded.kernel), gpuinit.GlorotUniform(seed=42)((64, 32), device="cpu"))
