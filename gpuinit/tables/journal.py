"""The journal beside an unfinished file: how much of it is written, so that `--resume` can go on after a kill.

NAME.journal is a JSON object: what the file is to hold, how many elements stand in it, their hash (gpuinit.hashing), and a
checksum of all this. It is replaced as a whole, after the elements that it speaks of were flushed to the disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Journal", "JournalError", "Standing", "same_recipe"]

_VERSION = 1


class JournalError(ValueError):
    """A journal that does not fit the file beside it, or this job; the message says why."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands in an unfinished file: so many elements from the first on, and their hash."""

    elements: int
    hash: int


class Journal:
    """The journal of the file `path`, which is to hold what `facts` (JSON's types) say."""

    def __init__(self, path: Path, facts: Mapping[str, Any]) -> None:
        self.path = path.with_name(path.name + ".journal")
        self._facts = dict(facts)

    def exists(self) -> bool:
        """Whether there is one."""
        return os.path.lexists(self.path)

    def record(self, standing: Standing) -> None:
        """Replace the journal, flushed to the disk; what it speaks of has been flushed before."""
        entry = {"journal": _VERSION, **self._facts, "elements": standing.elements, "hash": f"{standing.hash:016x}"}
        text = json.dumps({**entry, "checksum": _checksum(entry)}, indent=1, allow_nan=False) + "\n"
        new = self.path.with_name(self.path.name + ".part")
        try:
            with open(new, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(new, self.path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise

    def read(self) -> Standing:
        """What stands, by the journal.

        Raises:
            JournalError: it is damaged, or of another tensor. OSError: it cannot be read.
        """
        try:
            entry = json.loads(self.path.read_text(encoding="utf-8"))
            checksum = entry.pop("checksum")
            if checksum != _checksum(entry):
                raise ValueError("its checksum is wrong")
            if entry.pop("journal") != _VERSION:
                raise ValueError("it is of another version")
            standing = Standing(int(entry.pop("elements")), int(entry.pop("hash"), 16))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise self.refused(f"it is damaged ({error})") from None
        for name in {**self._facts, **entry}:
            if not _same(name, entry.get(name), self._facts.get(name)):
                raise self.refused(f"it is of a file with another {name}")
        return standing

    def refused(self, why: str) -> JournalError:
        """The error that says why the journal is not followed."""
        return JournalError(
            f"resume: the journal {str(self.path)!r} is refused: {why}; --force without --resume starts over, and replaces both"
        )

    def remove(self) -> None:
        """Remove it, and what a killed process left of it."""
        for path in (self.path, self.path.with_name(self.path.name + ".part")):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()


def same_recipe(one: Any, other: Any) -> bool:
    """Whether two recipes (as JSON) are of the same bits, by whichever releases."""
    return bool(_without_release(one) == _without_release(other))


def _same(name: str, one: Any, other: Any) -> bool:
    return same_recipe(one, other) if name == "recipe" else bool(one == other)


def _without_release(recipe: Any) -> Any:
    return {name: value for name, value in recipe.items() if name != "gpuinit"} if isinstance(recipe, Mapping) else recipe


def _checksum(entry: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()[:16]
