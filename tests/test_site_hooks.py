"""The site's hooks without MkDocs and griffe: where links out of docs/ lead, and how docstrings are set apart."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

HOOKS = Path(__file__).parent.parent / "docs" / "hooks"


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Loads a hook, with stand-ins for the names that it takes from other packages."""
    files = SimpleNamespace(File=SimpleNamespace(generated=lambda config, page, content: (page, content)), Files=list)
    for name in ("mkdocs", "mkdocs.structure"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "mkdocs.structure.files", files)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "griffe", SimpleNamespace(Extension=object))  # type: ignore[arg-type]

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"hook_{name}", HOOKS / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def shown(outside: ModuleType, page: str, text: str, host: str | None = None) -> str:
    where = SimpleNamespace(file=SimpleNamespace(src_uri=page))
    return str(outside.on_page_markdown(text, where, SimpleNamespace(repo_url=host), []))


@pytest.mark.parametrize(
    ("page", "written", "wanted"),
    [
        ("index.md", "[x](torch.md#seeds)", "[x](torch.md#seeds)"),
        ("index.md", "[x](#install)", "[x](#install)"),
        ("index.md", "[x](https://x.org/../README.md)", "[x](https://x.org/../README.md)"),
        ("files.md", "[x](../CHANGELOG.md)", "[x](changelog.md)"),
        ("files.md", "[x](../CONTRIBUTING.md#rules)", "[x](contributing.md#rules)"),
        ("files.md", "[x](../README.md)", "[x](index.md)"),
        ("files.md", "[devices](../README.md#devices)", "[devices](devices.md)"),
        ("files.md", "[seeds](../README.md#seeds)", "seeds (`README.md`)"),
        ("reference/tables.md", "[x](../files.md)", "[x](../files.md)"),
        ("reference/tables.md", "[x](../../examples/README.md)", "[x](../examples.md)"),
        ("contributing.md", "[x](docs/stream.md#3-index)", "[x](stream.md#3-index)"),
        ("devices.md", "[sass](benchmarks/results/sass.md) of [d](#devices)", "[sass](sass.md) of [d](devices.md)"),
        ("limits.md", "[kernels/](kernels/)", "`kernels`"),
        ("torch.md", "[`fsdp2_init.py`](../examples/fsdp2_init.py)", "`examples/fsdp2_init.py`"),
        ("torch.md", "[measured\nhere](../benchmarks/results/models.json)", "measured\nhere (`benchmarks/results/models.json`)"),
        ("torch.md", "[gone](../no/such.py)", "[gone](no/such.py)"),
        ("torch.md", "![p](../README.md)", "![p](../README.md)"),
        ("torch.md", "```python\na[x](../README.md)\n```\n", "```python\na[x](../README.md)\n```\n"),
    ],
)
def test_links(hook: Any, page: str, written: str, wanted: str) -> None:
    assert shown(hook("outside"), page, written) == wanted


def test_links_with_a_host(hook: Any) -> None:
    written = "[a](../examples/fsdp2_init.py) [b](../CHANGELOG.md)"
    wanted = "[a](https://x.org/g/blob/main/examples/fsdp2_init.py) [b](changelog.md)"
    assert shown(hook("outside"), "torch.md", written, "https://x.org/g/") == wanted


def test_pages_from_outside(hook: Any) -> None:
    """A section is cut at the next of its rank, and its headings move up; a file without a heading gets one."""
    outside = hook("outside")
    made = dict(outside.on_files([], None))
    assert set(made) == set(outside.PAGES)
    assert made["devices.md"].startswith("# Devices\n") and "\n# Is it right here?" not in made["devices.md"]
    assert made["sass.md"].startswith("# Instruction counts\n\n") and made["changelog.md"].startswith("# Changelog\n")
    assert all(text.count("\n# ") == 0 for page, text in made.items() if "README.md#" in outside.PAGES[page])


def test_entries_that_share_a_line_are_set_apart(hook: Any) -> None:
    written = """What it does: this. Not an entry: that.

    Args:
        rank: 0 .. world - 1, e.g. 3. world: >= 1, as
            there. Then: text. a, b: both.

    Raises:
        IndexError: out of range. TypeError, ValueError: a wrong one; OSError: where it is
            damaged. numpy.exceptions.AxisError (a ValueError): no axis.

    Attributes:
        low, high: the ends.

    Later: more."""
    wanted = """What it does: this. Not an entry: that.

Args:
    rank: 0 .. world - 1, e.g. 3.
    world: \\>= 1, as
        there. Then: text.
    a, b: both.

Raises:
    IndexError: out of range.
    TypeError, ValueError: a wrong one;
    OSError: where it is
        damaged.
    numpy.exceptions.AxisError (a ValueError): no axis.

Attributes:
    low,\N{NO-BREAK SPACE}high: the ends.

Later: more."""
    assert hook("docstrings").apart(written.replace("\n    ", "\n")) == wanted


def test_a_docstring_without_sections_stays_as_it_is(hook: Any) -> None:
    text = "One line: with a colon.\n\n    code: here\n\nReturns:\n    A thing: of two. more: of it."
    assert hook("docstrings").apart(text) == text
