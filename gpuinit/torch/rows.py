"""A row of a sharded DTensor that is set to one value, as `embedding.weight[padding_idx].fill_(0)` means it.

PyTorch gathers the row of a weight that is sharded by rows into a tensor of its own, and sets that: the weight keeps what it has,
where a plain one has zeros. nn.Embedding.reset_parameters and transformers' `_init_weights` do so.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.weak import WeakIdKeyDictionary

from gpuinit.torch.placement import blocks, is_dtensor

__all__ = ["GATHERED", "SET", "Rows"]

GATHERED = torch.ops.aten.select.int
"""`tensor[index]`."""
SET = frozenset({torch.ops.aten.fill_.Scalar, torch.ops.aten.zero_.default})
"""What sets all of a tensor to one value, the same on every rank."""


class Rows:
    """Which rows were gathered, while somebody holds them."""

    def __init__(self) -> None:
        self._places: Any = WeakIdKeyDictionary()

    def gathered(self, row: Any, tensor: Any, axis: int, index: int) -> None:
        """Remember `row = tensor.select(axis, index)`, if it is the copy of a row of shards."""
        if not is_dtensor(tensor):
            return
        axis %= tensor.dim()
        cut = any(getattr(placement, "dim", None) == axis for placement in tensor.placements)
        if cut and not any(placement.is_partial() for placement in tensor.placements):
            self._places[row] = tensor, axis, index % tensor.shape[axis]

    def set(self, func: Any, row: Any, *value: Any) -> None:
        """Set where it lies what `func` has set in the copy: on the ranks that hold a part of it."""
        if row not in self._places:
            return
        tensor, axis, index = self._places[row]
        for block, place in blocks(tensor):
            if block[axis].start <= index < block[axis].stop:
                func(tensor._local_tensor.data[place].select(axis, index - block[axis].start), *value)
