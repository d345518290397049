"""accelerate(module=): streams by the name of the parameter that is filled, found by its memory; DTensors, alone."""

from __future__ import annotations

import gc
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import torch.distributed as dist  # noqa: E402
from torch import nn  # noqa: E402
from torch.distributed.fsdp import fully_shard  # noqa: E402
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor, init_device_mesh  # noqa: E402
from torch.distributed.tensor.debug import CommDebugMode  # noqa: E402
from torch.testing._internal.distributed.fake_pg import FakeStore  # noqa: E402

import gpuinit  # noqa: E402
from gpuinit import Key  # noqa: E402
from gpuinit.torch import accelerate, as_tensor, init_module  # noqa: E402

pytestmark = pytest.mark.frameworks

CALLS = Key(7).fold_in("calls of gpuinit.torch.accelerate")


def normal(key: Key, *shape: int, dtype: Any = torch.float32) -> Any:
    return as_tensor(gpuinit.RandomNormal(0.0, 1.0, seed=key)(shape, dtype))


def of(name: str, call: int = 0) -> Key:
    return Key(7).fold_in(name).draw(call)


class Two(nn.Module):
    """Two layers, the second one's weight tied to a third name."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 5, bias=False)
        self.second = nn.Linear(5, 3)
        self.tied = nn.Linear(5, 3, bias=False)
        self.tied.weight = self.second.weight
        self.register_buffer("noise", torch.empty(4))


WAYS: dict[str, Callable[[Any], Any]] = {
    "itself": lambda parameter: nn.init.normal_(parameter),
    "data": lambda parameter: parameter.data.normal_(),
    "detached": lambda parameter: parameter.detach().normal_(),
    "another tensor on its memory": lambda parameter: torch.empty(0).set_(parameter.detach()).normal_(),
    "a view of all of it": lambda parameter: parameter.data[:].normal_(),
    "as another parameter": lambda parameter: nn.init.normal_(nn.Parameter(parameter.data)),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_parameter_is_known_however_it_is_filled(way: str) -> None:
    model = Two()
    with accelerate(7, module=model):
        WAYS[way](model.second.weight)
        WAYS[way](model.first.weight)
    assert torch.equal(model.first.weight, normal(of("first.weight"), 5, 6))
    assert torch.equal(model.second.weight, normal(of("second.weight"), 3, 5))


def test_order_and_other_calls_do_not_matter() -> None:
    made = []
    for order in itertools.permutations(range(3)):
        model = Two()
        parameters = [model.first.weight, model.second.weight, model.second.bias]
        with accelerate(7, module=model):
            for number in order:
                torch.empty(number).normal_()
                nn.init.normal_(parameters[number])
        made.append([parameter.detach().clone() for parameter in parameters])
    assert all(torch.equal(a, b) for other in made for a, b in zip(made[0], other, strict=True))


def test_the_nth_call_for_a_parameter_draws_n() -> None:
    model = Two()
    with accelerate(7, module=model):
        for call in range(3):
            nn.init.normal_(model.first.weight)
            assert torch.equal(model.first.weight, normal(of("first.weight", call), 5, 6))
    with accelerate(7, module=model):
        nn.init.normal_(model.first.weight)
    assert torch.equal(model.first.weight, normal(of("first.weight"), 5, 6))


def test_the_same_as_init_module() -> None:
    one, other = Two(), Two()
    init_module(one, {"*": gpuinit.RandomNormal(0.0, 1.0)}, seed=7)
    with accelerate(7, module=other):
        for parameter in other.parameters():
            nn.init.normal_(parameter)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_tied_parameters_have_their_first_name() -> None:
    model = Two()
    with accelerate(7, module=model):
        nn.init.normal_(model.tied.weight)
        assert torch.equal(model.second.weight, normal(of("second.weight"), 3, 5))
        nn.init.normal_(model.second.weight)
        assert torch.equal(model.second.weight, normal(of("second.weight", 1), 3, 5))


def test_what_is_no_parameter_draws_by_its_place() -> None:
    model = Two()
    with accelerate(7, module=model):
        model.noise.normal_()
        nn.init.normal_(model.first.weight)
        other = torch.empty(5, 6).normal_()
    assert torch.equal(model.noise, normal(CALLS, 4)) and torch.equal(other, normal(CALLS.draw(1), 5, 6))


def test_parts_of_a_parameter_have_streams_of_their_own() -> None:
    """Rejects: parts drawn as the beginning of the whole, which would repeat values, and parts that depend on their order."""
    model = Two()
    weight = model.first.weight.data
    views = [weight[:2], weight[2:4], weight.T, weight.view(-1), weight[:, 1:3], weight.view(torch.float16), weight[0, 0]]
    seen = []
    for order in (views, views[::-1]):
        with accelerate(7, module=model):
            drawn = []
            for view in order:
                view.normal_()
                drawn.append(view.flatten().float().tolist()[:1][0] if view.dtype == torch.float16 else view.flatten()[0].item())
        seen.append(drawn if order is views else drawn[::-1])
    assert seen[0] == seen[1] and len(set(seen[0])) == len(views)
    with accelerate(7, module=model):
        weight[2:4].normal_()
    place = f"{2 * 6 * 4} (2, 6) (6, 1) float32"
    assert torch.equal(weight[2:4], normal(Key(7).fold_in("first.weight").fold_in(place), 2, 6))


def test_parameters_that_come_later_are_found_and_old_memory_is_let_go() -> None:
    with torch.device("meta"):
        model = Two()
    with accelerate(7, module=model):
        model.to_empty(device="cpu")
        nn.init.normal_(model.first.weight)
        model.first.weight = nn.Parameter(torch.empty(8, 2))
        gc.collect()
        same_place = [torch.empty(5, 6) for _ in range(50)]
        for tensor in same_place:  # one of them is likely to lie where the old parameter lay
            tensor.normal_()
        nn.init.normal_(model.first.weight)
    assert torch.equal(model.first.weight, normal(of("first.weight", 1), 8, 2))
    assert all(torch.equal(tensor, normal(CALLS.draw(n), 5, 6)) for n, tensor in enumerate(same_place))


def test_lazy_parameters() -> None:
    """They are found when the first input has given them a shape, and their module resets them."""
    model = nn.Sequential(nn.LazyLinear(4), nn.Linear(4, 2))
    with accelerate(7, module=model):
        model(torch.zeros(2, 9))
    bounds = gpuinit.RandomUniform(-1 / 3, 1 / 3, seed=of("0.weight"))((4, 9))
    assert torch.equal(model[0].weight, as_tensor(bounds))


def test_memory_that_a_parameter_has_left_is_no_parameters() -> None:
    model = Two()
    with accelerate(7, module=model):
        left = model.first.weight.data
        model.first.weight.data = torch.empty(5, 6)
        left.normal_()
        nn.init.normal_(model.first.weight)
    assert torch.equal(left, normal(CALLS, 5, 6))
    assert torch.equal(model.first.weight, normal(of("first.weight"), 5, 6))


def test_wrappers_do_not_change_names() -> None:
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

    model = Two()
    model.first = checkpoint_wrapper(model.first)
    with accelerate(7, module=torch.compile(model, backend="eager")):
        nn.init.normal_(model.first.weight)
    assert torch.equal(model.first.weight, normal(of("first.weight"), 5, 6))


@pytest.fixture
def ranks() -> Iterator[Callable[..., Any]]:
    """Makes this process one rank of a mesh: PyTorch's fake process group, whose collectives do nothing."""

    def become(rank: int, *shape: int) -> Any:
        dist.init_process_group("fake", rank=rank, world_size=math.prod(shape), store=FakeStore())
        names = tuple(f"axis {axis} as rank {rank} sees it" for axis in range(len(shape)))
        return init_device_mesh("cpu", shape, mesh_dim_names=names)  # DTensor caches by meshes, which compare by their names

    yield become
    if dist.is_initialized():
        dist.destroy_process_group()


