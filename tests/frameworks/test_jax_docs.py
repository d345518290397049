"""docs/jax.md keeps its word: its blocks run in order, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("jax")
pytest.importorskip("flax")

pytestmark = pytest.mark.frameworks

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "jax.md").read_text(encoding="utf-8")
BLOCKS = list(re.finditer(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE))


@pytest.fixture(scope="module")
def namespace() -> dict[str, Any]:
    return {"__name__": "jax_md"}


def test_there_are_blocks() -> None:
    assert len(BLOCKS) >= 7 and len(BLOCKS) == TEXT.count("```") // 2


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_python(number: int, namespace: dict[str, Any]) -> None:
    """Each block on top of those before it."""
    line = TEXT[: BLOCKS[number].start()].count("\n") + 1
    exec(compile("\n" * line + BLOCKS[number][1], "docs/jax.md", "exec"), namespace)


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", TEXT)
    assert targets and all((DOCS / target).exists() for target in targets)


def test_every_public_name_is_there() -> None:
    import gpuinit.jax

    short = {"he", "glorot", "lecun", "kaiming", "xavier"}
    for name in gpuinit.jax.__all__:
        assert f"`{name}" in TEXT or (name.partition("_")[0] in short and f"`{name.partition('_')[0]}_`" in TEXT), name
