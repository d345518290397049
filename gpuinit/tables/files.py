"""Files that appear complete or not at all, and the checks that refuse a job before anything is made."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from io import FileIO
from pathlib import Path

__all__ = ["DiskSpaceError", "check_free", "check_space", "folders", "replacing"]


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


@contextlib.contextmanager
def replacing(*paths: Path) -> Iterator[list[FileIO]]:
    """Open files that appear as `paths`, flushed to the disk, when the block ends without an error: all or none.

    Until then each stands beside its path as `NAME.part`, locked; an error, an interrupt included, removes them and
    leaves what was there before. What a killed process left behind is overwritten; killed between the renames of several
    files it leaves no old one beside a new one.

    Raises:
        BlockingIOError: another process is writing one of them. FileExistsError: at NAME.part is no regular file.
    """
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(_unfinished(path)) for path in paths]
        yield files
        for file in files:
            os.fsync(file.fileno())
        _publish(paths)
    for folder in {path.parent for path in paths}:
        _sync(folder)


@contextlib.contextmanager
def _unfinished(path: Path) -> Iterator[FileIO]:
    """The empty file NAME.part beside `path`, locked; an error removes it."""
    with _locked(_part(path)) as file:
        try:
            file.truncate()
            yield file
        except BaseException:
            _part(path).unlink(missing_ok=True)
            raise


def _publish(paths: Sequence[Path]) -> None:
    """Give the finished files their names; whatever stops it before the last has its own leaves all as it was.

    A single file replaces the old one at once. Of several the old ones step aside first, the last of them first.
    """
    several = paths if len(paths) > 1 else ()
    _remove_aside(several)  # what a killed process left
    try:
        for path in reversed(several):
            with contextlib.suppress(FileNotFoundError):
                os.rename(path, _aside(path))
        for path in paths:
            os.replace(_part(path), path)
        _remove_aside(several)
    except BaseException:
        if any(os.path.lexists(_part(path)) for path in paths):
            _take_back(several)
        else:
            _remove_aside(several)
        raise


def _take_back(paths: Sequence[Path]) -> None:
    """Remove the files that have been renamed already, and put the old ones back."""
    for path in paths:
        if not os.path.lexists(_part(path)):
            path.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.rename(_aside(path), path)


def _remove_aside(paths: Sequence[Path]) -> None:
    for path in paths:
        _aside(path).unlink(missing_ok=True)


def _part(path: Path) -> Path:
    """Where a file stands while it is unfinished."""
    return path.with_name(path.name + ".part")


def _aside(path: Path) -> Path:
    """Where an old file stands while new ones take the names; `.part` like all that is only there for a while."""
    return path.with_name(path.name + ".old.part")


def _sync(folder: Path) -> None:
    """Flush a folder's list of names to the disk."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def check_free(paths: Iterable[Path], force: bool) -> None:
    """Refuse, before anything is made, output files that exist (unless forced) or whose place cannot hold a file.

    Nor may something that is no regular file, as a link, stand where an unfinished or an old file is to stand.

    Raises:
        FileExistsError, IsADirectoryError, NotADirectoryError: the message names the path.
    """
    for path in paths:
        folder = _existing(path.parent)
        if not folder.is_dir():
            raise NotADirectoryError(f"out: {str(folder)!r} is a file; a folder is needed there")
        if os.path.isdir(path):
            raise IsADirectoryError(f"out: {str(path)!r} is a folder; a file is to be written there")
        if not force and os.path.lexists(path):
            raise FileExistsError(f"out: {str(path)!r} exists already; --force (force=True) replaces it")
        for beside in (_part(path), _aside(path)):
            if os.path.lexists(beside) and not stat.S_ISREG(os.lstat(beside).st_mode):
                raise _not_regular(beside)


def _not_regular(path: Path) -> FileExistsError:
    return FileExistsError(f"out: {str(path)!r} is no regular file, and an unfinished one is to stand there; remove it")


def check_space(sizes: Iterable[tuple[Path, int]]) -> None:
    """Refuse (DiskSpaceError) files of these sizes, made one after the other in one folder, if the disk lacks room."""
    used = needed = 0
    folder = Path()
    for path, nbytes in sizes:
        folder = _existing(path.parent)
        used += nbytes - _size(_part(path))
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
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # which a regular file does not heed
        try:
            opened = os.open(path, flags, 0o666)
        except OSError as error:
            raise _not_regular(path) if error.errno == errno.ELOOP else error from None
        file = FileIO(opened, "w")
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            file.close()
            raise _not_regular(path)
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno == errno.EWOULDBLOCK:
                file.close()
                raise BlockingIOError(f"out: {str(path)!r} is being written by another process") from None
            # else a file system without locks
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.lstat()):
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
