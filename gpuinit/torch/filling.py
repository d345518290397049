"""A tensor filled in place: whole, or as much of it as a DTensor's local shard holds, each element by its global index."""

from __future__ import annotations

import torch

from gpuinit import Key, Shard, Table, dtypes
from gpuinit.initializers import Initializer
from gpuinit.torch.layout import laid_out
from gpuinit.torch.placement import blocks, is_dtensor
from gpuinit.torch.tensors import as_tensor, check, memory, written

__all__ = ["fill"]


def fill(tensor: torch.Tensor, initializer: Initializer, key: Key | None = None) -> torch.Tensor:
    """Write the initializer's values into a tensor, in PyTorch's layout (gpuinit/torch/layout.py), and return that.

    Args:
        tensor: of any strides; autograd sees one change in place. A DTensor: its local shard alone is written, with the elements
            that it holds of the whole; no other rank takes part, and fans are the whole tensor's.
        key: what is drawn from; None means the initializer's own.

    Raises:
        TypeError, ValueError: the tensor cannot be filled, or the initializer cannot make it; then nothing has been written.
    """
    check(tensor)
    local, places = tensor, [(tuple(slice(0, length) for length in tensor.shape),) * 2]
    if is_dtensor(tensor):
        places = list(blocks(tensor))
        local = tensor._local_tensor  # to_local() would be recorded by autograd
        check(local)
    with torch.no_grad():
        _fill(local.detach(), tuple(tensor.shape), places, initializer, key)
        written(tensor)
    return tensor


def _fill(local: torch.Tensor, shape: tuple[int, ...], places: list, initializer: Initializer, key: Key | None) -> None:  # type: ignore[type-arg]
    given, drawn = laid_out(initializer, shape)
    table = Table(drawn, given, dtypes.canonical(local.dtype), seed=key)
    if table.shape != drawn:
        raise ValueError(f"tensor has shape {shape}, and {type(initializer).__name__} makes {table.shape} for it")
    if drawn == shape and table.divisible:
        for block, place in places:
            Shard(table, block).into(memory(local[place]))
    elif len(places) == 1 and local.shape == shape and local.is_contiguous():
        table.into(memory(local.view(drawn)))
    elif local.numel():
        device = "cpu" if local.device.type == "cpu" else f"cuda:{local.get_device()}"
        whole = as_tensor(table.make(device)).view(shape)
        for block, place in places:
            local[place].copy_(whole[block])
