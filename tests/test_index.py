"""The index of a set of files: every tensor is found where it says, under its table's name, by the safetensors library."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from safetensors.numpy import load_file

import gpuinit
from gpuinit import Key
from gpuinit.cli import main
from gpuinit.tables import check
from gpuinit.tables.index import INDEX_NAME

TABLES = "feature,rows,dim\nusers,100,8\nitems,7,4\nempty,0,4\n"


def test_every_tensor_is_found(tmp_path: Path) -> None:
    """Rejects files whose tensors all have one name, and sizes with headers in them."""
    (tmp_path / "t.csv").write_text(TABLES)
    out = tmp_path / "out"
    assert main(["create", "--tables", str(tmp_path / "t.csv"), "--out", str(out), "--index", "--quiet"]) == 0
    index = json.loads((out / INDEX_NAME).read_text())
    assert index["metadata"] == {"total_size": 4 * (800 + 28)} and list(index["weight_map"]) == ["empty", "items", "users"]
    for name, file in index["weight_map"].items():
        loaded = load_file(out / file)
        assert list(loaded) == [name]
        init = gpuinit.RandomUniform(seed=Key(0).fold_in(name))
        assert loaded[name].tobytes() == init(loaded[name].shape).tobytes() and check(out / file).equal
    assert sorted(os.listdir(out)) == sorted([INDEX_NAME, *index["weight_map"].values()])


def test_an_index_is_written_last_and_again_by_resume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.csv").write_text(TABLES)
    arguments = ["create", "--tables", str(tmp_path / "t.csv"), "--out", str(tmp_path / "out"), "--index", "--quiet"]
    assert main(arguments) == 0
    assert main(arguments) == 2 and "exists already" in capsys.readouterr().err
    (tmp_path / "out" / "items.safetensors").unlink()
    (tmp_path / "out" / INDEX_NAME).unlink()
    assert main([*arguments, "--resume"]) == 0
    assert set(json.loads((tmp_path / "out" / INDEX_NAME).read_text())["weight_map"]) == {"users", "items", "empty"}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--shape", "3", "--index"], "with --shape there is one file"),
        (["--tables", "t.csv", "--index", "--format", "npy"], "is npy"),
    ],
)
def test_sets_that_have_no_index(more: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["create", "--out", str(tmp_path / "w.npy"), *more]) == 2
    assert message in capsys.readouterr().err and os.listdir(tmp_path) == []
