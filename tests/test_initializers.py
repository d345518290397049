"""The initializer classes: what they state, what they refuse, and that every way to call one gives the same bits."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from initializer_table import ALL, DETERMINISTIC, ELEMENTWISE, FLOATS, INTEGERS, RANDOM, Row, name_of

import gpuinit
from gpuinit import Key, SeedGenerator, distributions

STD = 0.87962566103423978
SHAPES = [(), (3,), (3, 4), (0, 4), (3, 3, 7, 5), (32, 8, 16)]
every = pytest.mark.parametrize("row", ALL, ids=name_of)
random = pytest.mark.parametrize("row", RANDOM, ids=name_of)


def same(a: Any, b: Any) -> bool:
    return bool(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes())


OTHERS = ("DeviceError", "QuantileError", "OrthogonalityReport", "Shard", "Table")


def test_the_classes() -> None:
    """Keras' 17, and what is beyond them."""
    names = {row.name for row in ALL} | {"Initializer"}
    assert len(names - {"DeltaOrthogonal", "Dirac", "Sparse"}) == 17
    for module in (gpuinit, gpuinit.initializers):
        classes = {name for name in module.__all__ if isinstance(getattr(module, name), type)}
        assert classes - {"RandomInitializer", "QuantileInitializer", "Key", "SeedGenerator", *OTHERS} == names
        assert len(set(module.__all__)) == len(module.__all__)


def test_import_is_light() -> None:
    code = "import gpuinit, sys; gpuinit.HeNormal(1)((4, 4)); print({'scipy', 'torch', 'jax', 'keras'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


@every
def test_config(row: Row) -> None:
    initializer = row.make()
    assert list(initializer.get_config()) == row.keys.split()
    assert {**initializer.get_config(), **row.arguments} == initializer.get_config()
    assert initializer.clone().get_config() == initializer.get_config()
    assert same(initializer.clone()(row.shape), initializer(row.shape))
    assert repr(initializer).startswith(f"{row.name}(")


@every
def test_a_call_adds_no_attribute(row: Row) -> None:
    initializer = row.make()
    initializer(row.shape)
    initializer.get_config()
    assert dir(initializer) == dir(row.make())


@every
@pytest.mark.parametrize("dtype", FLOATS)
def test_parts_equal_the_whole(row: Row, dtype: str) -> None:
    initializer = row.make()
    whole = initializer(row.shape, dtype)
    assert whole.dtype.name == dtype
    assert whole.flags.c_contiguous
    assert whole.ctypes.data % 64 == 0
    assert np.isfinite(whole).all()
    last = (slice(None),) * (len(row.shape) - 1) + (slice(2, 7),)
    ids = np.array([5, 0, 11, 5])
    full = (slice(None),)
    for block, rows in [((slice(3, 8),), None), ((slice(4, 4),), None), (last, None), (full, ids), (last, ids)]:
        part = whole[(block[0] if rows is None else ids, *block[1:])]
        assert same(initializer(row.shape, dtype, block=block, rows=rows), part)
        out = np.zeros((*part.shape[:-1], 2 * part.shape[-1]), part.dtype)[..., ::-2]
        assert initializer.fill(out, shape=row.shape, block=block, rows=rows) is out
        assert same(np.ascontiguousarray(out), part)
    out = np.asfortranarray(np.zeros_like(whole))
    assert same(np.ascontiguousarray(initializer.fill(out)), whole)


@pytest.mark.parametrize("row", DETERMINISTIC, ids=name_of)
@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS])
def test_deterministic_ones_take_any_dtype(row: Row, dtype: str) -> None:
    initializer = gpuinit.STFT() if row.name == "STFT" else row.make()
    tensor = initializer(row.shape, dtype)
    assert tensor.dtype.name == dtype


@random
@pytest.mark.parametrize("dtype", INTEGERS)
def test_random_ones_refuse_integers(row: Row, dtype: str) -> None:
    with pytest.raises(ValueError, match=f"dtype={dtype}: {row.name} draws random numbers"):
        row.make()(row.shape, dtype)


