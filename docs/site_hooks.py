"""What mkdocs does not know of this repository: links out of docs/, pages that stand at its top, and the commands' help.

A link to a file outside docs/, as GitHub shows it, leads on the site to that file's copy in `repository/`. CONTRIBUTING.md and
CHANGELOG.md are pages of the site. A line `::help COMMAND` becomes what `gpuinit COMMAND --help` prints.
"""

from __future__ import annotations

import os
import posixpath
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parent.parent
PAGES = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
"""Pages of the site that stand elsewhere in the repository."""
COPIES = "repository"

_PART = re.compile(r"^(```.*?^```)", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\((?!\w+:)([^)#\s]+)(#[^)\s]*)?\)")
_HELP = re.compile(r"^::help (.*)$", re.MULTILINE)


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages, and the files that pages link to."""
    for page, source in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    wanted = set()
    for file in list(files.documentation_pages()):
        _linked(file.content_string, _source(file.src_uri), lambda target: wanted.add(target) or "")
    for target in sorted(wanted):
        if not target.startswith("docs/") and target not in PAGES.values() and (ROOT / target).is_file():
            files.append(File.generated(config, _copy(target), abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """The page's Markdown with links that lead to where the site has their targets."""
    here = page.file.src_uri

    def on_site(target: str) -> str | None:
        inverse = {source: name for name, source in PAGES.items()}
        if target.startswith("docs/"):
            found = target.removeprefix("docs/")
        elif target in inverse:
            found = inverse[target]
        elif (ROOT / target).is_file():
            found = _copy(target)
        else:
            return None
        return posixpath.relpath(found, posixpath.dirname(here) or ".")

    return _HELP.sub(_help, _linked(markdown, _source(here), on_site))


def _copy(target: str) -> str:
    """Where the site has a file of the repository: as text, also where its name ends in .md."""
    return f"{COPIES}/{target}.txt" if target.endswith((".md", ".py", ".toml", ".sh")) else f"{COPIES}/{target}"


def _source(page: str) -> str:
    return PAGES.get(page, f"docs/{page}")


def _linked(markdown: str, source: str, found: Callable[[str], str | None]) -> str:
    """The text with the target of each link outside of code replaced; a link to what a site cannot show is its text alone."""

    def replaced(match: re.Match[str]) -> str:
        text, path, anchor = match[1], match[2], match[3] or ""
        target = found(posixpath.normpath(posixpath.join(posixpath.dirname(source), path)))
        return text if target is None else f"[{text}]({target}{anchor})"

    whole = re.compile(r"(?<!!)\[([^\]]*)" + _LINK.pattern)
    parts = _PART.split(markdown)
    return "".join(part if part.startswith("```") else whole.sub(replaced, part) for part in parts)


def _help(match: re.Match[str]) -> str:
    """What a command prints of itself, indented as code."""
    command = [sys.executable, "-m", "gpuinit", *match[1].split(), "--help"]
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment)
    return f"```text\n{done.stdout.rstrip()}\n```"
