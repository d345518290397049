"""Which tensors can be filled where they lie, their memory as the core takes it, and its arrays as tensors."""

from __future__ import annotations

from typing import Any

import torch

from gpuinit import dtypes
from gpuinit.interop import Export, lent
from gpuinit.torch.placement import is_dtensor

__all__ = ["as_tensor", "check", "memory", "written"]


def check(tensor: Any, name: str = "tensor") -> None:
    """Refuse what cannot be filled in place, in words that say what to do; of a DTensor the local shard is to be checked.

    Raises:
        TypeError: not a tensor; sparse, nested, quantized, a subclass whose values are not simply in its memory (FakeTensor), or
            on a device that is none of CPU, CUDA.
        ValueError: a meta tensor, a lazy parameter without a shape, one whose memory was freed or is shared by several of its
            elements, an inference tensor outside inference mode, one seen through a conjugation or negation that its memory does
            not have, or a dtype that is none of gpuinit's.
    """
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(f"{name} is a {type(tensor).__name__}: it must be a torch.Tensor")
    if torch.nn.parameter.is_lazy(tensor):
        raise ValueError(f"{name} is a lazy parameter, which has no shape yet: run the module on an input first")
    if tensor.is_nested or tensor.layout != torch.strided or tensor.is_quantized:
        kind = "nested" if tensor.is_nested else "quantized" if tensor.is_quantized else str(tensor.layout)
        raise TypeError(f"{name} is {kind}: it must be a dense (torch.strided) tensor")
    if tensor.is_meta:
        raise ValueError(
            f"{name} of shape {tuple(tensor.shape)} is on the meta device and has no memory: materialize it first, "
            "module.to_empty(device=...)"
        )
    dtypes.canonical(tensor.dtype)
    if not is_dtensor(tensor):
        _check_memory(tensor, name)


def _check_memory(tensor: torch.Tensor, name: str) -> None:
    if type(tensor).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__:
        raise TypeError(
            f"{name} is a {type(tensor).__name__}, whose memory does not hold its values as they are: fill the tensor inside it"
        )
    if tensor.is_conj() or tensor.is_neg():
        raise ValueError(f"{name} is a lazy conjugate or negative: fill the tensor that it is a view of")
    if tensor.is_inference() and not torch.is_inference_mode_enabled():
        raise ValueError(f"{name} is an inference tensor: fill it in torch.inference_mode(), or a clone of it")
    if tensor.device.type not in ("cpu", "cuda"):
        raise TypeError(f"{name} lies on {tensor.device}: it must lie on the CPU or on a CUDA device")
    try:
        address = tensor.data_ptr()
    except RuntimeError as error:  # as of a tensor inside torch.func.vmap
        raise TypeError(f"{name} has no memory that could be filled: {error}") from None
    if tensor.numel() and not address:
        raise ValueError(f"{name} of shape {tuple(tensor.shape)} has no memory any more: its storage was freed")
    if _overlaps(tuple(tensor.shape), tensor.stride()):
        raise ValueError(
            f"{name} overlaps itself (shape {tuple(tensor.shape)}, strides {tensor.stride()}): its elements may share memory, as "
            "an expanded tensor's do; fill a clone"
        )


def _overlaps(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether elements may share memory: an axis steps less far than the axes inside it reach."""
    reach = 1
    for stride, length in sorted((stride, length) for stride, length in zip(strides, shape, strict=True) if length != 1):
        if stride < reach and 0 not in shape:
            return True
        reach += stride * (length - 1)
    return False


def memory(tensor: torch.Tensor) -> Any:
    """A checked tensor's memory as `Initializer.fill` and `Table.into` take it: no copy, any strides, every dtype.

    On a GPU the fill is ordered with PyTorch's current stream there, and the host does not wait.
    """
    dtype = dtypes.canonical(tensor.dtype)
    strides = tuple(step * dtype.itemsize for step in tensor.stride())
    if tensor.device.type == "cpu":
        return lent(tensor.data_ptr(), tuple(tensor.shape), strides, dtype, keep=tensor)
    stream = torch.cuda.current_stream(tensor.device).cuda_stream
    return lent(tensor.data_ptr(), tuple(tensor.shape), strides, dtype, gpu=tensor.get_device(), stream=stream, keep=tensor)


def written(tensor: torch.Tensor) -> None:
    """Tell autograd that the tensor was changed in place, as an operation of PyTorch's own would."""
    torch.autograd.graph.increment_version(tensor)


def as_tensor(array: Any) -> torch.Tensor:
    """An array that gpuinit made as a tensor: the same memory, on the same device, in every dtype, bfloat16 and float8 too.

    Args:
        array: NumPy's or CuPy's, as initializers and tables give it.

    Returns:
        A torch.Tensor of the array's shape, strides and dtype, which keeps the memory; a write into one is seen in the other.

    Raises:
        TypeError: it is no array. ValueError: the dtype is none of gpuinit's, or the array is read-only or has negative strides,
            which no tensor can be or have.
    """
    if not hasattr(array, "__dlpack__") or not hasattr(array, "dtype"):
        raise TypeError(f"array is a {type(array).__name__}: it must be an array of NumPy's or CuPy's")
    if min(getattr(array, "strides", ()), default=0) < 0:  # PyTorch would end the process
        raise ValueError(f"array has negative strides, {array.strides}, and PyTorch's tensors have none: hand over array.copy()")
    if not getattr(getattr(array, "flags", None), "writeable", True):  # CuPy's arrays always are
        raise ValueError("array is read-only, and PyTorch's tensors can be written: hand over array.copy()")
    made: torch.Tensor = torch.from_dlpack(Export(array))
    return made
