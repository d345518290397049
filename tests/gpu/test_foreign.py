"""Arrays that other libraries own: PyTorch's, Numba's and JAX's, filled where they lie or refused; and handing CuPy's on."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

import gpuinit
from gpu.rig import Rig, same
from gpuinit import dtypes
from gpuinit.hashing import element_hash

pytestmark = pytest.mark.gpu

INIT = gpuinit.TruncatedNormal(0.0, 1.0, seed=41)
SHAPE = (300, 128)
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # JAX would take three quarters of the memory


def load(name: str) -> Any:
    """A framework, or a skip with the reason."""
    try:
        module = __import__(name)
        if name == "torch" and os.environ.get("GPUINIT_REHEARSE", "0") in ("", "0") and not module.cuda.is_available():
            pytest.skip("this PyTorch has no CUDA")
        return module
    except ImportError as error:
        pytest.skip(f"{name} cannot be imported: {error}")


def torch_bits(tensor: Any) -> bytes:
    """The bytes of a contiguous PyTorch tensor."""
    torch = load("torch")
    found: bytes = tensor.contiguous().cpu().reshape(-1).view(torch.uint8).numpy().tobytes()
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "complex64"])
def test_torch_tensors(dtype: str, gpu: Rig) -> None:
    torch = load("torch")
    tensor = gpu.torch(torch.ones(SHAPE).to(getattr(torch, dtype)))
    out = gpu.foreign(tensor)
    assert INIT.fill(out) is out
    expected = INIT(SHAPE, dtype, device="cpu")
    assert torch_bits(tensor) == expected.tobytes()
    assert element_hash(out) == element_hash(expected)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float8_e4m3fn"])
def test_strided_torch_tensors(dtype: str, gpu: Rig) -> None:
    """Every second column of a transposed tensor: the columns between stay as they were."""
    torch = load("torch")
    held = gpu.torch(torch.ones(256, 300).to(getattr(torch, dtype)))
    view = held.t()[:, ::2]
    INIT.fill(gpu.foreign(view))
    expected = INIT(SHAPE, dtype, device="cpu")
    assert torch_bits(view) == expected.tobytes()
    one = gpuinit.Ones()(SHAPE, dtype, device="cpu")
    assert torch_bits(held.t()[:, 1::2]) == one.tobytes()


@pytest.mark.parametrize("kind", ["int32", "int64"])
def test_torch_ids(kind: str, gpu: Rig) -> None:
    torch = load("torch")
    ids = gpu.torch(torch.tensor([5, 9, 3, 9, 299, 9, 0, 9], dtype=getattr(torch, kind)))
    for given, rows in ((ids, [5, 9, 3, 9, 299, 9, 0, 9]), (ids[::2], [5, 3, 299, 0])):
        made = INIT(SHAPE, device="cuda", rows=gpu.foreign(given))
        assert same(gpu, made, INIT(SHAPE, device="cpu", rows=rows))
    with pytest.raises(IndexError, match=r"rows\[4\]=299"):
        INIT((299, 4), device="cuda", rows=gpu.foreign(ids))


def test_a_torch_tensor_that_wants_gradients_says_so(gpu: Rig) -> None:
    torch = load("torch")
    tensor = gpu.torch(torch.ones(SHAPE)).requires_grad_()
    with pytest.raises(ValueError, match="out cannot be handed over by DLPack"):
        INIT.fill(gpu.foreign(tensor))
    INIT.fill(gpu.foreign(tensor.detach()))
    assert torch_bits(tensor.detach()) == INIT(SHAPE, device="cpu").tobytes()


def test_torchs_stream_sees_the_values_at_once(gpu: Rig) -> None:
    """PyTorch reads on a stream of its own right after the call."""
    gpu.needs_hardware("streams of PyTorch")
    torch = load("torch")
    expected = INIT((2**24,), device="cpu")
    with torch.cuda.stream(torch.cuda.Stream()):
        tensor = torch.empty(2**24, device="cuda")
        INIT.fill(tensor)
        assert torch_bits(tensor) == expected.tobytes()


def test_torch_takes_results_without_a_copy(gpu: Rig) -> None:
    gpu.needs_hardware("PyTorch on the GPU")
    torch = load("torch")
    for dtype in ("float32", "float16", "complex64"):
        made = INIT(SHAPE, dtype, device="cuda")
        tensor = torch.from_dlpack(made)
        assert tensor.data_ptr() == made.data.ptr and tensor.is_cuda
        assert torch_bits(tensor) == INIT(SHAPE, dtype, device="cpu").tobytes()
    for dtype in ("bfloat16", "float8_e4m3fn"):  # through an integer type, which every DLPack knows
        made = INIT(SHAPE, dtype, device="cuda")
        integer = made.view(f"i{made.dtype.itemsize}")
        tensor = torch.from_dlpack(integer).view(getattr(torch, dtype))
        assert tensor.data_ptr() == made.data.ptr
        assert torch_bits(tensor) == INIT(SHAPE, dtype, device="cpu").tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "complex64"])
def test_numba_arrays(dtype: str, gpu: Rig) -> None:
    """By the CUDA array interface, contiguous and strided."""
    expected = INIT(SHAPE, dtype, device="cpu")
    out = gpu.numba(np.ones(SHAPE, dtype))
    assert INIT.fill(out) is out
    assert gpu.from_numba(out).tobytes() == expected.tobytes()
    assert element_hash(out) == element_hash(expected)


def test_strided_numba_arrays(gpu: Rig) -> None:
    gpu.needs_hardware("Numba's slices")
    held = gpu.numba(np.ones((300, 256), np.float32))
    INIT.fill(held[:, ::2])
    values = gpu.from_numba(held)
    assert values[:, ::2].tobytes() == INIT(SHAPE, device="cpu").tobytes()
    assert (values[:, 1::2] == 1).all()


def test_numba_ids(gpu: Rig) -> None:
    ids = np.array([5, 3, 299, 0])
    assert same(gpu, INIT(SHAPE, device="cuda", rows=gpu.numba(ids)), INIT(SHAPE, device="cpu", rows=ids))


def test_jax_arrays_are_immutable(gpu: Rig) -> None:
    gpu.needs_hardware("JAX on the GPU")
    jax = jax_on_the_gpu()
    array = jax.numpy.zeros(SHAPE)
    with pytest.raises(TypeError, match="JAX array, which is immutable"):
        INIT.fill(array)
    assert not np.asarray(array).any()
    for dtype in ("float32", "bfloat16"):
        made = INIT(SHAPE, dtype, device="cuda")
        expected = INIT(SHAPE, dtype, device="cpu")
        given = made if dtype == "float32" else made.view("int16")
        array = jax.dlpack.from_dlpack(given)
        assert array.unsafe_buffer_pointer() == made.data.ptr
        if dtype == "bfloat16":
            array = jax.lax.bitcast_convert_type(array, jax.numpy.bfloat16)
        assert np.asarray(array).astype(dtypes.canonical(dtype)).tobytes() == expected.tobytes()


def test_jax_ids(gpu: Rig) -> None:
    gpu.needs_hardware("JAX on the GPU")
    jax = jax_on_the_gpu()
    ids = jax.numpy.array([5, 3, 299, 0], "int32")
    assert same(gpu, INIT(SHAPE, device="cuda", rows=ids), INIT(SHAPE, device="cpu", rows=[5, 3, 299, 0]))


def jax_on_the_gpu() -> Any:
    jax = load("jax")
    if jax.default_backend() != "gpu":
        pytest.skip(f"JAX uses {jax.default_backend()}")
    return jax
