"""Files that appear complete or not at all, and the checks that refuse a job before anything is made."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from io import FileIO
from pathlib import Path

__all__ = ["DiskSpaceError", "check_free", "check_space", "replacing"]


class DiskSpaceError(OSError):
    """The disk has, or had in the middle, no room; the message says how many bytes were needed."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[FileIO]:
    """An open file that appears as `path`, flushed to the disk, when the block ends without an error.

    Until then it stands beside it as `NAME.part`, locked; an error, an interrupt included, removes it. What a killed
    process left behind is overwritten.

    Raises:
        BlockingIOError: another process is writing it.
    """
    part = path.with_name(path.name + ".part")
    with _locked(part) as file:
        try:
            file.truncate()
            yield file
            os.fsync(file.fileno())
            os.replace(part, path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def check_free(paths: Iterable[Path], force: bool) -> None:
    """Refuse, before anything is made, output files that exist (unless forced) or whose place cannot hold a file.

    Raises:
        FileExistsError, IsADirectoryError, NotADirectoryError: the message names the path.
    """
    for path in paths:
        folder = _existing(path.parent)
        if not folder.is_dir():
            raise NotADirectoryError(f"out: {str(folder)!r} is a file; a folder is needed there")
        if path.is_dir():
            raise IsADirectoryError(f"out: {str(path)!r} is a folder; a file is to be written there")
        if not force and os.path.lexists(path):
            raise FileExistsError(f"out: {str(path)!r} exists already; --force (force=True) replaces it")


def check_space(sizes: Iterable[tuple[Path, int]]) -> None:
    """Refuse (DiskSpaceError) files of these sizes, made one after the other in one folder, if the disk lacks room."""
    used = needed = 0
    folder = Path()
    for path, nbytes in sizes:
        folder = _existing(path.parent)
        used += nbytes - _size(path.with_name(path.name + ".part"))
        needed = max(needed, used)
        used -= _size(path)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DiskSpaceError(
            f"out: {needed:,} bytes are needed on the disk of {str(folder.absolute())!r}, and {free:,} bytes are free"
        )


def _locked(path: Path) -> FileIO:
    """The file, opened for writing and locked against other processes that write it so; closing it unlocks."""
    while True:
        file = FileIO(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666), "w")
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno == errno.EWOULDBLOCK:
                file.close()
                raise BlockingIOError(f"out: {str(path)!r} is being written by another process") from None
            # else a file system without locks
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()  # another process finished or gave up since: this is no longer the file of that name


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    return folder


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
