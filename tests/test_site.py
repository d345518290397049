"""The site's pages: the nav names each, links and anchors lead somewhere, lists are lists, the reference is complete.

`make docs` builds the site, which finds out the same and more; here nothing is needed that it needs.
"""

from __future__ import annotations

import ast
import importlib.util
import posixpath
import re
import zlib
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
CONFIG = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
WRITTEN = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
AROUND = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "examples/README.md", "benchmarks/results/README.md"]
FILES = [*(f"docs/{page}" for page in sorted(WRITTEN)), *AROUND]


def constant(hook: str, name: str) -> dict[str, str]:
    """A constant of a hook that imports MkDocs, which is not here."""
    for node in ast.parse((DOCS / "hooks" / hook).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(isinstance(target, ast.Name) and target.id == name for target in node.targets):
            return dict(ast.literal_eval(node.value))
    raise AssertionError(f"{hook} has no {name}")


@cache
def promises() -> ModuleType:
    spec = importlib.util.spec_from_file_location("promises", DOCS / "hooks" / "promises.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def prose(text: str) -> str:
    """The text without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def slug(title: str) -> str:
    """A heading's anchor, as GitHub and the site make it."""
    bare = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title)
    return re.sub(r"[^\w\- ]", "", bare.lower()).strip().replace(" ", "-")


def anchors(text: str) -> set[str]:
    return {slug(title) for title in re.findall(r"^#+ (.*)$", prose(text), re.MULTILINE)}


def links(text: str) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", prose(text))


def identifiers(text: str) -> list[str]:
    """What a page of the reference takes from docstrings."""
    return re.findall(r"^::: (\S+)$", text, re.MULTILINE)


def broken(name: str, text: str) -> list[str]:
    """The links of a file of the repository that lead nowhere, or out of it by an absolute path."""
    bad = []
    for target in links(text):
        path, _, anchor = target.partition("#")
        if "://" in target:
            continue
        place = posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) if path else name
        aim = ROOT / place
        if path.startswith("/") or place.startswith("..") or not aim.exists():
            bad.append(target)
        elif anchor:
            found = text if place == name else aim.read_text(encoding="utf-8")
            if anchor not in anchors(found) | set(identifiers(found)):
                bad.append(target)
    return bad


def cut_off(text: str) -> list[str]:
    """Lines that begin a list or a table right below a line of text: Python-Markdown takes them for more of that text."""
    lines = re.sub(r"<!--.*?-->", "", prose(text), flags=re.DOTALL).splitlines()
    begins = re.compile(r"(?:[-*] |\d+\. |\|)")
    bad = []
    inside = False  # a list or a table, whose lines may be continued
    for above, line in zip(["", *lines], lines, strict=False):
        if not line.strip():
            inside = False
        elif begins.match(line):
            if above.strip() and not inside and not above.startswith("#"):
                bad.append(line)
            inside = True
    return bad


def test_the_nav_names_every_page_once() -> None:
    nav = re.findall(r"^ +- .*?: (\S+\.md)$", CONFIG.partition("\nnav:\n")[2].partition("\n\n")[0], re.MULTILINE)
    made = constant("outside.py", "PAGES")
    assert len(nav) == len(set(nav)) >= 20
    assert set(nav) == WRITTEN | set(made)
    assert not WRITTEN & set(made)


def test_pages_from_outside_have_their_files() -> None:
    for source in constant("outside.py", "PAGES").values():
        path, _, anchor = source.partition("#")
        text = (ROOT / path).read_text(encoding="utf-8")
        assert not anchor or anchor in {slug(title) for title in re.findall(r"^## (.*)$", text, re.MULTILINE)}, source


@pytest.mark.parametrize("name", FILES)
def test_links_lead_somewhere(name: str) -> None:
    assert broken(name, (ROOT / name).read_text(encoding="utf-8")) == []


def test_links_that_lead_nowhere_are_found() -> None:
    text = "# One, two\n[a](no.md) [b](#one-two) [c](#two) [d](files.md#no) [e](/docs/files.md) [f](../../x) [g](https://x.org)\n"
    assert broken("docs/tables.md", text) == ["no.md", "#two", "files.md#no", "/docs/files.md", "../../x"]


