"""`gpuinit check`: what it finds, where it says that it is, and that no bytes whatever end in a traceback."""

from __future__ import annotations

import json
import math
import os
import sys
import time
import warnings
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import peak_memory
from hypothesis import given, settings
from hypothesis import strategies as st
from json_places import places, replaced

import gpuinit
from gpuinit import dtypes
from gpuinit.cli import main
from gpuinit.tables import Checked, check, compare, contents, pipeline, plan_tensor, write
from gpuinit.virtual import Virtual

CHUNK = 4096
SAMPLE = 512
SHAPE = (300, 17)
SIZE = math.prod(SHAPE)
"""Several chunks, the last one smaller, in the formats that are one file."""


@pytest.fixture(autouse=True, scope="module")
def small() -> Iterator[None]:
    """Small chunks and samples, and runs of 100 elements that are compared at once, so that their edges are met."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "CHUNK_BYTES", CHUNK)
        patch.setattr(sys.modules["gpuinit.tables.check"], "SAMPLE_BYTES", SAMPLE)  # whose name is the function's
        patch.setattr(compare, "_RUN", 100)
        for name in ("fsync", "fdatasync"):
            patch.setattr(os, name, lambda descriptor: None)
        yield


FILES = [("safetensors", "float32"), ("safetensors", "bfloat16"), ("npy", "float32"), ("npy", "complex128"), ("npy", "float16")]


@pytest.fixture(scope="module")
def made(small: None, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], bytes]:
    """The bytes of files, by format and dtype."""
    found = {}
    for form, dtype in FILES:
        path = tmp_path_factory.mktemp("made") / f"w.{form}"
        write(plan_tensor(SHAPE, path, init="he_normal", dtype=dtype, seed=5))
        found[form, dtype] = path.read_bytes()
    return found


def placed(folder: Path, form: str, dtype: str, data: bytes) -> Path:
    """A file with these bytes and, where it stands beside them, the recipe of `made`."""
    path = folder / f"w.{form}"
    if form == "npy":
        write(plan_tensor(SHAPE, path, init="he_normal", dtype=dtype, seed=5), force=True)
    path.write_bytes(data)
    return path


def header_of(data: bytes, dtype: str) -> int:
    return len(data) - SIZE * dtypes.canonical(dtype).itemsize


def ran(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """The status and what is said; an error is one line."""
    capsys.readouterr()
    status = main(["check", *map(str, arguments)])
    said = capsys.readouterr()
    assert said.err == "" or (said.err.startswith("gpuinit: error: ") and said.err.count("\n") == 1)
    assert status in (0, 1, 2) and (status == 2) <= bool(said.err)
    return status, said.out, said.err


# what is found, and where


@settings(max_examples=40, deadline=None)
@given(data=st.data(), file=st.sampled_from(FILES))
def test_a_flipped_bit_is_found_where_it_is(
    data: st.DataObject,
    file: tuple[str, str],
    made: dict[tuple[str, str], bytes],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """One range of one element, and the offset of the byte in the file. Rejects skipping the last chunk, comparing values (the
    sign of zero, a NaN), and offsets that leave out the header or the byte in the element."""
    whole = bytearray(made[file])
    header, itemsize = header_of(whole, file[1]), dtypes.canonical(file[1]).itemsize
    at = data.draw(
        st.integers(header, len(whole) - 1) | st.sampled_from([header, len(whole) - 1, header + CHUNK, header + CHUNK - 1])
    )
    whole[at] ^= 1 << data.draw(st.integers(0, 7))
    path = placed(tmp_path_factory.mktemp("flipped"), *file, bytes(whole))
    found = check(path)
    element = (at - header) // itemsize
    assert [(one.start, one.stop, one.place, one.missing) for one in found.differences] == [
        (element, element + 1, f"byte {at:,}", False)
    ]
    assert (found.differing, found.ranges, found.compared, found.elements, found.excess) == (1, 1, SIZE, SIZE, 0)
    assert found.index(element) == tuple(int(place) for place in np.unravel_index(element, SHAPE)) and not found.equal
    assert main(["check", str(path), "--quiet"]) == 1


def runs(elements: set[int]) -> list[tuple[int, int]]:
    """The ranges of consecutive numbers."""
    ordered = sorted(elements)
    breaks = [0, *(k + 1 for k, (one, other) in enumerate(pairwise(ordered)) if other != one + 1), len(ordered)]
    return [(ordered[first], ordered[behind - 1] + 1) for first, behind in pairwise(breaks)] if ordered else []


@settings(max_examples=30, deadline=None)
@given(
    ranges=st.lists(st.tuples(st.integers(0, SIZE - 1), st.integers(1, 2500)), max_size=6),
    singles=st.sets(st.integers(0, SIZE - 1), max_size=40),
    most=st.sampled_from([1, 3, 1000]),
)
def test_ranges_are_the_runs_of_differing_elements(
    ranges: list[tuple[int, int]],
    singles: set[int],
    most: int,
    made: dict[tuple[str, str], bytes],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Across the edges of chunks and of what is compared at once. Rejects a range a chunk, and elements that are not counted once
    the list of ranges is full."""
    wrong = singles | {element for start, count in ranges for element in range(start, min(start + count, SIZE))}
    whole = np.frombuffer(made["npy", "float32"], np.uint8).copy()
    header = header_of(whole.tobytes(), "float32")
    for element in wrong:
        whole[header + 4 * element + 2] ^= 1
    path = placed(tmp_path_factory.mktemp("ranges"), "npy", "float32", whole.tobytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare, "MOST_RANGES", most)
        found = check(path)
    expected = runs(wrong)
    assert found.differing == len(wrong)
    listed = [(one.start, one.stop) for one in found.differences]
    assert [one.place for one in found.differences] == [f"byte {header + 4 * start + 2:,}" for start, _ in listed]
    if len(expected) <= most:
        assert listed == expected and found.ranges == len(expected)
    else:
        assert listed[: most - 1] == expected[: most - 1] and len(listed) == most and found.ranges >= len(expected)


