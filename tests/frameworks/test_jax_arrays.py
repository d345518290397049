"""gpuinit.jax outside jit: gpuinit's bits in memory that JAX aliases, keeps and never writes into, where JAX would put it."""

from __future__ import annotations

import gc
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import poisoned, same_bits

import gpuinit
from gpuinit import dtypes
from gpuinit.backends import cpu

jax = pytest.importorskip("jax")
import gpuinit.jax  # noqa: E402
from gpuinit.jax import placement  # noqa: E402

pytestmark = [pytest.mark.frameworks, pytest.mark.usefixtures("poisoned_memory")]

KEY = jax.random.key(5)
SHAPE = (24, 40)
TYPES = (*dtypes.RANDOM, "int8", "uint16", "int64", "bool")


@pytest.fixture
def x64() -> Any:
    with jax.enable_x64(True):
        yield


@pytest.fixture
def allocated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The addresses of the arrays that the CPU backend allocates."""
    addresses: list[int] = []
    empty = cpu.CPU.empty

    def noted(self: Any, shape: tuple[int, ...], dtype: Any) -> Any:
        out = empty(self, shape, dtype)
        addresses.append(out.ctypes.data)
        return out

    monkeypatch.setattr(cpu.CPU, "empty", noted)
    return addresses


def pairs(seed: gpuinit.Key) -> list[tuple[Any, gpuinit.Initializer]]:
    """Initializers of gpuinit.jax, each with the one of gpuinit whose bits it must have."""
    g, j = gpuinit, gpuinit.jax
    return [
        (j.normal(0.05), g.RandomNormal(0.0, 0.05, seed=seed)),
        (j.uniform(0.5), g.RandomUniform(0.0, 0.5, seed=seed)),
        (j.truncated_normal(0.1), g.TruncatedNormal(0.0, 0.1, seed=seed)),
        (j.truncated_normal(0.1, lower=-1.0, upper=3.0), g.TruncatedNormal(0.0, 0.1, seed=seed, lower=-1.0, upper=3.0)),
        (j.he_normal(), g.HeNormal(seed=seed)),
        (j.he_uniform(), g.HeUniform(seed=seed)),
        (j.glorot_normal(), g.GlorotNormal(seed=seed)),
        (j.glorot_uniform(), g.GlorotUniform(seed=seed)),
        (j.lecun_normal(), g.LecunNormal(seed=seed)),
        (j.lecun_uniform(), g.LecunUniform(seed=seed)),
        (j.variance_scaling(0.3, "fan_out", "normal"), g.VarianceScaling(0.3, "fan_out", "untruncated_normal", seed)),
        (j.orthogonal(2.0), g.Orthogonal(2.0, seed=seed)),
        (j.constant(0.25), g.Constant(0.25)),
        (j.KeyedInitializer(g.Sparse(0.1)), g.Sparse(0.1, seed=seed)),
    ]


@pytest.mark.parametrize("number", range(14))
@pytest.mark.parametrize("shape", [(24, 40), (3, 3, 8, 16)])
def test_bits_are_gpuinit_s(number: int, shape: tuple[int, ...]) -> None:
    for key in (KEY, jax.random.key(2**32 - 1, impl="rbg"), jax.random.fold_in(KEY, 3)):
        ours, core = pairs(gpuinit.jax.as_key(key))[number]
        if isinstance(core, gpuinit.Sparse) and len(shape) != 2:
            continue
        assert same_bits(np.asarray(ours(key, shape)), core(shape))


def test_delta_orthogonal_s_bits_are_gpuinit_s() -> None:
    made = gpuinit.jax.delta_orthogonal(2.0)(KEY, (3, 4, 5, 7))
    assert same_bits(np.asarray(made), gpuinit.DeltaOrthogonal(2.0, seed=5)((3, 4, 5, 7)))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.usefixtures("x64")
def test_every_dtype_is_aliased(dtype: str, allocated: list[int]) -> None:
    random = dtypes.is_random(dtypes.canonical(dtype))
    made = (gpuinit.jax.normal(0.05) if random else gpuinit.jax.ones)(KEY, SHAPE, dtype)
    assert made.unsafe_buffer_pointer() == allocated[-1], "JAX copied it"
    expected = (gpuinit.RandomNormal(0.0, 0.05, seed=5) if random else gpuinit.Ones())(SHAPE, dtype)
    assert made.dtype == expected.dtype and np.asarray(made).tobytes() == expected.tobytes()


@pytest.mark.parametrize("shape", [(), (1,), (7,), (0,), (3, 0, 2), (1, 1)])
def test_odd_shapes(shape: tuple[int, ...]) -> None:
    made = gpuinit.jax.normal(0.05)(KEY, shape)
    assert same_bits(np.asarray(made), gpuinit.RandomNormal(0.0, 0.05, seed=5)(shape))


@pytest.mark.parametrize("name", ["he_normal", "glorot_uniform", "lecun_normal", "orthogonal", "normal"])
def test_zero_sized_dimensions_are_fine(name: str) -> None:
    """jax.nn.initializers.he_normal()(key, (0, 3)) raises ZeroDivisionError."""
    for shape in ((0, 3), (3, 0), (0, 0)):
        assert getattr(gpuinit.jax, name)()(KEY, shape).shape == shape


def test_default_dtypes() -> None:
    init = gpuinit.jax.normal(0.05)
    assert init(KEY, (3,)).dtype == np.float32 == init(KEY, (3,), float).dtype
    assert gpuinit.jax.normal(0.05, dtype="bfloat16")(KEY, (3,)).dtype == "bfloat16"
    assert gpuinit.jax.normal(0.05, dtype="bfloat16")(KEY, (3,), "float16").dtype == np.float16
    with jax.enable_x64(True):
        assert init(KEY, (3,)).dtype == np.float64 == init(KEY, (3,), float).dtype
        assert init(KEY, (3,), complex).dtype == np.complex128


@pytest.mark.parametrize(("wide", "narrow"), [("float64", "float32"), ("complex128", "complex64")])
def test_wide_types_are_narrow_where_x64_is_off_and_it_is_said(wide: str, narrow: str) -> None:
    """The bits are the narrow type's own, not the wide ones rounded."""
    with pytest.warns(UserWarning, match=f"dtype={wide}: JAX's 64-bit types are off, {narrow} is made") as caught:
        made = gpuinit.jax.normal(0.05)(KEY, SHAPE, wide)
    assert caught[0].filename == __file__
    assert same_bits(np.asarray(made), gpuinit.RandomNormal(0.0, 0.05, seed=5)(SHAPE, narrow))


