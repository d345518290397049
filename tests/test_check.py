"""`gpuinit check`: what it finds, where, and what it says of files that cannot be compared."""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import gpuinit
from gpuinit.cli import main
from gpuinit.tables import check, pipeline, plan_tensor, write

SHAPE = (300, 41)
CHUNK = 4096


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "CHUNK_BYTES", CHUNK)
    monkeypatch.setattr(sys.modules["gpuinit.tables.check"], "SAMPLE_BYTES", CHUNK)  # the package has a function of that name


def made(folder: Path, suffix: str, shape: tuple[int, ...] = SHAPE, **options: Any) -> Path:
    path = folder / f"w{suffix}"
    write(plan_tensor(shape, path, **{"init": "truncated_normal", "seed": 5, **options}))
    return path


def flip(path: Path, place: int) -> None:
    with open(path, "r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 0x40]))


@pytest.mark.parametrize("suffix", [".safetensors", ".npy", ".zarr"])
@pytest.mark.parametrize("init", ["truncated_normal", "orthogonal", "zeros"])
@pytest.mark.parametrize("shape", [(), (0, 4), (4, 0), (1, 1), (7,), SHAPE], ids=str)
def test_right_files_are_equal(suffix: str, init: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    if init == "orthogonal" and len(shape) < 2:
        pytest.skip("an orthogonal matrix has two axes")
    found = check(made(tmp_path, suffix, shape, init=init))
    assert found.equal and found.compared == found.elements == int(np.prod(shape)) and not found.differences


@pytest.mark.parametrize("suffix", [".safetensors", ".npy"])
def test_any_flipped_byte_is_found_where_it_is(suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """First, last, block ends and random ones: rejects a comparison by samples, by values (0.0 and -0.0) or off by a block."""
    path = made(tmp_path, suffix)
    size, nbytes = path.stat().st_size, SHAPE[0] * SHAPE[1] * 4
    start = size - nbytes
    for place in (start, size - 1, start + CHUNK - 1, start + CHUNK, *random.Random(1).sample(range(start, size), 20)):
        flip(path, place)
        [difference] = check(path).differences
        element = (place - start) // 4
        assert (difference.start, difference.stop, difference.place) == (element, element + 1, f"byte {place:,}")
        flip(path, place)
    assert check(path).equal
    flip(path, start + 4 * 41 * 7 + 4 * 3)
    assert main(["check", str(path)]) == 1
    said = capsys.readouterr().out
    assert "1 element not as the recipe says" in said and f"element [7, 3], from byte {start + 4 * 41 * 7 + 4 * 3:,} on" in said


def test_neighbours_are_one_range_and_others_are_not(tmp_path: Path) -> None:
    path = made(tmp_path, ".npy")
    array = np.load(path, mmap_mode="r+")
    array.reshape(-1)[1000:2100] += 1  # over block ends
    array.reshape(-1)[5000] += 1
    array.flush()
    found = check(path)
    assert [(each.start, each.stop) for each in found.differences] == [(1000, 2100), (5000, 5001)]
    assert (found.differing, found.ranges) == (1101, 2)


def test_files_cut_off_or_too_long(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A sampled check says so too, wherever its sample is."""
    path = made(tmp_path, ".safetensors")
    size = path.stat().st_size
    os.truncate(path, size - 401)
    for sample in (None, 0.01):
        [difference] = check(path, sample=sample).differences
        assert difference.missing and (difference.start, difference.stop) == (12300 - 101, 12300)
    with open(path, "ab") as file:
        file.write(bytes(401 + 3))
    assert check(path).excess == 3 and not check(path).equal
    os.truncate(path, 50)
    assert main(["check", str(path)]) == 1 and "cannot be read" in capsys.readouterr().err


def test_a_sample_is_about_as_large_as_asked_and_anew_every_time(tmp_path: Path) -> None:
    """A file that is wrong everywhere fails any sample; of one wrong byte in a hundred blocks some samples know, and not all."""
    path = made(tmp_path, ".npy", (4000, 32))
    blocks = 4000 * 32 * 4 // CHUNK
    for share in (0.01, 0.1, 0.5, 1.0):
        found = check(path, sample=share)
        assert found.equal and share <= found.compared / found.elements <= share + 1.01 / blocks
    flip(path, path.stat().st_size - 1)
    outcomes = {check(path, sample=0.5).equal for _ in range(64)}  # one of them alone: 2 in 2^64
    assert outcomes == {True, False}
    other = made(tmp_path / "other", ".npy", (4000, 32), seed=6)
    shutil.copy(tmp_path / "w.json", other.with_suffix(".json"))
    assert not check(other, sample=0.01).equal


def test_zarr_chunks(tmp_path: Path) -> None:
    """A byte, a missing chunk, and an array that others wrote with chunks and compression of their own."""
    path = made(tmp_path, ".zarr")
    rows = zarr.open_array(path, mode="r").chunks[0]
    flip(path / "c" / "3" / "0", 77)
    [difference] = check(path).differences
    assert difference.start == rows * 3 * 41 + 77 // 4 and difference.place == f"{path / 'c' / '3' / '0'}, byte 77"
    flip(path / "c" / "3" / "0", 77)
    (path / "c" / "4" / "0").unlink()
    assert check(path).differing == rows * 41
    table = gpuinit.Table((50, 40), "he_normal", seed=3)
    recipe = {"gpuinit": table.recipe.to_json()}
    array = zarr.create_array(tmp_path / "other.zarr", shape=(50, 40), chunks=(7, 11), dtype="float32", attributes=recipe)
    array[...] = table[...]
    assert check(tmp_path / "other.zarr").equal
    array[17, 23] = 1
    [difference] = check(tmp_path / "other.zarr").differences
    assert (difference.start, difference.stop) == (17 * 40 + 23, 17 * 40 + 24)


def test_what_cannot_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "plain.npy", np.zeros(3))
    (tmp_path / "w.txt").write_text("")
    (tmp_path / "bad.npy").write_bytes(b"not npy")
    path = made(tmp_path, ".npy")
    recipe = json.loads((tmp_path / "w.json").read_text())
    for name, status, message in (
        ("plain.npy", 2, "carries no recipe"),
        ("w.txt", 2, "the suffix must be"),
        ("missing.npy", 1, "No such file"),
        ("bad.npy", 1, "header is not that of a .npy file"),
    ):
        assert main(["check", str(tmp_path / name)]) == status
        assert message in capsys.readouterr().err
    for change in ({"shape": [300, 42]}, {"dtype": "float64"}):
        (tmp_path / "w.json").write_text(json.dumps({**recipe, **change}))
        assert main(["check", str(path)]) == 1 and "its recipe of shape" in capsys.readouterr().err
    for change in ({"contract": 2}, {"initializer": {"class_name": "Nothing"}}, {"key": 7}, {"more": 1}):
        (tmp_path / "w.json").write_text(json.dumps({**recipe, **change}))
        assert main(["check", str(path)]) == 2 and capsys.readouterr().err.startswith("gpuinit: error: ")
    (tmp_path / "w.json").write_text(json.dumps({**recipe, "key": {**recipe["key"], "seed": 6}}))
    assert main(["check", str(path), "--quiet"]) == 1 and capsys.readouterr().out == ""


@pytest.mark.parametrize("share", ["0", "-1%", "101%", "2", "x", "nan", "%"])
def test_shares_that_cannot_be(share: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path / "w.npy"), f"--sample={share}"]) == 2
    assert "share of the whole" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".safetensors", ".npy"])
def test_no_bytes_of_a_header_lead_to_a_traceback(suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each byte of the header changed in turn, to random others: an error of one line, or a comparison."""
    path = made(tmp_path, suffix, (5, 4))
    right = path.read_bytes()
    draw = random.Random(3)
    for place in range(len(right) - 80):
        wrong = bytearray(right)
        wrong[place] = draw.choice([0, 0x22, 0x7B, 0x39, 0xFF, 0x20, draw.randrange(256)])
        path.write_bytes(wrong)
        assert main(["check", str(path)]) in (0, 1, 2)
        assert capsys.readouterr().err.count("\n") <= 1


def test_the_report_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = made(tmp_path, ".npy"), made(tmp_path, ".safetensors")
    flip(first, first.stat().st_size - 1)
    assert main(["check", str(first), str(second), "--json"]) == 1
    one, other = json.loads(capsys.readouterr().out)
    assert (one["file"], one["equal"], one["differing"], other["equal"]) == (str(first), False, 1, True)
    assert one["differences"][0]["index"] == [299, 40]
