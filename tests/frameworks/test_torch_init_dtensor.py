"""`init_`, the twins and `init_module` on DTensors, as each rank of a group of 4 sees them; no other rank is there to talk to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch")
import torch.distributed as dist  # noqa: E402
from torch import nn  # noqa: E402
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor, init_device_mesh  # noqa: E402
from torch.testing._internal.distributed.fake_pg import FakeStore  # noqa: E402
from torch_memory import bits  # noqa: E402

import gpuinit  # noqa: E402
import gpuinit.torch as ours  # noqa: E402

pytestmark = pytest.mark.frameworks

KEY = gpuinit.Key(168058)
PLACEMENTS = [[Shard(0)], [Shard(1)], [Replicate()], [Shard(-1)]]
ON_A_SQUARE = [[Shard(0), Shard(1)], [Shard(0), Shard(0)], [Replicate(), Shard(0)]]


@pytest.fixture(params=range(4))
def rank(request: pytest.FixtureRequest) -> Iterator[int]:
    """The number of this process in a group whose other members do not exist."""
    dist.init_process_group("fake", store=FakeStore(), rank=request.param, world_size=4)
    yield request.param
    dist.destroy_process_group()


def mesh(axes: int) -> Any:
    """Of all ranks. PyTorch keeps meshes of a process, which elsewhere has one rank: those of different ranks differ by names."""
    return init_device_mesh(
        "cpu", (4,) if axes == 1 else (2, 2), mesh_dim_names=[f"{n}_of_{dist.get_rank()}" for n in range(axes)]
    )


def sharded(whole: Any, placements: list[Any]) -> Any:
    """The DTensor of that whole, split without communication."""
    return distribute_tensor(whole, mesh(len(placements)), placements, src_data_rank=None)


@pytest.mark.parametrize("placements", [*PLACEMENTS, *ON_A_SQUARE])
def test_a_rank_has_its_part_of_the_whole(rank: int, placements: list[Any]) -> None:
    """Uneven shards, and ranks that hold nothing. Rejects a shard filled as if it were the tensor, and fans of the shard."""
    for shape in ((10, 6), (3, 7, 2), (2, 3)):
        for name in ("normal_", "trunc_normal_", "kaiming_uniform_", "orthogonal_", "xavier_normal_"):
            expected = sharded(getattr(ours, name)(torch.ones(shape), seed=KEY), placements)
            tensor = nn.Parameter(sharded(torch.ones(shape), placements))
            assert getattr(ours, name)(tensor, seed=KEY) is tensor
            assert bits(tensor.to_local()) == bits(expected.to_local()), (shape, name)
            assert tensor._version == 1 and tensor.is_leaf and tensor.requires_grad
        expected = sharded(ours.init_(torch.ones(shape), "he_normal", seed=KEY), placements)
        assert bits(ours.init_(sharded(torch.ones(shape), placements), "he_normal", seed=KEY).to_local()) == bits(
            expected.to_local()
        )


def test_structures(rank: int) -> None:
    for name, shape, arguments in (
        ("eye_", (9, 5), ()),
        ("dirac_", (8, 3, 4), (2,)),
        ("constant_", (9, 5), (2.5,)),
        ("sparse_", (9, 5), (0.3,)),
    ):
        seed = {"seed": KEY} if name == "sparse_" else {}
        for placements in (*PLACEMENTS, *ON_A_SQUARE):
            expected = sharded(getattr(ours, name)(torch.ones(shape), *arguments, **seed), placements)
            found = getattr(ours, name)(sharded(torch.ones(shape), placements), *arguments, **seed)
            assert bits(found.to_local()) == bits(expected.to_local())


def test_ranks_of_like_generators_draw_one_tensor(rank: int) -> None:
    """The seed is drawn by each rank for itself, by those that hold nothing, too."""
    for shape in ((10, 6), (2, 6)):
        torch.manual_seed(5)
        whole, following = ours.normal_(torch.empty(shape)), torch.get_rng_state()
        torch.manual_seed(5)
        assert bits(ours.normal_(sharded(torch.ones(shape), [Shard(0)])).to_local()) == bits(
            sharded(whole, [Shard(0)]).to_local()
        )
        assert torch.equal(torch.get_rng_state(), following)


def test_a_module(rank: int) -> None:
    """Padding rows too, which one rank holds, or each a piece of."""
    whole = nn.ModuleDict({"embed": nn.Embedding(10, 6, padding_idx=7), "up": nn.Linear(6, 9)})
    rules = {"embed.*": "normal", "*.bias": "zeros", "*": "he_normal"}
    report = ours.init_module(whole, rules, 7)
    for placements in (*PLACEMENTS[:3], *ON_A_SQUARE):
        parts = nn.ModuleDict({"embed": nn.Embedding(10, 6, padding_idx=7), "up": nn.Linear(6, 9)})
        parts["embed"].weight = nn.Parameter(sharded(torch.ones(10, 6), placements))
        parts["up"].weight = nn.Parameter(sharded(torch.ones(9, 6), placements))
        assert ours.init_module(parts, rules, 7) == report
        for name in ("embed", "up"):
            assert bits(parts[name].weight.to_local()) == bits(sharded(whole[name].weight.detach(), placements).to_local())


def test_what_is_refused(rank: int) -> None:
    partial = DTensor.from_local(torch.ones(3, 4), mesh(1), [Partial()])
    with pytest.raises(
        ValueError, match=r"tensor is a DTensor with placements \(Partial\(sum\),\): .* redistribute it to Shard or"
    ):
        ours.normal_(partial)
    linear = nn.ModuleDict({"a": nn.Linear(4, 3), "b": nn.Linear(4, 3)})
    linear["b"].weight = nn.Parameter(partial)
    before, state = bits(linear["a"].weight), torch.get_rng_state()
    with pytest.raises(ValueError, match=r"parameter 'b\.weight' is a DTensor with placements \(Partial\(sum\),\)"):
        ours.init_module(linear, {"*": "normal"}, 7)
    assert bits(linear["a"].weight) == before and (partial._local_tensor == 1).all()
    with pytest.raises(ValueError, match="materialize it first"):
        ours.normal_(DTensor.from_local(torch.ones(3, 4, device="meta"), mesh(1), [Shard(0)]))
    with pytest.raises(ValueError, match="tensor's local shard overlaps itself"):
        ours.normal_(DTensor.from_local(torch.ones(1, 4).expand(3, 4), mesh(1), [Shard(0)], run_check=False))
    with pytest.raises(ValueError, match="tensor is a DTensor, which knows its place in the whole"):
        ours.init_fn("normal", seed=1, shape=(12, 4), rows=slice(0, 3))(sharded(torch.ones(12, 4), [Shard(0)]))
    with pytest.raises(ValueError, match="dtype=int8: RandomNormal draws random numbers"):
        ours.normal_(sharded(torch.ones(12, 4, dtype=torch.int8), [Shard(0)]))
    with pytest.raises(ValueError, match=r"out has no memory .* a DTensor is, which gpuinit\.torch\.init_ fills"):
        gpuinit.HeNormal(seed=7).fill(sharded(torch.ones(12, 4), [Shard(0)]))
    assert torch.equal(torch.get_rng_state(), state)


def test_flat_parameters_are_refused(rank: int) -> None:
    """FullyShardedDataParallel's, whose shapes are gone, wherever it wraps; they would be filled with the fans of a vector."""
    from torch.distributed.fsdp import FullyShardedDataParallel

    for use_orig_params in (False, True):
        flat = FullyShardedDataParallel(nn.Linear(8, 8), use_orig_params=use_orig_params, device_id=torch.device("cpu"))
        model = nn.Sequential(nn.Linear(4, 4), flat)
        before = bits(model[0].weight)
        with pytest.raises(ValueError, match="module '1' is a FullyShardedDataParallel, .* or shard by fully_shard"):
            ours.init_module(model, {"*": "normal"}, 7)
        assert bits(model[0].weight) == before
        whole = nn.Sequential(nn.Linear(4, 4), nn.Linear(8, 8))
        ours.init_module(whole, {"*": "normal"}, 7)
        with FullyShardedDataParallel.summon_full_params(model):
            ours.init_module(model, {"*": "normal"}, 7)
            found = [bits(parameter) for parameter in model.parameters()]
        assert found == [bits(parameter) for parameter in whole.parameters()]


def test_fully_shard(rank: int) -> None:
    """FSDP2: from meta to shards to weights, each rank by itself, with the bits of the model in one process."""
    from torch.distributed.fsdp import fully_shard

    rules = {"*.bias": "zeros", "*": "he_normal"}
    whole = nn.Sequential(nn.Linear(6, 10), nn.Linear(10, 3))
    ours.init_module(whole, rules, 7)
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(6, 10), nn.Linear(10, 3))
    fully_shard(model, mesh=mesh(1))
    with pytest.raises(ValueError, match=r"parameters on the meta device: 0\.weight, 0\.bias"):
        ours.init_module(model, rules, 7)
    model.to_empty(device="cpu")
    ours.init_module(model, rules, 7)
    for name, parameter in whole.named_parameters():
        assert bits(model.get_parameter(name).to_local()) == bits(sharded(parameter.detach(), [Shard(0)]).to_local())
