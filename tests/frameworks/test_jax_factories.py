"""The factories of gpuinit.jax beside jax.nn.initializers: signatures, fans, laws, errors; and what is right where JAX is not."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

import gpuinit
from gpuinit.distributions import Normal, TruncatedNormal, Uniform

jax = pytest.importorskip("jax")
import gpuinit.jax  # noqa: E402
from gpuinit.jax import scaling  # noqa: E402

pytestmark = pytest.mark.frameworks

JAX = jax.nn.initializers
KEY = jax.random.key(5)
FACTORIES = sorted({name for name in gpuinit.jax.__all__ if inspect.isfunction(getattr(JAX, name, None))} - {"zeros", "ones"})
PRESETS = [name for name in FACTORIES if name.endswith(("_normal", "_uniform")) and name != "truncated_normal"]


def test_every_factory_of_jax_is_there() -> None:
    public = {name for name in dir(JAX) if inspect.isfunction(getattr(JAX, name))}
    assert public <= set(gpuinit.jax.__all__) and len(FACTORIES) >= 16


@pytest.mark.parametrize("name", FACTORIES)
def test_arguments_and_defaults_are_jax_s(name: str) -> None:
    def arguments(function: Any) -> list[tuple[str, Any]]:
        return [(each.name, each.default) for each in inspect.signature(function).parameters.values()]

    assert arguments(getattr(gpuinit.jax, name)) == arguments(getattr(JAX, name))


def test_calls_take_jax_s_arguments() -> None:
    for ours, theirs in ((gpuinit.jax.he_normal(), JAX.he_normal()), (gpuinit.jax.zeros, JAX.zeros)):
        assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters)
        assert isinstance(ours, JAX.Initializer)


@pytest.mark.parametrize(("alias", "name"), [("xavier", "glorot"), ("kaiming", "he")])
def test_aliases(alias: str, name: str) -> None:
    for law in ("normal", "uniform"):
        assert getattr(gpuinit.jax, f"{alias}_{law}") is getattr(gpuinit.jax, f"{name}_{law}")


def law(init: Any, shape: tuple[int, ...]) -> Any:
    """The distribution that an initializer of gpuinit.jax states."""
    return init.initializer.distribution(shape)


def measured(theirs: Any, shape: tuple[int, ...], distribution: str) -> float:
    """What JAX's initializer multiplies its standard draws by, to a float32's rounding: a std, or a limit."""
    draws = {
        "normal": lambda: jax.random.normal(KEY, shape),
        "truncated_normal": lambda: jax.random.truncated_normal(KEY, -2, 2, shape),
        "uniform": lambda: jax.random.uniform(KEY, shape, minval=-1),
    }
    standard = np.asarray(draws[distribution](), np.float64).reshape(-1)
    largest = int(np.abs(standard).argmax())
    return float(np.asarray(theirs(KEY, shape), np.float64).reshape(-1)[largest] / standard[largest])


def stated(found: Any) -> float:
    return float(found.high if isinstance(found, Uniform) else found.std)


@st.composite
def scalings(draw: Any) -> tuple[tuple[int, ...], dict[str, Any]]:
    """A shape and the arguments of variance_scaling: axes at random, an axis in several roles included."""
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
    axis = st.integers(-len(shape), len(shape) - 1)
    several = st.lists(axis, max_size=len(shape), unique_by=lambda each: each % len(shape)).map(tuple)
    role = axis | several
    arguments = {
        "scale": draw(st.floats(0.01, 10)),
        "mode": draw(st.sampled_from(["fan_in", "fan_out", "fan_avg", "fan_geo_avg"])),
        "distribution": draw(st.sampled_from(["truncated_normal", "normal", "uniform"])),
        "in_axis": draw(role),
        "out_axis": draw(role),
        "batch_axis": draw(several | axis),
    }
    if arguments["in_axis"] == -2 and len(shape) == 1:
        arguments["in_axis"] = -1
    return shape, arguments


@given(scalings())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_variance_scaling_s_law_is_jax_s(drawn: Any) -> None:
    """Rejects a receptive field that counts the batch axes, an arithmetic mean for a geometric one, no truncation factor."""
    shape, arguments = drawn
    found = law(gpuinit.jax.variance_scaling(**arguments), shape)
    expected = measured(JAX.variance_scaling(**arguments), shape, arguments["distribution"])
    kinds = {"truncated_normal": TruncatedNormal, "normal": Normal, "uniform": Uniform}
    assert type(found) is kinds[arguments["distribution"]]
    assert stated(found) == pytest.approx(expected, rel=1e-5)
    if isinstance(found, TruncatedNormal):
        assert (found.mean, found.lower, found.upper) == (0, -2, 2)
    elif isinstance(found, Uniform):
        assert found.low == -found.high


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("axes", [{}, {"in_axis": 0, "out_axis": (1, 2)}, {"in_axis": (0, 3), "out_axis": 1, "batch_axis": 2}])
def test_presets_are_jax_s(name: str, axes: dict[str, Any]) -> None:
    shape = (3, 4, 5, 6)
    distribution = "uniform" if name.endswith("uniform") else "truncated_normal"
    found = law(getattr(gpuinit.jax, name)(**axes), shape)
    assert stated(found) == pytest.approx(measured(getattr(JAX, name)(**axes), shape, distribution), rel=1e-5)


def test_fans_of_empty_dimensions() -> None:
    assert scaling.fans((0, 3)) == (1, 3) and scaling.fans((3, 0, 2, 5)) == (6, 15)


SAMPLED = [
    (lambda j: j.normal(0.7), None),
    (lambda j: j.uniform(0.7), (0, 0.7)),
    (lambda j: j.truncated_normal(0.7), (-1.4, 1.4)),
    (lambda j: j.truncated_normal(0.7, lower=-1.0, upper=0.5), (-0.7, 0.35)),
    (lambda j: j.he_normal(), (-2 * 0.1 / 0.8796256610342398, 2 * 0.1 / 0.8796256610342398)),
    (lambda j: j.glorot_uniform(), (-math.sqrt(3 / 264), math.sqrt(3 / 264))),
    (lambda j: j.variance_scaling(2.0, "fan_geo_avg", "normal"), None),
    (lambda j: j.orthogonal(2.0, column_axis=0), (-2, 2)),
]
SAMPLE = (200, 328)
LIMIT = 1e-6


@pytest.mark.parametrize("number", range(len(SAMPLED)))
def test_samples_have_jax_s_law(number: int) -> None:
    """Two-sample Kolmogorov-Smirnov at 65,600 values each, wrong once in a million; it finds a std 12 % too small.

    Orthogonal matrices' elements are not quite independent: their distances are smaller than the test expects.
    """
    factory, bounds = SAMPLED[number]
    ours = np.asarray(factory(gpuinit.jax)(KEY, SAMPLE), np.float64).reshape(-1)
    theirs = np.asarray(factory(JAX)(KEY, SAMPLE), np.float64).reshape(-1)
    assert ks_2samp(ours, theirs).pvalue > LIMIT
    assert ks_2samp(ours * 0.8796256610342398, theirs).pvalue < LIMIT, "the test finds nothing"
    if bounds is not None:
        slack = 1e-7 * max(map(abs, bounds))
        assert bounds[0] - slack <= ours.min() and ours.max() <= bounds[1] + slack


@pytest.mark.parametrize("column_axis", [0, 1, 2, -1, -3])
def test_orthogonal_s_columns_stand_where_jax_s_do(column_axis: int) -> None:
    shape = (3, 4, 5)
    for module in (gpuinit.jax, JAX):
        kernel = np.asarray(module.orthogonal(2.0, column_axis)(KEY, shape), np.float64)
        matrix = np.moveaxis(kernel, column_axis, -1).reshape(-1, shape[column_axis])
        assert np.abs(matrix.T @ matrix - 4 * np.eye(shape[column_axis])).max() < 1e-5


@pytest.mark.parametrize("column_axis", [-1, -2, 0, 1])
@pytest.mark.parametrize("shape", [(4, 3, 5), (3, 4, 5, 5), (2, 3, 4, 1, 6)])
def test_delta_orthogonal_s_tap_stands_where_jax_s_does(column_axis: int, shape: tuple[int, ...]) -> None:
    centres = []
    for module in (gpuinit.jax, JAX):
        kernel = np.asarray(module.delta_orthogonal(2.0, column_axis)(KEY, shape), np.float64)
        taps = np.argwhere(np.abs(kernel).sum((-1, -2)))
        assert len(taps) == 1
        matrix = kernel[tuple(taps[0])]
        assert np.abs(matrix @ matrix.T - 4 * np.eye(shape[-2])).max() < 1e-5
        centres.append(taps[0].tolist())
    assert centres[0] == centres[1]


def called(factory: Any, shape: tuple[int, ...]) -> Any:
    return lambda module: factory(module)(KEY, shape)


@pytest.mark.parametrize(
    ("case", "ours", "match"),
    [
        (
            called(lambda j: j.variance_scaling(1.0, "fan_max", "normal"), (3, 4)),
            ValueError,
            "mode='fan_max': it must be 'fan_in'",
        ),
        (called(lambda j: j.variance_scaling(1.0, "fan_in", "cauchy"), (3, 4)), ValueError, "distribution='cauchy': it must be"),
        (called(lambda j: j.he_normal(), (3,)), ValueError, r"shape=\(3,\) has 1 axes: in_axis=-2 needs at least 2"),
        (called(lambda j: j.he_normal(), ()), ValueError, r"shape=\(\) has 0 axes"),
        (called(lambda j: j.he_normal(in_axis=2), (3, 4)), IndexError, "in_axis=2: a shape of 2 axes has no axis 2"),
        (called(lambda j: j.he_normal(in_axis=(0, -3)), (3, 4)), IndexError, "has no axis -3"),
        (called(lambda j: j.he_normal(out_axis=-3), (3, 4)), IndexError, "out_axis=-3: a shape of 2 axes has no axis -3"),
        (called(lambda j: j.he_normal(batch_axis=7), (3, 4)), IndexError, "batch_axis=7"),
        (called(lambda j: j.orthogonal(), (3,)), ValueError, "Orthogonal needs at least 2"),
        (called(lambda j: j.orthogonal(column_axis=2), (3, 4)), IndexError, "column_axis=2"),
        (called(lambda j: j.delta_orthogonal(), (3, 4)), ValueError, "delta_orthogonal needs 3, 4 or 5"),
        (called(lambda j: j.delta_orthogonal(), (1, 1, 1, 1, 3, 4)), ValueError, "delta_orthogonal needs 3, 4 or 5"),
        (called(lambda j: j.delta_orthogonal(), (3, 5, 4)), ValueError, "5 input channels and 4 output channels"),
        (called(lambda j: j.delta_orthogonal(column_axis=2), (3, 4, 5)), IndexError, "column_axis=2"),
    ],
)
def test_jax_s_errors_are_errors_here(case: Any, ours: type[Exception], match: str) -> None:
    with pytest.raises(ours):
        case(JAX)
    with pytest.raises(ours, match=match):
        case(gpuinit.jax)


@pytest.mark.parametrize(
    ("case", "error", "match"),
    [
        (lambda: gpuinit.jax.variance_scaling(-1.0, "fan_in", "normal"), ValueError, "scale=-1.0: it must be >= 0"),
        (lambda: gpuinit.jax.uniform(-1.0), ValueError, "scale=-1.0: it must be >= 0"),
        (lambda: gpuinit.jax.normal(math.nan), ValueError, "stddev=nan"),
        (lambda: gpuinit.jax.truncated_normal(1.0, lower=2.0, upper=1.0), ValueError, "lower=2.0, upper=1.0"),
        (lambda: gpuinit.jax.orthogonal("x"), TypeError, "gain='x'"),
        (lambda: gpuinit.jax.orthogonal(column_axis=1.5), TypeError, "column_axis=1.5 is not an integer"),
        (lambda: gpuinit.jax.he_normal(in_axis=1.5), TypeError, "in_axis=1.5 is not an integer"),
        (lambda: gpuinit.jax.he_normal(batch_axis="0"), TypeError, "batch_axis='0' is a str"),
    ],
)
def test_bad_arguments_are_named_before_anything_is_made(case: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        case()


def test_nothing_is_zeros() -> None:
    for init in (
        gpuinit.jax.variance_scaling(0.0, "fan_in", "truncated_normal"),
        gpuinit.jax.normal(0.0),
        gpuinit.jax.uniform(0),
    ):
        assert not np.asarray(init(KEY, (3, 4))).any()


def test_a_complex_truncated_normal_has_the_variance_that_jax_s_lacks() -> None:
    """JAX's is 1.8 % too large, 7 standard errors at this size; ours is within 5."""
    shape, n = (400, 400), 160_000
    ours = np.asarray(gpuinit.jax.lecun_normal()(KEY, shape, "complex64"))
    theirs = np.asarray(JAX.lecun_normal()(KEY, shape, "complex64"))
    assert abs(np.mean(np.abs(ours) ** 2) * 400 - 1) < 5 / math.sqrt(n)
    assert abs(np.mean(np.abs(theirs) ** 2) * 400 - 1) > 5 / math.sqrt(n), "JAX has mended it: docs/jax.md says that it has not"


