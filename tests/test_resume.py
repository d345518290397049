"""Stopped runs of `gpuinit create` and what goes on with them: the same bits, whenever and however the stop came."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import stops
from conftest import started
from hypothesis import given, settings
from hypothesis import strategies as st

import gpuinit
from gpuinit import Key
from gpuinit.cli import main
from gpuinit.tables import check, pipeline, plan_tensor, write, writer
from gpuinit.tables import parts as parts_module
from gpuinit.tables.contents import Stream
from gpuinit.tables.journal import Journal
from gpuinit.tables.zarr import ZarrArray

FORMATS = ["safetensors", "npy", "zarr"]
SHAPE = (40, 20)
NBYTES = 40 * 20 * 4
KILLED_AFTER = 480
"""Elements in the journal of `unfinished`: four chunks of 120."""


@pytest.fixture(autouse=True, scope="module")
def small() -> Iterator[None]:
    """Chunks of 512 bytes, a checkpoint every 1024, and kept from 1024 bytes on; flushing, which takes its time, does nothing."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("fsync", "fdatasync"):
            patch.setattr(os, name, lambda descriptor: None)
        patch.setattr(pipeline, "CHUNK_BYTES", 512)
        patch.setattr(pipeline, "CHECKPOINT_BYTES", 1024)
        patch.setattr(writer, "KEPT_FROM", 1024)
        yield


def create(out: Path, *arguments: object) -> int:
    return main(["create", "--shape", "40,20", "--out", str(out), "--quiet", *map(str, arguments)])


def contents(folder: Path) -> dict[str, bytes]:
    """All files in a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


@pytest.fixture(scope="module")
def wanted(small: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """By format, the files of a run that nothing stopped."""
    found = {}
    for form in FORMATS:
        folder = tmp_path_factory.mktemp("wanted")
        assert create(folder / f"w.{form}") == 0
        found[form] = contents(folder)
    return found


@contextlib.contextmanager
def interrupted(after: int) -> Iterator[None]:
    """Whatever makes a tensor in the block is interrupted when it has made so many chunks and the next one."""
    real, calls, done = pipeline.Digest.update, [], []

    def update(*arguments: Any) -> None:
        calls.append(sys._getframe(1).f_code.co_name)
        if len(calls) > after:
            deadline = time.monotonic() + 60
            while len(done) < calls[:-1].count("run") and time.monotonic() < deadline:  # or the last would be called off
                time.sleep(0.001)
            raise KeyboardInterrupt
        real(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline.Digest, "update", update)
        for kind in (Stream, ZarrArray):

            def written(*arguments: Any, write: Any = kind.write) -> None:
                write(*arguments)
                done.append(arguments)

            patch.setattr(kind, "write", written)
        yield


def unfinished(folder: Path, form: str, *arguments: object) -> tuple[Path, Path, Path]:
    """An interrupted run's file to be, its part, and its journal, which speaks of KILLED_AFTER elements."""
    out = folder / f"w.{form}"
    with interrupted(4):
        assert create(out, *arguments) == 130
    return out, folder / f"w.{form}.part", folder / f"w.{form}.journal"


def refused(capsys: pytest.CaptureFixture[str], status: int, run: Callable[[], int]) -> str:
    """Run what must end with the status and one line, which is returned."""
    capsys.readouterr()
    assert run() == status
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("gpuinit: error: ") and said.err.count("\n") == 1
    return said.err


# a stop at every call


