"""`gpuinit show`: its files, its summary, its errors, each in a process of its own or through the parser; the standard set."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpuinit import pictures
from gpuinit.cli import main
from gpuinit.pictures import output

pytest.importorskip("matplotlib", reason="pictures need matplotlib: pip install 'gpuinit[plots]'")

ROOT = Path(__file__).parent.parent


def size_of(png: bytes) -> tuple[int, ...]:
    """The pixels along and down, from a PNG file's header."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n") and png.endswith(b"IEND\xaeB`\x82")
    return struct.unpack(">II", png[16:24])


def test_a_page_in_a_process_of_its_own(tmp_path: Path) -> None:
    """The summary on standard output, nothing on standard error, the file as in Python."""
    command = ["show", "he_normal", "--shape", "64,64", "--dtype", "bfloat16", "--seed", "7", "--out", "x.png"]
    result = subprocess.run(
        [sys.executable, "-m", "gpuinit", *command], capture_output=True, text=True, cwd=tmp_path, timeout=120, check=True
    )
    first, *lines = result.stdout.splitlines()
    assert first == "x.png: HeNormal, 64 x 64, bfloat16" and result.stderr == ""
    assert re.fullmatch(r"  4,096 elements in \d+ bins, chi-square [\d.]+, \d+ degrees of freedom, p = [\d.e-]+", lines[0])
    assert len(lines) == 4 and lines[2] == "  all elements" and lines[3].startswith("  64 singular values from ")
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]
    made = (tmp_path / "x.png").read_bytes()
    assert size_of(made)[0] == 800
    assert made == pictures.png(pictures.page("he_normal", (64, 64), "bfloat16", seed=7))