@pytest.mark.parametrize("name", FILES)
def test_lists_and_tables_stand_by_themselves(name: str) -> None:
    assert cut_off((ROOT / name).read_text(encoding="utf-8")) == []


def test_what_would_become_text_is_found() -> None:
    text = "Either:\n- this\n- that\n\n- a list\n  goes on\n- here\n\n## A table\n| a |\n| --- |\nText:\n1. one\n"
    assert cut_off(text) == ["- this"]
    assert cut_off("Text:\n1. one\n\nand\n| a | b |\n") == ["1. one", "| a | b |"]


def test_no_link_is_by_reference() -> None:
    """`[text][name]` would be followed by no check here, and by no hook."""
    for name in FILES:
        assert re.findall(r"^\[[^\]]+\]: ", prose((ROOT / name).read_text(encoding="utf-8")), re.MULTILINE) == [], name


def test_every_public_name_is_in_the_reference_once() -> None:
    """By itself or by its module; a name added to `__all__` of what stands here name by name is found missing."""
    pages = {page: (DOCS / page).read_text(encoding="utf-8") for page in WRITTEN if page.startswith("reference/")}
    listed = [name for text in pages.values() for name in identifiers(text)]
    assert len(listed) == len(set(listed))
    whole = [name for name in listed if name in promises().PUBLIC]
    assert set(whole) == set(promises().PUBLIC) - {"gpuinit"}
    for name in promises().offered("gpuinit"):
        assert f"gpuinit.{name}" in listed, f"gpuinit.{name} is not in docs/reference"
    for name in set(listed) - set(whole):  # an attribute of gpuinit, or of a module that it shadows: tables.check.check
        module, _, last = name.rpartition(".")
        shadowing = module.rpartition(".")[2] == last and last in promises().offered(module.rpartition(".")[0])
        assert shadowing or (module == "gpuinit" and last in promises().offered(module)), name
    assert all(name in "".join(pages.values()) for name in promises().FOREIGN)


def test_a_name_that_the_reference_lacks_is_found(tmp_path: Path) -> None:
    """In the built inventory: a name that is missing, and a function where the page has the module of that name."""
    everything = [f"{module}.{name}" for module in promises().PUBLIC for name in promises().offered(module)]
    left_out = {"gpuinit.Key", "gpuinit.quantile", "gpuinit.tables.check"}
    lines = [
        f"{name} py:{'module' if name == 'gpuinit.exact' else 'function'} 1 page.html#$ -"
        for name in everything
        if name not in left_out
    ]
    lines += ["gpuinit.quantile py:module 1 page.html#$ -", "gpuinit.tables.check.check py:function 1 page.html#$ -"]
    head = b"# Sphinx inventory version 2\n# Project: x\n# Version: 1\n# zlib\n"
    (tmp_path / "objects.inv").write_bytes(head + zlib.compress("\n".join(lines).encode()))
    assert promises().missing(tmp_path / "objects.inv") == ["gpuinit.Key", "gpuinit.quantile"]


def test_public_modules_are_those_that_the_readme_and_the_package_speak_of() -> None:
    """A public module that PUBLIC lacks: the README or a page imports from it."""
    spoken = {
        found
        for name in FILES
        for found in re.findall(
            r"^\s*(?:from|import) (gpuinit(?:\.\w+)*)", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE
        )
    }
    assert spoken <= set(promises().PUBLIC)


def test_a_page_that_loads_from_the_network_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<a href="https://x.org">x</a><img src="b.png"><script async src="https://cdn.org/x.js"></script>'
    )
    (tmp_path / "b.css").write_text("@import 'c.css'; p { background: url(//cdn.org/p.png) }")
    assert promises().remote(tmp_path) == [("a.html", "https://cdn.org/x.js"), ("b.css", "//cdn.org/p.png")]


def test_make_docs_counts_warnings() -> None:
    """`mkdocs build --strict --quiet` drops warnings before it counts them, and a broken site passes."""
    [command] = re.findall(r"^\t.*mkdocs build.*$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert "--strict" in command and "quiet" not in command and "-q" not in command
