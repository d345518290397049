"""Whether a file holds what its recipe says: its elements, or a sample of them, made again and compared bit by bit."""

from __future__ import annotations

import bisect
import contextlib
import itertools
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from gpuinit import backends
from gpuinit.backends.layout import pages
from gpuinit.recipe import Recipe
from gpuinit.table import described
from gpuinit.tables import pipeline
from gpuinit.tables.compare import Checked
from gpuinit.tables.contents import Block, Contents, block_at, block_count, largest
from gpuinit.tables.formats import by_suffix
from gpuinit.tables.headers import DamagedError
from gpuinit.virtual import Virtual

__all__ = ["SAMPLE_BYTES", "check"]

SAMPLE_BYTES = 1 << 20
"""A sample consists of blocks of at most this size."""

Array = np.ndarray[Any, Any]
Progress = Callable[[int], None]


def check(
    path: str | Path,
    *,
    sample: float | None = None,
    device: str | None = None,
    progress: Progress | None = None,
    custom_objects: Mapping[str, Any] | None = None,
) -> Checked:
    """Make the elements of a file again from its recipe, and compare.

    Args:
        path: what `gpuinit create` wrote, or any zarr array with a recipe among its attributes.
        sample: compare about this share of the elements, 0 < sample <= 1, in blocks of at most 1 MiB (of zarr: chunks) spread
            over the file, each at a place that is drawn anew at every call; None compares all.
        device: where they are made, as in an initializer's call.
        progress: called with how many more bytes have been compared.
        custom_objects: the user's own initializer classes, by name.

    Returns:
        What differs. It takes the memory of a few chunks of 32 MiB; an orthogonal table alone is made whole.

    Raises:
        ValueError: the suffix is not known, the file has no recipe, or one that cannot be followed. OSError: it cannot be read,
            or is damaged so that it cannot be told what it holds. ImportError: the format's library is not installed.
    """
    path = Path(path)
    form = by_suffix(path, "file")
    if sample is not None and not 0 < sample <= 1:
        raise ValueError(f"sample={sample}: it must be a share of the elements, 0 < sample <= 1")
    began, device = time.perf_counter(), backends.select(device).device
    nbytes = SAMPLE_BYTES if sample is not None and sample < 1 else pipeline.CHUNK_BYTES
    try:
        with form.opened(path, nbytes) as (contents, header, text):
            if text is None:
                raise ValueError("it carries no recipe, so that nobody knows what it is to hold")
            recipe, table = _described(text, device, custom_objects)
            if (header.shape, header.dtype) != (table.shape, table.dtype):
                raise DamagedError(
                    f"it is of shape {header.shape} and dtype {header.dtype.name}, and its recipe of shape {table.shape} and "
                    f"dtype {table.dtype.name}"
                )
            form.check(table.dtype)
            result = Checked(path, recipe, table.shape, table.dtype, table.size, excess=contents.excess())
            _compare(result, table, contents, sample, progress or _silent)
    except OSError as error:
        why = error.strerror if error.errno is not None else error
        raise type(error)(f"file: {str(path)!r} cannot be read: {why}") from error
    except EOFError as error:  # it has been cut off meanwhile
        raise DamagedError(f"file: {str(path)!r} cannot be read: {error}") from error
    except ValueError as error:
        raise ValueError(f"file: {str(path)!r}: {error}") from error
    result.seconds = time.perf_counter() - began
    return result


def _described(text: Any, device: str | None, custom_objects: Mapping[str, Any] | None) -> tuple[Recipe, Virtual]:
    """A recipe, and what it describes; ValueError if it cannot be followed."""
    try:
        recipe = Recipe.from_json(text)
        return recipe, described(recipe, device, custom_objects)
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        raise ValueError(f"its recipe cannot be followed: {error}") from error


def _compare(result: Checked, table: Virtual, contents: Contents, sample: float | None, progress: Progress) -> None:
    held, nbytes = contents.held(), largest(table.shape, contents.grid) * table.dtype.itemsize
    chosen, to_read, to_make = itertools.tee(_chosen(table, contents, held, sample), 3)
    with contextlib.closing(table.chunks((block.slices for block in to_make), nbytes)) as made:
        for block, found, chunk in zip(chosen, _read_ahead(table, contents, to_read, held, nbytes), made, strict=True):
            result.compare(contents, block, found, chunk.reshape(-1)[: found.size])
            progress(found.nbytes)
    if held < table.size:
        result.missing(contents, held)
    result.join()


def _chosen(table: Virtual, contents: Contents, held: int, sample: float | None) -> Iterator[Block]:
    """The blocks to compare, of those that the file has something of: all, or one of each of so many equal runs of them."""
    count = block_count(table.shape, contents.grid)
    if held < table.size:  # where blocks stand behind each other
        count = bisect.bisect_left(range(count), held, key=lambda number: block_at(table.shape, contents.grid, number).start)
    chosen = count if sample is None else min(count, math.ceil(count * sample))
    draw = random.SystemRandom().randrange
    for run in range(chosen):
        yield block_at(table.shape, contents.grid, draw(run * count // chosen, (run + 1) * count // chosen))


def _read_ahead(table: Virtual, contents: Contents, chosen: Iterator[Block], held: int, nbytes: int) -> Iterator[Array]:
    """For each block, as a 1-D array, the elements that the file has of it, read while the one before is looked at."""
    buffers = [pages(nbytes), pages(nbytes)]

    def read(block: Block, memory: Array) -> Array:
        present = min(block.size, held - block.start) if held < table.size else block.size
        found = block.in_memory(memory, table.dtype)
        if present < block.size:
            found = found.reshape(-1)[:present]
        contents.read(block, found)
        return found.reshape(-1)

    with ThreadPoolExecutor(1, "gpuinit-reader") as reader:
        before: Future[Array] | None = None
        for turn, block in enumerate(chosen):
            following = reader.submit(read, block, buffers[turn % 2])
            if before is not None:
                yield before.result()
            before = following
        if before is not None:
            yield before.result()


def _silent(nbytes: int) -> None:
    pass
