"""docs/torch.md keeps its word: its blocks run in order, its links lead somewhere, and it names every function."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
import gpuinit.torch

pytestmark = pytest.mark.frameworks

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "torch.md").read_text(encoding="utf-8")
BLOCKS = list(re.finditer(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE))


@pytest.fixture(scope="module")
def namespace() -> dict[str, Any]:
    return {"__name__": "torch_docs"}


def test_there_are_blocks() -> None:
    assert len(BLOCKS) >= 8 and len(BLOCKS) == TEXT.count("```") // 2


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_python(number: int, namespace: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block on top of those before it."""
    monkeypatch.chdir(tmp_path)
    line = TEXT[: BLOCKS[number].start()].count("\n") + 1
    exec(compile("\n" * line + BLOCKS[number][1], "docs/torch.md", "exec"), namespace)


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", TEXT)
    assert targets and all((DOCS / target).exists() for target in targets)


def test_every_public_function_is_named() -> None:
    names = [name for name in gpuinit.torch.__all__ if name[0].islower()]
    assert [name for name in names if name not in TEXT] == []
