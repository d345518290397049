"""docs/verification.md keeps its word: its commands work, its tests exist and none is left out, its links lead somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from gpuinit import battery
from gpuinit.battery import trial
from gpuinit.battery.trial import QUICK, QUICK_NUMPY, THOROUGH, THOROUGH_NUMPY, Effort
from gpuinit.cli import main

DOCS = Path(__file__).parent.parent / "docs"
TEXT = (DOCS / "verification.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"^```sh\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE) for line in block.splitlines()]
TINY = Effort(2**10, 2**12, 2**10, 32, 2**10, 1, 20, 10, 5.0)


@pytest.mark.parametrize("command", [line for line in COMMANDS if "|" not in line])
def test_commands(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With tiny samples."""
    monkeypatch.setattr(trial, "QUICK", TINY)
    monkeypatch.setattr(trial, "QUICK_NUMPY", TINY)
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command)
    assert words[0] == "gpuinit" and main(words[1:]) == 0
    shown = capsys.readouterr()
    assert "Nothing was found." in shown.out and shown.err == ""
    assert [path.name for path in tmp_path.iterdir()] == [words[words.index("--html") + 1] for _ in range("--html" in words)]


@pytest.mark.parametrize("command", [line for line in COMMANDS if "|" in line])
def test_pipes(command: str) -> None:
    done = subprocess.run(
        ["bash", "-c", command.replace("gpuinit", f"{shlex.quote(sys.executable)} -m gpuinit", 1)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "") and len(done.stdout.split()) == 1 + 4 + 1


def test_there_are_commands() -> None:
    assert len(COMMANDS) >= 4 and any("|" in line for line in COMMANDS)


def rows(section: str) -> list[list[str]]:
    """The cells of a table, less its heading, the last cell's names apart."""
    return [[cell, *names.split("; ")] for cell, names in re.findall(r"^\| (.*?) \| (.*?) \|$", section, re.MULTILINE)[2:]]


def test_every_test_is_in_the_table_of_tests() -> None:
    listed = [name for _, *names in rows(TEXT.partition("\n## What is tested\n")[2].partition("\n## ")[0]) for name in names]
    assert sorted(listed) == sorted(battery.names())


def test_defects_are_found_by_tests_that_exist() -> None:
    """That they are found is what tests/test_verify_defects.py shows."""
    table = rows(TEXT.partition("Defects in the code itself")[2].partition("\n## ")[0])
    assert len(table) >= 15 and {name for _, *names in table for name in names} <= set(battery.names())


def test_the_sizes_are_those_of_the_efforts() -> None:
    assert (QUICK.values, QUICK_NUMPY.values, THOROUGH.values, THOROUGH_NUMPY.values) == (2**16, 2**13, 2**22, 2**17)
    assert "has 2^16 values of each law" in TEXT and "2^13 by NumPy; a thorough one 2^22\nand 2^17" in TEXT
    assert QUICK.many == 2**26 and "2^26 standard normal values" in TEXT


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", TEXT)
    assert targets and all((DOCS / target).exists() for target in targets)
