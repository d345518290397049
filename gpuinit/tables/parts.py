"""Files, and folders of them, that appear complete or not at all; until then each stands beside its path as NAME.part, locked."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any

__all__ = ["Parts", "aside", "not_regular", "part", "remove_aside", "replacing"]


@dataclass
class Parts:
    """Unfinished files.

    Attributes:
        places: what each is written through: an open file, or the path of a folder.
        keep: whether an error leaves them for another run to go on with; at first, whether an earlier run has left them.
        complete: whether they have their names.
    """

    places: list[Any] = field(default_factory=list)
    keep: bool = False
    complete: bool = False


@contextlib.contextmanager
def replacing(*paths: Path, folder: bool = False, go_on: bool = False) -> Iterator[Parts]:
    """Unfinished files that appear as `paths`, flushed to the disk, when the block ends without an error: all or none.

    An error, an interrupt included, removes them unless they are to be kept, and leaves what was there before. Killed between the
    renames of several files it leaves no old one beside a new one.

    Args:
        folder: whether the first is a folder. go_on: whether they keep what they hold from an earlier run; else they are empty,
            whatever a killed process left behind.

    Raises:
        BlockingIOError: another process is writing one of them. FileExistsError: at NAME.part is something else.
    """
    parts = Parts(keep=go_on)
    locks: list[FileIO | _Folder] = []
    with contextlib.ExitStack() as stack:
        try:
            for number, path in enumerate(paths):
                lock = _Folder(part(path)) if folder and number == 0 else _locked(part(path))
                locks.append(lock)
                stack.enter_context(contextlib.closing(lock))
                parts.places.append(part(path) if isinstance(lock, _Folder) else lock)
                if not go_on:
                    lock.truncate()
            yield parts
            for lock in locks:
                os.fsync(lock.fileno())
            _publish(paths, folder or len(paths) > 1)
            parts.complete = True
        except BaseException:
            if not parts.keep:
                for path in paths[: len(locks)]:
                    _remove(part(path))
            raise
    for parent in {path.parent for path in paths}:
        _sync(parent)


def _publish(paths: Sequence[Path], step_aside: bool) -> None:
    """Give the finished files their names; whatever stops it before the last has its own leaves all as it was.

    A single file replaces the old one at once. Else the old ones step aside first, the last of them first.
    """
    old = paths if step_aside else ()
    remove_aside(old)  # what a killed process left
    try:
        for path in reversed(old):
            with contextlib.suppress(FileNotFoundError):
                os.rename(path, aside(path))
        for path in reversed(paths):  # so that the first, which a journal speaks of, is unfinished until all have their names
            os.replace(part(path), path)
        remove_aside(old)
    except BaseException:
        if any(os.path.lexists(part(path)) for path in paths):
            _take_back(old)
        else:
            remove_aside(old)
        raise


def _take_back(paths: Sequence[Path]) -> None:
    """Remove the files that have been renamed already, and put the old ones back."""
    for path in paths:
        if not os.path.lexists(part(path)):
            _remove(path)
        with contextlib.suppress(FileNotFoundError):
            os.rename(aside(path), path)


def remove_aside(paths: Sequence[Path]) -> None:
    """Remove the old files that stand aside."""
    for path in paths:
        _remove(aside(path))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def part(path: Path) -> Path:
    """Where a file stands while it is unfinished."""
    return path.with_name(path.name + ".part")


def aside(path: Path) -> Path:
    """Where an old file stands while new ones take the names; `.part` like all that is only there for a while."""
    return path.with_name(path.name + ".old.part")


def not_regular(path: Path) -> FileExistsError:
    """The error for something else that stands where an unfinished file is to stand."""
    return FileExistsError(f"out: {str(path)!r} is no regular file, and an unfinished one is to stand there; remove it")


def _sync(folder: Path) -> None:
    """Flush a folder's list of names to the disk."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _locked(path: Path) -> FileIO:
    """The file, opened for writing and locked against other processes that write it so; closing it unlocks."""
    while True:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # which a regular file does not heed
        try:
            opened = os.open(path, flags, 0o666)
        except OSError as error:
            raise not_regular(path) if error.errno in (errno.ELOOP, errno.EISDIR) else error from None
        file = FileIO(opened, "r+")
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            file.close()
            raise not_regular(path)
        if _lock(opened, path, file.close):
            return file


def _lock(opened: int, path: Path, close: Any) -> bool:
    """Lock what was opened; False, and closed, if it is no longer what has that name."""
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno == errno.EWOULDBLOCK:
            close()
            raise BlockingIOError(f"out: {str(path)!r} is being written by another process") from None
        # else a file system without locks
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(opened), path.lstat()):
            return True
    close()  # another process finished or gave up since
    return False


class _Folder:
    """A folder, made if it is not there and locked against other processes that write it so; closing it unlocks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        while True:
            with contextlib.suppress(FileExistsError):
                path.mkdir()
            try:
                self._opened = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.ENOTDIR):
                    raise FileExistsError(f"out: {str(path)!r} is no folder, and one is to stand there; remove it") from None
                raise
            if _lock(self._opened, path, self.close):
                return

    def fileno(self) -> int:
        return self._opened

    def truncate(self) -> None:
        """Empty it."""
        for inside in self._path.iterdir():
            _remove(inside)

    def close(self) -> None:
        os.close(self._opened)
