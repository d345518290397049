"""A recipe gives the initializer back, through JSON, so that the tensor can be made again bit for bit."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import gpuinit
from gpuinit import Key, SeedGenerator
from gpuinit.distributions import Uniform
from gpuinit.recipe import Recipe
from gpuinit.structures import Constant

INITIALIZERS = [
    gpuinit.Zeros(),
    gpuinit.Constant(0.25),
    gpuinit.Constant(np.arange(4.0)),
    gpuinit.Identity(gain=2.0),
    gpuinit.RandomUniform(-1.0, 2.0, seed=3),
    gpuinit.TruncatedNormal(stddev=0.1, seed=Key(5, 6)),
    gpuinit.VarianceScaling(2.0, "fan_out", "uniform", seed=2**64 - 1),
    gpuinit.HeNormal(),  # its seed is the operating system's
    gpuinit.Orthogonal(seed=1),
]


@pytest.mark.parametrize("initializer", INITIALIZERS, ids=lambda one: type(one).__name__)
def test_gives_the_tensor_back(initializer: gpuinit.Initializer) -> None:
    tensor = initializer((6, 4), "float32")
    text = json.dumps(Recipe.of(initializer, (6, 4), "float32").to_json())
    recipe = Recipe.from_json(json.loads(text))
    again = recipe.initializer()(recipe.shape, recipe.dtype)
    assert again.tobytes() == tensor.tobytes() and again.dtype == tensor.dtype
    assert json.dumps(recipe.to_json()) == text


@pytest.mark.parametrize("value", [float("inf"), -float("inf"), float("nan"), complex(1, float("inf"))], ids=str)
def test_floats_that_json_has_not(value: complex) -> None:
    for initializer in (gpuinit.Constant(value), gpuinit.Constant(np.array([1.0, value]))):
        recipe = Recipe.of(initializer, (3, 2), "complex64")
        text = json.dumps(recipe.to_json(), allow_nan=False)
        again = Recipe.from_json(json.loads(text))
        assert again.config == recipe.config or value != value
        assert again.initializer()((3, 2), "complex64").tobytes() == initializer((3, 2), "complex64").tobytes()
        assert json.dumps(again.to_json()) == text


def test_states_what_it_must() -> None:
    data = Recipe.of(gpuinit.HeNormal(seed=7), [3, 4]).to_json()
    assert data["gpuinit"] == gpuinit.__version__ and data["contract"] == 1
    assert (data["shape"], data["dtype"], data["key"]) == ([3, 4], "float32", {"contract": 1, "seed": 7, "stream": 0})
    assert data["initializer"]["class_name"] == "HeNormal" and "seed" not in data["initializer"]["config"]
    assert Recipe.of(gpuinit.Zeros(), ()).to_json()["key"] is None


class Mine(gpuinit.RandomInitializer):
    """A user's initializer."""

    def distribution(self, shape: tuple[int, ...]) -> Uniform:
        return Uniform(0.0, 1.0)


def test_users_classes_by_custom_objects() -> None:
    recipe = Recipe.of(Mine(seed=4), (5,), "float64")
    made = recipe.initializer({"Mine": Mine})
    assert isinstance(made, Mine) and made.seed == Key(4)
    with pytest.raises(ValueError, match="Mine"):
        recipe.initializer()


class Plain(gpuinit.Initializer):
    """A user's initializer that draws, and is no RandomInitializer: its calls draw from a seed of the instance."""

    def distribution(self, shape: tuple[int, ...]) -> Uniform:
        return Uniform(0.0, 1.0)


class Seeded(Plain):
    """One that can be given a seed."""

    def __init__(self, seed: Any = None) -> None:
        self.seed = seed


class Deaf(Plain):
    """One that takes a seed and does not heed it."""

    def __init__(self, seed: Any = None) -> None:
        pass


class Elsewhere(gpuinit.RandomInitializer):
    """One whose calls draw from another key than `seed`."""

    def key_source(self) -> Key:
        key = super().key_source()
        assert isinstance(key, Key)
        return key if key.stream else key.fold_in("elsewhere")

    def distribution(self, shape: tuple[int, ...]) -> Uniform:
        return Uniform(0.0, 1.0)


class Still(gpuinit.RandomInitializer):
    """One that may draw, and does not."""

    def distribution(self, shape: tuple[int, ...]) -> Constant:
        return Constant(2.0)


class Drawn(gpuinit.Initializer):
    """One that says nothing about what it draws."""

    def __call__(self, shape: Any, dtype: Any = None, **options: Any) -> Any:
        return np.random.default_rng().random(shape)


@pytest.mark.parametrize("initializer", [Seeded(), Seeded(5), Seeded(Key(5, 6)), Elsewhere(seed=3), Still()], ids=repr)
def test_gives_the_tensor_of_a_users_class_back(initializer: gpuinit.Initializer) -> None:
    kind = type(initializer)
    recipe = Recipe.from_json(json.loads(json.dumps(Recipe.of(initializer, (6, 4)).to_json())))
    assert recipe.initializer({kind.__name__: kind})((6, 4)).tobytes() == initializer((6, 4)).tobytes()
    assert recipe.key == (None if kind is Still else initializer.key_source())


@pytest.mark.parametrize(("initializer", "says"), [(Plain(), "takes no arguments"), (Deaf(), "then draw from")])
def test_refuses_a_class_that_takes_no_seed(initializer: gpuinit.Initializer, says: str) -> None:
    with pytest.raises(ValueError, match=f"{type(initializer).__name__} draws from a key.* takes `seed`.*{says}"):
        Recipe.of(initializer, (2, 2))


def test_refuses_what_no_key_describes() -> None:
    for initializer in (gpuinit.HeNormal(seed=SeedGenerator(1)), Seeded(SeedGenerator(1))):
        with pytest.raises(ValueError, match="SeedGenerator"):
            Recipe.of(initializer, (2, 2))
    with pytest.raises(TypeError, match="Drawn overrides __call__ alone"):
        Recipe.of(Drawn(), (2, 2))


def test_refuses_what_a_call_refuses() -> None:
    with pytest.raises(ValueError, match="dtype=int8"):
        Recipe.of(gpuinit.HeNormal(seed=1), (2, 2), "int8")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        *[({"contract": 2}, "contract=2"), ({"dtype": "float12"}, "float12"), ({"shape": [-1]}, "must be >= 0")],
        *[({"extra": 1}, "not a gpuinit recipe"), ({"key": {"contract": 1, "seed": -1}}, "seed=-1 is out of range")],
    ],
)
def test_refuses_what_is_wrong(change: dict[str, Any], says: str) -> None:
    data = Recipe.of(gpuinit.HeNormal(seed=7), (3, 4)).to_json()
    with pytest.raises(ValueError, match=says):
        Recipe.from_json({**data, **change})
    for wrong in (None, [], "x", {}):
        with pytest.raises(ValueError, match="not a gpuinit recipe"):
            Recipe.from_json(wrong)
