"""PyTorch tensors in poisoned memory, of any strides, and their bits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from conftest import POISON

RANDOM = ("float16", "bfloat16", "float32", "float64", "float8_e4m3fn", "float8_e5m2", "complex64", "complex128")
INTEGERS = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


def poisoned(
    shape: Sequence[int],
    dtype: Any = torch.float32,
    *,
    order: Sequence[int] | None = None,
    steps: Sequence[int] = (),
    offset: int = 0,
) -> tuple[Any, Any]:
    """A tensor full of poison, and the bytes that it lies in.

    `order`: the axes from the slowest to the fastest in memory. `steps`: every how many elements of each axis there is one.
    `offset`: elements before the first.
    """
    kind = getattr(torch, dtype) if isinstance(dtype, str) else dtype
    order = tuple(range(len(shape))) if order is None else order
    steps = steps or (1,) * len(shape)
    lengths = [shape[axis] * steps[axis] for axis in order]
    memory = torch.full(((offset + math.prod(lengths) + 3) * kind.itemsize,), POISON, dtype=torch.uint8)
    spread = memory.view(kind)[offset : offset + math.prod(lengths)].view(lengths)
    laid = spread.permute([list(order).index(axis) for axis in range(len(shape))])
    return laid[tuple(slice(None, None, step) for step in steps)], memory


def bits(tensor: Any) -> bytes:
    """The elements' bytes in C order."""
    plain = torch.empty(tensor.numel(), dtype=tensor.dtype).copy_(tensor.detach().reshape(-1))
    found: bytes = plain.view(torch.uint8).numpy().tobytes()
    return found


def untouched(memory: Any) -> bool:
    """Whether all of it is poison."""
    return bool((memory == POISON).all())


def poison(tensor: Any) -> None:
    """Fill a tensor's elements, and nothing between them, with poison again."""
    if tensor.dtype == torch.bool:  # a copy would make them 0 or 1
        tensor = tensor.view(torch.uint8)
    whole = torch.full((tensor.numel() * tensor.element_size(),), POISON, dtype=torch.uint8)
    with torch.no_grad():
        tensor.copy_(whole.view(tensor.dtype).view(tensor.shape))