def test_results_are_uncommitted_as_jax_s_are() -> None:
    """A committed array could not be added to one that lies on another device."""
    for init in (gpuinit.jax.normal(), gpuinit.jax.zeros):
        assert not init(KEY, SHAPE).committed
    device = jax.devices()[0]
    there = gpuinit.jax.normal()(jax.device_put(KEY, device), SHAPE)
    assert there.committed and there.devices() == {device}


def test_the_memory_lives_as_long_as_the_array() -> None:
    made = [gpuinit.jax.normal(0.05)(KEY, (500, 700), dtype) for dtype in ("float32", "bfloat16")]
    part = made[0][100:200]
    gc.collect()
    noise = [np.full((500, 700), 7, np.float32) for _ in range(10)]
    expected = gpuinit.RandomNormal(0.0, 0.05, seed=5)
    assert same_bits(np.asarray(made[0]), expected((500, 700))) and len(noise) == 10
    assert same_bits(np.asarray(made[1]), expected((500, 700), "bfloat16"))
    assert same_bits(np.asarray(part), expected((500, 700))[100:200])


def test_donation_writes_into_no_aliased_memory() -> None:
    """XLA reuses a donated buffer for its result only if the buffer is its own."""
    array = gpuinit.Zeros()((1 << 16,))
    taken = gpuinit.jax.from_array(array)
    assert taken.unsafe_buffer_pointer() == array.ctypes.data
    moved = jax.jit(lambda x: x + 1, donate_argnums=0)(taken)
    assert (np.asarray(moved) == 1).all() and not array.any()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.usefixtures("x64")
def test_arrays_are_taken_in_every_dtype_and_given_away(dtype: str) -> None:
    array = gpuinit.Identity()(SHAPE, dtype)
    taken = gpuinit.jax.from_array(array)
    assert taken.unsafe_buffer_pointer() == array.ctypes.data and taken.dtype == array.dtype
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 1
    assert np.asarray(taken).tobytes() == gpuinit.Identity()(SHAPE, dtype).tobytes()


