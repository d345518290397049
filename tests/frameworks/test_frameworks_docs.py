"""docs/frameworks.md and the README's part on frameworks keep their word where the frameworks are there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

pytestmark = pytest.mark.frameworks

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "frameworks.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def namespace() -> dict[str, Any]:
    return {"__name__": "frameworks"}


def test_there_are_blocks() -> None:
    assert len(BLOCKS) == TEXT.count("```") // 2 == 2


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_python(number: int, namespace: dict[str, Any]) -> None:
    exec(compile(BLOCKS[number], "docs/frameworks.md", "exec"), namespace)


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", TEXT)
    assert targets and all((ROOT / "docs" / target).exists() for target in targets)


def test_the_readme_runs_with_the_frameworks() -> None:
    """All of its blocks, none left out because a framework is not there."""
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "tests/test_readme.py", "-k", "test_python"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout
    assert "SKIPPED" not in done.stdout
