"""What lies outside docs/, in the site: some of it as pages, and links to the rest as what they are without a host, paths.

Pages are written for the repository, where `../examples/fsdp2_init.py` is a link. A site has docs/ alone.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

__all__ = ["on_files", "on_page_markdown"]

ROOT = Path(__file__).parents[2]

PAGES = {
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "examples.md": "examples/README.md",
    "results.md": "benchmarks/results/README.md",
    "sass.md": "benchmarks/results/sass.md",
    "devices.md": "README.md#devices",
    "differences.md": "README.md#differences-from-keras",
    "limits.md": "README.md#what-it-is-not",
}
"""The site's pages that are files outside docs/, or sections of them."""

TITLES = {"sass.md": "Instruction counts"}
"""Headings of pages whose files have none."""

LINK = re.compile(r"(?<!!)\[(?P<text>(?:[^\[\]]|\[[^\[\]]*\])+)\]\((?P<target>[^)\s]+)\)")
FENCE = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)


def on_files(files: Files, config: Any) -> Files:
    """The pages that docs/ does not have itself."""
    for page, source in PAGES.items():
        path, _, anchor = source.partition("#")
        text = (ROOT / path).read_text(encoding="utf-8")
        content = _section(text, anchor) if anchor else f"# {TITLES[page]}\n\n{text}" if page in TITLES else text
        files.append(File.generated(config, page, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """The page, each link to a file of the repository led to that file's page, or to its place at the repository's host."""
    here = page.file.src_uri
    source = PAGES.get(here, f"docs/{here}").partition("#")[0]

    def led(found: re.Match[str]) -> str:
        path, _, anchor = found["target"].partition("#")
        if "://" in path or (not path and "#" not in PAGES.get(here, "")):
            return found[0]
        inside = posixpath.normpath(posixpath.join(posixpath.dirname(source), path)) if path else source
        target = _page(inside, anchor)
        if target is None:
            return _outside(found["text"], inside, config.repo_url)
        return f"[{found['text']}]({posixpath.relpath(target, posixpath.dirname(here) or '.')})"

    pieces = FENCE.split(markdown)
    return "".join(piece if piece.startswith("```") else LINK.sub(led, piece) for piece in pieces)


def _page(path: str, anchor: str) -> str | None:
    """The page, with its anchor, that shows a place of the repository; None if none does."""
    for page, source in PAGES.items():
        if source == f"{path}#{anchor}":
            return page
        if source == path:
            return f"{page}#{anchor}" if anchor else page
    if path == "README.md":
        return None if anchor else "index.md"
    if not path.startswith("docs/") or path == "docs/hooks":
        return None
    return path.removeprefix("docs/") + (f"#{anchor}" if anchor else "")


def _outside(text: str, path: str, host: str | None) -> str:
    """A link to the repository's host, or where there is none the text with the path."""
    if not (ROOT / path).exists():
        return f"[{text}]({path})"  # mkdocs then says that it leads nowhere
    if host:
        return f"[{text}]({host.rstrip('/')}/blob/main/{path})"
    return f"`{path}`" if text.strip("`").rstrip("/") in (path, posixpath.basename(path)) else f"{text} (`{path}`)"


def _section(text: str, anchor: str) -> str:
    """The section of that anchor, as a page of its own."""
    for section in re.split(r"^(?=## )", text, flags=re.MULTILINE):
        title = section.partition("\n")[0].removeprefix("## ")
        if title.lower().replace(" ", "-") == anchor:
            return re.sub(r"^#(?=#+ )", "", section, flags=re.MULTILINE)
    raise ValueError(f"there is no section #{anchor}")
