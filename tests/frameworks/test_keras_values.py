"""Initializers in Keras: the core's bits on every backend and in every dtype, where they lie, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import POISON, same_bits

pytest.importorskip("keras")

import keras
from keras_table import BACKEND, FLOATS, INTEGERS, RANDOM, TABLE, Row, address, array, dtype_here, floatx, is_backends, name_of

import gpuinit
import gpuinit.keras as ours
from gpuinit.backends import cpu
from gpuinit.hashing import element_hash

pytestmark = pytest.mark.frameworks


@pytest.fixture(autouse=True)
def poison(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Memory that the core or Keras allocates is full of poison, so that an element nobody writes shows; the core's addresses."""
    addresses: list[int] = []
    allocate, theirs = cpu.CPU.empty, keras.ops.empty

    def empty(self: Any, shape: Any, dtype: Any) -> np.ndarray[Any, Any]:
        out = allocate(self, shape, dtype)
        out.reshape(-1).view(np.uint8)[...] = POISON
        addresses.append(out.ctypes.data)
        return out

    def keras_empty(shape: Any, dtype: Any = None) -> Any:
        out = theirs(shape, dtype=dtype)
        if BACKEND == "torch" and out.numel():
            array(out).reshape(-1).view(np.uint8)[...] = POISON
        return out

    monkeypatch.setattr(cpu.CPU, "empty", empty)
    monkeypatch.setattr(keras.ops, "empty", keras_empty)
    return addresses


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("row", TABLE, ids=name_of)
def test_the_cores_bits_in_every_dtype(row: Row, dtype: str) -> None:
    if row.name == "STFT" and dtype.startswith("complex"):
        row = row._replace(arguments={**row.arguments, "side": "real"})
    made = row.make()(row.shape, dtype)
    assert is_backends(made)
    assert same_bits(array(made), row.expected(dtype_here(dtype)))


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("row", [row for row in TABLE if not row.random and row.name != "STFT"], ids=name_of)
def test_what_draws_nothing_makes_integers_too(row: Row, dtype: str) -> None:
    if dtype == "uint64" and BACKEND == "torch":
        with pytest.raises(ValueError, match="Unsupported dtype for PyTorch: uint64"):
            row.make()(row.shape, dtype)
        return
    assert same_bits(array(row.make()(row.shape, dtype)), row.expected(dtype_here(dtype)))


@pytest.mark.parametrize("row", RANDOM, ids=name_of)
def test_random_integers_are_refused_before_anything_is_drawn(row: Row) -> None:
    generator = keras.random.SeedGenerator(1)
    with pytest.raises(ValueError, match="dtype=int32: .* draws random numbers and makes float16"):
        row.make(seed=generator)(row.shape, "int32")
    assert array(generator.state)[1] == 0


@pytest.mark.parametrize("shape", [(), (0,), (5,), (3, 0, 2), (2, 3, 4, 5), 7, np.int64(7), [4, 2]])
def test_shapes(shape: Any) -> None:
    made = ours.HeNormal(seed=1)(shape)
    assert same_bits(array(made), gpuinit.HeNormal(seed=1)(shape, device="cpu"))


def test_the_default_dtype_is_keras() -> None:
    with floatx("float16"):
        assert array(ours.RandomNormal(seed=1)((3, 3))).dtype == np.float16
        assert array(ours.Zeros()((3, 3))).dtype == np.float16


def test_dtype_objects_of_the_backend() -> None:
    dtype = keras.ops.zeros((1,), "bfloat16").dtype
    assert same_bits(array(ours.RandomNormal(seed=1)((3, 3), dtype)), gpuinit.RandomNormal(seed=1)((3, 3), "bfloat16"))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("name", ["TruncatedNormal", "Ones", "Orthogonal"])
def test_no_copy_is_made(name: str, dtype: str, poison: list[int]) -> None:
    """On PyTorch the tensor that Keras allocated is filled; elsewhere the tensor is the core's array, not a copy elsewhere."""
    made = getattr(ours, name)()((64, 48), dtype)
    if BACKEND == "torch" and name != "Orthogonal":
        assert poison == []
    elif BACKEND != "torch":
        assert address(made) in poison


def test_the_memory_stays_valid() -> None:
    """A tensor outlives the core's array that it aliases; where nobody kept that, later allocations overwrite it."""
    made = ours.RandomNormal(seed=1)((256, 256))
    noise = [np.full((256, 256), i, np.float32) for i in range(50)]
    assert same_bits(array(made), gpuinit.RandomNormal(seed=1)((256, 256), device="cpu")) and len(noise) == 50


def test_which_variables_copy() -> None:
    """PyTorch's and JAX's variables take the memory as it is, TensorFlow's too; Keras on NumPy copies (as docs/keras.md says)."""
    tensors = []

    class Remembers(ours.HeNormal):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            tensors.append(super().__call__(*args, **kwargs))
            return tensors[-1]

    variable = keras.Variable(Remembers(seed=1), shape=(64, 48), dtype="float32")
    value = variable.value
    value = value.read_value() if BACKEND == "tensorflow" else value
    assert (address(value) == address(tensors[0])) is (BACKEND != "numpy")
    assert same_bits(array(variable), gpuinit.HeNormal(seed=1)((64, 48), device="cpu"))


def test_a_variable_is_changed_without_changing_others() -> None:
    """A fill of constants must not hand out shared memory: in-place changes of one variable would reach another."""
    first, second = (keras.Variable(ours.Ones(), shape=(8, 8)) for _ in range(2))
    first.assign_add(keras.ops.ones((8, 8)))
    assert (array(first) == 2).all() and (array(second) == 1).all()


def test_the_bits_are_the_same_on_every_backend() -> None:
    """Hashes written down once: each backend's run of this file compares with the same numbers."""
    kernel = array(ours.GlorotUniform(seed=7)((3, 3, 16, 32), "float32"))
    table = array(ours.TruncatedNormal(0.0, 0.02, seed=2**64 - 1)((100, 17), "bfloat16"))
    assert (element_hash(kernel), element_hash(table)) == HASHES


HASHES = (0x1948984001838741, 0xF0EDE7D4D1CE22A2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ours.Identity()((2, 3, 4)), "Identity makes matrices"),
        (lambda: ours.Orthogonal()((3,)), "Orthogonal needs at least 2"),
        (lambda: ours.STFT()((8, 1, 1)), "has 1 frequency"),
        (lambda: ours.STFT(window=np.ones(5))((8, 1, 3)), "window has length 5"),
        (lambda: ours.STFT(window="none_such"), "none_such"),
        (lambda: ours.STFT(side="left"), "side"),
        (lambda: ours.RandomUniform(1.0, 0.0), "minval=1.0 is greater than maxval=0.0"),
        (lambda: ours.RandomNormal(stddev=-1.0), "stddev=-1.0: it must be >= 0"),
        (lambda: ours.VarianceScaling(scale=0.0), "scale"),
        (lambda: ours.VarianceScaling(mode="fan"), "mode"),
        (lambda: ours.VarianceScaling(distribution="cauchy"), "distribution"),
        (lambda: ours.Zeros()((-1,)), "-1"),
        (lambda: ours.Zeros()((2,), "float7"), "float7"),
    ],
)
def test_bad_arguments(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.skipif(BACKEND == "jax", reason="JAX distributes")
def test_layouts_are_refused_where_nothing_is_distributed() -> None:
    with pytest.raises(ValueError, match="layout='x': Keras distributes variables on JAX alone"):
        ours.Zeros()((2,), layout="x")
