"""Which tensors can be filled, by `init.fill` and by gpuinit.torch, and arrays as tensors: no copy, nothing beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch_memory import INTEGERS, RANDOM, bits, poison, poisoned, untouched  # noqa: E402

import gpuinit  # noqa: E402
from gpuinit.torch import as_tensor, init_  # noqa: E402

pytestmark = pytest.mark.frameworks

INIT = gpuinit.RandomNormal(0.0, 0.05, seed=7)
SHAPE = (5, 7, 3)


def made(dtype: str, shape: tuple[int, ...] = SHAPE) -> tuple[gpuinit.Initializer, np.ndarray[Any, Any]]:
    """An initializer that makes the dtype, and what it makes."""
    init = INIT if dtype in RANDOM else gpuinit.Constant(np.arange(shape[-1]) % 2)
    return init, init(shape, dtype)


@pytest.mark.parametrize("dtype", [*RANDOM, *INTEGERS])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_the_core_fills_tensors_where_they_lie(dtype: str, order: tuple[int, ...]) -> None:
    """Rejects: a copy filled instead of the tensor, elements in memory's order, writes between them."""
    init, array = made(dtype)
    tensor, memory = poisoned(SHAPE, dtype, order=order, steps=(1, 2, 1), offset=3)
    assert init.fill(tensor) is tensor
    assert bits(tensor) == array.tobytes()
    poison(tensor)
    assert untouched(memory)


def test_the_core_fills_parts_and_tables_into_tensors() -> None:
    tensor, _ = poisoned((2, 7))
    INIT.fill(tensor, shape=(10, 7), block=(slice(4, 6),))
    assert bits(tensor) == INIT((10, 7))[4:6].tobytes()
    gpuinit.Table((10, 7), INIT).rows_into(tensor, torch.tensor([9, 0]))
    assert bits(tensor) == INIT((10, 7))[[9, 0]].tobytes()


def test_the_core_names_the_way_out_for_a_leaf() -> None:
    leaf = torch.nn.Parameter(torch.ones(3, 4))
    for leaf_or_view in (leaf, leaf[1:]):
        with pytest.raises(ValueError, match=r"out requires a gradient: .*out\.detach\(\), or use gpuinit\.torch\.init_"):
            INIT.fill(leaf_or_view)
    assert (leaf == 1).all()
    INIT.fill(leaf.detach())
    assert bits(leaf) == INIT((3, 4)).tobytes()


def test_the_core_refuses_what_has_no_memory() -> None:
    for meta in (torch.empty(3, device="meta"), torch.nn.Linear(3, 4, device="meta").weight):
        with pytest.raises(ValueError, match="out is on the meta device and has no memory: materialize it first"):
            INIT.fill(meta)
    with pytest.raises(ValueError, match="out has no memory that it hands over"):
        INIT.fill(freed())
    shared = torch.zeros(1, 4).expand(3, 4)
    with pytest.raises(ValueError, match="out overlaps itself"):
        INIT.fill(shared)
    with pytest.raises(ValueError, match="dtype=int32: RandomNormal draws random numbers and makes float16"):
        INIT.fill(torch.zeros(3, dtype=torch.int32))
    assert (shared == 0).all()


def test_the_core_refuses_a_tensor_that_is_read_with_another_sign() -> None:
    """By DLPack its memory would come without the sign, and every value would be the opposite of what it should be."""
    whole = torch.zeros(3, 4, dtype=torch.complex64)
    with pytest.raises(ValueError, match="out is a lazy negative: fill the tensor that it is a view of"):
        INIT.fill(whole.conj().imag)
    with pytest.raises(ValueError, match="out is a Tensor that cannot be handed over by DLPack: .*conjugate"):
        INIT.fill(whole.conj())
    assert (whole == 0).all()
    INIT.fill(whole.imag)
    assert bits(whole.imag.contiguous()) == INIT((3, 4)).tobytes()


def test_what_no_tensor_can_be_is_refused() -> None:
    """Rejects: torch.from_dlpack of negative strides, which ends the process."""
    for array in (INIT((3, 4))[::-1], INIT((3, 4), "bfloat16")[:, ::-1]):
        with pytest.raises(ValueError, match=r"array has negative strides, .*: hand over array\.copy\(\)"):
            as_tensor(array)
        assert bits(as_tensor(array.copy())) == array.tobytes()
    for value in ([1.0, 2.0], None, 3.0, gpuinit.Table((3, 4), INIT)):
        with pytest.raises(TypeError, match=r"array is a \w+: it must be an array of NumPy's or CuPy's"):
            as_tensor(value)


def test_read_only_memory_is_refused() -> None:
    array = INIT((3, 4))
    array.flags.writeable = False
    with pytest.raises(ValueError, match="out is read-only"):
        INIT.fill(array)
    with pytest.raises(ValueError, match=r"array is read-only, and PyTorch's tensors can be written: hand over array\.copy\(\)"):
        as_tensor(array)


