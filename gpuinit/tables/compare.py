"""What a check finds: the ranges of elements whose bits are not those of the recipe."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from gpuinit.recipe import Recipe
from gpuinit.tables.contents import Block, Contents

__all__ = ["MOST_RANGES", "Checked", "Difference"]

MOST_RANGES = 1000
"""Differing ranges that are listed; further ones are counted."""

_RUN = 1 << 16
"""Elements that are compared at once, so that it is done in the caches."""

Array = np.ndarray[Any, Any]


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
        differing: how many of those differ or are missing. ranges: of how many ranges of consecutive elements; where they are
            too many to be listed, a long one may count several times.
        differences: the ranges in order, MOST_RANGES of them at most. excess: the bytes behind the last element.
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

    def compare(self, contents: Contents, block: Block, found: Array, expected: Array) -> None:
        """Take in the first elements of a block, as 1-D arrays of one length: those of the file, and those that were made."""
        self.compared += found.size
        for first in range(0, found.size, _RUN):
            piece = slice(first, min(first + _RUN, found.size))
            self._compare(contents, block, first, found[piece], expected[piece])

    def missing(self, contents: Contents, held: int) -> None:
        """Take in that the file ends in front of the element `held`."""
        self.compared += self.elements - held
        self._add(Difference(held, self.elements, contents.place(held), missing=True))

    def join(self) -> None:
        """Order the ranges, and join those that go on from one another, as they do from chunk to chunk of a zarr array."""
        if self.ranges > len(self.differences):
            self.differences.sort(key=lambda one: one.start)
            return
        listed, self.differences, self.ranges, self.differing = sorted(self.differences, key=lambda one: one.start), [], 0, 0
        for one in listed:
            self._add(one)

    def _compare(self, contents: Contents, block: Block, first: int, found: Array, made: Array) -> None:
        if np.array_equal(found.view(np.uint8), made.view(np.uint8)):
            return
        one, other = (array.view(np.uint8).reshape(-1, self.dtype.itemsize) for array in (found, made))
        wrong = np.flatnonzero((one != other).any(axis=1))
        numbers = block.elements(wrong + first, self.shape)
        edges = np.flatnonzero(np.diff(numbers) != 1)
        firsts, lasts = np.r_[0, edges + 1], np.r_[edges, numbers.size - 1]
        for place, start, last in zip(wrong[firsts].tolist(), numbers[firsts].tolist(), numbers[lasts].tolist(), strict=True):
            byte = int(np.argmax(one[place] != other[place]))
            self._add(Difference(start, last + 1, contents.place(start, byte) if self.ranges < MOST_RANGES else ""))

    def _add(self, found: Difference) -> None:
        """One more range that differs, joined to the one before where it goes on from there."""
        self.differing += found.stop - found.start
        last = self.differences[-1] if self.differences else None
        if last and self.ranges == len(self.differences) and (last.stop, last.missing) == (found.start, found.missing):
            self.differences[-1] = replace(last, stop=found.stop)
            return
        self.ranges += 1
        if len(self.differences) < MOST_RANGES:
            self.differences.append(found)