@pytest.mark.parametrize(("suffix", "begin"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF"), ("PNG", b"\x89PNG")])
def test_the_suffix_chooses(suffix: str, begin: bytes, tmp_path: Path) -> None:
    out = tmp_path / f"x.{suffix}"
    assert main(["show", "lecun_uniform", "--shape", "20,20", "--what", "heat_map", "--out", str(out), "--quiet"]) == 0
    assert out.read_bytes().startswith(begin)


def test_a_file_with_its_recipe_and_one_without(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, plain, out = tmp_path / "w.safetensors", tmp_path / "plain.npy", tmp_path / "x.png"
    assert main(["create", "--shape", "300,40", "--init", "laplace", "--arg", "scale=0.1", "--out", str(table), "--quiet"]) == 0
    assert main(["show", str(table), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert f"{out}: w.safetensors: laplace(loc=0, scale=0.1), 300 x 40, float32" in said and "chi-square" in said
    np.save(plain, np.arange(60.0).reshape(6, 10))
    assert main(["show", str(plain), "--out", str(out), "--force"]) == 0
    said = capsys.readouterr().out
    assert "plain.npy, 6 x 10, float64, no recipe" in said and "chi-square" not in said


def test_arguments_reach_the_initializer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["show", "truncated_normal", "--arg", "stddev=0.02", "--arg", "mean=1", "--what", "histogram, qq", "--shape", "9,9"]
    assert main([*command, "--out", str(tmp_path / "x.svg")]) == 0
    said = capsys.readouterr().out
    assert "TruncatedNormal(mean=1, stddev=0.02), 9 x 9, float32" in said
    assert "order statistics" in said and "singular" not in said


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["he_normall", "--out", "x.png"], 2, "init='he_normall' is not known; did you mean 'he_normal'?"),
        (["he_normal", "--out", "x.gif"], 2, "out='x.gif': the suffix must be .png or .svg or .pdf"),
        (["he_normal", "--out", "png"], 2, "out='png': the suffix must be"),
        (["he_normal", "--out", "nowhere/x.png"], 1, "out: the folder 'nowhere' is not there"),
        (["he_normal", "--out", "old.png"], 2, "out: 'old.png' exists already; --force"),
        (["he_normal"], 2, "--out is missing"),
        ([], 2, "INIT|FILE is missing"),
        (["missing.npy", "--out", "x.png"], 1, "file: 'missing.npy' cannot be read: No such file or directory"),
        (["old.png", "--out", "x.png"], 2, "file='old.png': the suffix must be .safetensors or .npy or .zarr"),
        (["w.npy", "--seed", "1", "--out", "x.png"], 2, "--seed is for initializers, and 'w.npy' is a file"),
        (["w.npy", "--arg", "stddev=1", "--out", "x.png"], 2, "--arg is for initializers"),
        (["he_normal", "--what", "pie", "--out", "x.png"], 2, "what='pie': it must be one of histogram, qq, heat_map"),
        (["zeros", "--what", "qq", "--out", "x.png"], 2, "qq: Zeros, 1024 x 1024, float32 has no law"),
        (["w.npy", "--what", "variance", "--out", "x.png"], 2, "variance: nobody knows what made w.npy"),
        (["he_normal", "--arg", "gain=2", "--out", "x.png"], 2, "args: HeNormal has no argument 'gain'"),
        (["he_normal", "--seed", "-1", "--out", "x.png"], 2, "seed=-1 is out of range"),
        (["he_normal", "--dtype", "int8", "--out", "x.png"], 2, "dtype=int8: HeNormal draws random numbers"),
        (["he_normal", "--gallery", "g"], 2, "--gallery draws pictures of its own: leave out INIT|FILE"),
        (["--gallery", "g", "--out", "x.png"], 2, "--gallery draws pictures of its own: leave out --out"),
        (["random_normal", "--arg", "stddev=1", "--arg", "stddev=2", "--out", "x.png"], 2, "--arg stddev is given twice"),
    ],
)
def test_errors(
    arguments: list[str],
    status: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line, an exit status, and nothing written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.png").write_bytes(b"mine")
    np.save("w.npy", np.ones((3, 3)))
    before = sorted(path.name for path in tmp_path.iterdir())
    assert main(["show", *arguments]) == status
    said = capsys.readouterr()
    assert message in said.err and said.err.startswith("gpuinit: error: ") and said.err.count("\n") == 1 and not said.out
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert (tmp_path / "old.png").read_bytes() == b"mine"


def test_no_half_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails in the middle: what was there before is there, and no part of the new picture."""
    out = tmp_path / "x.png"
    out.write_bytes(b"mine")
    content = bytes(1000)
    usual = output.replacing

    class Failing:
        def __init__(self, file: Any) -> None:
            self.file = file

        def write(self, data: Any) -> int:
            if self.file.tell() > 0:
                raise OSError(28, "No space left on device")
            return int(self.file.write(data[:10]))

    class Parts:
        def __init__(self, path: Path) -> None:
            self.context = usual(path)

        def __enter__(self) -> Any:
            parts = self.context.__enter__()
            parts.places[0] = Failing(parts.places[0])
            return parts

        def __exit__(self, *error: Any) -> Any:
            return self.context.__exit__(*error)

    monkeypatch.setattr(output, "replacing", Parts)
    with pytest.raises(OSError, match="No space left"):
        output.write({out: content}, force=True)
    assert out.read_bytes() == b"mine" and [path.name for path in tmp_path.iterdir()] == ["x.png"]


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gallery") / "new"
    assert main(["show", "--gallery", str(folder), "--quiet"]) == 0
    return folder


@pytest.fixture(scope="module")
def every() -> list[tuple[str, bytes]]:
    return pictures.pictures()


def test_the_gallery_is_the_standard_set(gallery: Path, every: list[tuple[str, bytes]]) -> None:
    """In files of 800 pixels' width and less than 200 kB, with the bytes of `pictures()`, whose captions differ."""
    files = sorted(path.read_bytes() for path in gallery.iterdir())
    assert files == sorted(content for _, content in every) and len({caption for caption, _ in every}) == len(every) >= 8
    for caption, content in every:
        assert size_of(content)[0] == 800 and len(content) < 200_000
        assert caption.endswith(".") and len(caption) > 30


def test_the_gallery_replaces_nothing_unasked(gallery: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in gallery.iterdir()}
    assert main(["show", "--gallery", str(gallery)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in gallery.iterdir()} == before


def test_the_documentations_pictures(gallery: Path) -> None:
    """docs/choosing.md shows pictures of the gallery, and what is in docs/pictures/ is the gallery: `make pictures` writes it."""
    text = (ROOT / "docs" / "choosing.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"\]\(pictures/([\w-]+\.png)\)", text))
    names = {path.name for path in gallery.iterdir()}
    assert len(shown) >= 5 and shown <= names
    assert {path.name for path in (ROOT / "docs" / "pictures").iterdir()} == names
    for path in (ROOT / "docs" / "pictures").iterdir():
        assert size_of(path.read_bytes()) == size_of((gallery / path.name).read_bytes())
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    assert all((ROOT / "docs" / link.partition("#")[0]).exists() for link in links if not link.startswith("http"))


def test_the_documentations_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of docs/choosing.md run in order, and its commands are parsed and draw."""
    text = (ROOT / "docs" / "choosing.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    commands = [
        line for block in re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE) for line in block.splitlines()
    ]
    assert blocks and len(commands) >= 3
    namespace: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, "docs/choosing.md", "exec"), namespace)
    for command in commands:
        program, *arguments = command.split()
        assert program == "gpuinit" and main([*arguments]) == 0
