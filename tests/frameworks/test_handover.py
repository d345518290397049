"""Arrays and tensors between gpuinit and each framework by DLPack: the same memory, in every dtype that the framework takes."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

import gpuinit
from gpuinit import dtypes
from gpuinit.interop import Export

torch = pytest.importorskip("torch")
jax = pytest.importorskip("jax")
tensorflow = pytest.importorskip("tensorflow")

pytestmark = pytest.mark.frameworks

INIT = gpuinit.RandomNormal(0.0, 0.05, seed=11)
SHAPE = (24, 40)
EXTENDED = ("bfloat16", "float8_e4m3fn", "float8_e5m2")
KINDS = tuple(name for name in (*dtypes.RANDOM, "int8", "int64", "uint8", "bool"))


@pytest.fixture(autouse=True)
def double_precision() -> Any:
    with jax.enable_x64(True):
        yield


def made(dtype: str) -> np.ndarray[Any, Any]:
    init = INIT if dtype in dtypes.RANDOM else gpuinit.Identity()
    return init(SHAPE, dtype)


def torch_bytes(tensor: Any) -> bytes:
    found: bytes = tensor.contiguous().view(torch.uint8).numpy().tobytes()
    return found


@pytest.mark.parametrize("dtype", KINDS)
def test_torch_takes_every_dtype_without_a_copy(dtype: str) -> None:
    array = made(dtype)
    tensor = torch.from_dlpack(Export(array))
    assert tensor.data_ptr() == array.ctypes.data
    assert str(tensor.dtype) == f"torch.{dtype}" and tuple(tensor.shape) == SHAPE
    assert torch_bytes(tensor) == array.tobytes()


@pytest.mark.parametrize("dtype", KINDS)
def test_jax_takes_every_dtype_without_a_copy(dtype: str) -> None:
    array = made(dtype)
    taken = jax.dlpack.from_dlpack(Export(array))
    assert taken.unsafe_buffer_pointer() == array.ctypes.data
    assert taken.dtype.name == dtype and np.asarray(taken).tobytes() == array.tobytes()


@pytest.mark.parametrize("dtype", [name for name in KINDS if name not in EXTENDED[1:]])
def test_tensorflow_takes_all_but_float8_without_a_copy(dtype: str) -> None:
    array = made(dtype)
    tensor = tensorflow.experimental.dlpack.from_dlpack(Export(array).__dlpack__())
    assert tensor.dtype.name == dtype and tensor.numpy().tobytes() == array.tobytes()
    array.view(np.uint8)[0, 0] ^= 1
    assert tensor.numpy().tobytes() == array.tobytes(), "the tensor has memory of its own"


@pytest.mark.parametrize("dtype", EXTENDED[1:])
def test_tensorflow_knows_no_float8_capsule(dtype: str) -> None:
    """If this fails, TensorFlow has learnt it: docs/frameworks.md says that it has not."""
    with pytest.raises(tensorflow.errors.InvalidArgumentError, match="Unsupported Type"):
        tensorflow.experimental.dlpack.from_dlpack(Export(made(dtype)).__dlpack__())


@pytest.mark.parametrize("dtype", [name for name in KINDS if name not in EXTENDED])
def test_plain_results_need_no_help(dtype: str) -> None:
    array = made(dtype)
    assert torch.from_dlpack(array).data_ptr() == array.ctypes.data
    assert jax.dlpack.from_dlpack(array).unsafe_buffer_pointer() == array.ctypes.data


@pytest.mark.parametrize("dtype", EXTENDED)
def test_numpy_exports_no_extended_dtype_by_itself(dtype: str) -> None:
    """What Export is there for; if this fails, NumPy has learnt it."""
    with pytest.raises(BufferError):
        made(dtype).__dlpack__()


def test_large_results_keep_their_memory_when_the_array_is_gone() -> None:
    taken = [
        torch.from_dlpack(Export(INIT((500, 700), "bfloat16"))),
        jax.dlpack.from_dlpack(Export(INIT((500, 700), "bfloat16"))),
    ]
    gc.collect()
    noise = [np.full(350_000, 0xCACA, np.uint16) for _ in range(8)]
    expected = INIT((500, 700), "bfloat16").tobytes()
    assert torch_bytes(taken[0]) == expected and np.asarray(taken[1]).tobytes() == expected and len(noise) == 8


@pytest.mark.parametrize("dtype", KINDS)
def test_torch_tensors_are_filled_by_protocol(dtype: str) -> None:
    array = made(dtype)
    held = torch.ones((SHAPE[1] + 2, 2 * SHAPE[0]), dtype=torch.uint8).to(getattr(torch, dtype))
    before = torch_bytes(held)
    view = held[1:-1, ::2].t()
    init = INIT if dtype in dtypes.RANDOM else gpuinit.Identity()
    assert init.fill(view) is view
    assert torch_bytes(view) == array.tobytes()
    view.copy_(torch.ones((), dtype=torch.uint8).to(view.dtype))
    assert torch_bytes(held) == before, "what lies between was written"


def test_a_torch_leaf_that_wants_gradients_is_refused_with_what_to_do() -> None:
    leaf = torch.zeros(SHAPE, requires_grad=True)
    with pytest.raises(
        ValueError, match=r"out requires a gradient: .*no_grad\(\), or out\.detach\(\), or use gpuinit\.torch\.init_"
    ):
        INIT.fill(leaf)
    assert not leaf.detach().any()
    for tensor in (leaf, torch.nn.Parameter(torch.zeros(SHAPE, dtype=torch.bfloat16))):
        with torch.no_grad():
            assert INIT.fill(tensor) is tensor
        assert tensor.requires_grad and torch_bytes(tensor.detach()) == INIT(SHAPE, str(tensor.dtype)).tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64", "complex64"])
def test_tensorflow_tensors_are_filled_by_protocol(dtype: str) -> None:
    tensor = tensorflow.zeros(SHAPE, dtype)
    assert INIT.fill(tensor) is tensor
    assert tensor.numpy().tobytes() == INIT(SHAPE, dtype).tobytes()


def test_a_tensorflow_variable_says_that_it_hands_nothing_over() -> None:
    variable = tensorflow.Variable(tensorflow.zeros(SHAPE))
    with pytest.raises(TypeError, match="out is a ResourceVariable: it must be"):
        INIT.fill(variable)
    variable.assign(tensorflow.experimental.dlpack.from_dlpack(Export(INIT(SHAPE)).__dlpack__()))
    assert variable.numpy().tobytes() == INIT(SHAPE).tobytes()


def test_a_tensorflow_tensor_of_strings_is_refused() -> None:
    """TensorFlow itself ends the process when it is asked for the capsule."""
    with pytest.raises(ValueError, match="out: dtype=tf.string is not known"):
        gpuinit.Zeros().fill(tensorflow.constant(["a", "b"]))


def test_what_no_consumer_takes_is_not_exported() -> None:
    """PyTorch 2.13 ends the process over a negative stride."""
    with pytest.raises(ValueError, match=r"negative ones: export array\.copy\(\)"):
        Export(INIT(SHAPE)[::-1])
    array = INIT(SHAPE, "bfloat16")[::-1].copy()
    assert torch_bytes(torch.from_dlpack(Export(array))) == array.tobytes()
    for wrong in ([1.0], None, np.float32(1)):
        with pytest.raises(TypeError, match="it must be NumPy's or CuPy's"):
            Export(wrong)


def test_jax_arrays_are_refused_with_what_to_call() -> None:
    array = jax.numpy.zeros(SHAPE)
    with pytest.raises(TypeError, match=r"out is a JAX array, which is immutable: make a new one by .*gpuinit\.jax"):
        INIT.fill(array)
    assert not np.asarray(array).any()


def test_tables_go_into_tensors_too() -> None:
    table = gpuinit.Table((10**9, 16), "random_normal", seed=3)
    rows = torch.empty((3, 16))
    table.rows_into(rows, np.array([5, 10**8, 5]))
    assert torch_bytes(rows) == table[[5, 10**8, 5]].tobytes()
    table.rows_into(rows, torch.tensor([7, 8, 9]))
    assert torch_bytes(rows) == table[7:10].tobytes()