def test_float8_variance_scaling_has_values_where_jax_has_nan() -> None:
    shape = (64, 64)
    ours = np.asarray(gpuinit.jax.he_normal()(KEY, shape, "float8_e4m3fn"))
    assert ours.tobytes() == gpuinit.HeNormal(seed=5)(shape, "float8_e4m3fn").tobytes()
    assert np.isfinite(ours.astype(np.float32)).all() and len(np.unique(ours.view(np.uint8))) > 64
    theirs = np.asarray(JAX.he_normal()(KEY, shape, "float8_e4m3fn")).astype(np.float32)
    assert np.isnan(theirs).all(), "JAX has mended it: docs/jax.md says that it has not"


def test_bfloat16_variance_scaling_has_more_than_128_values() -> None:
    for name in ("he_normal", "he_uniform"):
        ours, theirs = (
            np.unique(np.asarray(getattr(module, name)()(KEY, (400, 400), "bfloat16")).view(np.uint16))
            for module in (gpuinit.jax, JAX)
        )
        assert len(ours) > 2000
        assert len(theirs) == 128, "JAX has mended it: docs/jax.md says that it has not"


@pytest.mark.parametrize("name", ["uniform", "truncated_normal"])
def test_complex_numbers_that_jax_refuses_have_independent_parts(name: str) -> None:
    with pytest.raises(ValueError, match="must be a float dtype"):
        getattr(JAX, name)()(KEY, (3, 4), "complex64")
    made = np.asarray(getattr(gpuinit.jax, name)(1.0)(KEY, (300, 400), "complex64"))
    assert abs(np.corrcoef(made.real.reshape(-1), made.imag.reshape(-1))[0, 1]) < 5 / math.sqrt(made.size)
    assert abs(made.real).max() < (1 if name == "uniform" else math.sqrt(2) + 1e-6) and made.imag.std() > 0.25


def test_jax_has_no_zero_sized_dimensions() -> None:
    with pytest.raises(ZeroDivisionError):
        JAX.he_normal()(KEY, (0, 3))


def test_a_representation_shows_the_law() -> None:
    assert (
        repr(gpuinit.jax.normal(0.5, "bfloat16"))
        == "KeyedInitializer(RandomNormal(seed=None, mean=0.0, stddev=0.5), dtype='bfloat16')"
    )
    assert "scale=2.0, mode='fan_in'" in repr(gpuinit.jax.he_normal())
