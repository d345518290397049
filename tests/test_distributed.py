"""Many processes: each makes its own part from a config of a few hundred bytes, and the parts are the whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import DTYPES, same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

import gpuinit
from gpuinit.hashing import element_hash

Array = np.ndarray[Any, Any]

RANK = """
import json, os, sys
import gpuinit
from gpuinit.hashing import element_hash

with open(sys.argv[1]) as file:
    table = gpuinit.Table.from_config(json.load(file))
rank, world, axis = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), int(sys.argv[3])
shard = table.shard(rank, world, axis)
made = shard.make()
width, left = table.shape[1], shard.block[1].start
starts = [row * width + left for row in range(shard.block[0].start, shard.block[0].stop)]
total = sum(element_hash(row, start) for row, start in zip(made, starts)) % 2**64
with open(os.path.join(sys.argv[2], f"{rank}.json"), "w") as file:
    json.dump({"world": world, "shape": made.shape, "hash": total, "loaded": sorted(set(sys.modules) & {"torch", "dask"})}, file)
"""
"""What a rank runs: its part, the hash of which it writes down, row by row at each row's place in the whole."""


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=3),
    st.integers(1, 40),
    st.data(),
    st.sampled_from(DTYPES),
    st.sampled_from(["random_uniform", "he_normal", "ones", "orthogonal"]),
)
@settings(max_examples=150, deadline=None)
def test_shards_are_the_whole(shape: list[int], world: int, data: st.DataObject, dtype: Any, init: str) -> None:
    """Of any world, along any axis: in order they are the whole, and no longer than each other by more than one."""
    if init == "orthogonal":
        shape, dtype = [max(shape[0], 1), shape[-1] or 1], "float32"
    table = gpuinit.Table(shape, init, dtype, seed=data.draw(st.integers(0, 2**64 - 1)))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    parts = [table.shard(rank, world, axis).make() for rank in range(world)]
    assert same_bits(np.concatenate(parts, axis), table[...])
    lengths = [part.shape[axis] for part in parts]
    assert max(lengths) - min(lengths) <= 1 and lengths == sorted(lengths, reverse=True)


@given(st.integers(1, 50), st.integers(1, 8), st.integers(1, 9), st.data())
@settings(max_examples=60, deadline=None)
def test_a_shard_of_any_box_travels_as_json_and_by_pickle(rows: int, columns: int, world: int, data: st.DataObject) -> None:
    table = gpuinit.Table((rows, columns), "truncated_normal", "float16", seed=data.draw(st.integers(0, 2**32)), name="a")
    shard = table.shard(data.draw(st.integers(0, world - 1)), world, data.draw(st.integers(0, 1)))
    sent = gpuinit.Shard.from_config(json.loads(json.dumps(shard.get_config())))
    assert same_bits(sent.make(), table[shard.block])
    assert len(json.dumps(shard.get_config())) < 1000


def launched(command: Callable[[int], list[str]], world: int, environment: Callable[[int], dict[str, str]]) -> None:
    """Run a process a rank, at the same time; each must succeed."""
    started = [
        subprocess.Popen(
            command(rank), env={**os.environ, **environment(rank)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for rank in range(world)
    ]
    ended = [(process.communicate(timeout=240)[0], process.returncode) for process in started]
    assert all(code == 0 for _, code in ended), [text for text, code in ended if code]


def whole_and_parts(table: gpuinit.Table, folder: Path, world: int) -> tuple[int, int, list[list[int]]]:
    """The hash of the whole, the sum of what the ranks found, and the shapes of their parts."""
    found = [json.loads((folder / f"{rank}.json").read_text()) for rank in range(world)]
    assert all(rank["world"] == world and rank["loaded"] == [] for rank in found)
    return element_hash(table[:]), sum(rank["hash"] for rank in found) % 2**64, [rank["shape"] for rank in found]


@pytest.mark.parametrize(("world", "rows", "axis"), [(3, 1000, 0), (5, 1003, 1), (5, 3, 0)])
def test_ranks_make_the_whole_without_each_other(world: int, rows: int, axis: int, tmp_path: Path) -> None:
    """Processes with RANK and WORLD_SIZE, uneven parts, more ranks than rows; no framework takes part."""
    table = gpuinit.Table((rows, 64), "he_normal", "bfloat16", seed=5, name="users")
    (tmp_path / "table.json").write_text(json.dumps(table.get_config()))
    command = [sys.executable, "-W", "error", "-c", RANK, str(tmp_path / "table.json"), str(tmp_path), str(axis)]
    launched(lambda rank: command, world, lambda rank: {"RANK": str(rank), "WORLD_SIZE": str(world)})
    whole, total, shapes = whole_and_parts(table, tmp_path, world)
    assert total == whole
    assert shapes == [list(shard.shape) for shard in table.shards(world, axis)]
    assert len({tuple(shape) for shape in shapes}) == 2, "the parts should be uneven"
    found = json.loads((tmp_path / "0.json").read_text())["hash"]
    assert (total - found) % 2**64 != whole, "a part that is missing went unnoticed"


def test_ranks_of_torchrun(tmp_path: Path) -> None:
    """Two processes on this machine, launched by PyTorch; of it they need the two environment variables alone."""
    if find_spec("torch") is None:
        pytest.skip("torch is not installed")
    table = gpuinit.Table((101, 64), "he_normal", "float32", seed=5)
    (tmp_path / "table.json").write_text(json.dumps(table.get_config()))
    (tmp_path / "rank.py").write_text(RANK)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-addr=127.0.0.1"]
    command = [*launcher, "--master-port=0", *(str(tmp_path / name) for name in ("rank.py", "table.json", "")), "0"]
    launched(lambda _: command, 1, lambda _: {"OMP_NUM_THREADS": "1"})
    whole, total, shapes = whole_and_parts(table, tmp_path, 2)
    assert total == whole
    assert shapes == [[51, 64], [50, 64]]