@pytest.mark.parametrize("file", FILES, ids=str)
def test_a_file_that_is_cut_off(
    file: tuple[str, str], made: dict[tuple[str, str], bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is missing is said from its first element on, by a sampled check too. Rejects comparing what the file has and no
    more, an element that is half there taken for whole, and a sample that misses the end."""
    whole = made[file]
    header, itemsize = header_of(whole, file[1]), dtypes.canonical(file[1]).itemsize
    for length in (
        0,
        5,
        header - 1,
        header,
        header + 1,
        header + itemsize,
        header + CHUNK,
        len(whole) - itemsize,
        len(whole) - 1,
    ):
        path = placed(tmp_path, *file, whole[:length])
        status, out, err = ran(capsys, path)
        assert status == 1
        if length < header:
            assert out == "" and f"file: {str(path)!r} cannot be read: its header is not that of a " in err
            continue
        held = (length - header) // itemsize
        for sample in (None, 0.01):
            found = check(path, sample=sample)
            [one] = found.differences
            assert (one.start, one.stop, one.missing, one.place) == (held, SIZE, True, f"byte {header + held * itemsize:,}")
            assert (found.differing, found.ranges) == (SIZE - held, 1)
            assert found.compared == SIZE if sample is None else SIZE - held <= found.compared <= SIZE
        assert "  missing: element" in out and err == ""


@pytest.mark.parametrize("file", FILES, ids=str)
def test_bytes_behind_the_last_element(
    file: tuple[str, str], made: dict[tuple[str, str], bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for excess in (1, 5000):
        path = placed(tmp_path, *file, made[file] + b"\0" * excess)
        for options in ((), ("--sample", "1%")):
            status, out, _ = ran(capsys, path, *options, "--json")
            [facts] = json.loads(out)
            assert (status, facts["excess_bytes"], facts["equal"], facts["differing"]) == (1, excess, False, 0)
        assert f"  {excess:,} byte{'' if excess == 1 else 's'} behind the last element" in ran(capsys, path)[1]


def test_little_of_a_huge_file_is_little_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """2^50 elements by the header, 1000 in the file: rejects making, or listing, what there is nothing to compare with."""
    [job] = plan_tensor((2**40, 2**10), tmp_path / "w.safetensors")
    header = job.format.header(job.recipe, job.shape, job.tensor)  # type: ignore[attr-defined]
    job.path.write_bytes(header + job.table[:1].tobytes()[:4000])
    real, blocks = Virtual.chunks, []

    def chunks(self: Virtual, given: Any, nbytes: int) -> Any:
        return real(self, (blocks.append(one) or one for one in given), nbytes)  # type: ignore[func-returns-value]

    monkeypatch.setattr(Virtual, "chunks", chunks)
    began = time.perf_counter()
    for sample in (None, 0.5, 1.0):
        found = check(job.path, sample=sample)
        assert [(one.start, one.stop, one.missing) for one in found.differences] == [(1000, 2**50, True)]
        assert found.compared > 2**50 - 1001
    assert len(blocks) <= 16 and time.perf_counter() - began < 20


@pytest.mark.parametrize("suffix", ["safetensors", "npy", "zarr"])
@pytest.mark.parametrize(
    ("init", "args", "shape"),
    [
        *[
            ("random_uniform", {}, (3000, 7)),
            ("truncated_normal", {"lower": -math.inf}, (50, 3, 5)),
            ("constant", {"value": -0.0}, (999,)),
        ],
        *[("orthogonal", {"gain": 2.0}, (90, 40)), ("sparse", {"sparsity": 0.5}, (40, 30)), ("identity", {}, (65, 33))],
    ],
)
def test_files_of_every_kind_are_equal(
    suffix: str, init: str, args: dict[str, Any], shape: tuple[int, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those that are made whole among them; with a bit of the last element flipped they differ: rejects stopping earlier."""
    path = tmp_path / f"w.{suffix}"
    write(plan_tensor(shape, path, init=init, args=args))
    for options in ((), ("--sample", "1%")):
        assert ran(capsys, path, *options)[::2] == (0, "")
    if suffix == "zarr":
        return
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    last = [length - 1 for length in shape]
    assert f"different: element {last}, from byte {len(data) - 1:,} on" in ran(capsys, path)[1]


# samples


def wrong_everywhere(path: Path) -> Path:
    """A file whose every element has a flipped bit."""
    whole = np.frombuffer(path.read_bytes(), np.uint8).copy()
    whole[-np.load(path).nbytes :] ^= 1
    path.write_bytes(whole.tobytes())
    return path


@pytest.mark.parametrize("shape", [(4000, 16), (3, 20000), (1, 50000), (60000,)], ids=str)
def test_a_sample_is_about_the_share_and_finds_what_is_everywhere(shape: tuple[int, ...], tmp_path: Path) -> None:
    """At most a block of 512 bytes more than the share. Rejects comparing all, or nothing of a small share."""
    path = tmp_path / "w.npy"
    write(plan_tensor(shape, path))
    size = math.prod(shape)
    for share in (0.0001, 0.01, 0.1, 0.5, 1.0):
        seen: list[int] = []
        found = check(path, sample=share, progress=seen.append)
        assert (
            found.equal
            and 0 < found.compared <= share * size * 1.05 + 2 * SAMPLE / 4
            and found.compared >= share * size * 0.9 - 1
        )
        assert sum(seen) == found.compared * 4
    assert found.compared == size
    found = check(wrong_everywhere(path), sample=0.01)
    assert found.differing == found.compared > 0


def test_a_samples_places_are_drawn_anew_and_spread(tmp_path: Path) -> None:
    """Half of 100 blocks are one of each two: rejects blocks at places that are always the same (of 20 draws of 50 blocks two are
    the same with probability below 2^-40), and a draw that is not spread."""
    path = tmp_path / "w.npy"
    write(plan_tensor((100, 128), path))  # 100 rows of 512 bytes
    wrong_everywhere(path)
    drawn = set()
    for _ in range(20):
        found = check(path, sample=0.5)
        rows = sorted({row for one in found.differences for row in range(one.start // 128, one.stop // 128)})
        assert [row // 2 for row in rows] == list(range(50))
        drawn.add(tuple(rows))
    assert len(drawn) == 20


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, float("nan"), float("inf")])
def test_a_share_that_is_none(share: float, tmp_path: Path) -> None:
    write(plan_tensor((3,), tmp_path / "w.npy"))
    with pytest.raises(ValueError, match="sample="):
        check(tmp_path / "w.npy", sample=share)
    assert main(["check", str(tmp_path / "w.npy"), "--sample", str(share)]) == 2


# recipes and headers


def edited(path: Path, change: Any) -> None:
    """Replace the recipe of a safetensors file, or of a .npy's JSON file, by what `change` makes of it."""
    if path.suffix == ".npy":
        beside = path.with_suffix(".json")
        beside.write_text(json.dumps(change(json.loads(beside.read_text()))))
        return
    data = path.read_bytes()
    size = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:size])
    header["__metadata__"]["gpuinit"] = json.dumps(change(json.loads(header["__metadata__"]["gpuinit"])))
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[size:])


@pytest.mark.parametrize("form", ["safetensors", "npy"])
def test_recipes_that_are_missing_or_of_another_tensor(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / f"w.{form}"
    write(plan_tensor(SHAPE, path))
    edited(path, lambda recipe: {**recipe, "key": {**recipe["key"], "seed": 1}})
    assert check(path).differing > 0.99 * SIZE
    for changes in ({"shape": [17, 300]}, {"dtype": "float16"}, {"shape": [300, 17, 1]}):
        edited(path, lambda recipe, changes=changes: {**recipe, "shape": list(SHAPE), "dtype": "float32", **changes})
        status, out, err = ran(capsys, path)
        assert (
            status == 1 and out == "" and f"file: {str(path)!r} cannot be read: it is of shape (300, 17) and dtype float32" in err
        )
    edited(path, lambda recipe: {**recipe, "shape": list(SHAPE), "dtype": "float32", "contract": 2})
    status, _, err = ran(capsys, path)
    assert status == 2 and f"file: {str(path)!r}: its recipe cannot be followed: contract=2" in err
    edited(path, lambda recipe: None)
    assert "carries no recipe" in ran(capsys, path)[2]
    if form == "npy":
        path.with_suffix(".json").unlink()
    else:
        data = path.read_bytes()
        text = json.dumps({"weight": {"dtype": "F32", "shape": list(SHAPE), "data_offsets": [0, SIZE * 4]}}).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + data[-SIZE * 4 :])
    status, out, err = ran(capsys, path)
    assert status == 2 and out == "" and f"file: {str(path)!r}: it carries no recipe" in err


ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["float32", "int8", "Zeros", "RandomUniform", "gpuinit.initializers", "inf", {"__float__": "nan"}]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.just("__float__"), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=250, deadline=None)
@given(data=st.data(), new=ANY, form=st.sampled_from(["safetensors", "npy"]))
def test_no_recipe_whatever_ends_in_a_traceback(
    data: st.DataObject, new: Any, form: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A place of the recipe, the recipe itself among them, holds any JSON: rejects errors that nobody turns into a line."""
    path = tmp_path_factory.mktemp("recipes") / f"w.{form}"
    write(plan_tensor((3, 4), path, init="truncated_normal"))
    recipe = plan_tensor((3, 4), path, init="truncated_normal")[0].recipe.to_json()
    way = data.draw(st.sampled_from(places(json.loads(json.dumps(recipe)))))
    edited(path, lambda recipe: replaced(recipe, way, new))
    assert main(["check", str(path)]) in (0, 1, 2)
    assert main(["create", "--shape", "3,4", "--init", "truncated_normal", "--out", str(path), "--quiet", "--resume"]) in (0, 2)


@pytest.mark.parametrize(
    "beside", [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, b"1" * 5000, b"\xef\xbb\xbf{}", b"NaN", b'"x"', b"{}"]
)
def test_what_stands_for_a_recipe_and_is_none(beside: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "w.npy"
    write(plan_tensor((3, 4), path))
    path.with_suffix(".json").write_bytes(beside)
    status, out, err = ran(capsys, path)
    assert status == 2 and out == "" and f"file: {str(path)!r}: its recipe " in err and len(err) < 2000


HEADERS = [
    *[b"", b"\0", b"\0" * 8, b"\xff" * 8, b"\0" * 100, b"\xff" * 100, b"\x02" + b"\0" * 7 + b"{}"],
    *[b"\x93NUMPY", b"\x93NUMPY\x01\x00", b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 1000, b"\x93NUMPY\x09\x09\x00\x00\x00\x00"],
    b"\x93NUMPY\x01\x00\x76\x00" + b"'''" + b"(" * 115,
    b"\x93NUMPY\x01\x00\x76\x00" + b"{'descr': '<f4', 'fortran_order': False, 'shape': (3L, 4L), }".ljust(117) + b"\n",
    b"\x93NUMPY\x01\x00\x76\x00" + b"{'descr': '|O', 'fortran_order': False, 'shape': (3, 4), }".ljust(117) + b"\n",
    b"\x93NUMPY\x01\x00\x76\x00" + b"{'descr': '>f4', 'fortran_order': False, 'shape': (3, 4), }".ljust(117) + b"\n",
    b"\x93NUMPY\x01\x00\x76\x00" + b"{'descr': '<f4', 'fortran_order': True, 'shape': (3, 4), }".ljust(117) + b"\n",
    b"\x93NUMPY\x01\x00\x76\x00" + b"{'descr': '<f4', 'fortran_order': False, 'shape': (-3, -4), }".ljust(117) + b"\n",
    b"\x93NUMPY\x01\x00\x76\x00" + b"{'descr': '<f4', 'fortran_order': False, 'shape': (True, 12), }".ljust(117) + b"\n",
]


@pytest.mark.parametrize("form", ["safetensors", "npy"])
@pytest.mark.parametrize("head", HEADERS, ids=range(len(HEADERS)))
def test_odd_headers(form: str, head: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of Python 2, of objects, big-endian, in Fortran order, of negative dimensions; what Python's parser chokes on; and none."""
    path = tmp_path / f"w.{form}"
    write(plan_tensor((3, 4), path))
    path.write_bytes(head + b"\0" * 48)
    status, out, err = ran(capsys, path)
    assert status == 1 and out == "" and f"file: {str(path)!r} cannot be read: its header is not that of a " in err


def safetensors_of(header: Any, nbytes: int = 48) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + b"\0" * nbytes


TENSOR = {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 48]}


