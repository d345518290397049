"""docs/distributed.md keeps its word: its blocks run in order, as one rank of three would, and its links lead somewhere."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parent.parent / "docs"
TEXT = (DOCS / "distributed.md").read_text(encoding="utf-8")
BLOCKS = list(re.finditer(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE))
NEEDS = {"to_dask": "dask", "dask.array": "dask", "to_zarr": "zarr"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("distributed")


@pytest.fixture(scope="module")
def namespace() -> dict[str, Any]:
    return {"__name__": "distributed"}


def test_there_are_blocks() -> None:
    assert len(BLOCKS) >= 6 and len(BLOCKS) == TEXT.count("```") // 2


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_python(number: int, namespace: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block on top of those before it."""
    code = BLOCKS[number][1]
    for word, package in NEEDS.items():
        if word in code and find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "3")
    line = TEXT[: BLOCKS[number].start()].count("\n") + 1
    exec(compile("\n" * line + code, "docs/distributed.md", "exec"), namespace)


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", TEXT)
    assert targets and all((DOCS / target).exists() for target in targets)
