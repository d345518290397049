"""Parts of tensors for pictures: the bytes of the whole, and nothing read or made beyond what is asked for."""

from __future__ import annotations

import math
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import same_bits

import gpuinit
from gpuinit.pictures import exhibit as exhibits
from gpuinit.pictures import matrices
from gpuinit.pictures.exhibit import SAMPLE, exhibit
from gpuinit.pictures.reading import Memory, Stored, Unmade, boxes
from gpuinit.tables import plan_tensor, write
from gpuinit.tables.contents import Stream

SHAPES = [(), (7,), (0, 3), (6, 5), (3, 4, 5), (2, 1, 3, 4)]
INIT = {"init": "random_normal", "seed": 3}


def written(path: Path, shape: Any, **settings: Any) -> Path:
    """A file of `gpuinit create`."""
    write(plan_tensor(shape, path, **{**INIT, **settings}))
    return path


def random_box(shape: tuple[int, ...], draw: random.Random) -> tuple[slice, ...]:
    ends = [sorted(draw.choices(range(length + 1), k=2)) for length in shape]
    return tuple(slice(*pair) for pair in ends)


@pytest.mark.parametrize("shape", SHAPES)
def test_boxes_are_the_elements_in_order(shape: tuple[int, ...]) -> None:
    """Of every range, each element once and in C order, in no more boxes than two an axis."""
    numbers = np.arange(math.prod(shape)).reshape(shape)
    for start in range(numbers.size + 1):
        for stop in range(start, numbers.size + 1):
            parts = [numbers[box].ravel() for box in boxes(shape, start, stop)]
            assert np.concatenate([np.zeros(0, int), *parts]).tolist() == list(range(start, stop))
            assert len(parts) <= max(1, 2 * len(shape) - 1)


