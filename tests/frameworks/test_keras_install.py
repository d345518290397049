"""`gpuinit.keras.install`: which names and defaults mean ours, and what stands again afterwards."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("keras")

import keras
import numpy as np
from keras_table import BACKEND, TABLE, Row, name_of, snake_name

import gpuinit.keras as ours

pytestmark = [
    pytest.mark.frameworks,
    # Keras on PyTorch converts tensors by np.array(tensor), for which PyTorch 2.13 lacks what NumPy 2.4 asks for
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    before = dict(keras.saving.get_custom_objects())
    yield
    assert keras.saving.get_custom_objects() == before


def is_ours(initializer: object) -> bool:
    return isinstance(initializer, ours.DropIn)


@pytest.mark.parametrize("row", TABLE, ids=name_of)
def test_every_snake_case_name_means_ours(row: Row) -> None:
    snake, theirs = snake_name(row), getattr(keras.initializers, row.name)
    with ours.install():
        assert type(keras.initializers.get(snake)) is getattr(ours, row.name)
        assert type(keras.layers.Dense(3, kernel_initializer=snake).kernel_initializer) is getattr(ours, row.name)
        assert keras.saving.get_registered_object(row.name) is None
    if row.name != "Constant":  # Keras' own get("constant") raises KeyError
        assert type(keras.initializers.get(snake)) is theirs


def test_further_names() -> None:
    with ours.install():
        for name in ("normal", "uniform", "one", "zero"):
            assert is_ours(keras.initializers.get(name))
        assert keras.initializers.get({"class_name": "he_normal", "config": {"seed": 3}}).seed == 3


def test_defaults_of_layers() -> None:
    with ours.install():
        layer, recurrent = keras.layers.Dense(3), keras.layers.LSTM(3)
        assert is_ours(layer.kernel_initializer) and is_ours(layer.bias_initializer)
        assert is_ours(recurrent.recurrent_initializer) and is_ours(keras.layers.Embedding(3, 2).embeddings_initializer)
    assert not is_ours(keras.layers.Dense(3).kernel_initializer)


def test_configs_that_keras_wrote_keep_their_classes() -> None:
    config = keras.layers.Dense(3, kernel_initializer=keras.initializers.HeNormal(seed=1)).get_config()
    identity = keras.layers.serialize(keras.layers.Identity())
    with ours.install():
        assert type(keras.layers.Dense.from_config(config).kernel_initializer) is keras.initializers.HeNormal
        assert type(keras.layers.deserialize(identity)) is keras.layers.Identity


def test_installs_are_counted() -> None:
    ours.install()
    with ours.install():
        pass
    assert is_ours(keras.initializers.get("he_normal"))
    ours.uninstall()
    assert not is_ours(keras.initializers.get("he_normal"))
    with pytest.raises(RuntimeError, match="is not installed"):
        ours.uninstall()


def test_an_exception_uninstalls() -> None:
    with pytest.raises(KeyError), ours.install():
        raise KeyError("x")
    assert not is_ours(keras.initializers.get("he_normal"))


def test_what_a_user_had_registered_is_restored() -> None:
    class Mine(keras.initializers.Initializer):
        pass

    registry = keras.saving.get_custom_objects()
    registry["he_normal"] = Mine
    try:
        with ours.install():
            assert is_ours(keras.initializers.get("he_normal"))
            registry["he_uniform"] = Mine
        assert type(keras.initializers.get("he_normal")) is Mine
        assert type(keras.initializers.get("he_uniform")) is Mine  # registered anew since: left alone
    finally:
        del registry["he_normal"], registry["he_uniform"]


def test_a_cleared_registry_is_no_trouble() -> None:
    registry = keras.saving.get_custom_objects()
    before = dict(registry)
    ours.install()
    registry.clear()
    ours.uninstall()
    assert registry == {}
    registry.update(before)


LOADS = """
import sys
import numpy as np
import gpuinit.keras
import keras
model = keras.saving.load_model(sys.argv[1])
assert all(isinstance(layer.kernel_initializer, gpuinit.keras.DropIn) for layer in model.layers)
np.savez(sys.argv[2], *model.get_weights())
"""


def test_a_model_made_under_install_loads_where_only_the_package_is_imported(tmp_path: Path) -> None:
    with ours.install():
        model = keras.Sequential(
            [keras.Input((4,)), keras.layers.Dense(3, kernel_initializer="he_normal"), keras.layers.Dense(2)]
        )
    model.save(tmp_path / "model.keras")
    done = subprocess.run(
        [sys.executable, "-c", LOADS, tmp_path / "model.keras", tmp_path / "weights.npz"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    loaded = np.load(tmp_path / "weights.npz")
    assert len(loaded.files) == 4
    for saved, read in zip(model.get_weights(), loaded.values(), strict=True):
        assert saved.tobytes() == read.tobytes()


FORGOTTEN = """
import json, sys, keras
made = keras.initializers.deserialize(json.loads(sys.argv[1]))
assert type(made) is keras.initializers.HeNormal and made.seed == 3
"""


def test_where_the_package_is_not_imported_keras_finds_its_own_class() -> None:
    """By the class's name, as docs/keras.md says: nothing fails, and weights are read from the file."""
    written = json.dumps(keras.initializers.serialize(ours.HeNormal(seed=3)))
    done = subprocess.run([sys.executable, "-c", FORGOTTEN, written], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_a_string_that_a_layer_is_called_with_becomes_a_class_when_loaded_under_install() -> None:
    """Keras reads its registry for it, as docs/keras.md warns; arguments of constructors stay strings."""

    class Said(keras.layers.Layer):
        heard: list[object] = []  # noqa: RUF012

        def call(self, x: Any, mode: object = None) -> Any:
            Said.heard.append(mode)
            return x

    x = keras.Input((3, 4))
    padded = keras.ops.pad(x, ((0, 0), (1, 1), (0, 0)), mode="constant")
    model = keras.Model(x, Said()(padded, mode="constant"))
    keras.Model.from_config(model.get_config(), custom_objects={"Said": Said})
    assert set(Said.heard) == {"constant"}
    with ours.install(), contextlib.suppress(TypeError):  # JAX cannot trace a call with a class
        loaded = keras.Model.from_config(model.get_config(), custom_objects={"Said": Said})
        assert [operation.mode for operation in loaded.operations if hasattr(operation, "mode")] == ["constant"]
    assert BACKEND == "jax" or Said.heard[-1] is ours.Constant
