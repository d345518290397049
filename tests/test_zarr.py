"""Zarr arrays: what the zarr library reads of ours, what we check of others', and which folders are replaced."""

from __future__ import annotations

import itertools
import json
import math
import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import same_bits
from hypothesis import given, settings
from hypothesis import strategies as st
from json_places import places, replaced

import gpuinit
from gpuinit.cli import main
from gpuinit.recipe import Recipe
from gpuinit.tables import check, pipeline, plan_tensor, write
from gpuinit.tables import zarr as zarr_module

zarr = pytest.importorskip("zarr")
numcodecs = pytest.importorskip("numcodecs")

RANDOM = ["float16", "float32", "float64", "complex64", "complex128"]


@pytest.fixture(autouse=True, scope="module")
def small() -> Iterator[None]:
    """Chunks of 512 bytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "CHUNK_BYTES", 512)
        for name in ("fsync", "fdatasync"):
            patch.setattr(os, name, lambda descriptor: None)
        yield


def create(out: Path, *arguments: object) -> int:
    return main(["create", "--out", str(out), "--quiet", *map(str, arguments)])


def said(capsys: pytest.CaptureFixture[str], status: int, *arguments: object) -> str:
    """Run the command line, which must end with the status and one line."""
    capsys.readouterr()
    assert main([*map(str, arguments)]) == status
    found = capsys.readouterr()
    assert found.err.startswith("gpuinit: error: ") and found.err.count("\n") == 1
    return found.err


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def chunk_names(array: Any) -> set[str]:
    """The names of all chunks' files, by the library."""
    counts = [range(-(-length // step)) for length, step in zip(array.shape, array.shards or array.chunks, strict=True)]
    return {array.metadata.encode_chunk_key(numbers) for numbers in itertools.product(*counts)}


# what is written


SHAPES = [(), (0,), (0, 5), (5, 0), (1,), (1, 1), (300,), (40, 20), (1, 700), (700, 1), (3, 1, 5, 40), (2, 3, 200)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", zarr_module.DTYPES)
def test_the_library_reads_what_python_makes(dtype: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    """Every dtype that it holds, every kind of shape: the bits, the recipe, the chunks' names and no other file."""
    out = tmp_path / "w.zarr"
    init: Any = gpuinit.HeNormal(seed=3) if dtype in RANDOM else gpuinit.Constant(1)
    chosen = ("he_normal", 3) if dtype in RANDOM else ("constant", 0)
    args = {} if dtype in RANDOM else {"value": 1}
    write(plan_tensor(shape, out, init=chosen[0], args=args, dtype=dtype, seed=chosen[1]))
    array = zarr.open_array(str(out), mode="r", zarr_format=3)
    found = np.empty(shape, dtype)
    found[...] = array[...]
    assert same_bits(found, init(shape, dtype)) and array.dtype == np.dtype(dtype)
    recipe = Recipe.from_json(array.attrs["gpuinit"])
    assert same_bits(recipe.initializer()(recipe.shape, recipe.dtype), found)
    assert set(contents(out)) == {"zarr.json"} | (chunk_names(array) if math.prod(shape) else set())
    assert math.prod(array.chunks) * array.dtype.itemsize <= max(512, array.dtype.itemsize) and not array.compressors
    assert os.listdir(tmp_path) == ["w.zarr"]
    checked = check(out)
    assert checked.equal and checked.compared == math.prod(shape)


@pytest.mark.parametrize("value", ["-0.0", "0.0", "inf", "-inf"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "complex128"])
def test_constants_that_equal_or_look_like_the_fill_value(value: str, dtype: str, tmp_path: Path) -> None:
    """-0.0 equals the fill value, and its chunks are there all the same; rejects leaving them out, to be read as 0.0."""
    out = tmp_path / "w.zarr"
    assert create(out, "--shape", "40,20", "--init", "constant", "--arg", f"value={value}", "--dtype", dtype) == 0
    array = zarr.open_array(str(out), mode="r")
    assert same_bits(array[...], np.full((40, 20), float(value), dtype))
    assert set(contents(out)) == {"zarr.json"} | chunk_names(array)
    assert check(out).equal


def test_nan_constants(tmp_path: Path) -> None:
    """The bits of a NaN, which equals nothing, its sign and payload among them."""
    write(plan_tensor((40, 20), tmp_path / "w.zarr", init="constant", args={"value": math.nan}))
    assert same_bits(zarr.open_array(str(tmp_path / "w.zarr"), mode="r")[...], gpuinit.Constant(math.nan)((40, 20)))
    assert check(tmp_path / "w.zarr").equal
    array = zarr.open_array(str(tmp_path / "w.zarr"), mode="r+")
    array[3, 4] = np.array(0x7FC00001, np.uint32).view(np.float32)
    assert [one.start for one in check(tmp_path / "w.zarr").differences] == [64]


# which folders are replaced


def test_only_an_array_is_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A group of arrays, whose folder has a zarr.json too, is the user's; rejects going by the name of a file."""
    out = tmp_path / "w.zarr"
    arguments = ("create", "--shape", "40,20", "--out", out)

    def group() -> None:
        zarr.create_group(str(out)).create_array("precious", shape=(3,), dtype="f4")[...] = 1

    def other() -> None:
        out.mkdir()
        (out / "precious").write_text("mine")

    def damaged() -> None:
        other()
        (out / "zarr.json").write_bytes(b"[" * 100_000)

    def file() -> None:
        out.write_text("mine")

    def link() -> None:
        write(plan_tensor((3,), tmp_path / "other.zarr"))
        out.symlink_to(tmp_path / "other.zarr")

    for make in (group, other, damaged, file, link):
        make()
        before = contents(tmp_path)
        why = said(capsys, 2, *arguments, "--force")
        assert "holds no zarr array; it is not replaced" in why or "is a file; a folder is to be" in why, make
        said(capsys, 2, *arguments)
        assert contents(tmp_path) == before and not out.with_name("w.zarr.part").exists()
        shutil.rmtree(out) if out.is_dir() and not out.is_symlink() else out.unlink()
    out.mkdir()  # an empty folder is nobody's
    assert main([*map(str, arguments), "--force", "--quiet"]) == 0
    assert "exists already; --force" in said(capsys, 2, *arguments)
    assert create(out, "--shape", "7", "--seed", 1, "--force") == 0
    assert same_bits(zarr.open_array(str(out), mode="r")[...], gpuinit.RandomUniform(seed=1)((7,)))
    assert os.listdir(tmp_path / "w.zarr") and set(os.listdir(tmp_path)) == {"w.zarr", "other.zarr"}


@pytest.mark.parametrize("beside", ["w.zarr.part", "w.zarr.old.part"])
def test_what_a_killed_process_left_of_a_folder_is_in_nobodys_way(
    beside: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed before its zarr.json had its name, or after that was removed and before the chunks were: rejects taking either for
    the user's folder for good. What holds anything else is the user's."""
    place, out = tmp_path / beside, tmp_path / "w.zarr"
    for left in (["zarr.0123456789abcdef.partial"], ["c/0/0", "c/1/0", "c/1/1.0123.partial"], ["zarr.json", "c/0/0"], []):
        place.mkdir()
        for name in left:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(b"\0" * 10)
        assert create(out, "--shape", "40,20", "--force") == 0 and check(out).equal
        assert os.listdir(tmp_path) == ["w.zarr"]
    place.mkdir()
    for name in ("precious.txt", "zarr.json"):
        (place / name).write_text("mine")
    before = contents(tmp_path)
    assert "holds more than a zarr array" in said(capsys, 2, "create", "--shape", "40,20", "--out", out, "--force")
    assert contents(tmp_path) == before


# arrays that something else has written


CODECS = [None, zarr.codecs.ZstdCodec(), zarr.codecs.GzipCodec(), zarr.codecs.BloscCodec()]


@st.composite
def layouts(draw: st.DrawFn) -> dict[str, Any]:
    """Settings of `zarr.create_array` for an array of two or three axes."""
    shape = tuple(draw(st.lists(st.integers(1, 12), min_size=1, max_size=3)))
    chunks = tuple(draw(st.integers(1, length + 2)) for length in shape)
    version = draw(st.sampled_from([2, 3, 3]))
    found: dict[str, Any] = {"shape": shape, "chunks": chunks, "zarr_format": version}
    if version == 2:
        found["compressors"] = draw(st.sampled_from([None, numcodecs.Zstd(), numcodecs.GZip()]))
        found["order"] = draw(st.sampled_from("CF"))
        found["chunk_key_encoding"] = {"name": "v2", "separator": draw(st.sampled_from("./"))}
        found["filters"] = None
        return found
    found["compressors"] = draw(st.sampled_from(CODECS))
    if draw(st.booleans()):
        found["serializer"] = zarr.codecs.BytesCodec(endian=draw(st.sampled_from(["little", "big"])))
    found["filters"] = draw(st.sampled_from([None, [zarr.codecs.TransposeCodec(order=tuple(reversed(range(len(shape)))))]]))
    found["chunk_key_encoding"] = draw(
        st.sampled_from([{"name": "default"}, {"name": "v2"}, {"name": "default", "separator": "."}])
    )
    if draw(st.booleans()):
        found["shards"] = tuple(step * draw(st.integers(1, 3)) for step in chunks)
    return found


@settings(max_examples=60, deadline=None)
@given(layout=layouts(), data=st.data())
def test_an_array_that_something_else_wrote(
    layout: dict[str, Any], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any chunks, shards, order, byte order, separator, compressor and format: equal as it is; with elements changed exactly
    those are found, as ranges of consecutive elements of the tensor, in the files in which they are.

    Rejects counting elements as if every chunk were a run of the tensor, names of chunks other than the array's, and a byte
    where the file's bytes are not the elements.
    """
    shape = layout["shape"]
    table = gpuinit.Table(shape, "he_normal", seed=4)
    out = tmp_path_factory.mktemp("other") / "w.zarr"
    array = zarr.create_array(store=str(out), dtype="f4", attributes={"gpuinit": table.recipe.to_json()}, **layout)
    right = table.make("cpu")
    array[...] = right
    assert check(out).equal
    wrong = data.draw(st.sets(st.integers(0, right.size - 1), min_size=1, max_size=8) | st.just(set(range(right.size))))
    edited, byte = right.copy(), data.draw(st.integers(0, 3))
    edited.reshape(-1).view(np.uint8).reshape(-1, 4)[sorted(wrong), byte] ^= 0x11
    before = contents(out)
    array[...] = edited
    after = contents(out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gpuinit.tables.compare.MOST_RANGES", 1 << 20)  # or those of chunks are not joined
        found = check(out)
    covered = [element for one in found.differences for element in range(one.start, one.stop)]
    assert covered == sorted(wrong) and found.differing == len(wrong) and found.compared == right.size
    assert all(one.stop < other.start for one, other in itertools.pairwise(found.differences))
    assert found.ranges == len(found.differences)
    plain = not (layout["compressors"] or layout["filters"] or layout.get("shards")) and layout.get("order", "C") == "C"
    plain = plain and getattr(layout.get("serializer"), "endian", None) != zarr.codecs.Endian.big
    for one in found.differences:
        path, comma, where = one.place.partition(", byte ")
        name = str(Path(path).relative_to(out))
        index = np.unravel_index(one.start, shape)
        numbers = tuple(int(place) // step for place, step in zip(index, layout.get("shards") or layout["chunks"], strict=True))
        assert name == array.metadata.encode_chunk_key(numbers) and before[name] != after[name]
        assert bool(comma) == plain
        if comma:
            at = int(where.replace(",", ""))
            assert at % 4 == byte and before[name][at] ^ 0x11 == after[name][at]
            assert before[name][at : at - byte + 4] != after[name][at : at - byte + 4]


def test_most_ranges_of_an_array_with_other_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where ranges are too many to be listed all elements are counted nevertheless, and those listed are in order."""
    table = gpuinit.Table((40, 40), seed=4)
    array = zarr.create_array(
        store=str(tmp_path / "w.zarr"), shape=(40, 40), chunks=(7, 9), dtype="f4", attributes={"gpuinit": table.recipe.to_json()}
    )
    array[...] = table.make("cpu") + 1
    monkeypatch.setattr("gpuinit.tables.compare.MOST_RANGES", 10)
    found = check(tmp_path / "w.zarr")
    assert found.differing == 1600 and len(found.differences) == 10 < found.ranges
    assert all(one.stop <= other.start for one, other in itertools.pairwise(found.differences))
    monkeypatch.undo()
    monkeypatch.setattr(pipeline, "CHUNK_BYTES", 512)
    assert [(one.start, one.stop) for one in check(tmp_path / "w.zarr").differences] == [(0, 1600)]
    sample = check(tmp_path / "w.zarr", sample=0.2)
    assert 1600 * 0.1 < sample.compared < 1600 * 0.3 and sample.differing == sample.compared


# damage


@pytest.fixture
def array(tmp_path: Path) -> Path:
    """An array of seven chunks, six rows each, the last of four."""
    write(plan_tensor((40, 20), tmp_path / "w.zarr"))
    assert len(contents(tmp_path / "w.zarr")) == 1 + 7
    return tmp_path / "w.zarr"


def test_a_missing_chunk(array: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The library reads zeros for it; the report says that its file is not there."""
    for number in (0, 3, 6):
        chunk = array / "c" / str(number) / "0"
        kept = chunk.read_bytes()
        chunk.unlink()
        found = check(array)
        rows = 4 if number == 6 else 6
        assert [(one.start, one.stop) for one in found.differences] == [(number * 120, number * 120 + rows * 20)]
        assert main(["check", str(array)]) == 1
        assert f"from {chunk}, which is not there, on" in capsys.readouterr().out
        chunk.write_bytes(kept)
    shutil.rmtree(array / "c")
    assert check(array).differing == 800 and [(one.start, one.stop) for one in check(array).differences] == [(0, 800)]


def test_a_flipped_bit_in_every_chunk(array: Path) -> None:
    """Also in what stands behind the elements of the last chunk, which is no element's: that is not found."""
    for number, at in itertools.product(range(7), (0, 1, 319, 479)):
        chunk = array / "c" / str(number) / "0"
        whole = chunk.read_bytes()
        chunk.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        found = check(array)
        element = number * 120 + at // 4
        expected = [(element, element + 1, f"{chunk}, byte {at:,}")] if element < 800 else []
        assert [(one.start, one.stop, one.place) for one in found.differences] == expected
        chunk.write_bytes(whole)


@pytest.mark.parametrize("compressor", CODECS, ids=lambda codec: type(codec).__name__)
@pytest.mark.parametrize("damage", [b"", b"x", b"\0" * 100, b"\xff" * 5000, "folder", "cut off", "longer"], ids=range(7))
def test_a_chunk_that_cannot_be_read(
    compressor: Any, damage: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], small: None
) -> None:
    """One line that names its file, and status 1, whatever error the compressor has for it; or differing elements."""
    table = gpuinit.Table((40, 20), seed=4)
    array = zarr.create_array(
        store=str(tmp_path / "w.zarr"),
        shape=(40, 20),
        chunks=(10, 20),
        dtype="f4",
        compressors=compressor,
        attributes={"gpuinit": table.recipe.to_json()},
    )
    array[...] = table.make("cpu")
    chunk = tmp_path / "w.zarr" / "c" / "2" / "0"
    whole = chunk.read_bytes()
    if damage == "folder":
        chunk.unlink()
        chunk.mkdir()
    else:
        chunk.write_bytes({"cut off": whole[:-3], "longer": whole + b"\0\0\0"}.get(damage, damage))  # type: ignore[call-overload]
    status = main(["check", str(tmp_path / "w.zarr")])
    found = capsys.readouterr()
    if damage == "longer" and status == 0:
        assert compressor is not None
    elif found.err:
        assert status == 1 and str(chunk) in found.err and found.err.count("\n") == 1
    else:
        assert status == 1 and str(chunk) in found.out


ODD: list[Any] = [None, True, -1, 0, 2, 2**40, 2**65, 1.5, math.inf, "", "x", [], {}, [None], [1, 2], [2**40, 8], [0, 8], [[]]]
ODD += ["float64", "int32", "NaN", {"name": "x"}, {"name": None, "configuration": None}, {"configuration": {}}]


def test_odd_metadata(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Odd values at each place of zarr.json in turn: one line or a comparison, for `check`, never a traceback. Rejects counting
    on zarr to refuse, say, chunks of no rows, and taking memory for chunks that reach out of the array.
    """
    out = tmp_path / "w.zarr"
    write(plan_tensor((8, 8), out))
    path = out / "zarr.json"
    metadata = json.loads(path.read_text())
    ways = [way for way in places(metadata) if way[:2] != ("attributes", "gpuinit")]
    ways += [("attributes", "gpuinit"), ("attributes", "gpuinit", "shape"), ("attributes", "gpuinit", "key")]
    statuses = set()
    for way, new in itertools.product(ways, ODD):
        path.write_text(json.dumps(replaced(metadata, way, new)))
        capsys.readouterr()
        status = main(["check", str(out)])
        found = capsys.readouterr()
        statuses.add(status)
        assert found.err.count("\n") == (found.out == "") and (status == 0) <= (found.err == ""), (way, new)
        assert found.err == "" or f"file: {str(out)!r}" in found.err, (way, new)
    assert statuses == {0, 1, 2}


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_bytes_of_metadata_whatever_end_in_a_traceback(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """zarr.json with bytes replaced, for `check`, `--resume` and `--force`."""
    out = tmp_path_factory.mktemp("metadata") / "w.zarr"
    write(plan_tensor((8, 8), out))
    path = out / "zarr.json"
    whole = path.read_bytes()
    first = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:first] + data.draw(st.binary(max_size=4)) + whole[first + data.draw(st.integers(0, 4)) :])
    assert main(["check", str(out)]) in (0, 1, 2)
    assert create(out, "--shape", "8,8", "--resume") in (0, 2)
    assert create(out, "--shape", "8,8", "--force") in (0, 2)


def test_what_is_no_array(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zarr.create_group(str(tmp_path / "group.zarr"))
    (tmp_path / "empty.zarr").mkdir()
    (tmp_path / "file.zarr").write_text("mine")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is not in zarr's specification
        zarr.create_array(store=str(tmp_path / "text.zarr"), shape=(3,), dtype="U5")
    for name in ("group", "empty", "file", "text", "none"):
        why = said(capsys, 1, "check", tmp_path / f"{name}.zarr")
        path = str(tmp_path / f"{name}.zarr")
        assert f"file: {path!r} cannot be read: it is not a zarr array" in why
    zarr.create_array(store=str(tmp_path / "bare.zarr"), shape=(3,), dtype="f4")
    assert "carries no recipe" in said(capsys, 2, "check", tmp_path / "bare.zarr")
    recipe = gpuinit.Table((3,), seed=0).recipe.to_json()
    for shape, dtype in (((4,), "f4"), ((3,), "f8"), ((3, 1), "f4")):
        out = tmp_path / f"{len(shape)}{shape[0]}{dtype}.zarr"
        zarr.create_array(store=str(out), shape=shape, dtype=dtype, attributes={"gpuinit": recipe})
        assert "and its recipe of shape (3,) and dtype float32" in said(capsys, 1, "check", out)


def test_dtypes_that_it_has_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for dtype in ("bfloat16", "float8_e4m3fn", "float8_e5m2"):
        why = said(capsys, 2, "create", "--shape", 3, "--dtype", dtype, "--out", tmp_path / "w.zarr")
        assert f"format='zarr' cannot hold dtype={dtype}; format='safetensors' can" in why
    assert os.listdir(tmp_path) == []
