"""Which elements of the whole tensor a DTensor's local shard holds: blocks of global indices, found without communication."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from typing import Any

import torch

__all__ = ["blocks", "is_dtensor"]

Block = tuple[slice, ...]


def is_dtensor(tensor: torch.Tensor) -> bool:
    """Whether it is a DTensor; the module of DTensor, which takes long to import, is not loaded for the question."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def blocks(tensor: Any, name: str = "tensor") -> Iterator[tuple[Block, Block]]:
    """The blocks of the whole tensor that this rank's shard of a DTensor consists of, each with its place in the local shard.

    A shard is one block for FSDP2, tensor parallelism and any mesh of `Shard` and `Replicate`, uneven ones too; where a mesh axis
    cuts across another's cuts, as _StridedShard can, it may be several.

    Raises:
        ValueError: a placement is neither a shard nor a replica: then nobody holds the tensor's elements.
    """
    runs = [[(0, length)] for length in tensor.shape]
    coordinate = tensor.device_mesh.get_coordinate()
    for mesh_axis, placement in enumerate(tensor.placements):
        if placement.is_replicate():
            continue
        if not hasattr(placement, "dim"):
            raise ValueError(
                f"{name} is a DTensor with placements {tuple(tensor.placements)}: elements of {placement} are sums over ranks, "
                "which nobody holds; redistribute it to Shard or Replicate first"
            )
        if coordinate is not None:
            axis = placement.dim % len(runs)
            pieces = getattr(placement, "split_factor", 1)  # of _StridedShard, FSDP2's placement on top of tensor parallelism
            runs[axis] = _cut(runs[axis], pieces, tensor.device_mesh.size(mesh_axis), coordinate[mesh_axis])
    if coordinate is None:
        return
    for box in itertools.product(*map(list, map(_placed, runs))):
        yield tuple(slice(start, stop) for start, stop, _ in box), tuple(slice(at, at + stop - start) for start, stop, at in box)


def _cut(runs: list[tuple[int, int]], pieces: int, parts: int, number: int) -> list[tuple[int, int]]:
    """What part `number` of `parts` has of the positions in `runs`: its part of each of the pieces, cut as torch.chunk cuts."""
    kept: list[tuple[int, int]] = []
    length = sum(stop - start for start, stop in runs)
    for piece in range(pieces):
        first, last = _chunk(length, pieces, piece)
        start, stop = _chunk(last - first, parts, number)
        kept += _between(runs, first + start, first + stop)
    return kept


def _chunk(length: int, parts: int, number: int) -> tuple[int, int]:
    size = -(-length // parts)
    return min(length, size * number), min(length, size * (number + 1))


def _between(runs: list[tuple[int, int]], start: int, stop: int) -> Iterator[tuple[int, int]]:
    """The runs of what stands at positions start .. stop - 1 when `runs` are put one after the other."""
    at = 0
    for first, last in runs:
        low, high = max(start, at), min(stop, at + last - first)
        if low < high:
            yield first + low - at, first + high - at
        at += last - first


def _placed(runs: list[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """Runs, neighbours joined, each with its position among them."""
    joined: list[list[int]] = []
    for start, stop in runs:
        if joined and joined[-1][1] == start:
            joined[-1][1] = stop
        else:
            joined.append([start, stop])
    at = 0
    for start, stop in joined:
        yield start, stop, at
        at += stop - start