@pytest.mark.parametrize(
    "header",
    [
        *[
            [],
            1,
            None,
            "x",
            {},
            b"[" * 100_000,
            b"\xff\xfe",
            {"__metadata__": {}},
            {"__metadata__": 1, "w": TENSOR},
            {"w": 1},
            {"w": []},
        ],
        *[{"v": TENSOR, "w": TENSOR}, {"w": {**TENSOR, "data_offsets": [0, 44]}}, {"w": {**TENSOR, "data_offsets": None}}],
        *[
            {"w": {**TENSOR, "shape": shape}}
            for shape in ("34", [3.0, 4], [-3, -4], [True, 12], [[3], 4], None, 12, [float("inf")])
        ],
        *[{"w": {**TENSOR, "dtype": dtype}} for dtype in ("F31", None, [], {}, 1, "float32", "U32X")],
    ],
    ids=str,
)
def test_odd_safetensors_headers(header: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON that describes no tensor as the format has it: rejects taking "34" or [3.0, 4] for the shape (3, 4)."""
    path = tmp_path / "w.safetensors"
    path.write_bytes(safetensors_of(header))
    status, out, err = ran(capsys, path)
    assert status == 1 and out == "" and "cannot be read: its header is not that of a safetensors file" in err and len(err) < 2000


@settings(max_examples=150, deadline=None)
@given(data=st.data(), file=st.sampled_from(FILES))
def test_no_bytes_whatever_end_in_a_traceback(
    data: st.DataObject, file: tuple[str, str], made: dict[tuple[str, str], bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Bytes of the header replaced, removed and put in, or random ones instead of all; every warning is an error here."""
    whole = made[file]
    header = header_of(whole, file[1])
    for _ in range(data.draw(st.integers(1, 3))):
        first = data.draw(st.integers(0, header))
        behind = data.draw(st.integers(first, min(first + 8, header)))
        whole = whole[:first] + data.draw(st.binary(max_size=8)) + whole[behind:]
    if data.draw(st.booleans()):
        whole = data.draw(st.binary(max_size=300)) if data.draw(st.booleans()) else whole
    path = placed(tmp_path_factory.mktemp("bytes"), *file, whole)
    if file[0] == "npy" and data.draw(st.booleans()):
        path.with_suffix(".json").write_bytes(data.draw(st.binary(max_size=100)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert main(["check", str(path)]) in (0, 1, 2)
        assert main(["check", str(path), "--sample", "1%", "--json"]) in (0, 1, 2)


# the command line


def test_several_files_and_one_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The others are checked and reported all the same, in order, as text and as JSON; the status is the bad one's."""
    paths = [tmp_path / f"{name}.npy" for name in "abcd"]
    for path in (paths[0], paths[2], paths[3]):
        write(plan_tensor((30, 4), path))
    wrong_everywhere(paths[2])
    status, out, err = ran(capsys, paths[0], paths[2], paths[3])
    assert (
        status == 1
        and err == ""
        and [line.split(":")[0] for line in out.splitlines()]
        == [
            *(str(path) for path in (paths[0], paths[2])),
            "  different",
            str(paths[3]),
        ]
    )
    status, out, err = ran(capsys, *paths, "--json")
    assert status == 1 and [fact["file"] for fact in json.loads(out)] == [str(path) for path in (paths[0], paths[2], paths[3])]
    assert f"file: {str(paths[1])!r} cannot be read: No such file" in err
    paths[0].with_suffix(".json").unlink()
    status, out, err = ran(capsys, *paths, "--quiet")
    assert status == 2 and out == "" and "it carries no recipe" in err and f"; file: {str(paths[1])!r} cannot be read" in err


def test_the_report_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "w.npy"
    write(plan_tensor((30, 4), path))
    status, out, _ = ran(capsys, path, "--json")
    [facts] = json.loads(out)
    assert status == 0 and facts.pop("seconds") > 0
    assert facts == {
        **{"file": str(path), "shape": [30, 4], "dtype": "float32", "elements": 120, "compared": 120, "equal": True},
        **{"differing": 0, "ranges": 0, "excess_bytes": 0, "differences": []},
    }
    whole = bytearray(path.read_bytes())
    whole[-4 * 10 + 3] ^= 0x80  # the sign of element 110
    path.write_bytes(whole[:-4])
    status, out, _ = ran(capsys, path, "--json")
    [facts] = json.loads(out)
    assert (
        status == 1
        and facts["differing"] == 2
        and facts["differences"]
        == [
            {"start": 110, "stop": 111, "index": [27, 2], "place": f"byte {len(whole) - 37:,}", "missing": False},
            {"start": 119, "stop": 120, "index": [29, 3], "place": f"byte {len(whole) - 4:,}", "missing": True},
        ]
    )
    status, out, _ = ran(capsys, path)
    assert f"  different: element [27, 2], from byte {len(whole) - 37:,} on" in out


@pytest.mark.parametrize("shape", ["()", "0,5", "1"])
def test_small_and_empty_tensors(shape: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for form in ("safetensors", "npy", "zarr"):
        path = tmp_path / f"w.{form}"
        assert main(["create", "--shape", shape, "--out", str(path), "--quiet"]) == 0
        for options in ((), ("--sample", "1%")):
            status, out, err = ran(capsys, path, *options)
            assert (status, err) == (0, "") and out.startswith(f"{path}: all of ") and out.endswith(": equal\n")


def test_other_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(plan_tensor((3,), tmp_path / "w.npy"))
    assert "suffix must be" in ran(capsys, tmp_path / "w.bin")[2]
    assert "device='gpu'" in ran(capsys, tmp_path / "w.npy", "--device", "gpu")[2]
    for name in ("none.npy", "none.safetensors", "none.zarr"):
        status, _, err = ran(capsys, tmp_path / name)
        assert status == 1 and f"file: {str(tmp_path / name)!r} cannot be read" in err
    (tmp_path / "d.npy").mkdir()
    assert "cannot be read: Is a directory" in ran(capsys, tmp_path / "d.npy")[2]


def test_a_recipe_with_the_users_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Own(gpuinit.RandomNormal):
        pass

    path = tmp_path / "w.safetensors"
    write(plan_tensor((3, 4), path, init="random_normal"))
    edited(path, lambda recipe: {**recipe, "initializer": {**recipe["initializer"], "module": "own", "class_name": "Own"}})
    status, _, err = ran(capsys, path)
    assert status == 2 and "its recipe cannot be followed" in err
    assert check(path, custom_objects={"Own": Own, "own>Own": Own}).compared == 12


def test_blocks_know_the_numbers_of_their_elements() -> None:
    """Any grid, those whose blocks are no runs of elements among them."""
    for shape, grid in [
        ((), ()),
        ((7,), (3,)),
        ((5, 12), (2, 5)),
        ((3, 4, 5), (2, 3, 2)),
        ((2, 6), (1, 6)),
        ((4, 1, 3), (4, 1, 1)),
    ]:
        index = np.arange(math.prod(shape)).reshape(shape)
        for block in contents.blocks(shape, grid):
            places = np.arange(block.size)
            assert np.array_equal(block.elements(places, shape), index[block.slices].reshape(-1))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from Linux's /proc")
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """A file of 512 MiB is checked in less than 400 MiB, the interpreter included."""
    path = tmp_path / "w.npy"
    assert peak_memory("create", "--shape", "1048576,128", "--out", path, "--quiet") > 0
    assert path.stat().st_size > 512 << 20
    assert peak_memory("check", path, "--quiet") < 400 << 20


def test_the_longest_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A length of more bytes than a header takes: rejects reading gigabytes of what is no safetensors file."""
    path, asked, real = tmp_path / "w.safetensors", [], os.pread

    def pread(descriptor: int, size: int, offset: int) -> bytes:
        asked.append(size)
        return real(descriptor, min(size, 1 << 27), offset)

    monkeypatch.setattr(os, "pread", pread)
    path.write_bytes((2**40).to_bytes(8, "little") + b"{" * 100)
    assert f"its header has {2**40} bytes" in ran(capsys, path)[2] and max(asked) == 8


def test_what_it_returns_is_what_it_says(tmp_path: Path) -> None:
    write(plan_tensor((30, 4), tmp_path / "w.npy"))
    found = check(str(tmp_path / "w.npy"))
    assert isinstance(found, Checked) and found.recipe.shape == (30, 4) and found.seconds > 0