def sharded(mesh: Any) -> nn.Module:
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(6, 5), nn.Embedding(2, 3))
    fully_shard(model, mesh=mesh)
    return model.to_empty(device="cpu")


FILLS: dict[str, Callable[[Any], Any]] = {
    "itself": lambda parameter: nn.init.normal_(parameter),
    "data": lambda parameter: parameter.data.normal_(),
    "its local shard": lambda parameter: parameter.to_local().detach().normal_(),
    "its local tensor": lambda parameter: parameter._local_tensor.normal_(),
}


@pytest.mark.parametrize("way", FILLS)
@pytest.mark.parametrize("rank", range(4))
def test_a_shard_is_its_part_of_the_whole(ranks: Any, rank: int, way: str) -> None:
    """However it is reached, and without a collective; ranks without rows of the embedding stay in step with the others."""
    model = sharded(ranks(rank, 4))
    with CommDebugMode() as collectives, accelerate(7, module=model):
        FILLS[way](model[1].weight)
        other = torch.empty(9).normal_()
        FILLS[way](model[1].weight)
        FILLS[way](model[0].weight)
    assert collectives.get_total_counts() == 0
    rows = slice(2 * rank, 2 * rank + 2)
    assert torch.equal(model[0].weight.to_local(), normal(of("0.weight"), 5, 6)[rows])
    assert torch.equal(model[1].weight.to_local(), normal(of("1.weight", 1), 2, 3)[rank : rank + 1])
    assert torch.equal(other, normal(CALLS, 9))


