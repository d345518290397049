"""Writing tables with constant memory: each chunk is made while the one before it is written."""

from __future__ import annotations

import errno
import json
import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from io import FileIO
from itertools import product
from typing import Any

import numpy as np

from gpuinit import backends
from gpuinit.hashing import Digest
from gpuinit.region import Region
from gpuinit.tables.files import DiskSpaceError, check_free, check_space, folders, replacing
from gpuinit.tables.plan import Job

__all__ = ["DiskSpaceError", "Progress", "Written", "blocks", "write", "write_all"]

CHUNK_BYTES = 32 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Progress = Callable[[Job, int], None]
"""Called with a job and how many more of its bytes have been written."""

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Written:
    """A file that was written: its elements' bytes, the seconds it took (flushing included) and their digest."""

    job: Job
    nbytes: int
    seconds: float
    digest: Digest


def write(jobs: Sequence[Job], *, force: bool = False, progress: Progress | None = None) -> list[Written]:
    """Write the jobs' files, one after the other.

    Args:
        jobs: from `plan_tables` or `plan_tensor`. force: replace files that exist.
        progress: called as bytes are written.

    Returns:
        What was written, in order. It takes the memory of two chunks of 32 MiB, on a GPU of two there and three here, however
        large the tables; an orthogonal table alone is made whole.

    Raises:
        FileExistsError, IsADirectoryError, NotADirectoryError: an output's place is taken; nothing has been written.
        DiskSpaceError: not enough room for all of them (nothing has been written), or the disk filled up in the middle.
        OSError: it cannot be written. Files finished before stay; the unfinished one is removed, as by an interrupt, and
            so are folders made for them that are empty then.
    """
    files = [path for job in jobs for path in job.files]
    check_free(files, force)
    check_space((job.path, job.nbytes + len(job.header)) for job in jobs)
    with folders(files), ThreadPoolExecutor(1, thread_name_prefix="gpuinit-writer") as pool:
        return [_write(job, pool, progress or _silent) for job in jobs]


def _write(job: Job, pool: ThreadPoolExecutor, progress: Progress) -> Written:
    began = time.perf_counter()
    try:
        with replacing(*job.files) as (file, *beside):
            for companion in beside:
                text = json.dumps(job.recipe.to_json(), indent=1, allow_nan=False) + "\n"
                write_all(companion, np.frombuffer(text.encode(), np.uint8))
            write_all(file, np.frombuffer(job.header, np.uint8))
            digest = _stream(job, file, pool, progress)
    except OSError as error:
        if error.errno is None:  # its message is for the user already
            raise
        if error.errno not in _FULL:
            raise type(error)(f"out: {str(job.path)!r} cannot be written: {error.strerror}") from error
        size = job.nbytes + len(job.header)
        problem = "the file is larger than allowed here" if error.errno == errno.EFBIG else "the disk is full"
        problem = f"{problem} ({error.strerror}); the unfinished file was removed"
        raise DiskSpaceError(f"out: {str(job.path)!r} needs {size:,} bytes: {problem}") from error
    return Written(job, job.nbytes, time.perf_counter() - began, digest)


def _stream(job: Job, file: FileIO, pool: ThreadPoolExecutor, progress: Progress) -> Digest:
    """Make the job's chunks and write them behind each other; one is asked for once the second last before it is written."""
    digest = Digest()
    pending: list[Future[int]] = []
    start = 0
    with closing(_chunks(job)) as chunks:
        try:
            for chunk in chunks:
                digest.update(chunk, start)
                start += chunk.size
                pending.append(pool.submit(write_all, file, chunk))
                if len(pending) == 2:
                    progress(job, pending[0].result())
                    del pending[0]
            for last in pending:
                progress(job, last.result())
        finally:  # after an error nothing is left that writes to the file
            wait([future for future in pending if not future.cancel()])
    return digest


def _chunks(job: Job) -> Generator[Array, None, None]:
    """The blocks of the job's tensor; each is valid until the second next is asked for."""
    parts = blocks(job.shape, CHUNK_BYTES // job.dtype.itemsize)
    if job.in_one_piece:
        whole = job.initializer(job.logical, job.dtype, device="cpu")
        yield from (whole[block] for block in parts)
        return
    law = job.initializer.law(job.logical, job.dtype)
    regions = (Region.of(job.shape, block) for block in parts)
    backend, most = backends.select(job.device), min(CHUNK_BYTES, job.nbytes)
    yield from backend.chunks(law, job.recipe.key, job.dtype, regions, most)


def blocks(shape: tuple[int, ...], most: int) -> Iterator[tuple[slice, ...]]:
    """Blocks of at most `most` >= 1 elements that follow each other in C order and together are the tensor."""
    if math.prod(shape) == 0:
        return
    if not shape:
        yield ()
        return
    axis = next(k for k in range(len(shape)) if math.prod(shape[k + 1 :]) <= most)
    step = max(1, most // math.prod(shape[axis + 1 :]))
    rest = tuple(slice(0, length) for length in shape[axis + 1 :])
    for outer in product(*map(range, shape[:axis])):
        for begin in range(0, shape[axis], step):
            yield (*(slice(i, i + 1) for i in outer), slice(begin, min(begin + step, shape[axis])), *rest)


def write_all(file: FileIO, array: Array) -> int:
    """Write the bytes of a contiguous array at the file's position, in as many steps as it takes; returns how many."""
    rest = array.reshape(-1).view(np.uint8).data
    while rest:
        rest = rest[file.write(rest) :]
    return array.nbytes


def _silent(job: Job, nbytes: int) -> None:
    pass
