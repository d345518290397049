"""The site keeps its word, as far as can be seen without building it: pages, links, the reference, blocks that run."""

from __future__ import annotations

import ast
import importlib
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import gpuinit

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
NAV = re.findall(r"^ +- .*?: (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
ELSEWHERE = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
PAGES = sorted(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md"))
RUN = ("index.md", "contract.md", "tables.md", "extending.md")
MODULES = (
    "torch",
    "jax",
    "keras",
    "distributions",
    "structures",
    "exact",
    "gallery",
    "recipe",
    "tables",
    "hashing",
    "pictures",
    "battery",
)
FOREIGN = {"gpuinit.torch.calculate_gain"}
"""Names of others that a module hands on."""


def text(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def without_code(markdown: str) -> str:
    return re.sub(r"^```.*?^```", "", markdown, flags=re.DOTALL | re.MULTILINE)


def anchors(markdown: str) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    found, seen = set(), Counter[str]()
    for title in re.findall(r"^#+ (.*)$", without_code(markdown), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).lower()
        anchor = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return found


def test_every_page_is_in_the_navigation_once() -> None:
    assert sorted(NAV) == sorted([*PAGES, *ELSEWHERE])
    assert all((ROOT / source).is_file() for source in ELSEWHERE.values())


@pytest.mark.parametrize("page", [*PAGES, "../README.md", "../CONTRIBUTING.md", "../CHANGELOG.md"])
def test_links_lead_somewhere(page: str) -> None:
    """Files are there, and headings: rejects a page, file or section that was renamed."""
    here = DOCS / page
    for target, anchor in re.findall(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]+))?\)", without_code(here.read_text(encoding="utf-8"))):
        file = here.parent / target if target else here
        assert file.exists(), f"{page}: {target}"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file.read_text(encoding="utf-8")), f"{page}: {target}#{anchor}"


def test_the_reference_has_every_public_name() -> None:
    """And nothing else: rejects a name that is new or gone."""
    shown = [
        name for page in PAGES if page.startswith("reference/") for name in re.findall(r"^::: (\S+)$", text(page), re.MULTILINE)
    ]
    assert len(set(shown)) == len(shown)
    expected = {f"gpuinit.{name}" for name in gpuinit.__all__ if name not in ("__version__", "exact")} | {
        "gpuinit.interop.Export"
    }
    for module in MODULES:
        expected |= {f"gpuinit.{module}.{name}" for name in names(module)}
    folded = {name if name in expected else re.sub(r"\.(\w+)\.\1$", r".\1", name) for name in shown}  # a module and its function
    assert folded == expected - FOREIGN


def names(module: str) -> list[str]:
    """The module's `__all__`, read without the framework that it would load."""
    path = ROOT / "gpuinit" / module
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    raise AssertionError(f"{source} has no __all__")


def test_every_command_has_its_help() -> None:
    commands = importlib.import_module("gpuinit.cli.parser").COMMANDS
    shown = re.findall(r"^::help (\w+)$", text("reference/command_line.md"), re.MULTILINE)
    assert sorted(shown) == sorted(module.__name__.rsplit(".", 1)[1] for module in commands)


@pytest.mark.parametrize("page", RUN)
def test_blocks_run(page: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One after another, as a reader would."""
    monkeypatch.chdir(tmp_path)
    blocks = list(re.finditer(r"^```python\n(.*?)^```$", text(page), re.DOTALL | re.MULTILINE))
    assert blocks
    namespace: dict[str, Any] = {"__name__": page}
    for number, block in enumerate(blocks):
        file = tmp_path / f"block{number}.py"  # gpuinit.quantile reads the source
        file.write_text(block[1])
        exec(compile(block[1], str(file), "exec"), namespace)
