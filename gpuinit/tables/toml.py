"""TOML documents whose sections know the lines that they and their keys stand in."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["Section", "TomlError", "parse"]

_KINDS = {str: "a string", int: "an integer", dict: "a table", list: "a list"}
_PARSER_PLACE = re.compile(r" \(at (line (\d+), column \d+|end of document)\)$")
_DIGITS = re.compile(r"(?:[0-9]_?){4300}")


class TomlError(ValueError):
    """Something is wrong in this line."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


class Section:
    """The values of one TOML table, with the lines of the text that it was read from."""

    def __init__(self, values: Mapping[str, Any], lines: list[str], path: tuple[str, ...]) -> None:
        self._values, self._lines, self._path = values, lines, path
        self.line = next(iter(_header_lines(lines, path)), 1)

    def line_of(self, key: str) -> int:
        """The line in which the section sets `key`; its own where that cannot be told."""
        assignment = re.compile(rf"\s*{_spelled(key)}\s*[.=]")
        inside = self.line if self._path else 0
        for number, line in enumerate(self._lines[inside:], inside + 1):
            if re.match(r"\s*\[", line):
                break
            if assignment.match(line):
                return number
        return next(iter(_header_lines(self._lines, (*self._path, key))), self.line)

    def take(self, kinds: Mapping[str, type], others: tuple[str, ...] = ()) -> dict[str, Any]:
        """The values of the known keys, checked to be of their kind; a key in neither of the two is an error."""
        for key, value in self._values.items():
            if key not in kinds and key not in others:
                known = ", ".join((*kinds, *others))
                raise TomlError(f"unknown key {key!r}; known here: {known}", self.line_of(key))
            if key in kinds and type(value) is not kinds[key]:
                raise TomlError(f"{key}={_shown(value)} must be {_KINDS[kinds[key]]}", self.line_of(key))
            if value == "":
                raise TomlError(f"{key}='' is empty; leave {key} out for its default", self.line_of(key))
        return {key: value for key, value in self._values.items() if key in kinds}

    def sections(self, key: str) -> Iterator[tuple[str, Section]]:
        """The sections inside the section `key`, by name."""
        inside = self._values.get(key, {})
        if not isinstance(inside, dict):
            raise TomlError(f"{key} must be sections [{key}.NAME]", self.line_of(key))
        for name, values in inside.items():
            section = Section(values, self._lines, (*self._path, key, name))
            if not isinstance(values, dict):
                raise TomlError(f"{key}.{name} must be a section [{key}.{name}]", self.line_of(key))
            yield name, section


def parse(text: str) -> Section:
    """The document's top level; TomlError where it is not TOML."""
    lines = text.splitlines()
    try:
        return Section(tomllib.loads(text), lines, ())
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = _PARSER_PLACE.search(message)
        line = int(place[2]) if place and place[2] else max(len(lines), 1)
        twice = _header(lines[line - 1]) if "twice" in message else None
        earlier = [number for number, other in enumerate(lines[: line - 1], 1) if twice and _header(other) == twice]
        also = f"; first in line {earlier[0]}" if earlier else ""
        raise TomlError(f"not TOML: {_PARSER_PLACE.sub('', message)}{also}", line) from None
    except RecursionError:
        line = max(range(len(lines)), key=lambda i: lines[i].count("[") + lines[i].count("{")) + 1
        raise TomlError("a value is nested too deeply", line) from None
    except ValueError:  # what int() says of thousands of digits
        line = next((number for number, text in enumerate(lines, 1) if _DIGITS.search(text)), 1)
        raise TomlError("a number has too many digits", line) from None


def _header(line: str) -> dict[str, Any] | None:
    """What a section's header declares, however it is spelled; None for any other line."""
    try:
        return tomllib.loads(line) if line.lstrip().startswith("[") else None
    except (ValueError, RecursionError):
        return None


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # too deep, or a hexadecimal number of thousands of digits
        return "..."
    return text if len(text) <= 60 else text[:60] + "..."


def _header_lines(lines: list[str], path: tuple[str, ...]) -> Iterator[int]:
    if path:
        header = re.compile(r"\s*\[\s*" + r"\s*\.\s*".join(_spelled(part) for part in path) + r"\s*\]")
        yield from (number for number, line in enumerate(lines, 1) if header.match(line))


def _spelled(key: str) -> str:
    """A pattern of the ways to write a TOML key."""
    return rf"""(?:{re.escape(key)}|"{re.escape(key)}"|'{re.escape(key)}')"""
