"""docs/keras.md keeps its word: its blocks run in order, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("keras")

import keras_table  # noqa: F401  # Keras, loaded as for the other tests

pytestmark = [
    pytest.mark.frameworks,
    # Keras on PyTorch converts tensors by np.array(tensor), for which PyTorch 2.13 lacks what NumPy 2.4 asks for
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "keras.md").read_text(encoding="utf-8")
BLOCKS = list(re.finditer(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keras")


@pytest.fixture(scope="module")
def namespace() -> dict[str, Any]:
    return {"__name__": "keras_docs"}


def test_there_are_blocks() -> None:
    assert len(BLOCKS) >= 9 and len(BLOCKS) == TEXT.count("```") // 2


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_python(number: int, namespace: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block on top of those before it."""
    monkeypatch.chdir(folder)
    line = TEXT[: BLOCKS[number].start()].count("\n") + 1
    exec(compile("\n" * line + BLOCKS[number][1], "docs/keras.md", "exec"), namespace)


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", TEXT)
    assert targets and all((DOCS / target).exists() for target in targets)
