"""Files of one shard each, by `--shard`: together they are the table, each with its recipe, checked and resumed alone."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from conftest import same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

import gpuinit
from gpuinit.cli import main
from gpuinit.hashing import element_hash
from gpuinit.recipe import Recipe
from gpuinit.table import described
from gpuinit.tables import check, pipeline, plan_tensor, write


@settings(deadline=None, max_examples=30)
@given(
    rows=st.integers(0, 40), columns=st.integers(0, 9), world=st.integers(1, 12), dtype=st.sampled_from(["float32", "complex64"])
)
def test_shards_are_the_whole(rows: int, columns: int, world: int, dtype: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Rows, fans of the whole and hashes: rejects fans of the shard, and hashes taken from the shard's own first element."""
    folder = tmp_path_factory.mktemp("shards")
    parts, hashes = [], 0
    for rank in range(world):
        jobs = plan_tensor((rows, columns), folder / "w.npy", init="he_normal", dtype=dtype, seed=5, shard=(rank, world))
        [written] = write(jobs)
        assert written.job.path.name == f"w-{rank + 1:05d}-of-{world:05d}.npy" and check(written.job.path).equal
        assert written.digest is not None
        parts.append(np.load(written.job.path))
        hashes += written.digest.hash
    whole = gpuinit.HeNormal(seed=5)((rows, columns), dtype)
    assert same_bits(np.concatenate(parts), whole)
    assert hashes % 2**64 == element_hash(whole)


@pytest.mark.parametrize("format", ["safetensors", "npy", "zarr"])
def test_a_shard_of_a_table_too_large_for_any_disk(format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of 10^12 processes: its row stands beyond 2^32, and a stop in the middle is gone on with."""
    monkeypatch.setattr(pipeline, "CHUNK_BYTES", 4096)
    monkeypatch.setattr("gpuinit.tables.writer.KEPT_FROM", 1)
    arguments = ["create", "--shape", "1000000000000,5000", "--out", str(tmp_path / f"w.{format}"), "--shard"]
    arguments += ["999999999997/1000000000000", "--quiet"]
    real, calls = pipeline.Digest.update, []

    def stopping(*given: object) -> None:
        calls.append(given)
        if len(calls) == 3:
            raise KeyboardInterrupt
        real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline.Digest, "update", stopping)
    assert main(arguments) == 130
    [path] = [tmp_path / name.removesuffix(".part") for name in os.listdir(tmp_path) if name.endswith(f"{format}.part")]
    assert path.name == f"w-999999999998-of-1000000000000.{format}"
    assert main([*arguments, "--resume"]) == 0 and check(path).equal
    assert check(path).recipe.block == ((10**12 - 3, 10**12 - 2), (0, 5000))


def test_a_recipes_block_goes_to_json_and_back() -> None:
    shard = gpuinit.Table((10, 4), "he_uniform", seed=3, name="users").shard(1, 3)
    text = json.dumps(shard.recipe.to_json())
    recipe = Recipe.from_json(json.loads(text))
    assert recipe == shard.recipe and recipe.block == ((4, 7), (0, 4))
    assert same_bits(described(recipe).make("cpu"), shard.make("cpu"))
    assert "block" not in shard.table.recipe.to_json()
    for block in ([[0]], [[0, 1.5]], 7, [["a", "b"]]):
        with pytest.raises(ValueError, match="block="):
            Recipe.from_json({**recipe.to_json(), "block": block})


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--shape", "9,9", "--shard", "3/3"], "rank=3: it must lie in 0 .. 2"),
        (["--shape", "9,9", "--shard", "0/0"], "world=0: it must be an integer >= 1"),
        (["--shape", "9,9", "--shard", "3"], "'3' must be RANK/WORLD"),
        (["--shape", "9,9", "--shard=-1/3"], "'-1/3' must be RANK/WORLD"),
        (["--shape", "()", "--shard", "0/1"], "axis=0: the table has 0 axes"),
        (["--tables", "t.csv", "--shard", "0/1", "--index"], "--index lists whole tensors"),
    ],
)
def test_shards_that_cannot_be(more: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["create", "--out", str(tmp_path / "w.npy"), *more]) == 2
    assert message in capsys.readouterr().err and os.listdir(tmp_path) == []
