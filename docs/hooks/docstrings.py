"""Docstrings as the reference shows them: short entries that share a line there are entries of their own here.

In the sources a section may read

    Raises:
        IndexError: a row id is out of range. DeviceError: the device cannot be used.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

__all__ = ["Docstrings", "apart"]

SHOWN = ("__call__", "__enter__", "__getitem__", "__version__")
"""Special names that users meet; the others keep their docstrings for those who read the source."""

SECTION = re.compile(r"^(Args|Attributes|Raises):\n((?:    .*\n|\n(?=    ))+)", re.MULTILINE)
ENTRY = re.compile(r"\n(?=    \S)")
NAMES = r"(?:[a-z_]\w*, )*[a-z_]\w*"
NEXT = {
    "Args": re.compile(rf"(?<=\.)\s+(?={NAMES}: )"),
    "Attributes": re.compile(rf"(?<=\.)\s+(?={NAMES}: )"),
    "Raises": re.compile(r"(?<=[.;])\s+(?=(?:\w+Error,\s+)*[\w.]+Error(?: \([^)]*\))?: )"),
}
"""Where the next entry begins within an entry's text."""


class Docstrings(griffe.Extension):
    """Prepares docstrings before they are parsed, and leads names past modules of the same name."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Called by griffe for each module, class, function and attribute."""
        if obj.name.startswith("__") and obj.name not in SHOWN:
            obj.docstring = None
        elif obj.docstring is not None:
            obj.docstring.value = apart(obj.docstring.value)

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """`gpuinit.quantile` is the function that gpuinit.initializers offers, not the module there that it comes from."""
        ours = {
            name: member for name, member in pkg.members.items() if member.is_alias and member.target_path.startswith(pkg.path)
        }
        for name, member in ours.items():
            source = member.final_target
            if source.is_module and name in source.members:
                pkg.members[name] = griffe.Alias(name, f"{source.path}.{name}", parent=pkg)


def apart(docstring: str) -> str:
    """The docstring with each entry of its sections on lines of its own, and nothing in it that is Markdown by chance."""

    def separated(found: re.Match[str]) -> str:
        kind = found[1]
        entries = [entry for text in ENTRY.split(found[2].rstrip("\n")) for entry in NEXT[kind].split(text)]
        return f"{kind}:\n" + "".join(f"    {_entry(kind, entry.strip())}\n" for entry in entries)

    return SECTION.sub(separated, f"{docstring}\n").rstrip("\n")


def _entry(kind: str, text: str) -> str:
    names, colon, about = text.partition(": ")
    if kind == "Attributes":
        names = names.replace(", ", ",\N{NO-BREAK SPACE}")  # else griffe takes the last name for the first one's type
    if about.startswith(">"):
        about = f"\\{about}"  # no quotation
    return re.sub(r"\n\s*", "\n        ", names + colon + about)