# What they state


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("name", "scale", "mode", "distribution"),
    [
        ("GlorotNormal", 1, "fan_avg", "truncated_normal"),
        ("GlorotUniform", 1, "fan_avg", "uniform"),
        ("HeNormal", 2, "fan_in", "truncated_normal"),
        ("HeUniform", 2, "fan_in", "uniform"),
        ("LecunNormal", 1, "fan_in", "truncated_normal"),
        ("LecunUniform", 1, "fan_in", "uniform"),
    ],
)
def test_presets_are_variance_scaling(name: str, scale: float, mode: str, distribution: str, shape: tuple[int, ...]) -> None:
    preset = getattr(gpuinit, name)(seed=1)
    general = gpuinit.VarianceScaling(scale, mode, distribution, seed=1)
    assert isinstance(preset, gpuinit.VarianceScaling)
    assert preset.distribution(shape) == general.distribution(shape)
    assert same(preset(shape), general(shape))


@pytest.mark.parametrize(
    ("shape", "mode", "fan"),
    [
        ((), "fan_in", 1),
        ((5,), "fan_out", 5),
        ((3, 4), "fan_in", 3),
        ((3, 4), "fan_out", 4),
        ((3, 4), "fan_avg", 3.5),
        ((0, 4), "fan_in", 1),  # never divided by zero
        ((0, 1), "fan_avg", 1),
        ((3, 3, 7, 5), "fan_in", 63),
        ((32, 8, 16), "fan_out", 512),
    ],
)
def test_keras_formulas(shape: tuple[int, ...], mode: str, fan: float) -> None:
    def law(distribution: str) -> Any:
        return gpuinit.VarianceScaling(0.3, mode, distribution).distribution(shape)

    variance = 0.3 / fan
    limit = math.sqrt(3.0 * variance)
    assert law("uniform") == law("Uniform") == distributions.Uniform(-limit, limit, shared_variance=True)
    assert law("untruncated_normal") == distributions.Normal(0.0, math.sqrt(variance))
    assert law("truncated_normal") == law("normal") == distributions.TruncatedNormal(0.0, math.sqrt(variance) / STD)


@pytest.mark.parametrize("distribution", ["uniform", "truncated_normal", "untruncated_normal"])
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_variance(distribution: str, dtype: str) -> None:
    """Mean square scale / fan_in within 5 standard errors: rejects swapped fans, a missing 0.8796 (mean square .774), a
    uniform of limit sqrt(s) (.333), and complex parts that each have the whole variance (2)."""
    fan_in, fan_out = 128, 2**13
    initializer = gpuinit.VarianceScaling(2.0, "fan_in", distribution, seed=17)
    draws = initializer((fan_in, fan_out), dtype).astype(np.complex128)
    square = np.abs(draws) ** 2 * fan_in / 2.0
    assert abs(square.mean() - 1) < 5 * square.std() / math.sqrt(square.size)
    assert 5 * square.std() / math.sqrt(square.size) < 0.01
    if distribution == "truncated_normal":
        furthest = 2 * math.sqrt(2.0 / fan_in) / STD / (math.sqrt(2) if dtype == "complex64" else 1)
        assert max(np.abs(draws.real).max(), np.abs(draws.imag).max()) <= furthest
    elif distribution == "uniform":
        limit = math.sqrt(6.0 / fan_in) / (math.sqrt(2) if dtype == "complex64" else 1)
        assert draws.real.min() >= -limit
        assert draws.real.max() < limit


def test_random_arguments_reach_the_law() -> None:
    assert gpuinit.RandomNormal(1.0, 2.0).distribution((3,)) == distributions.Normal(1.0, 2.0)
    assert gpuinit.RandomNormal(1j, 2.0).distribution((3,)) == distributions.Normal(1j, 2.0)
    assert gpuinit.RandomUniform(1, 2).distribution((3,)) == distributions.Uniform(1.0, 2.0)
    assert gpuinit.TruncatedNormal(1, 2).distribution((3,)) == distributions.TruncatedNormal(1.0, 2.0, -2.0, 2.0)
    law = distributions.TruncatedNormal(0.0, 0.05, 5.0, math.inf)
    assert gpuinit.TruncatedNormal(lower=5, upper=math.inf).distribution(()) == law


def test_numpy_scalars_become_floats() -> None:
    low: Any = np.float32(-0.5)
    high: Any = ml_dtypes.bfloat16(0.5)
    initializer = gpuinit.RandomUniform(low, high, seed=np.uint64(2**64 - 1))
    assert initializer.get_config() == {"seed": 2**64 - 1, "minval": -0.5, "maxval": 0.5}
    assert {type(value) for value in initializer.get_config().values()} == {int, float}
    gain: Any = np.int8(2)
    mean: Any = np.complex64(1 + 2j)
    assert type(gpuinit.Orthogonal(gain=gain).gain) is float
    assert type(gpuinit.RandomNormal(mean=mean).mean) is complex


