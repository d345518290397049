"""Whether a file holds what its recipe says: its elements, or a sample of them, made again and compared bit by bit."""

from __future__ import annotations

import contextlib
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from gpuinit import backends, dtypes
from gpuinit.recipe import Recipe
from gpuinit.table import described
from gpuinit.tables import pipeline
from gpuinit.tables.contents import Block, Contents, block_at, block_count, buffer
from gpuinit.tables.formats import by_suffix
from gpuinit.tables.headers import DamagedError
from gpuinit.virtual import Virtual

__all__ = ["MOST_RANGES", "Checked", "Difference", "check"]

MOST_RANGES = 1000
"""Differing ranges that are listed; further ones are counted."""

_RUN = 1 << 16
"""Elements that are compared at once, so that it is done in the caches."""

SAMPLE_BYTES = 1 << 20
"""A sample consists of blocks of at most this size."""

Array = np.ndarray[Any, Any]
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Difference:
    """Elements start .. stop - 1 (in C order) that are not those of the recipe; `place`: where the first wrong byte stands."""

    start: int
    stop: int
    place: str
    missing: bool = False


@dataclass
class Checked:
    """What a check found.

    Attributes:
        elements: how many the tensor has. compared: how many of them were compared, missing ones included.
        differing: how many of those differ or are missing. ranges: of how many ranges of consecutive elements.
        differences: the ranges, the first MOST_RANGES of them. excess: the bytes behind the last element.
    """

    path: Path
    recipe: Recipe
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    elements: int
    compared: int = 0
    differing: int = 0
    ranges: int = 0
    differences: list[Difference] = field(default_factory=list)
    excess: int = 0
    seconds: float = 0.0

    @property
    def equal(self) -> bool:
        """Whether all that was compared is as the recipe says, and nothing stands behind it."""
        return not (self.differing or self.excess)

    def index(self, element: int) -> tuple[int, ...]:
        """The index in the tensor of an element by its number in C order."""
        found: list[int] = []
        for length in reversed(self.shape):
            element, place = divmod(element, length)
            found.append(place)
        return tuple(reversed(found))


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
    began = time.perf_counter()
    nbytes = SAMPLE_BYTES if sample is not None and sample < 1 else pipeline.CHUNK_BYTES
    try:
        with form.opened(path, nbytes) as (contents, header, text):
            if text is None:
                raise ValueError(f"file: {str(path)!r} carries no recipe, so that nobody knows what it is to hold")
            recipe = Recipe.from_json(text)
            table = described(recipe, backends.select(device).device, custom_objects)
            if (header.shape, header.dtype) != (table.shape, table.dtype):
                raise DamagedError(
                    f"it is of shape {header.shape} and dtype {header.dtype.name}, and its recipe of shape {table.shape} and "
                    f"dtype {table.dtype.name}"
                )
            form.check(dtypes.canonical(recipe.dtype))
            result = Checked(path, recipe, table.shape, table.dtype, table.size, excess=contents.excess())
            _compare(result, table, contents, sample, progress or _silent)
    except OSError as error:
        why = error.strerror if error.errno is not None else error
        raise type(error)(f"file: {str(path)!r} cannot be read: {why}") from error
    result.seconds = time.perf_counter() - began
    return result


def _compare(result: Checked, table: Virtual, contents: Contents, sample: float | None, progress: Progress) -> None:
    chosen = _chosen(table, contents, sample)
    nbytes = math.prod(contents.grid) * table.dtype.itemsize
    with contextlib.closing(table.chunks((block.slices for block in chosen), nbytes)) as made:
        for block, found, chunk in zip(chosen, _read_ahead(table, contents, chosen, nbytes), made, strict=True):
            expected = chunk.reshape(-1)
            result.compared += block.size
            for first in range(0, found.size, _RUN):
                piece = slice(first, min(first + _RUN, found.size))
                _compare_bits(result, contents, block.start + first, found[piece], expected[piece])
            progress(block.size * table.dtype.itemsize)
    if contents.held() < table.size:
        _add(result, Difference(contents.held(), table.size, contents.place(contents.held()), missing=True))


def _chosen(table: Virtual, contents: Contents, sample: float | None) -> list[Block]:
    """The blocks to compare: all, or one of each of so many equal runs of them."""
    count = block_count(table.shape, contents.grid)
    chosen = count if sample is None else min(count, math.ceil(count * sample))
    draw = random.SystemRandom().randrange
    numbers = (draw(run * count // chosen, (run + 1) * count // chosen) for run in range(chosen))
    return [block_at(table.shape, contents.grid, number) for number in numbers]


def _read_ahead(table: Virtual, contents: Contents, chosen: list[Block], nbytes: int) -> Iterator[Array]:
    """For each block, as a 1-D array, the elements that the file has of it, read while the one before is looked at."""
    buffers = [buffer(nbytes), buffer(nbytes)]
    held = contents.held()

    def read(block: Block, memory: Array) -> Array:
        present = min(block.size, max(0, held - block.start))
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


def _compare_bits(result: Checked, contents: Contents, start: int, found: Array, made: Array) -> None:
    """Add to the result which of these elements, the first of them number `start`, are not those that were made."""
    if np.array_equal(found.view(np.uint8), made.view(np.uint8)):
        return
    one, other = (array.view(np.uint8).reshape(-1, result.dtype.itemsize) for array in (found, made))
    wrong = np.flatnonzero((one != other).any(axis=1))
    edges = np.flatnonzero(np.diff(wrong) != 1)
    for first, last in zip(wrong[np.r_[0, edges + 1]].tolist(), wrong[np.r_[edges, -1]].tolist(), strict=True):
        place = contents.place(start + first, int(np.argmax(one[first] != other[first]))) if result.ranges < MOST_RANGES else ""
        _add(result, Difference(start + first, start + last + 1, place))


def _add(result: Checked, found: Difference) -> None:
    """One more range that differs, joined to the one before where it goes on from there."""
    result.differing += found.stop - found.start
    last = result.differences[-1] if result.differences else None
    if (
        last is not None
        and result.ranges == len(result.differences)
        and (last.stop, last.missing) == (found.start, found.missing)
    ):
        result.differences[-1] = replace(last, stop=found.stop)
        return
    result.ranges += 1
    if len(result.differences) < MOST_RANGES:
        result.differences.append(found)


def _silent(nbytes: int) -> None:
    pass
