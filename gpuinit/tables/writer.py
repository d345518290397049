"""Writing tables with constant memory, so that what is stopped can be gone on with."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpuinit.hashing import Digest
from gpuinit.tables import pipeline
from gpuinit.tables.contents import Contents, write_at
from gpuinit.tables.files import DiskSpaceError, check_free, check_space, folders
from gpuinit.tables.index import is_written, write_index
from gpuinit.tables.journal import Journal, JournalError, Standing
from gpuinit.tables.parts import Parts, part, remove_aside, replacing
from gpuinit.tables.pipeline import Pipeline, Progress
from gpuinit.tables.plan import Job
from gpuinit.tables.resume import check_unfinished, has_recipe, is_finished, is_unfinished, journal_of, verified

__all__ = ["DiskSpaceError", "Progress", "Written", "write"]

KEPT_FROM = 256 << 20
"""Bytes from which on an interrupted file is kept; less is made again sooner than it is looked for."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, slots=True)
class Written:
    """A file that was written: its elements' bytes, the seconds it took (flushing included) and their digest.

    `resumed`: the bytes that stood already. A file that was complete before has no digest.
    """

    job: Job
    nbytes: int
    seconds: float
    digest: Digest | None
    resumed: int = 0


def write(
    jobs: Sequence[Job],
    *,
    force: bool = False,
    resume: bool = False,
    index: Path | None = None,
    progress: Progress | None = None,
) -> list[Written]:
    """Write the jobs' files, one after the other.

    Args:
        jobs: from `plan_tables` or `plan_tensor`. force: replace files that exist.
        resume: leave files that are complete, and go on with those that an earlier run of the same jobs left unfinished, after
            reading them again: what stands must have the hash that their journal says.
        index: a file to be written last, that says which tensor stands in which file (gpuinit.tables.index).
        progress: called as bytes are written, or found to stand.

    Returns:
        What was written, in order. It takes the memory of two chunks of 32 MiB, however large the tables; an orthogonal
        table alone is made whole.

    Raises:
        FileExistsError, IsADirectoryError, NotADirectoryError: an output's place is taken; nothing has been written.
        JournalError: an unfinished file is not what its journal says, or not of this job; it is left as it is.
        DiskSpaceError: not enough room for all of them (nothing has been written), or the disk filled up in the middle.
        BlockingIOError: another process is writing one of them. OSError: it cannot be written. Files finished before stay.

    What a stop leaves: of a file of which 256 MiB or more are written, or that filled the disk, NAME.part and NAME.journal, which
    `resume` goes on with, bit for bit as if it had not been stopped; of any other nothing, nor folders made for it.
    """
    finished = [resume and not is_unfinished(job) and is_finished(job) for job in jobs]
    missing = [job for job, done in zip(jobs, finished, strict=True) if not done]
    for job in missing if not (force or resume) else ():
        check_unfinished(job)
    places = [path for job in missing for path in _places(job, resume)]
    check_free(places, force, [job.path for job in missing if job.format.folder])
    if index is not None and not (resume and is_written(index, jobs)):
        check_free((index,), force)
    check_space((job.path, job.nbytes + job.overhead) for job in missing)
    with folders(path for job in missing for path in job.files):
        pairs = zip(jobs, finished, strict=True)
        written = [_finished(job) if done else _write(job, resume, progress or _silent) for job, done in pairs]
        if index is not None:
            write_index(index, jobs)
    return written


def _places(job: Job, resume: bool) -> list[Path]:
    """The files that are to have their names; not one that an earlier run has given its name before it was killed."""
    return [job.path] if resume and is_unfinished(job) and has_recipe(job) else job.files


def _finished(job: Job) -> Written:
    if journal_of(job).exists() and not os.path.lexists(part(job.path)):  # of a process that was killed in its last steps
        remove_aside(job.files)
        journal_of(job).remove()
    return Written(job, job.nbytes, 0.0, None, job.nbytes)


def _write(job: Job, resume: bool, progress: Progress) -> Written:
    began = time.perf_counter()
    go_on = resume and is_unfinished(job)
    journal, parts = journal_of(job), Parts()
    try:
        with replacing(*job.files, folder=job.format.folder, go_on=go_on) as parts:
            if not go_on:
                journal.remove()
            digest, resumed = _contents(job, parts, journal, go_on, progress)
        journal.remove()
    except JournalError:
        raise
    except BaseException as error:
        with contextlib.suppress(JournalError, OSError):
            if parts.places and is_unfinished(job):
                nbytes = journal.read().elements * job.dtype.itemsize
                error.add_note(f"{nbytes:,} bytes are kept in {str(part(job.path))!r}, and --resume goes on with them")
        if isinstance(error, OSError):
            raise _explained(job, error, parts.complete) from error
        raise
    return Written(job, job.nbytes, time.perf_counter() - began, digest, resumed * job.dtype.itemsize)


def _contents(job: Job, parts: Parts, journal: Journal, go_on: bool, progress: Progress) -> tuple[Digest, int]:
    """Write all of the file, or what of it is missing; its digest, and how many elements stood already."""
    place, *beside = parts.places
    standing, digest = Standing(0, 0), Digest()
    if go_on:  # if it is refused, or cannot be read, it is left as it is
        contents, standing, digest = verified(job, place, pipeline.CHUNK_BYTES, journal, progress)
    else:
        contents = job.format.begin(place, job.recipe, job.shape, job.tensor, pipeline.CHUNK_BYTES)
    for companion in beside:
        text = json.dumps(job.recipe.to_json(), indent=1, allow_nan=False) + "\n"
        companion.truncate(0)
        write_at(companion, np.frombuffer(text.encode(), np.uint8), 0)
    making = Pipeline(job, contents, journal, standing, digest, progress)
    try:
        making.run()
        contents.sync()
        if job.nbytes >= KEPT_FROM:  # so that it is kept, whatever stops it from having its name
            with contextlib.suppress(OSError):
                journal.record(making.standing)
            parts.keep = journal.exists()
    except BaseException as error:
        parts.keep = _kept(job, contents, journal, making.standing, error)
        raise
    return digest, standing.elements


def _kept(job: Job, contents: Contents, journal: Journal, standing: Standing, error: BaseException) -> bool:
    """Bring the journal up to date, if so much is written that another run is to go on with it; whether it is."""
    nbytes = standing.elements * job.dtype.itemsize
    full = isinstance(error, OSError) and error.errno in _FULL
    if nbytes < KEPT_FROM and not (full and nbytes):
        journal.remove()
        return False
    with contextlib.suppress(OSError):  # then its last entry holds, if there is one
        contents.cut(standing.elements)
        contents.sync()
        journal.record(standing)
    return journal.exists()


def _explained(job: Job, error: OSError, complete: bool) -> OSError:
    """The error with a message for the user."""
    if error.errno is None:  # it has one already
        return error
    left = "the unfinished file was left as it is" if is_unfinished(job) else "the unfinished file was removed"
    kept = "; ".join(getattr(error, "__notes__", ())) or ("the file is complete" if complete else left)
    if error.errno not in _FULL:
        told: OSError = type(error)(f"out: {str(job.path)!r} cannot be written: {error.strerror}; {kept}")
        return told
    size = job.nbytes + job.overhead
    problem = "the file is larger than allowed here" if error.errno == errno.EFBIG else "the disk is full"
    return DiskSpaceError(f"out: {str(job.path)!r} needs {size:,} bytes: {problem} ({error.strerror}); {kept}")


def _silent(job: Any, nbytes: int) -> None:
    pass
