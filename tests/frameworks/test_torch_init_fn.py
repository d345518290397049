"""`init_fn`: called as TorchRec calls `EmbeddingConfig.init_fn`, for tables and for shards of them, by stand-ins of TorchRec."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch_memory import bits, poisoned  # noqa: E402

import gpuinit  # noqa: E402
from gpuinit.torch import init_, init_fn  # noqa: E402

pytestmark = pytest.mark.frameworks

SHAPE = (1000, 16)
UNIFORM = gpuinit.RandomUniform(-0.01, 0.01)


def whole(name: str = "t_cat_0", dtype: str = "float32") -> np.ndarray[Any, Any]:
    made: np.ndarray[Any, Any] = gpuinit.Table(SHAPE, UNIFORM, dtype, seed=5, name=name).make()
    return made


@dataclass
class Config:
    """What of TorchRec's EmbeddingConfig matters here: a dataclass that carries the function."""

    num_embeddings: int
    embedding_dim: int
    name: str
    init_fn: Any


class Collection(torch.nn.Module):
    """An EmbeddingBagCollection's way: a weight a table, which `reset_parameters` hands to the table's function."""

    def __init__(self, configs: list[Config], rank: int = 0, world: int = 1) -> None:
        super().__init__()
        self.configs = configs
        self.embedding_bags = torch.nn.ModuleDict()
        for config in configs:
            rows = -(-config.num_embeddings // world)
            local = max(min(config.num_embeddings - rank * rows, rows), 0)
            self.embedding_bags[config.name] = torch.nn.EmbeddingBag(local, config.embedding_dim)
        for config in configs:
            config.init_fn(self.embedding_bags[config.name].weight)


def test_a_collection_of_tables() -> None:
    """Each by its name: gpuinit.Table's bits, in a parameter that stays a leaf."""
    names = ("t_cat_0", "t_cat_1")
    collection = Collection([Config(*SHAPE, name, init_fn(UNIFORM, seed=5, name=name, shape=SHAPE)) for name in names])
    for name in names:
        weight = collection.embedding_bags[name].weight
        assert bits(weight) == whole(name).tobytes()
        assert weight.is_leaf and weight.requires_grad
    assert whole("t_cat_0").tobytes() != whole("t_cat_1").tobytes()


@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_shards_by_rows(world: int) -> None:
    """Row-wise, as each rank calls with its local weight: together the table, at any number of ranks."""
    rows = -(-SHAPE[0] // world)
    parts = []
    for rank in range(world):
        part = slice(min(rank * rows, SHAPE[0]), min((rank + 1) * rows, SHAPE[0]))
        function = pickle.loads(pickle.dumps(init_fn(UNIFORM, seed=5, name="t_cat_0", shape=SHAPE, rows=part)))
        parts.append(bits(Collection([Config(*SHAPE, "t", function)], rank, world).embedding_bags["t"].weight))
    assert b"".join(parts) == whole().tobytes()


def test_shards_by_columns_blocks_and_ids() -> None:
    made = whole(dtype="bfloat16")
    for block in ((slice(0, 1000), slice(4, 12)), (slice(13, 900), slice(15, 16)), (slice(5, 5),)):
        part = made[block]
        tensor, _ = poisoned(part.shape, "bfloat16", order=(1, 0))
        assert init_fn(UNIFORM, seed=5, name="t_cat_0", shape=SHAPE, block=block)(tensor) is tensor
        assert bits(tensor) == part.tobytes()
    ids = [999, 0, 5, 5, 17]
    for rows in (ids, np.array(ids), torch.tensor(ids), torch.tensor(ids, dtype=torch.int32)):
        tensor, _ = poisoned((5, 16), "bfloat16")
        init_fn(UNIFORM, seed=5, name="t_cat_0", shape=SHAPE, rows=rows)(tensor)
        assert bits(tensor) == made[ids].tobytes()
    assert init_fn(UNIFORM, seed=5, shape=SHAPE, rows=[])(torch.empty(0, 16)).shape == (0, 16)  # a rank without rows


@pytest.mark.parametrize("identifier", ["he_normal", "glorot_uniform", "orthogonal", gpuinit.Sparse(0.5)])
def test_laws_that_depend_on_the_table(identifier: Any) -> None:
    """A shard has the whole's fans, choice of zeros and orthogonal columns, in PyTorch's layout, and not its own."""
    made = init_(torch.empty(40, 8), identifier, seed=gpuinit.Key(5))
    local = init_fn(identifier, seed=5, shape=(40, 8), rows=slice(10, 20))(torch.empty(10, 8))
    assert torch.equal(local, made[10:20])
    assert torch.equal(init_fn(identifier, seed=5, shape=(40, 8), rows=[3, 1])(torch.empty(2, 8)), made[[3, 1]])
    by_itself = init_(torch.empty(10, 8), identifier, seed=gpuinit.Key(5))
    assert identifier == "he_normal" or not torch.equal(local, by_itself)


def test_the_seed() -> None:
    """An integer, a Key, or the initializer's own; the same table at every call; what draws nothing needs none."""
    tensor = torch.empty(SHAPE)
    made = bits(init_fn(UNIFORM, seed=5)(tensor))
    assert made == bits(init_fn("random_uniform", seed=5)(tensor)) or UNIFORM.maxval != 0.05
    own = init_fn(gpuinit.RandomUniform(-0.01, 0.01, seed=5))
    assert made == bits(own(tensor)) == bits(own(torch.empty(SHAPE))) == bits(init_fn(UNIFORM, seed=gpuinit.Key(5))(tensor))
    assert (init_fn("ones")(tensor) == 1).all()
    assert init_fn(UNIFORM, seed=5, name="a")(torch.empty(0, 4)).shape == (0, 4)


def test_without_a_shape_the_tensor_is_the_table() -> None:
    assert bits(init_fn(UNIFORM, seed=5, name="t_cat_0")(torch.empty(SHAPE))) == whole().tobytes()


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({}, ValueError, "seed=None: every process would draw another table"),
    ({"seed": gpuinit.SeedGenerator(1)}, ValueError, "draws a new key at every use"),
    ({"seed": 5, "name": 3}, TypeError, "name=3 must be a string or None"),
    ({"seed": 5, "rows": slice(0, 3)}, ValueError, "shape=None: with rows= or block= it must be the whole table's"),
    ({"seed": 5, "shape": SHAPE, "rows": slice(0, 3), "block": (slice(0, 3),)}, ValueError, "rows= and block= were both given"),
    ({"seed": 5, "shape": SHAPE, "rows": slice(990, 1001)}, ValueError, r"block\[0\]=slice\(990, 1001\)"),
    ({"seed": 5, "shape": SHAPE, "rows": slice(0, 10, 2)}, ValueError, "step"),
    ({"seed": 5, "shape": SHAPE, "rows": 0.5}, TypeError, "rows of type float: it must be a slice of step 1, or a 1-D array"),
    ({"seed": 5, "shape": (-1, 3)}, ValueError, "shape"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), WRONG)
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        init_fn(UNIFORM, **arguments)


def test_a_tensor_that_is_not_the_part() -> None:
    """A shard that comes where a table was announced is refused, and keeps what it has."""
    shard = torch.ones(500, 16)
    with pytest.raises(ValueError, match=r"tensor has shape \(500, 16\), and the table \(1000, 16\): of a shard say rows="):
        init_fn(UNIFORM, seed=5, shape=SHAPE)(shard)
    with pytest.raises(ValueError, match=r"tensor has shape \(500, 16\), and the part of \(1000, 16\) has \(400, 16\)"):
        init_fn(UNIFORM, seed=5, shape=SHAPE, rows=slice(0, 400))(shard)
    with pytest.raises(IndexError, match=r"rows\[1\]=1000 is not a row"):
        init_fn(UNIFORM, seed=5, shape=SHAPE, rows=[0, 1000])(shard[:2])
    with pytest.raises(ValueError, match="materialize it first"):
        init_fn(UNIFORM, seed=5)(torch.empty(3, 3, device="meta"))
    with pytest.raises(TypeError, match=r"tensor is a list: it must be a torch\.Tensor"):
        init_fn(UNIFORM, seed=5)([1.0])
    with pytest.raises(ValueError, match=r"rows: Orthogonal makes \(4, 6\) for tensor of shape \(4, 2, 3\); use block= instead"):
        init_fn("orthogonal", seed=5, shape=(4, 2, 3), rows=[0])(torch.ones(1, 2, 3))
    assert (shard == 1).all() and shard._version == 0