@pytest.mark.parametrize("dtype", [*RANDOM, *INTEGERS])
@pytest.mark.parametrize("shape", [SHAPE, (4, 3), (0, 3), (1,)])
def test_arrays_become_tensors_without_a_copy(dtype: str, shape: tuple[int, ...]) -> None:
    _, array = made(dtype, shape)
    tensor = as_tensor(array)
    assert tensor.dtype == getattr(torch, dtype) and tuple(tensor.shape) == shape
    assert bits(tensor) == array.tobytes()
    if array.size:
        assert tensor.data_ptr() == array.ctypes.data
        tensor.view(-1).view(torch.uint8)[0] ^= 1
        assert bits(tensor) == array.tobytes()


def test_a_tensor_keeps_strides_and_memory() -> None:
    array = INIT((6, 8), "bfloat16").T[1:, ::2]
    tensor = as_tensor(array)
    assert tensor.stride() == (1, 16) and tensor.data_ptr() == array.ctypes.data
    values = array.tobytes()
    del array
    noise = [np.full(48, 7, np.uint16) for _ in range(50)]
    assert bits(tensor) == values and len(noise) == 50


def freed() -> Any:
    tensor = torch.zeros(3, 4)
    tensor.untyped_storage().resize_(0)
    return tensor


def fake() -> Any:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        return torch.zeros(3, 4)


def inference() -> Any:
    with torch.inference_mode():
        return torch.zeros(3, 4)


REFUSED: list[tuple[Any, type[Exception], str]] = [
    (lambda: np.zeros((3, 4), np.float32), TypeError, r"tensor is a ndarray: it must be a torch\.Tensor"),
    (
        lambda: torch.zeros(3, 4, device="meta"),
        ValueError,
        r"tensor of shape \(3, 4\) is on the meta device .* materialize it first",
    ),
    (lambda: torch.eye(3).to_sparse(), TypeError, r"tensor is torch\.sparse_coo: it must be a dense"),
    (lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged), TypeError, "tensor is nested"),
    (lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8), TypeError, "tensor is quantized"),
    (lambda: torch.zeros(3, dtype=torch.complex64).conj(), ValueError, "tensor is a lazy conjugate"),
    (lambda: torch.zeros(1, 4).expand(3, 4), ValueError, r"tensor overlaps itself \(shape \(3, 4\), strides \(0, 1\)\)"),
    (lambda: torch.zeros(9).as_strided((3, 4), (2, 1)), ValueError, "tensor overlaps itself"),
    (
        lambda: torch.zeros(3, 4, dtype=torch.int32),
        ValueError,
        "dtype=int32: RandomNormal draws random numbers and makes float16",
    ),
    (lambda: torch.zeros(3, dtype=torch.float8_e4m3fnuz), ValueError, r"dtype=torch\.float8_e4m3fnuz is not known"),
    (lambda: torch.nn.LazyLinear(3).weight, ValueError, "tensor is a lazy parameter, which has no shape yet"),
    (freed, ValueError, r"tensor of shape \(3, 4\) has no memory any more"),
    (fake, TypeError, "tensor is a FakeTensor"),
    (inference, ValueError, "tensor is an inference tensor"),
]


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")  # deprecated, and still there
@pytest.mark.parametrize(("tensor", "error", "message"), REFUSED)
def test_what_cannot_be_filled(tensor: Any, error: type[Exception], message: str) -> None:
    given = tensor()
    with pytest.raises(error, match=message):
        init_(given, INIT)
    if type(given) is torch.Tensor and not given.is_meta and given.layout == torch.strided and given.untyped_storage().nbytes():
        assert not given.is_quantized or (given.dequantize() == 1).all()
        assert given.is_quantized or given.is_nested or not given.resolve_conj().any()


def test_what_is_inside_a_transform_has_no_memory() -> None:
    with pytest.raises(TypeError, match="tensor has no memory that could be filled"):
        torch.vmap(lambda row: init_(row, INIT))(torch.zeros(3, 4))


def test_an_inference_tensor_is_filled_in_inference_mode() -> None:
    with torch.inference_mode():
        tensor = init_(torch.zeros(3, 4), INIT)
    assert tensor.numpy().tobytes() == INIT((3, 4)).tobytes()


def test_shared_and_subclassed_memory_is_filled() -> None:
    class Marked(torch.Tensor):
        pass

    for tensor in (torch.zeros(3, 4).share_memory_(), torch.zeros(3, 4).as_subclass(Marked), torch.nn.Buffer(torch.zeros(3, 4))):
        assert init_(tensor, INIT) is tensor
        assert bits(tensor) == INIT((3, 4)).tobytes()
