"""The site's pages that have no test of their own keep their word: their Python and their commands run, in order."""

from __future__ import annotations

import linecache
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from gpuinit.cli import main

DOCS = Path(__file__).parent.parent / "docs"
PAGES = {"index.md": 4, "reproducibility.md": 3, "extending.md": 8, "tables.md": 5, "testing.md": 1}
"""Pages, and how many blocks each has at least."""

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ELSEWHERE = ("pip install", "gpuinit doctor", "gpuinit verify")
"""Commands that tests of their own run, or that are pip's."""


def smaller(words: list[str]) -> list[str]:
    """The command with at most 1000 rows."""
    if "--shape" not in words:
        return words
    place = words.index("--shape") + 1
    rows, *rest = words[place].split(",")
    return [*words[:place], ",".join((str(min(int(rows), 1000)), *rest)), *words[place + 1 :]]


def run_command(line: str) -> None:
    line = re.sub(r"\s+#.*", "", line)
    if not line.startswith(ELSEWHERE):
        program, *words = shlex.split(line)
        assert (program, main(smaller(words))) == ("gpuinit", 0), line


def run_python(page: str, line: int, code: str, namespace: dict[str, Any]) -> None:
    """The block, with its source where `inspect` finds it, as a notebook's cell has it."""
    file, text = f"docs/{page}, the block of line {line}", "\n" * (line - 1) + code
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    exec(compile(text, file, "exec"), namespace)


@pytest.mark.parametrize("page", PAGES)
def test_blocks_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """In an empty folder, each on top of those before it: a renamed argument, a wrong assert, a command that fails are found."""
    monkeypatch.chdir(tmp_path)
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks = list(BLOCK.finditer(text))
    assert len(blocks) >= PAGES[page] and len(blocks) == text.count("```") // 2
    namespace: dict[str, Any] = {"__name__": page.removesuffix(".md")}
    for block in blocks:
        language, code = block.groups()
        if language == "python":
            run_python(page, text[: block.start()].count("\n") + 2, code, namespace)
        else:
            assert language == "sh", f"{page}: nothing runs {language}"
            for line in code.splitlines():
                run_command(line)
    assert capsys.readouterr().err == ""


def test_what_index_says_of_its_file_is_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["create", "--shape", "10,4", "--out", "w.npy", "--quiet"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["w.json", "w.npy"]
    assert "`w.json`, beside the file, is its recipe" in (DOCS / "index.md").read_text(encoding="utf-8")
