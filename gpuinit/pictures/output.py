"""Pictures as files, which appear complete or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpuinit.pictures import canvas
from gpuinit.tables.files import check_free
from gpuinit.tables.parts import replacing

__all__ = ["check_out", "save", "write"]


def save(figure: Any, path: str | Path, *, force: bool = False) -> None:
    """Write a figure as the suffix of `path` says: .png (800 pixels wide), .svg or .pdf, without a date.

    Args:
        force: replace a file that exists.

    Raises:
        ValueError: another suffix. FileExistsError, IsADirectoryError, OSError: it cannot be written there.
    """
    path = Path(path)
    form = check_out(path, force)
    write({path: canvas.rendered(figure, form)}, force=force)


def check_out(path: Path, force: bool) -> str:
    """What a file name asks for by its suffix; an error as of `save` where it cannot be written."""
    form = path.suffix.removeprefix(".").lower()
    if form not in canvas.formats():
        raise ValueError(f"out={str(path)!r}: the suffix must be {' or '.join(f'.{each}' for each in canvas.formats())}")
    check_free([path], force)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"out: the folder {str(path.parent)!r} is not there")
    return form


def write(contents: Mapping[Path, bytes], *, force: bool) -> None:
    """Write files, each at once; FileExistsError, and nothing is written, if one exists and is not to be replaced."""
    check_free(contents, force)
    for path, content in contents.items():
        with replacing(path) as parts:
            rest = memoryview(content)
            while rest:
                rest = rest[parts.places[0].write(rest) :]
