"""Which tensors can be filled where they lie, their memory as the core takes it, and its arrays as tensors."""

from __future__ import annotations

from typing import Any

import torch

from gpuinit import dtypes
from gpuinit.interop import Export, lent

__all__ = ["as_tensor", "check", "memory", "written"]


def check(tensor: Any, name: str = "tensor") -> None:
    """Refuse what cannot be filled in place, in words that say what to do; a DTensor's local shard is looked at by itself.

    Raises:
        TypeError: not a tensor; sparse, quantized, a wrapper without memory of its own, or on a device that is none of CPU, CUDA.
        ValueError: a meta tensor, or one whose elements are seen through a conjugation or negation that its memory does not have.
    """
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(f"{name} is a {type(tensor).__name__}: it must be a torch.Tensor")
    if tensor.is_meta:
        raise ValueError(
            f"{name} of shape {tuple(tensor.shape)} is on the meta device and has no memory: materialize it first, "
            "module.to_empty(device=...)"
        )
    if tensor.layout != torch.strided or tensor.is_quantized:
        kind = "quantized" if tensor.is_quantized else str(tensor.layout)
        raise TypeError(f"{name} is {kind}: it must be a dense (torch.strided) tensor")
    if tensor.is_conj() or tensor.is_neg():
        raise ValueError(f"{name} is a lazy conjugate or negative: fill the tensor that it is a view of")
    if tensor.device.type not in ("cpu", "cuda"):
        raise TypeError(f"{name} lies on {tensor.device}: it must lie on the CPU or on a CUDA device")


def memory(tensor: torch.Tensor) -> Any:
    """A checked tensor's memory as `Initializer.fill` and `Table.into` take it: no copy, any strides, every dtype.

    On a GPU the fill is ordered with PyTorch's current stream there, and the host does not wait.

    Raises:
        ValueError: its dtype is not one of gpuinit's.
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
        ValueError: the dtype is none of gpuinit's.
    """
    made: torch.Tensor = torch.from_dlpack(Export(array))
    return made
