"""get, serialize and deserialize: every name, every way through JSON, and what Keras wrote."""

from __future__ import annotations

import json
import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from initializer_table import ALL, Row, name_of

import gpuinit
from gpuinit import Key, SeedGenerator, deserialize, get, serialize
from gpuinit.registry import find, names

NAMES = {
    **{row.name: row.name for row in ALL},
    "Initializer": "Initializer",
    "initializer": "Initializer",
    "zeros": "Zeros",
    "ones": "Ones",
    "constant": "Constant",
    "identity": "Identity",
    "random_normal": "RandomNormal",
    "random_uniform": "RandomUniform",
    "truncated_normal": "TruncatedNormal",
    "variance_scaling": "VarianceScaling",
    "glorot_normal": "GlorotNormal",
    "glorot_uniform": "GlorotUniform",
    "he_normal": "HeNormal",
    "he_uniform": "HeUniform",
    "lecun_normal": "LecunNormal",
    "lecun_uniform": "LecunUniform",
    "orthogonal": "Orthogonal",
    "stft": "STFT",
    "delta_orthogonal": "DeltaOrthogonal",
    "dirac": "Dirac",
    "sparse": "Sparse",
    "IdentityInitializer": "Identity",
    "OrthogonalInitializer": "Orthogonal",
    "STFTInitializer": "STFT",
    "normal": "RandomNormal",
    "uniform": "RandomUniform",
    "one": "Ones",
    "zero": "Zeros",
    "xavier_normal": "GlorotNormal",
    "xavier_uniform": "GlorotUniform",
    "kaiming_normal": "HeNormal",
    "kaiming_uniform": "HeUniform",
}


def through_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


@pytest.mark.parametrize(("name", "wanted"), NAMES.items())
def test_names(name: str, wanted: str) -> None:
    kind = getattr(gpuinit, wanted)
    assert find(name) is kind and serialize(name) == name
    if wanted == "Sparse":  # has no default
        assert type(get({"class_name": name, "config": {"sparsity": 0.5}})) is kind
        with pytest.raises(TypeError, match=f"{name} could not be made.*'sparsity'"):
            get(name)
        return
    made = [get(name), deserialize(name), get({"class_name": name}), get({"class_name": name, "config": {}})]
    assert [type(one) for one in made] == [kind] * 4


def test_the_list_of_names() -> None:
    """Sorted, one a class, and what `get` knows them by."""
    assert names() == sorted(names())
    found = [getattr(find(name), "__name__", "") for name in names()]
    assert sorted(found) == sorted([*{row.name for row in ALL}, *gpuinit.gallery.__all__])


@pytest.mark.parametrize("row", ALL, ids=name_of)
def test_round_trip(row: Row) -> None:
    initializer = row.make()
    written = serialize(initializer)
    assert written == {
        "module": "gpuinit.initializers",
        "class_name": row.name,
        "config": initializer.get_config(),
        "registered_name": None,
        "contract": 1,
    }
    assert through_json(written) == written
    for config in (written, through_json(written)):
        again = deserialize(config)
        assert type(again) is type(initializer)
        assert serialize(again) == written
        assert again(row.shape).tobytes() == initializer(row.shape).tobytes()


@pytest.mark.parametrize("seed", [None, 0, 2**64 - 1, Key(1, 2), SeedGenerator(Key(3, 4))])
def test_seeds_round_trip(seed: Any) -> None:
    initializer = gpuinit.HeNormal(seed=seed)
    again = deserialize(through_json(serialize(initializer)))
    assert again.get_config() == initializer.get_config()
    assert (seed is None) != (again((3, 4)).tobytes() == initializer((3, 4)).tobytes())


