"""Seeds in Keras: None follows `keras.utils.set_random_seed`, an integer repeats, a SeedGenerator advances."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import same_bits

pytest.importorskip("keras")

import keras
from keras_table import BACKEND, RANDOM, Row, array, name_of

import gpuinit
import gpuinit.keras as ours

pytestmark = pytest.mark.frameworks

SHAPE = (12, 9)


def core(seed: Any) -> np.ndarray[Any, Any]:
    made: np.ndarray[Any, Any] = gpuinit.HeNormal(seed=seed)(SHAPE, device="cpu")
    return made


@pytest.mark.parametrize("row", RANDOM, ids=name_of)
def test_no_seed_follows_keras(row: Row) -> None:
    """The seed is Keras' own choice: the same after the same set_random_seed, another for the next initializer, and kept."""
    keras.utils.set_random_seed(1)
    first, second = row.make(seed=None), row.make(seed=None)
    keras.utils.set_random_seed(1)
    theirs, again = row.theirs(seed=None), row.make(seed=None)
    assert (first.seed, second.seed) == (theirs.seed, again.seed) and first.seed != second.seed
    assert same_bits(array(first(row.shape)), row.expected(seed=theirs.seed))
    assert same_bits(array(first(row.shape)), row.expected(seed=theirs.seed))
    assert first.get_config()["seed"] is None and first.clone().seed != first.seed


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**32, 2**63, 2**64 - 1, np.int64(5), np.uint64(2**64 - 1)])
def test_an_integer_repeats(seed: Any) -> None:
    init = ours.HeNormal(seed=seed)
    assert same_bits(array(init(SHAPE)), core(int(seed))) and same_bits(array(init(SHAPE)), core(int(seed)))
    assert init.get_config()["seed"] == int(seed) and type(init.seed) is int


@pytest.mark.parametrize("seed", [-1, 2**64, True, 1.0, "1", [1], np.bool_(True), gpuinit.SeedGenerator(1)])
def test_other_seeds_are_refused(seed: Any) -> None:
    with pytest.raises(ValueError, match="seed"):
        ours.HeNormal(seed=seed)


@pytest.mark.parametrize("row", RANDOM, ids=name_of)
def test_a_generator_advances(row: Row) -> None:
    """Draw n is Key(seed).draw(n): the first equals the integer's, and no other does."""
    init = row.make(seed=keras.random.SeedGenerator(5))
    for draw in range(3):
        assert same_bits(array(init(row.shape)), row.expected(seed=gpuinit.Key(5).draw(draw)))
    assert same_bits(row.expected(seed=5), row.expected(seed=gpuinit.Key(5).draw(0)))
    assert not same_bits(row.expected(seed=5), row.expected(seed=gpuinit.Key(5).draw(1)))


def test_a_generators_other_draws_count() -> None:
    generator = keras.random.SeedGenerator(5)
    keras.random.normal((3,), seed=generator)
    assert same_bits(array(ours.HeNormal(seed=generator)(SHAPE)), core(gpuinit.Key(5).draw(1)))


@pytest.mark.parametrize("seed", [0, 2**31 - 1, 2**31, 2**32 - 1, 2**40])
def test_every_seed_that_a_generator_holds_is_its_integer(seed: int) -> None:
    """Keras keeps it as int32, uint32 or int64, so a backend refuses some; a wrong width or sign gives other keys."""
    try:
        generator = keras.random.SeedGenerator(seed)
    except (OverflowError, RuntimeError):
        assert seed >= (2**31 if BACKEND == "torch" else 2**32)
        return
    assert same_bits(array(ours.HeNormal(seed=generator)(SHAPE)), core(seed))


def test_the_state_decides_and_not_where_it_began() -> None:
    """As after loading a model's weights."""
    generator = keras.random.SeedGenerator(5)
    generator.state.assign(np.array([6, 4]))
    assert same_bits(array(ours.HeNormal(seed=generator)(SHAPE)), core(gpuinit.Key(6).draw(4)))


def test_a_serialized_generator() -> None:
    config = keras.saving.serialize_keras_object(keras.random.SeedGenerator(5))
    assert same_bits(array(ours.HeNormal(seed=config)(SHAPE)), core(5))
    with_generator = ours.HeNormal(seed=keras.random.SeedGenerator(5))
    with_generator(SHAPE)
    again = ours.HeNormal.from_config(with_generator.get_config())
    assert isinstance(again.seed, keras.random.SeedGenerator)
    assert same_bits(array(again(SHAPE)), core(5))


def test_keys_give_each_parameter_a_stream_of_its_own() -> None:
    key = gpuinit.Key(7).fold_in("encoder/kernel")
    init = ours.HeNormal(seed=key)
    assert same_bits(array(init(SHAPE)), core(key)) and not same_bits(core(key), core(7))
    again = keras.initializers.deserialize(keras.initializers.serialize(init))
    assert again.seed == key and type(again) is ours.HeNormal


def test_a_seed_set_later_counts() -> None:
    """Keras' layers read and write the attribute."""
    init = ours.HeNormal(seed=1)
    init.seed = 2
    assert same_bits(array(init(SHAPE)), core(2))
