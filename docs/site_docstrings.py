"""What griffe does not know of this project's docstrings: Returns and Raises are running text, `__names__` no bold type.

Raises:
    TypeError, ValueError: why. IndexError: why.
"""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension

_SECTION = re.compile(r"^( *)(Returns|Raises):\n((?:\1 {4}.*\n?)+)", re.MULTILINE)
_DUNDER = re.compile(r"(?<![`\w.])(__\w+__)(?![`\w])")
_NAME = re.compile(r"\b((?:numpy\.exceptions\.)?[A-Z]\w+(?:Error|Exists|Interrupt))\b")


class RunningText(Extension):
    """Both sections as paragraphs, for the page to show as they are."""

    def on_instance(self, *, obj: Any, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = _DUNDER.sub(r"`\1`", _SECTION.sub(_paragraph, obj.docstring.value))


def _paragraph(match: re.Match[str]) -> str:
    parts = " ".join(match[3].split()).split("`")
    parts[::2] = [_NAME.sub(r"`\1`", part) for part in parts[::2]]  # what stands in backticks is code already
    return f"{match[1]}**{match[2]}:** {'`'.join(parts)}\n"
