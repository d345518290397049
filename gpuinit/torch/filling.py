"""A tensor filled in place: whole, or as much of it as a DTensor's local shard holds, each element by its global index."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from gpuinit import Key, SeedGenerator, Shard, Table, dtypes
from gpuinit.initializers import Initializer
from gpuinit.initializers.base import check_parts
from gpuinit.torch.layout import laid_out
from gpuinit.torch.placement import blocks, is_dtensor
from gpuinit.torch.tensors import as_tensor, check, memory, written

__all__ = ["Fill", "fill", "planned"]

Place = tuple[tuple[slice, ...], tuple[slice, ...]]
"""A block of the whole tensor, and where it lies in the memory that is filled."""


@dataclass(frozen=True, eq=False)
class Fill:
    """A fill that has passed every check; `write` does it.

    Attributes:
        tensor: what is filled, as the caller has it. local: its memory here, unknown to autograd.
        shape: the whole logical tensor's. places, or rows: what `local` has of it.
        initializer, drawn: in PyTorch's layout, and the shape that it is asked for (gpuinit/torch/layout.py).
    """

    tensor: torch.Tensor
    local: torch.Tensor
    shape: tuple[int, ...]
    places: Sequence[Place]
    initializer: Initializer
    drawn: tuple[int, ...]
    rows: Any = None

    def write(self, seed: int | Key | SeedGenerator | None = None) -> torch.Tensor:
        """Write the values, tell autograd of one change in place, and return the tensor.

        Args:
            seed: what is drawn from, once, and only if anything is drawn; None means the initializer's own.
        """
        if self.put(seed):
            written(self.tensor)
        return self.tensor

    def put(self, seed: int | Key | SeedGenerator | None = None) -> bool:
        """Write the values, and leave it to the caller to tell autograd.

        Returns:
            Whether there are any, on whichever rank: of a tensor without elements nothing is drawn.
        """
        if not math.prod(self.shape):
            return False
        table = Table(self.drawn, self.initializer, dtypes.canonical(self.local.dtype), seed=seed)
        as_drawn = self.drawn == self.shape
        if self.rows is not None:
            table.rows_into(memory(self.local), self.rows)
        elif len(self.places) == 1 and self.local.shape == self.shape and (as_drawn or self.local.is_contiguous()):
            table.into(memory(self.local if as_drawn else self.local.view(self.drawn)))
        elif as_drawn and table.divisible:
            for block, place in self.places:
                Shard(table, block).into(memory(self.local[place]))
        elif self.local.numel():
            device = "cpu" if self.local.device.type == "cpu" else f"cuda:{self.local.get_device()}"
            made = as_tensor(table.make(device)).view(self.shape)
            for block, place in self.places:
                self.local[place].copy_(made[block])
        return True

    def clear_row(self, row: int) -> None:
        """Set a row of the whole tensor to zero, if it is here."""
        for block, place in self.places:
            if block[0].start <= row < block[0].stop:
                self.local[place][row - block[0].start].zero_()
        written(self.tensor)


def fill(tensor: torch.Tensor, initializer: Initializer, key: int | Key | SeedGenerator | None = None) -> torch.Tensor:
    """Write the initializer's values into a tensor, in PyTorch's layout (gpuinit/torch/layout.py), and return that.

    Args:
        tensor: of any strides; autograd sees one change in place. A DTensor: its local shard alone is written, with the elements
            that it holds of the whole; no other rank takes part, and fans are the whole tensor's.
        key: what is drawn from, once, and only if anything is drawn; None means the initializer's own.

    Raises:
        TypeError, ValueError: the tensor cannot be filled, or the initializer cannot make it; then nothing has been written, and
            nothing drawn.
    """
    return planned(tensor, initializer).write(key)


def planned(
    tensor: torch.Tensor,
    initializer: Initializer,
    name: str = "tensor",
    *,
    shape: tuple[int, ...] | None = None,
    block: tuple[slice, ...] | None = None,
    rows: Any = None,
) -> Fill:
    """The fill of a tensor, with every check made and nothing written or drawn.

    Args:
        tensor: as in `fill`. name: what errors call it.
        shape: the logical tensor's; None means that `tensor` is all of it. block, or rows: which part of it `tensor` is, a slice
            an axis, or row ids.

    Raises:
        TypeError, ValueError: as `fill`.
    """
    check(tensor, name)
    check_parts(initializer)
    places: list[Place] = []
    if rows is not None:
        local = tensor
    elif block is not None:
        local, places = tensor, [(block, _all(tensor.shape))]
    elif is_dtensor(tensor):
        places = list(blocks(tensor, name))
        local = tensor._local_tensor  # to_local() would be recorded by autograd
        check(local, f"{name}'s local shard")
    else:
        local, places = tensor, [(_all(tensor.shape), _all(tensor.shape))]
    logical = tuple(tensor.shape) if shape is None else shape
    given, drawn = laid_out(initializer, logical)
    given.law(drawn, dtypes.canonical(local.dtype))
    made = given.output_shape(drawn)
    if made != drawn:
        raise ValueError(f"{name} has shape {logical}, and {type(initializer).__name__} makes {made} for it")
    if rows is not None and drawn != logical:
        raise ValueError(f"rows: {type(initializer).__name__} makes {drawn} for {name} of shape {logical}; use block= instead")
    return Fill(tensor, local.data, logical, places, given, drawn, rows)  # .data: no version counter in common


def _all(shape: Any) -> tuple[slice, ...]:
    return tuple(slice(0, length) for length in shape)