ARRAYS = [
    np.arange(6.0).reshape(2, 3),
    np.array([1.5, math.nan, -math.inf, -0.0], np.float32),
    np.array([0.1, 3.0, math.nan], ml_dtypes.bfloat16),
    np.array([0.5, -448.0], ml_dtypes.float8_e4m3fn),
    np.array([[1 + 2j, complex(math.nan, 0.1)]], np.complex64),
    np.array([complex(0.1, -0.0)], np.complex128),
    np.array([2**63, 2**64 - 1], np.uint64),
    np.array([-(2**63), 2**63 - 1]),
    np.array([True, False]),
    np.zeros((0, 3), np.float16),
    np.zeros((2, 0), np.complex64),
    np.arange(6, dtype=">i4").reshape(3, 2)[::-1],
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_arrays_round_trip(array: Any) -> None:
    initializer = gpuinit.Constant(array)
    again = deserialize(through_json(serialize(initializer)))
    wanted = array.astype(array.dtype.newbyteorder("="))
    for one in (initializer, again, initializer.clone()):
        assert one.value.dtype == wanted.dtype
        assert one.value.shape == wanted.shape
        assert one.value.tobytes() == wanted.tobytes()
    assert again(array.shape, wanted.dtype).tobytes() == wanted.tobytes()


@pytest.mark.parametrize("value", [1, 0.1, True, 1 - 2j, math.inf, 2**70, complex(0.0, -0.0)])
def test_scalars_round_trip(value: Any) -> None:
    again = deserialize(through_json(serialize(gpuinit.Constant(value))))
    assert type(again.value) is type(value)
    assert repr(again.value) == repr(value)


def test_other_configs_round_trip() -> None:
    for initializer in (
        gpuinit.STFT(window=np.hanning(8), scaling=None, periodic=True),
        gpuinit.RandomNormal(mean=1 + 2j),
        gpuinit.TruncatedNormal(lower=-math.inf, upper=1),
        gpuinit.Identity(2.0, "corner"),
        gpuinit.Orthogonal(2.0, method="qr"),
        gpuinit.VarianceScaling(input_axes=(0,), output_axes=[1, 2]),
    ):
        written = through_json(serialize(initializer))
        again = deserialize(written)
        assert type(again) is type(initializer)
        assert through_json(serialize(again)) == written


# Other identifiers


def test_get_of_nothing_a_class_an_instance_and_a_callable() -> None:
    assert get(None) is None
    assert deserialize(None) is None
    assert serialize(None) is None
    assert type(get(gpuinit.HeNormal)) is gpuinit.HeNormal
    initializer = gpuinit.Ones()
    assert get(initializer) is initializer
    assert get(np.ones) is np.ones


@pytest.mark.parametrize("array", [np.arange(6.0).reshape(2, 3), np.float32(2.5), np.array(3), np.ones((2, 0))])
def test_get_of_an_array(array: Any) -> None:
    initializer = get(array)
    tensor = initializer(array.shape, dtype="bfloat16")
    assert tensor.dtype == ml_dtypes.bfloat16
    assert (tensor == array).all()
    assert initializer(array.shape).dtype == np.float32
    with pytest.raises(ValueError, match="shape"):
        initializer((7, *array.shape))
    again = deserialize(through_json(serialize(initializer)))
    assert type(again) is gpuinit.Constant
    assert (again(array.shape) == array).all()


class Foreign:
    """A tensor of some framework: it knows __array__ alone."""

    shape = (2,)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.array([1.0, 2.0], np.float32)


def test_get_of_a_tensor() -> None:
    assert get(Foreign())((2,)).tolist() == [1, 2]
    assert gpuinit.Constant(Foreign())((2, 2)).tolist() == [[1, 2], [1, 2]]


@pytest.mark.parametrize(
    "identifier", ["HE_NORMAL", "", "s_t_f_t", "He_Normal", 3, 2.5, [1, 2], (1,), {"class_name": "Foo", "config": {}}]
)
def test_unknown_identifiers(identifier: Any) -> None:
    with pytest.raises(ValueError, match="identifier") as caught:
        get(identifier)
    assert str(caught.value).startswith(f"Could not interpret initializer identifier: {identifier}\n")


@pytest.mark.parametrize("config", [{}, {"config": {}}, {"class_name": 3}, {"class_name": ["HeNormal"]}])
def test_dicts_without_a_name(config: Any) -> None:
    for function in (get, deserialize):
        with pytest.raises(ValueError, match="Could not interpret"):
            function(config)


def test_wrong_configs() -> None:
    with pytest.raises(TypeError, match=r"HeNormal.*colour"):
        get({"class_name": "HeNormal", "config": {"colour": 1}})
    with pytest.raises(TypeError, match="must be a dict"):
        get({"class_name": "HeNormal", "config": [1]})
    with pytest.raises(ValueError, match="scale"):
        get({"class_name": "VarianceScaling", "config": {"scale": -1}})
    with pytest.raises(ValueError, match="contract=2"):
        get({**serialize(gpuinit.Zeros()), "contract": 2})
    with pytest.raises(ValueError, match="contract=2"):
        get({"class_name": "HeNormal", "config": {"seed": {"class_name": "Key", "config": {"contract": 2, "seed": 1}}}})
    for wrong in (gpuinit.HeNormal, 3, [1], lambda shape: 1):
        with pytest.raises(TypeError, match="serialize"):
            serialize(wrong)


# Users' classes and functions


class Halves(gpuinit.Initializer):
    """A user's initializer."""

    def __init__(self, sign: int = 1) -> None:
        self.sign = sign

    def distribution(self, shape: tuple[int, ...]) -> Any:
        from gpuinit.structures import Constant

        return Constant(self.sign / 2)

    def get_config(self) -> dict[str, Any]:
        return {"sign": self.sign}


def make_ones(shape: Any, dtype: Any = None) -> Any:
    """A user's function."""
    return np.ones(shape, dtype)


def test_custom_objects() -> None:
    written = serialize(Halves(-1))
    assert written["module"] == __name__
    assert written["registered_name"] == written["class_name"] == "Halves"
    for config in (written, through_json(written), {"class_name": "Halves", "config": {"sign": -1}}):
        for function in (get, deserialize):
            assert function(config, custom_objects={"Halves": Halves})((2,)).tolist() == [-0.5, -0.5]
            with pytest.raises(ValueError, match="Could not interpret"):
                function(config)
    assert get("Halves", {"Halves": Halves}).sign == 1
    assert type(get("zeros", {"zeros": Halves})) is Halves  # looked up before the built-in ones


def test_functions_are_looked_up_by_name() -> None:
    written = through_json(serialize(make_ones))
    assert deserialize(written, {"make_ones": make_ones}) is make_ones
    with pytest.raises(ValueError, match="Could not interpret"):
        deserialize(written)


def test_a_config_imports_nothing_and_a_users_class_is_not_taken_for_a_built_in() -> None:
    for config in (
        {"module": "os", "class_name": "system", "config": {"command": "true"}},
        {"module": "antigravity", "class_name": "HeNormal", "config": {}},
        {"module": "builtins", "class_name": "function", "config": "eval"},
        {"module": "mine", "class_name": "HeNormal", "config": {}, "registered_name": "mine>HeNormal"},
    ):
        with pytest.raises(ValueError, match="Could not interpret"):
            deserialize(config)


# What Keras 3.15.1 wrote (keras.initializers.serialize), and 3.14, whose configs lack the axes


def keras(name: str, config: dict[str, Any], module: str = "keras.initializers") -> dict[str, Any]:
    return {"module": module, "class_name": name, "config": config, "registered_name": None}


AXES = {"input_axes": None, "output_axes": None}
SEEDED = {
    "module": "keras.random",
    "class_name": "SeedGenerator",
    "config": {"seed": 5, "name": "seed_generator_1"},
    "registered_name": None,
}
TENSOR = {"class_name": "__tensor__", "config": {"value": [1.0, 2.0], "dtype": "bfloat16"}}
WRITTEN_BY_KERAS = [
    (keras("HeNormal", {"seed": 3, **AXES}), gpuinit.HeNormal(3)),
    (keras("HeNormal", {"seed": 3}), gpuinit.HeNormal(3)),
    (
        keras("GlorotUniform", {"seed": 3}, "keras.src.initializers.random_initializers"),
        gpuinit.GlorotUniform(3),
    ),
    (
        keras(
            "VarianceScaling",
            {
                "seed": 1,
                "scale": 2.0,
                "mode": "fan_in",
                "distribution": "truncated_normal",
                "input_axes": [0],
                "output_axes": (1,),
            },
        ),
        gpuinit.VarianceScaling(2.0, seed=1, input_axes=[0], output_axes=[1]),
    ),
    (keras("RandomNormal", {"seed": SEEDED, "mean": 0.0, "stddev": 0.05}), gpuinit.RandomNormal(seed=SeedGenerator(5))),
    (keras("Orthogonal", {"seed": SEEDED, "gain": 1.0}), gpuinit.Orthogonal(seed=SeedGenerator(5))),
    (keras("Constant", {"value": 0.5}), gpuinit.Constant(0.5)),
    (keras("Constant", {"value": [1.0, 2.0]}), gpuinit.Constant(np.array([1.0, 2.0]))),
    (keras("Constant", {"value": TENSOR}), gpuinit.Constant(np.array([1, 2], ml_dtypes.bfloat16))),
    (
        keras("Constant", {"value": {"class_name": "__numpy__", "config": {"value": [[1], [2]], "dtype": "int32"}}}),
        gpuinit.Constant(np.array([[1], [2]], np.int32)),
    ),
    (
        keras("Constant", {"value": {"class_name": "__tensor__", "config": {"value": 2.0, "dtype": "float32"}}}),
        gpuinit.Constant(2.0),
    ),
    (keras("Identity", {}), gpuinit.Identity(1.0, "corner")),
    (
        keras("Identity", {"gain": 2.0}, "keras.src.initializers.constant_initializers"),
        gpuinit.Identity(2.0, "corner"),
    ),
    (
        keras("STFT", {"side": "real", "window": "hann", "periodic": False, "scaling": "density"}),
        gpuinit.STFT(),
    ),
    (
        keras("STFT", {"side": "imag", "window": TENSOR, "periodic": True, "scaling": None}),
        gpuinit.STFT("imag", np.array([1, 2], ml_dtypes.bfloat16), None, True),
    ),
    (keras("Zeros", {}), gpuinit.Zeros()),
]


@pytest.mark.parametrize(("config", "wanted"), WRITTEN_BY_KERAS, ids=lambda one: "")
def test_written_by_keras(config: dict[str, Any], wanted: Any) -> None:
    for made in (get(config), deserialize(config)):
        assert type(made) is type(wanted)
        assert json.dumps(made.get_config()) == json.dumps(wanted.get_config())
    again = deserialize(through_json(serialize(made)))
    assert json.dumps(again.get_config()) == json.dumps(wanted.get_config())