@pytest.mark.parametrize("rank", range(6))
def test_by_call_ranks_stay_in_step(ranks: Any, rank: int) -> None:
    """Trunc_normal_ too, on a mesh of 2 x 3, where some ranks hold nothing: every rank draws the same numbers."""
    mesh = ranks(rank, 2, 3)
    placements = [Shard(0), Shard(1)]
    with CommDebugMode() as collectives, accelerate(7):
        tensors = [torch.distributed.tensor.empty(shape, device_mesh=mesh, placements=placements) for shape in ((1, 4), (5, 7))]
        nn.init.trunc_normal_(tensors[0])
        tensors[1].normal_()
        plain = torch.empty(9).normal_()
    assert collectives.get_total_counts() == 0
    down, across = divmod(rank, 3)
    whole = normal(CALLS.draw(1), 5, 7)[3 * down : 3 * down + 3, 3 * across : 3 * across + 3]
    assert torch.equal(tensors[1].to_local(), whole)
    first = as_tensor(gpuinit.TruncatedNormal(0.0, 1.0, seed=CALLS)((1, 4), "float32"))
    assert torch.equal(tensors[0].to_local(), first[down : down + 1, 2 * across : 2 * across + 2])
    assert torch.equal(plain, normal(CALLS.draw(2), 9))


def test_a_dtensor_that_is_a_part_draws_by_its_place(ranks: Any) -> None:
    """Which part of the whole it is cannot be told from a local shard, so it is not taken for the whole."""
    mesh = ranks(1, 2)
    layer = nn.Linear(6, 5, bias=False)
    layer.weight = nn.Parameter(DTensor.from_local(torch.empty(5, 6), mesh, [Replicate()]))
    with accelerate(7, module=layer):
        layer.weight.data[1:3].normal_()
        layer.weight.data.t().normal_()
    assert torch.equal(layer.weight.to_local().t(), normal(CALLS.draw(1), 6, 5))


@pytest.mark.parametrize("by_name", [True, False])
@pytest.mark.parametrize(
    "placements", [(Shard(0), Shard(0)), (Shard(1), Shard(0)), (Shard(1), Replicate()), (Replicate(), Shard(0))]
)
@pytest.mark.parametrize("rank", range(4))
def test_padding_rows_are_zero(ranks: Any, rank: int, placements: Any, by_name: bool) -> None:
    """As in one process. PyTorch alone writes the zeros into a gathered copy of the row, and leaves the weight without."""
    mesh = ranks(rank, 2, 2)
    layers = [nn.Embedding(7, 4, padding_idx=4) for _ in range(2)]
    layers[1].weight = nn.Parameter(distribute_tensor(torch.ones(7, 4), mesh, placements, src_data_rank=None))
    for clear in (
        lambda layer: layer.reset_parameters(),
        lambda layer: nn.init.zeros_(nn.init.normal_(layer.weight)[-3]),
        lambda layer: layer.weight.data.normal_()[4].zero_(),
        lambda layer: layer.weight.data.normal_().t()[:, 4].fill_(3),
    ):
        for layer in layers:
            with accelerate(7, module=layer if by_name else None), torch.no_grad():
                clear(layer)
        expected = distribute_tensor(layers[0].weight.detach(), mesh, placements, src_data_rank=None)
        assert torch.equal(layers[1].weight.to_local(), expected.to_local())


def test_sums_over_ranks_are_pytorchs_to_refuse(ranks: Any) -> None:
    partial = DTensor.from_local(torch.zeros(4), ranks(0, 2), [torch.distributed.tensor.Partial()])
    errors = []
    for call in range(2):
        try:
            if call:
                with accelerate(7):
                    partial.normal_()
            else:
                partial.normal_()
        except Exception as error:
            errors.append((type(error), str(error)))
        else:
            errors.append(None)
    assert errors[0] == errors[1]
