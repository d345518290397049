"""Classes in Keras: what Keras' own are, in signature, attributes, configs, copies; and what Keras wrote loads."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
from typing import Any

import numpy as np
import pytest
from conftest import same_bits

pytest.importorskip("keras")

import keras
from keras_table import RANDOM, TABLE, Row, array, name_of, snake_name

import gpuinit
import gpuinit.keras as ours

pytestmark = [
    pytest.mark.frameworks,
    # Keras on PyTorch converts tensors by np.array(tensor), for which PyTorch 2.13 lacks what NumPy 2.4 asks for
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]


def same(a: Any, b: Any, shape: tuple[int, ...]) -> bool:
    return type(a) is type(b) and same_bits(array(a(shape)), array(b(shape)))


@pytest.mark.parametrize("row", TABLE, ids=name_of)
def test_each_is_a_keras_initializer(row: Row) -> None:
    kind, theirs = getattr(ours, row.name), getattr(keras.initializers, row.name)
    assert issubclass(kind, theirs) and isinstance(row.make(), keras.initializers.Initializer)
    assert inspect.signature(kind) == inspect.signature(theirs)
    assert issubclass(theirs, keras.initializers.VarianceScaling) is issubclass(kind, ours.VarianceScaling)
    assert kind.__doc__ and kind.__doc__ != theirs.__doc__


def test_every_class_of_keras_is_there() -> None:
    theirs = {kind.__name__ for kind in vars(keras.initializers).values() if inspect.isclass(kind)}
    assert theirs == {row.name for row in TABLE} | {"Initializer"} and theirs < set(ours.__all__)


@pytest.mark.parametrize("row", TABLE, ids=name_of)
def test_configs_are_keras(row: Row) -> None:
    """The same keys in the same order, and the same values; Identity also keeps its gain, which Keras loses on clone."""
    config = row.make().get_config()
    assert list(config) == (["gain"] if row.name == "Identity" else row.keys.split())
    assert {**config, "gain": 0} == {**row.theirs().get_config(), "gain": 0}
    assert vars(row.make()).keys() == vars(row.theirs()).keys()


@pytest.mark.parametrize("row", TABLE, ids=name_of)
def test_round_trips(row: Row) -> None:
    init = row.make()
    written = json.loads(json.dumps(keras.initializers.serialize(init)))
    assert written["registered_name"] == f"gpuinit>{row.name}"
    assert same(keras.initializers.deserialize(written), init, row.shape)
    assert same(keras.saving.deserialize_keras_object(written), init, row.shape)
    assert same(ours.deserialize(written), init, row.shape)
    assert same(init.clone(), init, row.shape)
    assert same(copy.copy(init), init, row.shape) and same(copy.deepcopy(init), init, row.shape)
    assert same(pickle.loads(pickle.dumps(init)), init, row.shape)


@pytest.mark.parametrize("row", RANDOM, ids=name_of)
def test_copies_keep_the_seed_that_keras_chose(row: Row) -> None:
    init = row.make(seed=None)
    assert same(copy.deepcopy(init), init, row.shape) and same(pickle.loads(pickle.dumps(init)), init, row.shape)


@pytest.mark.parametrize("row", TABLE, ids=name_of)
def test_what_keras_wrote_loads(row: Row) -> None:
    """By `from_config`, and by `gpuinit.keras.deserialize`; Keras before 3.15 had no axes."""
    config = row.theirs().get_config()
    if row.name == "Identity":
        config["gain"] = 2.0
    assert same(getattr(ours, row.name).from_config(config), row.make(), row.shape)
    written = json.loads(json.dumps(keras.initializers.serialize(row.theirs())))
    assert type(ours.deserialize(written)) is getattr(ours, row.name)
    assert type(keras.initializers.deserialize(written)) is getattr(keras.initializers, row.name)
    old = {name: value for name, value in config.items() if not name.endswith("_axes")}
    if old != config:
        loaded = getattr(ours, row.name).from_config(old)
        assert loaded.input_axes is None and same_bits(array(loaded(row.shape)), row.expected(input_axes=None, output_axes=None))


@pytest.mark.parametrize("row", TABLE, ids=name_of)
def test_use_adds_no_attribute(row: Row) -> None:
    """Keras compares `dir()` of an object with that of a fresh one when it checks serialization."""
    init = row.make()
    init(row.shape)
    assert dir(init) == dir(row.make())
    config = keras.initializers.serialize(init)
    init(row.shape)
    assert keras.initializers.serialize(init) == config


def test_arrays_in_configs() -> None:
    window = np.hanning(12)
    init = ours.STFT(window=window)
    written = json.loads(json.dumps(keras.initializers.serialize(init)))
    again = keras.initializers.deserialize(written)
    assert same(again, init, (12, 1, 5)) and same(init.clone(), init, (12, 1, 5))
    assert same_bits(array(again((12, 1, 5))), gpuinit.STFT(window=window)((12, 1, 5), device="cpu"))
    values = np.arange(4, dtype=np.float32)
    constant = keras.initializers.deserialize(json.loads(json.dumps(keras.initializers.serialize(ours.Constant(values)))))
    assert same_bits(array(constant((3, 4))), np.broadcast_to(values, (3, 4)).copy())


def test_tensors_as_arguments() -> None:
    """Keras takes scalar tensors as numbers, and an array or a tensor as a constant."""
    init = ours.RandomNormal(keras.ops.convert_to_tensor(0.5), keras.ops.convert_to_tensor(0.25), seed=1)
    assert same_bits(array(init((4, 4))), gpuinit.RandomNormal(0.5, 0.25, seed=1)((4, 4), device="cpu"))
    assert (array(ours.Constant(keras.ops.ones((4,)))((2, 4))) == 1).all()


def test_attributes_changed_later_count() -> None:
    init = ours.HeNormal(seed=1)
    init.scale, init.mode = 3.0, "fan_out"
    assert same_bits(array(init((8, 4))), gpuinit.VarianceScaling(3.0, "fan_out", seed=1)((8, 4), device="cpu"))


def test_subclasses_of_users() -> None:
    class Wide(ours.HeNormal):
        def __init__(self, width: float = 2.0) -> None:
            super().__init__(seed=1)
            self.scale *= width

    assert list(inspect.signature(Wide).parameters) == ["width"]
    assert same_bits(array(Wide()((8, 4))), gpuinit.VarianceScaling(4.0, seed=1)((8, 4), device="cpu"))


@pytest.mark.parametrize("row", TABLE, ids=name_of)
def test_get(row: Row) -> None:
    kind = getattr(ours, row.name)
    snake = snake_name(row)
    for identifier in (row.name, snake, {"class_name": snake}, {"class_name": row.name, "config": row.arguments}, kind, kind()):
        assert type(ours.get(identifier)) is kind
    init = row.make()
    assert ours.get(init) is init
    assert type(ours.deserialize(snake)) is kind and ours.serialize(init) == keras.initializers.serialize(init)


def test_get_of_other_things() -> None:
    assert ours.get(None) is None and ours.get(len) is len
    assert [type(ours.get(name)) for name in ("normal", "uniform", "one", "zero", "STFTInitializer")] == [
        ours.RandomNormal,
        ours.RandomUniform,
        ours.Ones,
        ours.Zeros,
        ours.STFT,
    ]
    assert (array(ours.get(np.ones((2, 3), np.float32))((2, 3))) == 1).all()
    for unknown in ("xavier", 5):
        with pytest.raises(ValueError, match="Could not interpret initializer identifier"):
            ours.get(unknown)
    with pytest.raises(TypeError, match="unexpected keyword argument 'sed'"):
        ours.get({"class_name": "HeNormal", "config": {"sed": 1}})


def test_a_users_class_of_the_same_name_comes_first() -> None:
    class HeNormal(keras.initializers.Initializer):
        pass

    assert type(ours.deserialize({"class_name": "HeNormal", "config": {}}, {"HeNormal": HeNormal})) is HeNormal
    config = {"class_name": "HeNormal", "config": {}, "module": "mine", "registered_name": "mine>HeNormal"}
    with keras.saving.custom_object_scope({"mine>HeNormal": HeNormal}):
        assert type(ours.deserialize(config)) is HeNormal
