"""Lists of tables: a CSV file (`feature,rows,dim`) or a TOML file, read with errors that carry their line."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpuinit.region import checked_shape
from gpuinit.tables import toml

__all__ = ["SpecError", "Specs", "TableSpec", "check_name", "read_specs"]

HEADER = ["feature", "rows", "dim"]
LONGEST_NAME = 200
"""In bytes of UTF-8: with suffix and the mark of an unfinished file it stays below the 255 of file systems."""

_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NOT_EVERYWHERE = re.compile(r'[:*?"<>|]')


class SpecError(ValueError):
    """A list of tables is wrong; the message begins with file and line."""


@dataclass(frozen=True, slots=True)
class TableSpec:
    """One table to make.

    Attributes:
        name: the stem of its file and what its key is folded with. shape: its dimensions, rows first.
        init: an initializer's name, or None for the default. args: that initializer's arguments.
        dtype: an element type's name, or None for the default. where: "file:line", for messages.
        places: the same of its settings init, args and dtype, and of its section under "".
    """

    name: str
    shape: tuple[int, ...]
    init: str | None = None
    args: Mapping[str, Any] = field(default_factory=dict)
    dtype: str | None = None
    where: str = ""
    places: Mapping[str, str] = field(default_factory=dict)

    def place(self, *keys: str) -> str:
        """The "file:line" of the first of the settings that it has, else of its section."""
        return next((self.places[key] for key in (*keys, "") if key in self.places), self.where)


@dataclass(frozen=True, slots=True)
class Specs:
    """A file's tables, the defaults it states for those that set nothing themselves, and the "file:line" of each default."""

    tables: tuple[TableSpec, ...]
    init: str | None = None
    args: Mapping[str, Any] = field(default_factory=dict)
    dtype: str | None = None
    seed: int | None = None
    places: Mapping[str, str] = field(default_factory=dict)


def read_specs(path: str | Path) -> Specs:
    """The tables that a .csv or .toml file lists.

    Args:
        path: CSV with the header `feature,rows,dim` and a line a table; or TOML with a section `[tables.NAME]` a table,
            which holds `rows` and `dim` or `shape`, and if wanted `init`, `args` and `dtype`, and before the sections,
            if wanted, defaults for `init`, `args`, `dtype` and `seed`. UTF-8, with or without a byte-order mark.

    Raises:
        SpecError: it cannot be read, or something is wrong; the message names file, line, value and what is right.
    """
    path = Path(path)
    reader = {".csv": _read_csv, ".toml": _read_toml}.get(path.suffix.lower())
    if reader is None:
        raise SpecError(f"{path}: a list of tables is a .csv or a .toml file")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SpecError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SpecError(f"{path}:{line}: byte {data[error.start]:#04x} is not UTF-8 text") from None
    specs = reader(text, str(path))
    if not specs.tables:
        raise SpecError(f"{path}:1: lists no tables")
    return specs


def check_name(name: str) -> None:
    """Refuse (ValueError) a table name that is no portable file name of its own inside the output folder."""
    if not name or name != name.strip():
        problem = "is empty" if not name.strip() else "begins or ends with white space"
    elif _CONTROL.search(name):
        problem = "has a control character"
    elif "/" in name or "\\" in name:
        problem = "has a path separator"
    elif found := _NOT_EVERYWHERE.search(name):
        problem = f"has a {found[0]}, which some systems allow in no file name"
    elif name.startswith(".") or name.endswith("."):
        problem = "begins or ends with a dot"
    elif _RESERVED.fullmatch(name):
        problem = "is reserved on some systems"
    elif len(name.encode("utf-8", "surrogatepass")) > LONGEST_NAME:
        problem = f"is longer than {LONGEST_NAME} bytes"
    else:
        return
    shown = repr(name if len(name) <= 40 else name[:40] + "...")
    raise ValueError(f"name {shown} {problem}: it must be a plain file name, as the table's file is named after it")


