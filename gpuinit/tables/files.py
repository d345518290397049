"""The folders of outputs, and the checks that refuse a job before anything is made."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from gpuinit.tables.parts import aside, not_regular, part

__all__ = ["DiskSpaceError", "check_free", "check_space", "folders"]


class DiskSpaceError(OSError):
    """The disk has, or had in the middle, no room; the message says how many bytes were needed."""


@contextlib.contextmanager
def folders(paths: Iterable[Path]) -> Iterator[None]:
    """Make the folders of these files; an error in the block removes those made here that are empty then.

    Raises:
        OSError: one cannot be made; the message names it.
    """
    made: list[Path] = []
    try:
        for folder in dict.fromkeys(path.parent for path in paths):
            _make(folder, made)
        yield
    except BaseException:
        for folder in reversed(made):
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def _make(folder: Path, made: list[Path]) -> None:
    """Make the folder and those above it, and list in `made` which did not exist."""
    if os.path.isdir(folder):
        return
    _make(folder.parent, made)
    made.append(folder)  # before it is there, so that no interrupt falls between
    try:
        folder.mkdir()
    except FileExistsError:
        made.pop()
        if not folder.is_dir():
            raise NotADirectoryError(f"out: {str(folder)!r} is a file; a folder is needed there") from None
    except OSError as error:
        raise type(error)(f"out: the folder {str(folder)!r} cannot be made: {error.strerror}") from error


def check_free(paths: Iterable[Path], force: bool, folders: Collection[Path] = ()) -> None:
    """Refuse, before anything is made, outputs that exist (unless forced) or whose place cannot hold what is to stand there.

    Nor may something else, as a link, stand where an unfinished or an old one is to stand. Those among `folders` are to be
    folders; one that is neither empty nor a zarr array is not replaced.

    Raises:
        FileExistsError, IsADirectoryError, NotADirectoryError: the message names the path.
    """
    for path in paths:
        parent = _existing(path.parent)
        if not parent.is_dir():
            raise NotADirectoryError(f"out: {str(parent)!r} is a file; a folder is needed there")
        if path in folders:
            _check_folder(path)
        elif os.path.isdir(path):
            raise IsADirectoryError(f"out: {str(path)!r} is a folder; a file is to be written there")
        if not force and os.path.lexists(path):
            raise FileExistsError(f"out: {str(path)!r} exists already; --force (force=True) replaces it")
        for beside in (part(path), aside(path)):
            regular = stat.S_ISDIR if path in folders else stat.S_ISREG
            if os.path.lexists(beside) and not regular(os.lstat(beside).st_mode):
                raise not_regular(beside)
            if path in folders and beside.is_dir() and not all(map(_of_an_array, beside.iterdir())):
                raise FileExistsError(f"out: {str(beside)!r} is a folder that holds more than a zarr array; it is not replaced")


def _check_folder(path: Path) -> None:
    if os.path.lexists(path) and (path.is_symlink() or not path.is_dir()):
        raise NotADirectoryError(f"out: {str(path)!r} is a file; a folder is to be written there")
    if path.is_dir() and any(path.iterdir()) and not _is_array(path):
        raise FileExistsError(f"out: {str(path)!r} is a folder that holds no zarr array; it is not replaced")


def _is_array(folder: Path) -> bool:
    """Whether a folder is a zarr array, and not a group of them."""
    try:
        found = json.loads((folder / "zarr.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("node_type") == "array"


def _of_an_array(path: Path) -> bool:
    """Whether it may be in the folder of an array that a killed process was making, or removing."""
    return path.name in ("zarr.json", "c") or path.name.endswith(".partial")


def check_space(sizes: Iterable[tuple[Path, int]]) -> None:
    """Refuse (DiskSpaceError) files of these sizes, made one after the other in one folder, if the disk lacks room."""
    used = needed = 0
    folder = Path()
    for path, nbytes in sizes:
        folder = _existing(path.parent)
        used += nbytes - _size(part(path))
        needed = max(needed, used)
        used -= _size(path)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DiskSpaceError(
            f"out: {needed:,} bytes are needed on the disk of {str(folder.absolute())!r}, and {free:,} bytes are free"
        )


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    return folder


def _size(path: Path) -> int:
    """The bytes of a file, or of all files in a folder."""
    try:
        if path.is_dir():
            return sum(inside.stat().st_size for inside in path.rglob("*") if inside.is_file())
        return path.stat().st_size
    except OSError:
        return 0