@pytest.mark.parametrize(
    ("form", "how", "options"),
    [
        *[("safetensors", how, ()) for how in ("kill", "signal", "ENOSPC")],
        *[("npy", "kill", ("--force",)), ("npy", "EIO", ("--force",)), ("npy", "signal", ()), ("npy", "kill", ())],
        *[("zarr", "kill", ("--force",)), ("zarr", "ENOSPC", ())],
    ],
)
def test_a_stop_at_every_call_of_the_file_system(form: str, how: str, options: tuple[str, ...], tmp_path: Path) -> None:
    """Each write, flush, rename and removal in turn is the last one, fails, or is met by a signal; then `--resume` goes on.

    Rejects a journal that runs ahead of the data, one that is trusted or left over, a part that is dropped with its journal, a
    second rename that an earlier one makes impossible, a file without its recipe, old files beside new ones, and an error that
    does not say what is kept.
    """
    shape = "20,20" if form == "zarr" else "40,20"
    arguments = [how, str(tmp_path), f"w.{form}", "--shape", shape, *options]
    done = subprocess.run([sys.executable, stops.__file__, *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    whole, old = found["whole"]["files"], found["old"]
    assert found["whole"]["stopped"]["status"] == 0 and found["whole"]["left"] == whole and len(found["stops"]) > 15
    final = {"w.npy", "w.json"} if form == "npy" else {f"w.{form}"}
    part, journal = f"w.{form}.part", f"w.{form}.journal"
    kept = set()
    for stop in found["stops"]:
        stopped, left, on, why = stop["stopped"], stop["left"], stop["on"], f"call {stop['number']}: {stop['stopped']}"
        tops = {name.split("/")[0] for name in left}
        assert "raised" not in stopped and "raised" not in on, why
        for name in final & tops:  # never a half-written file, never a mixture
            present = {path: data for path, data in left.items() if path.split("/")[0] == name}
            assert any(present == {path: data for path, data in one.items() if path in present} for one in (whole, old)), why
        if final <= tops:
            assert any({path: left[path] for path in left if path.split("/")[0] in final} == one for one in (whole, old)), why
        if how == "kill":
            assert stopped == {}, why
        else:
            said = stopped["said"]
            assert stopped["status"] in (0, 1, 130) and said.count("\n") == (stopped["status"] != 0), why
            if {part, journal} <= tops:
                assert f"; {stop['kept'] * 4:,} bytes are kept in " in said and "--resume goes on with them" in said, why
            elif stopped["status"]:  # nothing is left but the new file, or what was there before
                assert tops - {journal} in (set(), final), why
                assert "kept" not in said and (journal not in tops or final <= tops), why
        assert on["status"] == 0 and on["said"] == "" and stop["files"] == whole, why
        if {part, journal} <= tops:  # at most what came after the last entry is lost
            assert on["facts"][0]["resumed"] == stop["kept"] * 4, why
            kept.add(stop["kept"])
    assert len(kept) > 1 and max(kept) > 360  # the first entry


@pytest.mark.parametrize("form", FORMATS)
def test_the_journal_speaks_of_what_was_flushed_alone(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every entry each chunk that it counts has been flushed since it was written; rejects an entry before the flush, and a
    flush that forgets chunks."""
    flushed: set[Any] = set()
    written: dict[Any, int] = {}
    entries = []
    real = {name: getattr(os, name) for name in ("pwrite", "fdatasync", "fsync", "replace")}
    record = Journal.record

    def place(descriptor: int) -> Path:
        return Path(os.readlink(f"/proc/self/fd/{descriptor}"))

    def pwrite(descriptor: int, data: Any, offset: int) -> int:
        count: int = real["pwrite"](descriptor, data, offset)
        if place(descriptor).name.endswith(f"{form}.part"):
            written[offset] = count
        return count

    def fdatasync(descriptor: int) -> None:
        before = set(written)
        real["fdatasync"](descriptor)
        flushed.update(before)

    def fsync(descriptor: int) -> None:
        real["fsync"](descriptor)
        flushed.add(place(descriptor))

    def replace(source: Any, target: Any) -> None:
        real["replace"](source, target)
        if "c" in Path(target).parts[-3:]:
            written[Path(target)] = 480

    def recorded(self: Journal, standing: Any) -> None:
        entries.append(standing.elements)
        files = sorted(written, key=lambda at: int(at.parent.name) if form == "zarr" else at)
        if form != "zarr":
            files = files[1:]  # the header
            assert sum(written[at] for at in files if at in flushed) >= standing.elements * 4
        assert set(files[: standing.elements // 120]) <= flushed
        if form == "zarr":
            folder = tmp_path / "w.zarr.part"
            assert {folder, folder / "zarr.json", folder / "c"} <= flushed
        record(self, standing)

    for name, function in {"pwrite": pwrite, "fdatasync": fdatasync, "fsync": fsync, "replace": replace}.items():
        monkeypatch.setattr(os, name, function)
    monkeypatch.setattr(Journal, "record", recorded)
    assert create(tmp_path / f"w.{form}") == 0
    assert entries == sorted(entries) and entries[-1] == 800 and len(entries) > 1


def test_what_a_failed_flush_lost_is_not_spoken_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first flush succeeds, the second fails and every later one succeeds, as Linux has it: the first entry stays."""
    calls = []

    def fdatasync(descriptor: int, real: Any = os.fdatasync) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(5, "Input/output error")
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fdatasync)
        entries = []
        record = Journal.record
        patch.setattr(Journal, "record", lambda self, standing: (entries.append(standing.elements), record(self, standing))[1])
        assert create(tmp_path / "w.npy") == 1
    assert len(entries) == 1 and json.loads((tmp_path / "w.npy.journal").read_text())["elements"] == entries[0]
    assert create(tmp_path / "w.npy", "--resume") == 0 and check(tmp_path / "w.npy").equal


# real signals


CODE = """
import sys, time
from gpuinit.cli import main
from gpuinit.tables import pipeline, writer
class Slow(pipeline.Digest):  # or a fast disk has it all before the signal comes
    def update(self, *arguments):
        time.sleep(0.003)
        super().update(*arguments)
pipeline.Digest = writer.Digest = Slow
pipeline.CHUNK_BYTES, pipeline.CHECKPOINT_BYTES, writer.KEPT_FROM = 1 << 16, 1 << 20, 1 << 20
sys.exit(main(["create", *sys.argv[1:]]))
"""


def standing(journal: Path) -> int:
    try:
        elements = json.loads(journal.read_text())["elements"]
    except FileNotFoundError:
        return 0
    assert isinstance(elements, int)
    return elements


@pytest.mark.parametrize("form", FORMATS)
def test_killed_and_interrupted_again_and_again(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGKILL, SIGTERM and SIGKILL to real processes, each further on; the last run ends with the bits of one that was not
    stopped. Rejects starting over, and trusting what the kill left behind the last entry."""
    out, journal = tmp_path / f"w.{form}", tmp_path / f"w.{form}.journal"
    arguments = ["--shape", "20000,256", "--out", str(out), "--quiet", "--resume"]
    reached = 0
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        goal = reached + (1 << 18)
        process = started([sys.executable, "-c", CODE, *arguments], lambda goal=goal: standing(journal) >= goal)  # type: ignore[misc]
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
        assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)
        assert standing(journal) >= goal and not out.exists()
        reached = standing(journal)
        if number == signal.SIGTERM:
            kept = f"{reached * 4:,} bytes are kept in {str(out) + '.part'!r}, and --resume goes on with them"
            assert said == f"gpuinit: error: stopped by SIGTERM; {kept}\n"
    seen = []
    monkeypatch.setattr(pipeline, "CHUNK_BYTES", 1 << 16)
    [done] = write(plan_tensor((20000, 256), out), resume=True, progress=lambda job, nbytes: seen.append(nbytes))
    assert done.resumed == reached * 4 and sum(seen) == done.nbytes
    assert names(tmp_path) == (["w.json", "w.npy"] if form == "npy" else [out.name])
    assert check(out).equal
    whole = gpuinit.RandomUniform(seed=0)((20000, 256))
    assert done.digest is not None and done.digest.hash == gpuinit.hashing.element_hash(whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_less_than_is_worth_keeping_leaves_nothing(number: int, tmp_path: Path) -> None:
    part = tmp_path / "w.safetensors.part"
    arguments = ["--shape", "4194304,256", "--out", str(tmp_path / "w.safetensors")]
    code = CODE.replace("1 << 20", "1 << 40")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen([sys.executable, "-c", code, *arguments], stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, before)
    while not (part.exists() and part.stat().st_size > 1 << 20):
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number and "kept" not in said and names(tmp_path) == []


# what is refused


@pytest.mark.parametrize("form", FORMATS)
def test_without_resume_a_begun_file_is_left_alone_and_force_starts_over(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], wanted: dict[str, dict[str, bytes]]
) -> None:
    out, part, journal = unfinished(tmp_path, form)
    before = contents(tmp_path)
    said = refused(capsys, 2, lambda: create(out))
    assert f"{str(part)!r} was begun by an earlier run: --resume" in said and "--force" in said
    assert contents(tmp_path) == before and standing(journal) == KILLED_AFTER
    assert create(out, "--force") == 0
    assert contents(tmp_path) == wanted[form]


TABLES = {
    "seed": ("--seed", 1),
    "dtype": ("--dtype", "float16"),
    "initializer": ("--init", "random_normal"),
    "argument": ("--arg", "maxval=0.5"),
    "shape": ("--shape", "20,40"),
    "shard": ("--shard", "0/2"),
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("other", sorted(TABLES))
def test_a_journal_of_another_table_is_refused(form: str, other: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whether the file itself says what it is (safetensors, zarr) or does not (npy)."""
    out, part, journal = unfinished(tmp_path, form)
    arguments = TABLES[other]
    if other == "shard":  # whose name is another
        for path in (part, journal):
            path.rename(path.with_name(path.name.replace("w.", "w-00001-of-00002.")))
    before = contents(tmp_path)
    said = refused(capsys, 2, lambda: create(out, *arguments, "--resume"))
    assert "resume: the journal " in said and "is refused: it is of a file with another recipe; --force" in said
    assert {name: data for name, data in contents(tmp_path).items() if name != "w-00001-of-00002.json.part"} == before


@pytest.mark.parametrize("form", FORMATS)
def test_a_part_of_another_table_is_refused_whatever_its_journal_says(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The part is of another seed, shape or initializer, and the journal, checksum and all, of this table."""
    for other, arguments in TABLES.items():
        if other in ("shard", "dtype"):
            continue
        folder = tmp_path / other
        folder.mkdir()
        out, _, journal = unfinished(folder, form, *arguments)
        entry = json.loads(journal.read_text())
        [job] = plan_tensor(SHAPE, out)
        entry["recipe"] = json.loads(json.dumps(job.recipe.to_json()))
        rewrite(journal, entry)
        before = contents(folder)
        if form == "npy" and other != "shape":
            continue  # whose elements alone tell: that needs the hash to be of this table's
        said = refused(capsys, 2, lambda out=out: create(out, "--resume"))  # type: ignore[misc]
        assert "is refused: " in said and contents(folder) == before


def rewrite(journal: Path, entry: dict[str, Any]) -> None:
    """Write a journal with the checksum that it ought to have."""
    entry = {name: value for name, value in entry.items() if name != "checksum"}
    checksum = hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()[:16]
    journal.write_text(json.dumps({**entry, "checksum": checksum}, indent=1) + "\n")


def test_the_checksum_of_these_tests_is_the_journals(tmp_path: Path, wanted: dict[str, dict[str, bytes]]) -> None:
    """Else the edited journals below would be refused for their checksums alone."""
    out, _, journal = unfinished(tmp_path, "npy")
    before = journal.read_bytes()
    rewrite(journal, json.loads(before))
    assert journal.read_bytes() == before
    assert create(out, "--resume") == 0 and contents(tmp_path) == wanted["npy"]


ODD: list[Any] = [None, True, -1, 0, 1.5, float("inf"), 1 << 70, "", "zz", [], {}, [[]], "0" * 16]
COUNTS = [360, 361, 479, 481, "481", 600, 800, 801]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", ["journal", "format", "tensor", "recipe", "elements", "hash", "more", None])
def test_an_edited_journal_is_refused(
    form: str, name: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str], wanted: dict[str, dict[str, bytes]]
) -> None:
    """Each field, the checksum made to fit: rejects trusting the count or the hash, a count that ends inside a chunk with the
    hash of all of it, and a traceback at odd values.

    `elements` 0 with `hash` 0 alone would be true of every file.
    """
    out, _, journal = unfinished(tmp_path, form)
    entry = json.loads(journal.read_text())
    edits = [{**entry, name: value} for value in (*ODD, *COUNTS) if value != entry.get(name) or name == "more"] if name else []
    if name in entry:
        edits.append({key: value for key, value in entry.items() if key != name})
    if name is None:
        edits = [{**entry, "elements": 0, "hash": entry["hash"]}, {**entry, "elements": 360}, {}, []]  # type: ignore[list-item]
    if name == "recipe":
        for field in entry["recipe"]:
            if field != "gpuinit":
                edits += [
                    {**entry, "recipe": {**entry["recipe"], field: value}} for value in ODD if value != entry["recipe"][field]
                ]
        edits.append({**entry, "recipe": {**entry["recipe"], "block": [[0, 40], [0, 20]]}})
    for edited in edits:
        if name == "more" and edited["more"] is None:
            continue  # which is as if it were not there
        if isinstance(edited, dict):
            rewrite(journal, edited)
        else:
            journal.write_text(json.dumps(edited))
        before = contents(tmp_path)
        said = refused(capsys, 2, lambda: create(out, "--resume"))
        assert f"resume: the journal {str(journal)!r} is refused: " in said and "--force without --resume starts over" in said, (
            edited
        )
        assert contents(tmp_path) == before
    rewrite(journal, entry)
    assert create(out, "--resume") == 0 and contents(tmp_path) == wanted[form]


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"1", b"null", b"\xff\xfe", b"[" * 100_000, b'{"checksum": []}'])
def test_a_damaged_journal_is_refused(text: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _, journal = unfinished(tmp_path, "npy")
    journal.write_bytes(text)
    before = contents(tmp_path)
    assert "is refused: it is damaged" in refused(capsys, 2, lambda: create(out, "--resume"))
    assert contents(tmp_path) == before


def test_an_edited_checksum_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _, journal = unfinished(tmp_path, "npy")
    whole = journal.read_bytes()
    for at in range(whole.index(b'"checksum": "') + 13, len(whole) - 4):
        for bit in (1, 32):
            journal.write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
            assert "is refused: it is damaged" in refused(capsys, 2, lambda: create(out, "--resume"))


def test_half_written_chunks_are_removed(tmp_path: Path, wanted: dict[str, dict[str, bytes]]) -> None:
    """What a kill leaves of zarr's writing of a chunk, in front of the place that is gone on from and behind it."""
    out, part, _ = unfinished(tmp_path, "zarr")
    for name in ("c/1/0.0123456789abcdef.partial", "c/5/0.0123456789abcdef.partial", "zarr.0123456789abcdef.partial"):
        (part / name).parent.mkdir(exist_ok=True)
        (part / name).write_bytes(b"half")
    assert create(out, "--resume") == 0 and contents(tmp_path) == wanted["zarr"]


@pytest.fixture(scope="module")
def begun(small: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By format, the folder of an unfinished file, to be copied."""
    folders = {form: tmp_path_factory.mktemp(form) for form in FORMATS}
    for form, folder in folders.items():
        unfinished(folder, form)
    return folders


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_flipped_bit_anywhere_is_refused(
    data: st.DataObject, begun: dict[str, Path], wanted: dict[str, dict[str, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """In the elements that stand, the header or the journal. A bit of the header that changes neither the tensor nor its recipe,
    as one of the release in it, may be followed: then the elements are right all the same."""
    form = data.draw(st.sampled_from(FORMATS))
    folder = tmp_path_factory.mktemp("flipped") / "at"
    shutil.copytree(begun[form], folder)
    stand = {path for path in folder.rglob("*") if path.is_file() and path.name != "w.json.part"}
    if form == "zarr":
        stand = {path for path in stand if path.parent.parent.name != "c" or int(path.parent.name) < 4}
    path = data.draw(st.sampled_from(sorted(stand)))
    whole = bytearray(path.read_bytes())
    header = 0 if path.suffix != ".part" else len(whole) - KILLED_AFTER * 4
    at = data.draw(st.integers(0, len(whole) - 1) | st.integers(0, max(header - 1, 0)))
    whole[at] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(whole)
    before = contents(folder)
    status = create(folder / f"w.{form}", "--resume")
    if status == 0:
        assert at < header or path.name == "zarr.json"
        assert check(folder / f"w.{form}").equal
        name = f"w.{form}" if form != "zarr" else "w.zarr/zarr.json"
        found = contents(folder)
        assert found.keys() == wanted[form].keys() and {key for key in found if found[key] != wanted[form][key]} <= {name}
        if form != "zarr":
            assert found[name][-NBYTES:] == wanted[form][name][-NBYTES:]
    else:
        assert status == 2 and contents(folder) == before


@pytest.mark.parametrize("form", ["safetensors", "npy"])
def test_a_cut_off_part_is_refused(form: str, begun: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At any length, the empty file among them; longer than the journal says is what a kill leaves, and is followed."""
    shutil.copytree(begun[form], tmp_path / "at")
    part, out = tmp_path / "at" / f"w.{form}.part", tmp_path / "at" / f"w.{form}"
    whole = part.read_bytes()
    for length in (0, 1, 7, 8, 9, 60, 127, 128, len(whole) - KILLED_AFTER * 4, len(whole) - 4, len(whole) - 1):
        part.write_bytes(whole[:length])
        before = contents(tmp_path)
        said = refused(capsys, 2, lambda: create(out, "--resume"))
        assert "is refused: it does not fit the unfinished file: " in said and contents(tmp_path) == before
    part.write_bytes(whole + b"garbage" * 1000)
    assert create(out, "--resume") == 0 and check(out).equal


def test_a_cut_off_zarr_part_is_refused(begun: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for damage in ("no chunk", "cut-off chunk", "empty chunk", "no zarr.json", "empty zarr.json", "empty", "no recipe", "group"):
        folder = tmp_path / damage
        shutil.copytree(begun["zarr"], folder)
        part = folder / "w.zarr.part"
        chunk, metadata = part / "c" / "2" / "0", part / "zarr.json"
        if damage == "no chunk":
            chunk.unlink()
        elif damage.endswith("chunk"):
            chunk.write_bytes(chunk.read_bytes()[: 100 if damage == "cut-off chunk" else 0])
        elif damage == "no zarr.json":
            metadata.unlink()
        elif damage == "empty zarr.json":
            metadata.write_bytes(b"")
        elif damage == "empty":
            shutil.rmtree(part)
            part.mkdir()
        else:
            edited = json.loads(metadata.read_text())
            edited.update({"attributes": {}} if damage == "no recipe" else {"node_type": "group"})
            metadata.write_text(json.dumps(edited))
        before = contents(folder)
        said = refused(capsys, 2, lambda folder=folder: create(folder / "w.zarr", "--resume"))  # type: ignore[misc]
        assert "is refused: " in said and contents(folder) == before, damage


def test_a_tensor_of_another_name_is_not_gone_on_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run with --index, whose tensors have their tables' names, after one without: refused in the unfinished file and the
    finished one, or the index would name what no file holds."""
    listed, out = tmp_path / "t.csv", tmp_path / "out"
    listed.write_text("feature,rows,dim\na,40,20\nb,40,20\n")
    arguments = ["create", "--tables", str(listed), "--out", str(out), "--quiet", "--resume"]
    with interrupted(7 + 4):
        assert main(arguments) == 130
    assert names(out) == ["a.safetensors", "b.safetensors.journal", "b.safetensors.part"]
    before = contents(out)
    assert "a.safetensors' exists already; --force" in refused(capsys, 2, lambda: main([*arguments, "--index"]))
    assert contents(out) == before
    (out / "a.safetensors").unlink()
    assert "is of a file with another tensor" in refused(capsys, 2, lambda: main([*arguments, "--index"]))
    journal = out / "b.safetensors.journal"
    rewrite(journal, {**json.loads(journal.read_text()), "tensor": "b"})
    assert "is named 'weight', not 'b'" in refused(capsys, 2, lambda: main([*arguments, "--index"]))


# what is followed


@pytest.mark.parametrize("form", FORMATS)
def test_another_release_of_the_same_contract_is_followed(
    form: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    wanted: dict[str, dict[str, bytes]],
) -> None:
    """The run was begun by a release of another number; one of another contract is refused. Rejects comparing the release."""
    from gpuinit.tables import plan

    [job] = plan_tensor(SHAPE, tmp_path / f"w.{form}")
    old = job.recipe.to_json()["gpuinit"]
    with monkeypatch.context() as patch:
        to_json = gpuinit.recipe.Recipe.to_json
        patch.setattr(plan.Recipe, "to_json", lambda self: {**to_json(self), "gpuinit": "0" * len(old)})
        out, _, journal = unfinished(tmp_path, form)
    entry = json.loads(journal.read_text())
    assert entry["recipe"]["gpuinit"] != old
    rewrite(journal, {**entry, "recipe": {**entry["recipe"], "contract": 2}})
    assert "another recipe" in refused(capsys, 2, lambda: create(out, "--resume"))
    rewrite(journal, entry)
    assert create(out, "--resume") == 0 and check(out).equal
    assert contents(tmp_path).keys() == wanted[form].keys()
    # and what such a release finished is left as it is
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert create(out, "--resume") == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("lacking", ["part", "journal"])
def test_a_part_or_a_journal_alone_is_nothing_to_go_on_with(
    form: str, lacking: str, tmp_path: Path, wanted: dict[str, dict[str, bytes]]
) -> None:
    """It starts over, with --resume and without; rejects reading the journal of a file that is not there."""
    for options in ((), ("--resume",)):
        folder = tmp_path / str(len(options))
        folder.mkdir()
        out, part, journal = unfinished(folder, form)
        if lacking == "journal":
            journal.unlink()
        elif part.is_dir():
            shutil.rmtree(part)
        else:
            part.unlink()
        assert create(out, *options) == 0
        assert contents(folder) == wanted[form]


@pytest.mark.parametrize("form", FORMATS)
def test_finished_tables_are_left(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of three tables the first is complete, the second unfinished and the third not begun; rejects writing the first anew."""
    listed, out = tmp_path / "t.csv", tmp_path / "out"
    listed.write_text("feature,rows,dim\na,40,20\nb,40,20\nc,40,20\n")
    arguments = ["create", "--tables", str(listed), "--out", str(out), "--format", form]
    with interrupted(7 + 4):
        assert main([*arguments, "--quiet"]) == 130
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in (out / f"a.{form}").rglob("*")}
    before[out / f"a.{form}"] = ((out / f"a.{form}").stat().st_ino, (out / f"a.{form}").stat().st_mtime_ns)
    capsys.readouterr()
    assert main([*arguments, "--resume", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [fact["resumed"] for fact in facts] == [NBYTES, KILLED_AFTER * 4, 0]
    assert facts[0]["hash"] is None and None not in (facts[1]["hash"], facts[2]["hash"])
    assert {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in before} == before
    for name in "abc":
        assert check(out / f"{name}.{form}").equal and check(out / f"{name}.{form}").recipe.key == Key(0).fold_in(name)
    extra = [f"{name}.json" for name in "abc"] if form == "npy" else []
    assert names(out) == sorted([*extra, *(f"{name}.{form}" for name in "abc")])


@pytest.mark.parametrize(
    ("form", "what"),
    [
        *[(form, what) for form in FORMATS for what in ("no recipe", "seed", "odd recipe")],
        *[(form, what) for form in ("safetensors", "npy") for what in ("cut off", "longer")],
    ],
)
def test_what_is_not_the_jobs_file_is_not_taken_for_finished(
    form: str, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of the right shape and dtype that carries no recipe, or another, is refused as one that exists: rejects going by
    the shape, and a traceback at whatever stands for a recipe."""
    out = tmp_path / f"w.{form}"
    assert create(out, *(("--seed", 1) if what == "seed" else ())) == 0
    if what == "cut off":
        os.truncate(out, out.stat().st_size - 1)
    elif what == "longer":
        out.write_bytes(out.read_bytes() + b"\0")
    elif what != "seed":
        odd = [1, None, "x", [[1]], {"gpuinit": 3}]
        for value in odd if what == "odd recipe" else [None]:
            if form == "npy":
                out.with_suffix(".json").write_text(json.dumps(value)) if what == "odd recipe" else out.with_suffix(
                    ".json"
                ).unlink()
            elif form == "zarr":
                metadata = json.loads((out / "zarr.json").read_text())
                metadata["attributes"] = {} if what == "no recipe" else {"gpuinit": value}
                (out / "zarr.json").write_text(json.dumps(metadata))
            else:
                whole = out.read_bytes()
                inside = {} if what == "no recipe" else {"gpuinit": value}
                tensor = {"dtype": "F32", "shape": list(SHAPE), "data_offsets": [0, NBYTES]}
                text = json.dumps({"__metadata__": inside, "weight": tensor}).encode()
                out.write_bytes(len(text).to_bytes(8, "little") + text + whole[-NBYTES:])
            before = contents(tmp_path)
            assert "exists already; --force" in refused(capsys, 2, lambda: create(out, "--resume"))
            assert contents(tmp_path) == before
    before = contents(tmp_path)
    assert "exists already; --force" in refused(capsys, 2, lambda: create(out, "--resume"))
    assert contents(tmp_path) == before
    assert create(out, "--resume", "--force") == 0 and check(out).equal


@pytest.mark.parametrize("form", FORMATS)
def test_an_interrupt_while_what_stands_is_read_keeps_it(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], wanted: dict[str, dict[str, bytes]]
) -> None:
    """Rejects removing the unfinished file because this run has written nothing yet, and not saying that it is kept."""
    out, _, _ = unfinished(tmp_path, form)
    before = contents(tmp_path)
    for chunks in (0, 2):
        with interrupted(chunks):
            said = refused(capsys, 130, lambda: create(out, "--resume"))
        assert "1,920 bytes are kept in " in said
        left = contents(tmp_path)
        left.setdefault("w.json.part", b"") if form == "npy" else None
        assert {name: data for name, data in left.items() if name != "w.json.part"} == {
            name: data for name, data in before.items() if name != "w.json.part"
        }
    with interrupted(4 + 1):
        assert "bytes are kept in " in refused(capsys, 130, lambda: create(out, "--resume"))
    assert create(out, "--resume") == 0 and contents(tmp_path) == wanted[form]


def test_what_comes_before_the_reading_keeps_it_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, wanted: dict[str, dict[str, bytes]]
) -> None:
    """The recipe's file cannot be opened: rejects removing the part that stands because opening its companion failed."""
    out, part, _ = unfinished(tmp_path, "npy")
    before = part.read_bytes()

    def denied(path: Any, *rest: Any, real: Any = os.open) -> Any:
        if str(path).endswith("w.json.part"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", denied)
        said = refused(capsys, 1, lambda: create(out, "--resume"))
    assert "Permission denied; the unfinished file was left as it is" in said and part.read_bytes() == before
    assert create(out, "--resume") == 0 and contents(tmp_path) == wanted["npy"]


# two processes


@pytest.mark.parametrize("options", [(), ("--resume",), ("--force",), ("--force", "--resume")], ids=" ".join)
@pytest.mark.parametrize("form", FORMATS)
def test_a_second_process_is_refused(
    form: str, options: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str], wanted: dict[str, dict[str, bytes]]
) -> None:
    """While the first holds its part, with a journal and without; nothing of the first is touched, and it ends well."""
    out, part, journal = unfinished(tmp_path, form)
    for with_journal in (True, False):
        lock = parts_module._Folder(part) if form == "zarr" else parts_module._locked(part)
        if not with_journal:
            moved = journal.rename(tmp_path / "moved")
        before = contents(tmp_path)
        refusal = 2 if with_journal and not options else 1
        said = refused(capsys, refusal, lambda: create(out, *options))
        assert "is being written by another process" in said if refusal == 1 else "was begun by an earlier run" in said
        assert contents(tmp_path) == before
        lock.close()
    moved.rename(journal)
    assert create(out, "--resume") == 0 and contents(tmp_path) == wanted[form]


def test_a_run_that_finds_a_file_finished_leaves_the_journal_of_who_replaces_it(tmp_path: Path) -> None:
    """Another process begins to replace table b while this one writes table a: rejects removing that one's journal, after which
    its next entry could not be renamed."""
    listed, out = tmp_path / "t.csv", tmp_path / "out"
    listed.write_text("feature,rows,dim\na,40,20\nb,40,20\n")
    arguments = ["create", "--tables", str(listed), "--out", str(out), "--quiet"]
    assert main(arguments) == 0
    (out / "a.safetensors").unlink()
    specs = gpuinit.tables.read_specs(listed)
    others = {out / "b.safetensors.part", out / "b.safetensors.journal", out / "b.safetensors.journal.part"}

    def progress(job: Any, nbytes: int) -> None:
        for path in others:
            path.write_text("another's")

    write(gpuinit.tables.plan_tables(specs, out), resume=True, progress=progress)
    assert all(path.read_text() == "another's" for path in others)


def test_a_real_second_process_with_resume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, journal = tmp_path / "w.zarr", tmp_path / "w.zarr.journal"
    arguments = ["--shape", "400000,256", "--out", str(out)]
    process = started([sys.executable, "-c", CODE, *arguments], lambda: standing(journal) > 0)
    try:
        second = ["create", *arguments, "--resume", "--quiet"]
        assert "is being written by another process" in refused(capsys, 1, lambda: main(second))
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130 and standing(journal) > 0
    finally:
        process.kill()
        process.communicate()