def test_truncation_is_in_the_config_when_it_is_not_the_default() -> None:
    initializer = gpuinit.TruncatedNormal(0.0, 1.0, 3, lower=5, upper=math.inf)
    assert initializer.get_config() == {"seed": 3, "mean": 0.0, "stddev": 1.0, "lower": 5.0, "upper": math.inf}
    draws = initializer((1000,))
    assert draws.min() >= 5
    assert draws.max() > 5.5
    assert list(gpuinit.TruncatedNormal(lower=-2, upper=2).get_config()) == ["seed", "mean", "stddev"]
    one_sided = gpuinit.TruncatedNormal(1.0, 0.5, 3, lower=-math.inf, upper=0)((1000,), "bfloat16")
    assert one_sided.astype(float).max() <= 1.0
    assert (gpuinit.TruncatedNormal(1.0, 0.5, 3, lower=1, upper=1)((9,)) == 1.5).all()


# Seeds


@random
def test_none_draws_one_seed_and_a_clone_another(row: Row) -> None:
    initializer = row.make(seed=None)
    assert initializer.get_config()["seed"] is None
    assert same(initializer(row.shape), initializer(row.shape))
    assert not same(initializer(row.shape), initializer.clone()(row.shape))


@random
def test_a_seed_generator_draws_anew(row: Row) -> None:
    fixed, key = row.make(seed=5), row.make(seed=Key(5))
    moving = row.make(seed=SeedGenerator(5))
    draws = [moving(row.shape) for _ in range(3)]
    assert same(draws[0], fixed(row.shape))
    assert same(draws[0], key(row.shape))
    assert not same(draws[0], draws[1])
    assert not same(draws[1], draws[2])
    assert same(draws[1], row.make(seed=Key(5).draw(1))(row.shape))
    with pytest.raises(ValueError, match=r"gpuinit\.Key"):
        moving(row.shape, rows=[1])
    assert same(moving(row.shape), row.make(seed=Key(5).draw(3))(row.shape))  # the refused call drew nothing
    assert same(moving.clone()(row.shape), draws[0])  # a config starts from the beginning


@random
@pytest.mark.parametrize("seed", [-1, 2**64, True, np.bool_(False), "1", 1.0, [1], {}])
def test_bad_seeds(row: Row, seed: Any) -> None:
    with pytest.raises(ValueError, match="seed"):
        row.make(seed=seed)


# Constants


@pytest.mark.parametrize(
    ("value", "shape", "dtype", "wanted"),
    [
        (0.0, (2,), None, [0, 0]),
        (2, (), "int8", 2),
        (True, (2,), "float32", [1, 1]),
        (math.inf, (1,), "float16", [math.inf]),
        (-math.inf, (1,), "bfloat16", [-math.inf]),
        (1 - 2j, (1,), "complex64", [1 - 2j]),
        (2.9, (2,), "int32", [2, 2]),
        (-2.9, (1,), "int32", [-2]),
        (0.5, (1,), "bool", [True]),
        ([1, 2, 3], (2, 3), None, [[1, 2, 3], [1, 2, 3]]),
        ([[1], [2]], (2, 3), "bfloat16", [[1, 1, 1], [2, 2, 2]]),
        (np.float32(0.1), (1,), "float64", [float(np.float32(0.1))]),
        (2**64 - 1, (1,), "uint64", [2**64 - 1]),
        (2**70, (1,), "float64", [2.0**70]),
        (1 + 2.0**-8 + 2.0**-40, (1,), "bfloat16", [1 + 2.0**-7]),  # rounded once: through float32 it would be 1
        ([], (0,), None, []),
        (4.0, (0, 3), None, np.zeros((0, 3))),
    ],
)
def test_constant(value: Any, shape: tuple[int, ...], dtype: str | None, wanted: Any) -> None:
    tensor = gpuinit.Constant(value)(shape, dtype)
    assert tensor.shape == shape
    assert tensor.dtype.name == (dtype or "float32")
    assert (tensor == np.asarray(wanted).astype(tensor.dtype)).all()