def test_what_jax_cannot_alias_is_copied() -> None:
    whole = gpuinit.RandomNormal(seed=5)((30, 41))
    for part in (whole[1:], whole[:, ::2], whole.T):
        taken = gpuinit.jax.from_array(part)
        assert taken.unsafe_buffer_pointer() != part.ctypes.data
        assert (np.asarray(taken) == part).all()


def test_bad_arrays_are_named() -> None:
    with pytest.raises(TypeError, match="array is a list: it must be NumPy's or CuPy's"):
        gpuinit.jax.from_array([1.0])
    with pytest.raises(TypeError, match="array is a ArrayImpl: it must be NumPy's or CuPy's"):
        gpuinit.jax.from_array(jax.numpy.ones(3))
    with pytest.raises(ValueError, match="dtype=dtype.*is not known"):
        gpuinit.jax.from_array(np.array(["a"]))


def test_a_jax_array_is_not_written_into() -> None:
    held = jax.numpy.ones(SHAPE)
    with pytest.raises(
        TypeError, match=r"out is a JAX array, which is immutable: make a new one by an initializer of gpuinit\.jax"
    ):
        gpuinit.RandomNormal(seed=5).fill(held)
    with pytest.raises(TypeError, match="out is a JAX array, which is immutable"):
        gpuinit.Table(SHAPE, "he_normal", seed=5).into(held)
    with pytest.raises(ValueError, match="out is read-only"):
        gpuinit.RandomNormal(seed=5).fill(np.asarray(held))
    assert (np.asarray(held) == 1).all()


@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool"])
def test_integers_are_refused(dtype: str) -> None:
    for init in (gpuinit.jax.normal(), gpuinit.jax.he_uniform(), gpuinit.jax.orthogonal()):
        with pytest.raises(ValueError, match=f"dtype={dtype}: .* draws random numbers and makes float16"):
            init(KEY, SHAPE, dtype)


@pytest.mark.parametrize(
    ("shape", "error", "match"),
    [
        ((3, -1), ValueError, r"shape=\(3, -1\): dimensions must be >= 0"),
        ((3, 2.5), TypeError, r"shape: dimension 1=2\.5 is not an integer"),
        ("ab", TypeError, "shape='ab' is not a shape"),
        ((2**40, 2**40), ValueError, "the most is 2\\^63"),
    ],
)
def test_bad_shapes_are_named(shape: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        gpuinit.jax.normal()(KEY, shape)


def test_only_initializers_are_wrapped() -> None:
    assert isinstance(gpuinit.jax.KeyedInitializer("he_normal").initializer, gpuinit.HeNormal)
    with pytest.raises(TypeError, match="must be a gpuinit initializer's instance, class, name or config"):
        gpuinit.jax.KeyedInitializer(lambda shape, dtype: np.ones(shape, dtype))
    with pytest.raises(TypeError, match="is a dict: it must be a jax.sharding.Sharding or a PartitionSpec"):
        gpuinit.jax.normal()(KEY, SHAPE, out_sharding={})


def test_a_gpu_s_arrays_are_made_on_that_gpu_if_gpuinit_can_use_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """No GPU is needed to see which device is asked for, and that the host serves where CUDA does not."""
    asked: list[str] = []

    class Noted:
        def make(self, key: Any, block: Any, device: str) -> np.ndarray[Any, Any]:
            asked.append(device)
            if device == "cuda:3":
                raise gpuinit.DeviceError("there is none")
            return poisoned((2,), np.float32)

    monkeypatch.setattr(gpuinit, "default_device", lambda: "cuda:0")
    for platform, number in (("gpu", 1), ("cpu", 2), ("tpu", 0), ("gpu", 3)):
        placement.make_on(Noted(), None, None, SimpleNamespace(platform=platform, local_hardware_id=number))  # type: ignore[arg-type]
    assert asked == ["cuda:1", "cpu", "cpu", "cuda:3", "cpu"]
    monkeypatch.setattr(gpuinit, "default_device", lambda: "cpu")  # as GPUINIT_DEVICE=cpu asks
    placement.make_on(Noted(), None, None, SimpleNamespace(platform="gpu", local_hardware_id=1))  # type: ignore[arg-type]
    assert asked[5:] == ["cpu"]