def _read_csv(text: str, path: str) -> Specs:
    rows = _csv_rows(text, path)
    line, header = next(rows, (1, []))
    if header != HEADER:
        found = f"the header is {','.join(header)[:80]!r}" if header else "the file is empty"
        raise SpecError(f"{path}:{line}: {found}; it must be {','.join(HEADER)!r}")
    tables: list[TableSpec] = []
    for line, cells in rows:
        where = f"{path}:{line}"
        if len(cells) != len(HEADER):
            raise SpecError(f"{where}: {len(cells)} columns; there must be {len(HEADER)}: {','.join(HEADER)}")
        dims = [_csv_integer(cell, column, where) for cell, column in zip(cells[1:], HEADER[1:], strict=True)]
        tables.append(_table(cells[0], _rows_and_dim(dims, where), where))
    _refuse_duplicates(tables)
    return Specs(tuple(tables))


def _csv_rows(text: str, path: str) -> Iterator[tuple[int, list[str]]]:
    """The lines that are not blank, with their numbers, their cells without surrounding white space."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, [cell.strip() for cell in cells]
    except csv.Error as error:
        raise SpecError(f"{path}:{reader.line_num}: not CSV: {error}") from None


def _csv_integer(cell: str, column: str, where: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]+", cell):
        raise SpecError(f"{where}: {column}={cell[:40]!r} is not an integer")
    if len(cell) > 30:
        raise SpecError(f"{where}: {column}={cell[:30]}... is too large; a table has at most 2^63 elements")
    return int(cell)


def _rows_and_dim(dims: list[int], where: str) -> list[int]:
    for column, value in zip(HEADER[1:], dims, strict=True):
        if value < 0:
            raise SpecError(f"{where}: {_negative(column, value)}")
    return dims


def _negative(column: str, value: int) -> str:
    return f"{column}={value} is negative: it must be an integer >= 0"


def _table(name: str, dims: Any, where: str, **settings: Any) -> TableSpec:
    try:
        check_name(name)
        return TableSpec(name, checked_shape(dims), **settings, where=where)
    except (TypeError, ValueError) as error:
        raise SpecError(f"{where}: {error}") from None


def _refuse_duplicates(tables: list[TableSpec]) -> None:
    seen: dict[str, TableSpec] = {}
    for table in tables:
        first = seen.setdefault(table.name, table)
        if first is not table:
            line = first.where.rpartition(":")[2]
            raise SpecError(f"{table.where}: table {table.name!r} was already listed in line {line}; names must differ")


def _places(settings: Mapping[str, Any], section: toml.Section, path: str) -> dict[str, str]:
    return {key: f"{path}:{section.line_of(key)}" for key in settings}


def _read_toml(text: str, path: str) -> Specs:
    try:
        document = toml.parse(text)
        defaults = document.take({"init": str, "args": dict, "dtype": str, "seed": int}, others=("tables",))
        tables = []
        for name, section in document.sections("tables"):
            found = section.take({"rows": int, "dim": int, "shape": list, "init": str, "args": dict, "dtype": str})
            dims = [found.pop(key, None) for key in ("rows", "dim")]
            shape = found.pop("shape", None)
            if (shape is None) == (dims == [None, None]) or (shape is None and None in dims):
                raise toml.TomlError(f"table {name!r} must have either rows and dim, or shape", section.line)
            for column, value in zip(HEADER[1:], dims, strict=True):
                if shape is None and value < 0:
                    raise toml.TomlError(_negative(column, value), section.line_of(column))
            where = f"{path}:{section.line_of('rows' if shape is None else 'shape')}"
            places = {"": f"{path}:{section.line}", **_places(found, section, path)}
            tables.append(_table(name, dims if shape is None else shape, where, **found, places=places))
        return Specs(tuple(tables), **defaults, places=_places(defaults, document, path))
    except toml.TomlError as error:
        raise SpecError(f"{path}:{error.line}: {error}") from None