def test_constant_is_a_copy_and_nan_is_a_value() -> None:
    array = np.arange(3.0)
    initializer = gpuinit.Constant(array)
    array[:] = 9
    assert initializer((3,)).tolist() == [0, 1, 2]
    assert np.isnan(gpuinit.Constant(math.nan)((2,), "float8_e4m3fn").astype(float)).all()


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (300, "uint8"),
        (-1, "uint64"),
        (128.0, "int8"),
        (2.0**63, "int64"),
        (10**400, "float64"),
        (10**400, "int64"),
        (math.nan, "int32"),
        (math.nan, "bool"),
        (math.inf, "int64"),
        ([1.0, math.nan], "int16"),
        (1j, "float32"),
        (1 + 0j, "int8"),
        (1e6, "float16"),
        (500.0, "float8_e4m3fn"),
        (math.inf, "float8_e4m3fn"),
        (1e39, "complex64"),
    ],
)
def test_constant_that_a_dtype_cannot_hold(value: Any, dtype: str) -> None:
    out = np.full(2, 7).astype(dtype)
    with pytest.raises(ValueError, match=f"dtype={dtype} cannot hold"):
        gpuinit.Constant(value).fill(out)
    assert (out == np.full(2, 7).astype(dtype)).all()


@pytest.mark.parametrize("shape", [(3,), (3, 2), (), (2, 1)])
def test_constant_that_does_not_broadcast(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\), which does not broadcast"):
        gpuinit.Constant(np.ones((2, 3)))(shape)


@pytest.mark.parametrize("value", [None, "3", {}, [None], ["a"], np.array(["a"]), object()])
def test_constant_of_no_numbers(value: Any) -> None:
    with pytest.raises(TypeError, match="value"):
        gpuinit.Constant(value)


@pytest.mark.parametrize(
    ("shape", "center"),
    [((3, 3), (0, 0)), ((2, 5), (0, 1)), ((2, 4), (0, 1)), ((5, 2), (1, 0)), ((1, 6), (0, 2)), ((0, 3), (0, 1))],
)
def test_identity(shape: tuple[int, int], center: tuple[int, int]) -> None:
    eye = 2.5 * np.eye(min(shape))
    for placement, (row, column) in [("center", center), ("corner", (0, 0))]:
        wanted = np.zeros(shape)
        wanted[row : row + len(eye), column : column + len(eye)] = eye
        assert (gpuinit.Identity(2.5, placement)(shape) == wanted).all()
    assert gpuinit.Identity(2.5, "corner").get_config() == {"gain": 2.5, "placement": "corner"}


@pytest.mark.parametrize("shape", [(), (3,), (2, 2, 2)])
def test_identity_makes_matrices(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="Identity makes matrices"):
        gpuinit.Identity()(shape)


@pytest.mark.parametrize("row", ELEMENTWISE + DETERMINISTIC[:3], ids=name_of)
@pytest.mark.parametrize("shape", [(0,), (0, 4), (3, 0, 2), ()])
def test_zero_sized_and_scalar_shapes(row: Row, shape: tuple[int, ...]) -> None:
    assert row.make(**({"input_axes": None} if "input_axes" in row.arguments else {}))(shape).shape == shape


# Bad input


