"""Which elements a DTensor's shard holds: as PyTorch itself splits, on every mesh of up to 8 ranks, without processes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from torch.distributed.tensor import Partial, Replicate, Shard  # noqa: E402
from torch.distributed.tensor.placement_types import _StridedShard  # noqa: E402

from gpuinit.torch.placement import blocks  # noqa: E402

pytestmark = pytest.mark.frameworks

MESHES = [mesh for axes in (1, 2, 3) for mesh in itertools.product(range(1, 9), repeat=axes) if math.prod(mesh) <= 8]


def stand_in(shape: Sequence[int], mesh: Sequence[int], placements: Sequence[Any], coordinate: Sequence[int] | None) -> Any:
    """What `blocks` looks at of a DTensor, on a mesh that nobody made."""
    device_mesh = SimpleNamespace(get_coordinate=lambda: coordinate, size=lambda axis: mesh[axis])
    return SimpleNamespace(shape=tuple(shape), device_mesh=device_mesh, placements=tuple(placements))


def theirs(whole: Any, mesh: Sequence[int], placements: Sequence[Any], coordinate: Sequence[int]) -> Any:
    """A rank's shard as PyTorch splits: one mesh axis after the other."""
    for parts, placement, number in zip(mesh, placements, coordinate, strict=True):
        if not placement.is_replicate():
            pieces, _ = placement._split_tensor(whole, parts, with_padding=False, contiguous=False)
            whole = pieces[number]
    return whole


def ours(whole: Any, mesh: Sequence[int], placements: Sequence[Any], coordinate: Sequence[int], shape: Sequence[int]) -> Any:
    """A rank's shard of that shape put together from its blocks; -1 where none writes, and an error where two do."""
    local = torch.full(tuple(shape), -1, dtype=torch.int64)
    for block, place in blocks(stand_in(whole.shape, mesh, placements, coordinate)):
        assert (local[place] == -1).all()
        local[place] = whole[block]
    return local


@st.composite
def shardings(draw: Any) -> tuple[tuple[int, ...], tuple[int, ...], list[Any]]:
    shape = tuple(draw(st.lists(st.integers(0, 19), min_size=1, max_size=3)))
    mesh = draw(st.sampled_from(MESHES))
    axes = st.integers(0, len(shape) - 1)
    shard, strided = st.builds(Shard, axes), st.builds(_StridedShard, axes, split_factor=st.integers(1, 5))
    return shape, mesh, [draw(st.one_of(shard, strided, st.just(Replicate()))) for _ in mesh]


@settings(max_examples=1500, deadline=None)
@given(shardings())
def test_as_pytorch_splits(sharding: tuple[tuple[int, ...], tuple[int, ...], list[Any]]) -> None:
    """Any order of cuts of any axes, by 1 to 8 ranks, of lengths from 0 to more than the ranks; strided cuts of up to 5 pieces.

    Rejects: splitting evenly (numpy.array_split), cuts applied from the last mesh axis to the first, an axis cut once only.
    """
    shape, mesh, placements = sharding
    whole = torch.arange(math.prod(shape)).view(shape)
    for coordinate in np.ndindex(*mesh):
        shard = theirs(whole, mesh, placements, coordinate)
        assert torch.equal(ours(whole, mesh, placements, coordinate, shard.shape), shard)


@pytest.mark.parametrize("mesh", [mesh for mesh in MESHES if len(mesh) == 2])
@pytest.mark.parametrize("length", [0, 1, 2, 3, 5, 7, 8, 12, 13, 19])
def test_fsdp_on_tensor_parallel(mesh: tuple[int, int], length: int) -> None:
    """FSDP2 cuts each part of tensor parallelism: as its placements say it, strided over the other mesh axis' parts.

    The shards of all ranks are the tensor, each element once. In one block each, so that a fill is one call.
    """
    placements = [_StridedShard(0, split_factor=mesh[1]), Shard(0)]
    whole = torch.arange(length * 3).view(length, 3)
    seen: list[int] = []
    for coordinate in np.ndindex(*mesh):
        part = Shard(0)._split_tensor(whole, mesh[1], with_padding=False)[0][coordinate[1]]
        if length % mesh[1] == 0:  # then both ways to cut agree
            part = Shard(0)._split_tensor(part, mesh[0], with_padding=False)[0][coordinate[0]]
        else:
            part = theirs(whole, mesh, placements, coordinate)
        assert torch.equal(ours(whole, mesh, placements, coordinate, part.shape), part)
        seen += part.flatten().tolist()
        if length % mesh[1] == 0:
            assert len(list(blocks(stand_in(whole.shape, mesh, placements, coordinate)))) == (part.numel() > 0)
    assert sorted(seen) == list(range(length * 3))


@pytest.mark.parametrize("mesh", MESHES)
def test_every_element_has_its_ranks(mesh: tuple[int, ...]) -> None:
    """With a shard along each mesh axis each element is one rank's; with a replica along one, that many ranks'."""
    for replicated in (None, *range(len(mesh))):
        placements = [Replicate() if axis == replicated else Shard(axis % 2) for axis in range(len(mesh))]
        count = np.zeros((11, 5), int)
        for coordinate in np.ndindex(*mesh):
            for block, _ in blocks(stand_in((11, 5), mesh, placements, coordinate)):
                count[block] += 1
        assert (count == (1 if replicated is None else mesh[replicated])).all()


def test_a_rank_outside_of_the_mesh_holds_nothing() -> None:
    assert list(blocks(stand_in((4, 4), (2,), [Shard(0)], None))) == []


def test_a_scalar_is_one_block() -> None:
    assert list(blocks(stand_in((), (2, 2), [Replicate(), Replicate()], (1, 0)))) == [((), ())]


def test_negative_axes() -> None:
    placed = [list(blocks(stand_in((6, 8), (4,), [Shard(axis)], (3,)))) for axis in (1, -1)]
    assert placed[0] == placed[1] == [((slice(0, 6), slice(6, 8)), (slice(0, 6), slice(0, 2)))]


@pytest.mark.parametrize("placements", [[Partial()], [Shard(0), Partial("max")]])
def test_sums_over_ranks_are_refused(placements: list[Any]) -> None:
    with pytest.raises(ValueError, match=r"weight is a DTensor with placements .*Partial.*redistribute it"):
        list(blocks(stand_in((4, 4), (2, 2), placements, (0, 0)), "weight"))
