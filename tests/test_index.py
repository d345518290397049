"""`--index`: what Hugging Face's tools read to find a tensor among files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
from conftest import same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

import gpuinit
from gpuinit import Key
from gpuinit.cli import main
from gpuinit.tables import check, parts, plan_tables, read_specs, write
from gpuinit.tables import index as index_module

NAME = "model.safetensors.index.json"
NAMES = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=12)


def read(folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    """The index, and every tensor that it names read by the safetensors library from the file that it says, under its name."""
    index = json.loads((folder / NAME).read_text(encoding="utf-8"))
    tensors = {}
    for name, file in index["weight_map"].items():
        assert os.path.basename(file) == file
        with safetensors.safe_open(folder / file, framework="np") as opened:
            assert list(opened.keys()) == [name]
            tensors[name] = opened.get_tensor(name)
    return index, tensors


def create(listed: Path, out: Path, *arguments: object) -> int:
    return main(["create", "--tables", str(listed), "--out", str(out), "--quiet", *map(str, arguments)])


def table(folder: Path, *lines: str) -> Path:
    path = folder / "t.csv"
    path.write_text("\n".join(["feature,rows,dim", *lines]) + "\n", encoding="utf-8")
    return path


def test_every_tensor_is_where_the_index_says(tmp_path: Path) -> None:
    """Names, shapes, dtypes and bits by the safetensors library, and the sum of the bytes of the elements alone: rejects the
    name "weight" in the files, paths for names, and sizes of files."""
    listed = tmp_path / "t.toml"
    listed.write_text(
        "[tables.users]\nrows=30\ndim=4\n[tables.'odd name']\nshape=[5,6,7]\ndtype='float16'\n"
        "[tables.'é.中']\nshape=[9]\ndtype='float64'\n[tables.none]\nrows=0\ndim=3\n[tables.one]\nshape=[]\n"
    )
    out = tmp_path / "out"
    assert create(listed, out, "--index", "--seed", 3) == 0
    index, tensors = read(out)
    assert set(index) == {"metadata", "weight_map"} and list(index["weight_map"]) == sorted(index["weight_map"])
    expected = {"users": ((30, 4), "float32"), "odd name": ((5, 6, 7), "float16"), "é.中": ((9,), "float64")}
    expected |= {"none": ((0, 3), "float32"), "one": ((), "float32")}
    assert set(tensors) == set(expected) and index["metadata"] == {"total_size": sum(t.nbytes for t in tensors.values())}
    for name, (shape, dtype) in expected.items():
        assert same_bits(tensors[name], gpuinit.RandomUniform(seed=Key(3).fold_in(name))(shape, dtype))
        assert check(out / index["weight_map"][name]).equal
    assert sorted(os.listdir(out)) == sorted([NAME, *index["weight_map"].values()])


def test_a_dtype_that_numpy_has_not(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert create(table(tmp_path, "a,3,4", "b,5,6"), out, "--index", "--dtype", "bfloat16") == 0
    index = json.loads((out / NAME).read_text())
    assert index == {
        "metadata": {"total_size": (12 + 30) * 2},
        "weight_map": {"a": "a.safetensors", "b": "b.safetensors"},
    }
    with safetensors.safe_open(out / "b.safetensors", framework="np") as opened:
        assert opened.get_slice("b").get_shape() == [5, 6] and opened.get_slice("b").get_dtype() == "BF16"


@settings(max_examples=25, deadline=None)
@given(names=st.sets(NAMES, min_size=1, max_size=3))
def test_any_name_that_a_table_may_have(names: set[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    """A name is refused before anything is written, or read back as it is."""
    folder = tmp_path_factory.mktemp("names")
    listed = folder / "t.toml"
    sections = (f"[tables.{json.dumps(name, ensure_ascii=False)}]\nshape=[2]\n" for name in names)
    listed.write_text("".join(sections), encoding="utf-8")
    status = create(listed, folder / "out", "--index")
    if status == 0:
        assert set(read(folder / "out")[1]) == names
    else:
        assert status == 2 and os.listdir(folder) == ["t.toml"]


def test_a_table_with_the_name_of_the_metadata(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A tensor called __metadata__ would take the recipe's place and make a file that no library reads."""
    listed, out = table(tmp_path, "a,3,4", "__metadata__,3,4"), tmp_path / "out"
    assert create(listed, out, "--index") == 2
    assert "tensor='__metadata__': no tensor of a safetensors file can have this name" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["t.csv"]
    assert create(listed, out) == 0  # there it is called weight


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--format", "npy"), "--index lists safetensors files, and --format is npy"),
        (("--format", "zarr"), "--index lists safetensors files, and --format is zarr"),
        (("--shard", "0/2"), "--index lists whole tensors"),
    ],
)
def test_what_cannot_be_listed(arguments: tuple[str, ...], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert create(table(tmp_path, "a,3,4"), tmp_path / "out", "--index", *arguments) == 2
    assert says in capsys.readouterr().err and os.listdir(tmp_path) == ["t.csv"]
    assert main(["create", "--shape", "3", "--out", str(tmp_path / "w.safetensors"), "--index"]) == 2
    assert "there is one file" in capsys.readouterr().err


def test_an_index_that_is_there_is_kept_unless_forced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With nothing written beside it; a folder in its place is not replaced either."""
    listed, out = table(tmp_path, "a,3,4"), tmp_path / "out"
    out.mkdir()
    (out / NAME).write_text("mine")
    assert create(listed, out, "--index") == 2
    assert f"{NAME}' exists already; --force" in capsys.readouterr().err
    assert os.listdir(out) == [NAME] and (out / NAME).read_text() == "mine"
    assert create(listed, out, "--index", "--force") == 0 and set(read(out)[1]) == {"a"}
    (out / NAME).unlink()
    (out / NAME).mkdir()
    assert create(listed, out, "--index", "--force") == 2 and os.listdir(out / NAME) == []


def test_an_index_comes_last_and_complete_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop in the second table leaves no index; a failing one leaves no half of it, and the tables; --resume writes it."""
    listed, out = table(tmp_path, "a,3,4", "b,3,4"), tmp_path / "out"
    specs = read_specs(listed)

    def stopping(job: Any, nbytes: int) -> None:
        if job.name == "b":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(plan_tables(specs, out, named=True), index=out / NAME, progress=stopping)
    assert os.listdir(out) == ["a.safetensors"]

    def failing(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(index_module, "write_at", failing)
        assert create(listed, out, "--index", "--resume") == 1
    assert sorted(os.listdir(out)) == ["a.safetensors", "b.safetensors"]
    before = [(out / f"{name}.safetensors").stat().st_ino for name in "ab"]
    for _ in range(2):
        assert create(listed, out, "--index", "--resume") == 0
        assert set(read(out)[1]) == {"a", "b"}
        assert [(out / f"{name}.safetensors").stat().st_ino for name in "ab"] == before


def test_tables_that_an_earlier_run_named_otherwise_are_not_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files of a run without --index hold a tensor "weight": rejects an index over them that no tool could follow."""
    listed, out = table(tmp_path, "a,3,4", "b,3,4"), tmp_path / "out"
    assert create(listed, out) == 0
    assert create(listed, out, "--index", "--resume") == 2
    assert "a.safetensors' exists already; --force" in capsys.readouterr().err and NAME not in os.listdir(out)
    assert create(listed, out, "--index", "--resume", "--force") == 0
    assert set(read(out)[1]) == {"a", "b"}
    assert create(listed, out, "--resume") == 2  # nor the other way round


def test_an_index_that_another_process_writes(tmp_path: Path) -> None:
    listed, out = table(tmp_path, "a,3,4"), tmp_path / "out"
    out.mkdir()
    lock = parts._locked(out / f"{NAME}.part")
    assert create(listed, out, "--index") == 1
    assert set(os.listdir(out)) == {"a.safetensors", f"{NAME}.part"}
    lock.close()
    assert create(listed, out, "--index", "--resume") == 0 and set(read(out)[1]) == {"a"}
    assert set(os.listdir(out)) == {"a.safetensors", NAME}


def test_resume_replaces_no_other_index(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One of a larger model, say: it goes by --force alone, and the tables that are there stay."""
    listed, out = table(tmp_path, "a,3,4"), tmp_path / "out"
    assert create(listed, out, "--index") == 0
    (out / NAME).write_text('{"weight_map": {"mine": "mine.safetensors"}}')
    assert create(listed, out, "--index", "--resume") == 2
    assert f"{NAME}' exists already; --force" in capsys.readouterr().err and "mine" in (out / NAME).read_text()
    before = (out / "a.safetensors").stat().st_ino
    assert create(listed, out, "--index", "--resume", "--force") == 0
    assert set(read(out)[1]) == {"a"} and (out / "a.safetensors").stat().st_ino == before


def test_an_index_that_cannot_be_written_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(index_module, "write_at", failing)
    assert create(table(tmp_path, "a,3,4"), tmp_path / "out", "--index") == 1
    assert f"out: {str(tmp_path / 'out' / NAME)!r} cannot be written: No space left" in capsys.readouterr().err
