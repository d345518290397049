"""Models sharded over four processes by FSDP2, tensor parallelism and both have the weights that one process gives them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch_ranks  # noqa: E402

pytestmark = [
    pytest.mark.frameworks,
    pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="PyTorch was built without gloo"),
]

EXAMPLE = Path(__file__).parents[2] / "examples/fsdp2_init.py"


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> list[dict[Any, Any]]:
    """Of every rank, by model, sharding, and whether streams go by name."""
    return torch_ranks.run(tmp_path_factory.mktemp("ranks"), seconds=240)


@pytest.mark.parametrize("by_name", [True, False], ids=["by name", "by call"])
@pytest.mark.parametrize(("name", "way"), torch_ranks.CASES)
def test_the_weights_of_one_process(reports: Any, name: str, way: str, by_name: bool) -> None:
    """Bit for bit, from a model built on meta, and without a collective.

    Rejects: a shard drawn as if it were the tensor, ranks with streams of their own, uneven shards cut evenly, and whatever is
    not drawn at all, which is NaN.
    """
    for report in (each[name, way, by_name] for each in reports):
        assert report["names"]
        assert report["different"] == []
        assert report["collectives"] == 0


def test_the_cases_are_what_they_are_called(reports: Any) -> None:
    """Each way has the placements that make it; some ranks hold nothing of some parameters, and others do."""
    placements = {way: reports[0][name, way, True]["placements"] for name, way in torch_ranks.CASES}
    assert placements["fsdp"] == ["(Shard(dim=0),)"]
    assert placements["hsdp"] == ["(Replicate(), Shard(dim=0))"]
    assert placements["tp"] == ["(Shard(dim=0),)", "(Shard(dim=1),)", "whole"]
    assert len(placements["tp and fsdp"]) == 3 and any("_StridedShard" in each for each in placements["tp and fsdp"])
    assert reports[3]["plain", "fsdp", True]["empty"] > reports[0]["plain", "fsdp", True]["empty"] == 0


def test_the_example() -> None:
    """Its weights have one hash on one process and on three."""
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    launcher = ["-m", "torch.distributed.run", "--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0", "--local-addr=localhost"]
    printed = []
    for size in (1, 3):
        start = [*launcher, f"--nproc-per-node={size}"] if size > 1 else []
        done = subprocess.run(
            [sys.executable, *start, str(EXAMPLE)], capture_output=True, text=True, env=environment, timeout=120
        )
        assert done.returncode == 0, done.stderr
        [line] = [line for line in done.stdout.splitlines() if line.startswith("weights")]
        assert line.endswith(f"on {size} process" + "es" * (size > 1))
        printed.append(line.partition(" on ")[0])
    assert len(set(printed)) == 1