@pytest.mark.parametrize(
    ("name", "arguments", "error"),
    [
        ("RandomNormal", {"mean": math.nan}, ValueError),
        ("RandomNormal", {"mean": complex(0, math.inf)}, ValueError),
        ("RandomNormal", {"mean": "0"}, TypeError),
        ("RandomNormal", {"mean": None}, TypeError),
        ("RandomNormal", {"mean": True}, TypeError),
        ("RandomNormal", {"mean": np.ones(1)}, TypeError),
        ("RandomNormal", {"stddev": -0.1}, ValueError),
        ("RandomNormal", {"stddev": math.inf}, ValueError),
        ("RandomNormal", {"stddev": 1j}, TypeError),
        ("RandomUniform", {"minval": 1.0, "maxval": 0.0}, ValueError),
        ("RandomUniform", {"minval": -math.inf}, ValueError),
        ("RandomUniform", {"maxval": 10**400}, ValueError),
        ("TruncatedNormal", {"stddev": -1}, ValueError),
        ("TruncatedNormal", {"lower": 1, "upper": 0}, ValueError),
        ("TruncatedNormal", {"lower": math.nan}, ValueError),
        ("TruncatedNormal", {"lower": math.inf, "upper": math.inf}, ValueError),
        ("TruncatedNormal", {"upper": None}, TypeError),
        ("VarianceScaling", {"scale": 0}, ValueError),
        ("VarianceScaling", {"scale": -1.0}, ValueError),
        ("VarianceScaling", {"scale": math.nan}, ValueError),
        ("VarianceScaling", {"scale": "1"}, TypeError),
        ("VarianceScaling", {"mode": "FAN_IN"}, ValueError),
        ("VarianceScaling", {"mode": None}, ValueError),
        ("VarianceScaling", {"distribution": "cauchy"}, ValueError),
        ("VarianceScaling", {"distribution": None}, ValueError),
        ("HeNormal", {"input_axes": 1}, TypeError),
        ("HeNormal", {"output_axes": [1.0]}, TypeError),
        ("Identity", {"gain": math.inf}, ValueError),
        ("Identity", {"placement": "left"}, ValueError),
        ("Orthogonal", {"gain": math.nan}, ValueError),
        ("Orthogonal", {"gain": False}, TypeError),
        ("Orthogonal", {"method": "lq"}, ValueError),
        ("DeltaOrthogonal", {"gain": math.nan}, ValueError),
        ("DeltaOrthogonal", {"gain": -math.inf}, ValueError),
        ("DeltaOrthogonal", {"gain": "1"}, TypeError),
        ("Dirac", {"groups": 0}, ValueError),
        ("Dirac", {"groups": -2}, ValueError),
        ("Dirac", {"groups": True}, TypeError),
        ("Dirac", {"groups": 2.0}, TypeError),
        ("Dirac", {"groups": None}, TypeError),
        ("Dirac", {"gain": math.nan}, ValueError),
        ("Dirac", {"gain": True}, TypeError),
        ("Dirac", {"layout": "jax"}, ValueError),
        ("Dirac", {"layout": None}, ValueError),
        ("Sparse", {"sparsity": -0.1}, ValueError),
        ("Sparse", {"sparsity": 1.0000001}, ValueError),
        ("Sparse", {"sparsity": math.nan}, ValueError),
        ("Sparse", {"sparsity": math.inf}, ValueError),
        ("Sparse", {"sparsity": True}, TypeError),
        ("Sparse", {"sparsity": "0.1"}, TypeError),
        ("Sparse", {"sparsity": None}, TypeError),
        ("Sparse", {"sparsity": 0.5, "stddev": -1.0}, ValueError),
        ("Sparse", {"sparsity": 0.5, "stddev": math.nan}, ValueError),
        ("STFT", {"side": "REAL"}, ValueError),
        ("STFT", {"scaling": "Density"}, ValueError),
        ("STFT", {"window": "nosuch"}, ValueError),
        ("STFT", {"window": "kaiser"}, ValueError),
        ("STFT", {"window": np.ones((2, 2))}, ValueError),
        ("STFT", {"window": [1.0, math.nan]}, ValueError),
    ],
)
def test_bad_arguments_are_named(name: str, arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        getattr(gpuinit, name)(**arguments)
    assert any(argument in str(caught.value) for argument in arguments)


@pytest.mark.parametrize("name", [row.name for row in ALL])
def test_unknown_arguments(name: str) -> None:
    with pytest.raises(TypeError):
        getattr(gpuinit, name)(colour="red")


@pytest.mark.parametrize(
    ("initializer", "shape", "dtype"),
    [
        (gpuinit.RandomNormal(1j), (3,), "float32"),
        (gpuinit.RandomNormal(0.0, 1e5), (3,), "float16"),
        (gpuinit.RandomUniform(1.1, 1.1 + 1e-9), (3,), "float8_e5m2"),
        (gpuinit.RandomUniform(-1e39, 1e39), (3,), "float32"),
        (gpuinit.VarianceScaling(1e12), (2,), "float16"),
        (gpuinit.Orthogonal(gain=1e3), (2, 2), "float8_e4m3fn"),
    ],
)
def test_intervals_that_a_dtype_cannot_represent(initializer: Any, shape: tuple[int, ...], dtype: str) -> None:
    with pytest.raises(ValueError, match=dtype):
        initializer(shape, dtype)


# Users' own classes


class Ramp(gpuinit.Initializer):
    """States a structure."""

    def distribution(self, shape: tuple[int, ...]) -> Any:
        from gpuinit.structures import Constant

        return Constant(np.arange(shape[-1]))


class Growing(gpuinit.RandomInitializer):
    """States a law that depends on the shape."""

    def distribution(self, shape: tuple[int, ...]) -> Any:
        return distributions.Uniform(0.0, float(shape[0]))


class AsInKeras(gpuinit.Initializer):
    """Overrides the call alone."""

    def __call__(self, shape: Any, dtype: Any = None, **_: Any) -> Any:
        return np.ones(shape, dtype)


def test_a_users_law_gets_blocks_rows_and_fill() -> None:
    initializer = Growing(seed=3)
    whole = initializer((8, 5), "bfloat16")
    assert same(initializer((8, 5), "bfloat16", rows=[7, 2], block=(slice(None), slice(1, 3))), whole[[7, 2], 1:3])
    assert Ramp()((2, 3), rows=[1]).tolist() == [[0, 1, 2]]
    assert initializer.clone().get_config() == {"seed": 3}


def test_a_users_call_works_as_in_keras() -> None:
    assert AsInKeras()((2, 2)).tolist() == [[1, 1], [1, 1]]
    with pytest.raises(TypeError, match="distribution"):
        AsInKeras().fill(np.zeros(3))
    with pytest.raises(NotImplementedError, match="distribution"):
        gpuinit.Initializer()((2,))


# Users' classes


def test_a_class_that_overrides_call_alone_answers_by_an_error() -> None:
    """fill, block= and rows= name the hook, however the class takes its arguments; rejects the parent's values, and the whole."""

    class Doubled(gpuinit.HeNormal):
        def __call__(self, shape: Any, dtype: Any = None, **kwargs: Any) -> Any:
            return 2 * super().__call__(shape, dtype, **kwargs)

    class Plain(gpuinit.Initializer):
        def __call__(self, shape: Any, dtype: Any = None) -> Any:
            return np.full(shape, 7.0, dtype)

    for initializer in (Doubled(1), Plain()):
        assert initializer((3, 2), "float32").shape == (3, 2)
        for call in (
            lambda i=initializer: i.fill(np.empty((3, 2), np.float32)),
            lambda i=initializer: i((3, 2), rows=[1]),
            lambda i=initializer: i((3, 2), block=(slice(0, 1),)),
        ):
            with pytest.raises(TypeError, match=r"overrides __call__ alone.*distribution\(shape\)"):
                call()


def test_a_dataclass_without_a_seed_has_one_of_its_own() -> None:
    @dataclasses.dataclass
    class Mine(gpuinit.Initializer):
        limit: float = 1.0

        def distribution(self, shape: tuple[int, ...]) -> Any:
            return gpuinit.distributions.Uniform(-self.limit, self.limit)

    one, other = Mine(), Mine()
    before = dir(one)
    assert (one((9,)) == one((9,))).all()
    assert (one((9,)) != other((9,))).any()
    assert (one((9,))[2:5] == one((9,), block=(slice(2, 5),))).all()
    assert dir(one) == before


def test_the_seed_attribute_can_be_set() -> None:
    initializer = gpuinit.HeNormal(seed=3)
    initializer.seed = gpuinit.Key(9)
    assert (initializer((4, 4)) == gpuinit.HeNormal(seed=9)((4, 4))).all()
    assert initializer.clone().seed == gpuinit.Key(9)


def test_mistakes_in_users_classes_are_named() -> None:
    class Forgot(gpuinit.RandomInitializer):
        def __init__(self) -> None:
            pass

        def distribution(self, shape: tuple[int, ...]) -> Any:
            return gpuinit.distributions.Normal(0.0, 1.0)

    class Nothing(gpuinit.Initializer):
        def distribution(self, shape: tuple[int, ...]) -> Any:
            return None

    with pytest.raises(TypeError, match=r"super\(\)\.__init__\(seed\)"):
        Forgot()((3,))
    with pytest.raises(TypeError, match="Nothing.distribution returned None"):
        Nothing()((3,))


@pytest.mark.parametrize(
    "law",
    [
        gpuinit.distributions.Uniform(float("nan"), 1.0),
        gpuinit.distributions.Uniform(1.0, -1.0),
        gpuinit.distributions.Uniform(0.0, float("inf")),
        gpuinit.distributions.Normal(0.0, -1.0),
        gpuinit.distributions.Normal(float("nan"), 1.0),
        gpuinit.distributions.TruncatedNormal(0.0, 1.0, 2.0, -2.0),
        gpuinit.distributions.TruncatedNormal(0.0, 1.0, float("nan"), 2.0),
    ],
)
def test_laws_that_are_none_are_refused(law: Any) -> None:
    class Mine(gpuinit.RandomInitializer):
        def distribution(self, shape: tuple[int, ...]) -> Any:
            return law

    with pytest.raises(ValueError, match="<=|>= 0"):
        Mine(seed=1)((3,))