@pytest.mark.parametrize("suffix", ["safetensors", "npy", "zarr"])
@pytest.mark.parametrize("shape", SHAPES)
def test_any_box_of_a_file(suffix: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    if suffix == "zarr":
        pytest.importorskip("zarr")
    stored = Stored(written(tmp_path / f"w.{suffix}", shape))
    whole = gpuinit.RandomNormal(seed=3)(shape)
    draw = random.Random(1)
    for _ in range(40):
        box = random_box(shape, draw)
        assert same_bits(stored.read(box), whole[box].copy())
        assert same_bits(np.ascontiguousarray(Memory(whole).read(box)).reshape(stored.read(box).shape), stored.read(box))
        assert same_bits(Unmade(gpuinit.Table(shape, gpuinit.RandomNormal(seed=3))).read(box), whole[box].copy())


def test_what_was_read_before_stays_as_it_is() -> None:
    """A buffer that serves one read after the other would change it."""
    reader = Unmade(gpuinit.Table((64, 64), gpuinit.RandomNormal(seed=3)))
    first = reader.read((slice(0, 8), slice(0, 64)))
    kept = first.copy()
    reader.read((slice(8, 16), slice(0, 64)))
    assert same_bits(first, kept)


def test_an_orthogonal_matrix_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    table = gpuinit.Table((64, 64), gpuinit.Orthogonal(seed=1))
    made: list[object] = []
    make = gpuinit.Table.make
    monkeypatch.setattr(gpuinit.Table, "make", lambda self, *args: made.append(self) or make(self, *args))
    shown = exhibit(table)
    assert np.array_equal(shown.sample.reshape(64, 64), matrices.excerpt(shown)) and len(made) == 1


def test_of_a_file_only_what_is_shown_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 32 MB: a sample of 2^20 elements in 16 runs, and of the heat map no byte beyond its 64 blocks."""
    path = written(tmp_path / "w.safetensors", (8000, 1000))
    read: list[int] = []
    usual = Stream.read
    monkeypatch.setattr(Stream, "read", lambda self, block, out: read.append(out.nbytes) or usual(self, block, out))
    shown = exhibit(path)
    assert not read
    values = matrices.excerpt(shown)
    assert sum(read) == values.size * 4 == 192 * 192 * 4
    read.clear()
    assert shown.sample.size * 4 == sum(read) == SAMPLE * 4
    assert shown.sample.size == SAMPLE


def test_the_sample_of_a_large_tensor_is_spread_over_it() -> None:
    """The first and the last element are in it, and no run lies on another: each of 16 is of its own stretch."""
    shape = (3000, 1024)
    numbers = np.arange(math.prod(shape), dtype=np.float64).reshape(shape)
    sample = exhibit(numbers).sample
    assert sample.size == SAMPLE and sample[0] == 0 and sample[-1] == numbers.size - 1
    assert (np.diff(sample) > 0).all() and (np.diff(sample) > 1).sum() == 15
    assert exhibits.SAMPLE == 2**20


def test_a_tensor_that_fits_no_memory_is_shown() -> None:
    """10^18 elements: the blocks are those of the whole tensor, as rows by id give them."""
    shown = exhibit("random_normal", (10**15, 1000), "bfloat16", seed=2)
    table = gpuinit.Table((10**15, 1000), "random_normal", "bfloat16", seed=2)
    ids = np.concatenate([np.arange(*run) for run in matrices.runs(10**15)])
    columns = np.concatenate([np.arange(*run) for run in matrices.runs(1000)])
    assert np.array_equal(matrices.excerpt(shown), table[ids][:, columns].astype(np.float64))
    assert shown.sample.size == SAMPLE


@pytest.mark.parametrize("shape", [(4, 500, 7), (300, 2, 2, 3), (250,), (1, 1), ()])
def test_the_matrix_of_a_tensor(shape: tuple[int, ...]) -> None:
    """All axes but the last are its rows, in C order; a vector is a row, a number a matrix of one."""
    numbers = np.arange(math.prod(shape), dtype=np.int64).reshape(shape)
    shown = exhibit(numbers)
    matrix = numbers.reshape(-1, shape[-1] if shape else 1)
    assert (shown.rows, shown.columns) == matrix.shape
    rows, columns = (shown.rows // 3, shown.rows), (0, max(1, shown.columns // 2))
    assert np.array_equal(shown.block(rows, columns), matrix[slice(*rows), slice(*columns)])


def test_a_recipe_gives_the_law(tmp_path: Path) -> None:
    """Of the whole logical tensor, also for a shard: glorot's limit is that of 900 rows, not of 300."""
    [job] = plan_tensor((900, 30), tmp_path / "w.npy", init="glorot_uniform", seed=1, shard=(1, 3))
    write([job])
    shown = exhibit(job.path)
    assert shown.title == "w-00002-of-00003.npy: GlorotUniform, 300 x 30, float32, a shard"
    assert shown.law is not None and shown.law.high == pytest.approx(math.sqrt(6 / 930), rel=1e-12)
    assert np.array_equal(shown.sample, gpuinit.GlorotUniform(seed=1)((900, 30))[300:600].ravel())


def test_a_file_without_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "w.npy"
    np.save(path, np.arange(12.0).reshape(3, 4))
    shown = exhibit(path)
    assert shown.law is None and shown.statement is None and shown.sample.tolist() == list(range(12))
    assert shown.title == "w.npy, 3 x 4, float64, no recipe"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """Each error names the file, and says what is wrong with it."""
    path = written(tmp_path / "w.npy", (30, 40))
    (tmp_path / "x.npy").write_bytes(b"nothing")
    os.truncate(path, 2000)
    shown = exhibit(path)
    for call, message in (
        (lambda: exhibit(tmp_path / "y.npy"), "y.npy' cannot be read: No such file"),
        (lambda: exhibit(tmp_path / "x.npy"), "x.npy' cannot be read: its header is not that of a .npy file"),
        (lambda: shown.sample, "w.npy' cannot be read: it ends at byte 2,000"),
    ):
        with pytest.raises(OSError, match=message):
            call()
    with pytest.raises(ValueError, match=r"file='.*w.bin': the suffix must be .safetensors or .npy or .zarr"):
        exhibit(tmp_path / "w.bin")
    path.with_suffix(".json").write_text("{}")
    with pytest.raises(ValueError, match=r"w.npy': its recipe cannot be followed: not a gpuinit recipe"):
        exhibit(path)
