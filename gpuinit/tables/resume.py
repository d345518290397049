"""Going on with unfinished files: what stands where a job is to write, and whether it is what its journal says."""

from __future__ import annotations

import json
import math
import os
from typing import Any

from gpuinit.backends.layout import pages
from gpuinit.hashing import Digest
from gpuinit.tables.contents import Contents, blocks, largest
from gpuinit.tables.headers import DamagedError, Header
from gpuinit.tables.journal import Journal, Standing, same_recipe
from gpuinit.tables.parts import part
from gpuinit.tables.pipeline import Progress
from gpuinit.tables.plan import Job

__all__ = ["check_unfinished", "has_recipe", "is_finished", "is_unfinished", "journal_of", "verified"]


def journal_of(job: Job) -> Journal:
    """The journal of a job's file."""
    facts = {"format": job.format.name, "tensor": job.tensor, "recipe": job.recipe.to_json()}
    return Journal(job.path, facts)


def is_unfinished(job: Job) -> bool:
    """Whether a file that an earlier run did not finish stands there, with its journal."""
    return os.path.lexists(part(job.path)) and journal_of(job).exists()


def check_unfinished(job: Job) -> None:
    """Refuse (FileExistsError) to write over what an earlier run has begun; only `--force` does."""
    if is_unfinished(job):
        raise FileExistsError(
            f"out: {str(part(job.path))!r} was begun by an earlier run: --resume (resume=True) goes on with it, "
            "--force (force=True) starts over"
        )


def has_recipe(job: Job) -> bool:
    """Whether the file beside the job's carries its recipe already, as after a kill between the renames of the two."""
    try:
        return job.companion is not None and _same_recipe(job, json.loads(job.companion.read_bytes()))
    except (OSError, ValueError, RecursionError):
        return False


def is_finished(job: Job) -> bool:
    """Whether the job's file is there already: of its recipe, with the name of its tensor, and of its size."""
    if not os.path.lexists(job.path):
        return False
    try:
        with job.format.opened(job.path, 1) as (contents, header, recipe):
            _check(job, header, recipe)
            return contents.held() == math.prod(job.shape) and not contents.excess()
    except (OSError, ValueError, EOFError):
        return False


def verified(job: Job, place: Any, nbytes: int, journal: Journal, progress: Progress) -> tuple[Contents, Standing, Digest]:
    """An unfinished file opened, what stands in it, and the digest of that: read again, for a journal is not trusted.

    Args:
        place: an open file, or the path of a folder. nbytes: of a block at most. progress: called with the bytes that stand.

    Raises:
        JournalError: the file and the journal are not those of this job, or do not fit each other. OSError: it cannot be read.
    """
    standing, digest, start = journal.read(), Digest(), 0
    try:
        contents, header, recipe = job.format.go_on(place, nbytes)
        _check(job, header, job.recipe.to_json() if job.companion else recipe)  # which is written beside it again
        memory = pages(largest(job.shape, contents.grid) * job.dtype.itemsize)
        for block in blocks(job.shape, contents.grid):
            if block.start >= standing.elements:
                break
            chunk = block.in_memory(memory, job.dtype)
            contents.read(block, chunk)
            digest.update(chunk, job.start + block.start)
            start = block.start + block.size
            progress(job, chunk.nbytes)
    except (EOFError, ValueError, DamagedError) as error:
        raise journal.refused(f"it does not fit the unfinished file: {error}") from error
    if start != standing.elements:
        raise journal.refused(f"{standing.elements:,} elements are not a number of whole blocks of {contents.grid}")
    if digest.hash != standing.hash:
        size = standing.elements * job.dtype.itemsize
        raise journal.refused(f"the first {size:,} bytes of elements of the unfinished file are not those that it describes")
    contents.cut(standing.elements)
    return contents, standing, digest


def _check(job: Job, header: Header, recipe: Any) -> None:
    """Refuse (ValueError) a file that is not the job's."""
    if not _same_recipe(job, recipe):
        raise ValueError("the file was made from another recipe")
    if header.tensor not in (None, job.tensor):
        raise ValueError(f"the tensor in the file is named {header.tensor!r}, not {job.tensor!r}")
    if (header.shape, header.dtype) != (job.shape, job.dtype):
        raise ValueError(f"the file is of shape {header.shape} and dtype {header.dtype.name}")


def _same_recipe(job: Job, recipe: Any) -> bool:
    return same_recipe(recipe, job.recipe.to_json())
