"""How a tensor is a stack of matrices: which axes count them, and which make their rows and columns."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["SMALL_COLUMNS", "SMALL_ELEMENTS", "Stack"]

SMALL_COLUMNS, SMALL_ELEMENTS = 128, 2**16
"""A small matrix, or its transpose, has at most so many columns and elements."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A tensor of dimensions `shape` as matrices, one for each place along the axes `batch` (ascending, none negative).

    Of the other axes the last counts a matrix' columns, and those before it together its rows, in C order. Without batch axes
    the tensor is one matrix.
    """

    shape: tuple[int, ...]
    batch: tuple[int, ...] = ()

    @property
    def order(self) -> tuple[int, ...]:
        """The axes with those that count the matrices first: the tensor transposed so is `grouped`."""
        return (*self.batch, *(axis for axis in range(len(self.shape)) if axis not in self.batch))

    @property
    def grouped(self) -> tuple[int, ...]:
        """The dimensions in that order."""
        return tuple(self.shape[axis] for axis in self.order)

    @property
    def count(self) -> int:
        """How many matrices there are."""
        return math.prod(self.shape[axis] for axis in self.batch)

    @property
    def rows(self) -> int:
        """A matrix' rows."""
        return math.prod(self.grouped[len(self.batch) : -1])

    @property
    def columns(self) -> int:
        """A matrix' columns."""
        return self.grouped[-1]

    @property
    def tall(self) -> tuple[int, int]:
        """The dimensions of a matrix, or of its transpose, that has at least as many rows as columns."""
        return max(self.rows, self.columns), min(self.rows, self.columns)

    @property
    def wide(self) -> bool:
        """Whether a matrix has more columns than rows."""
        return self.columns > self.rows

    @property
    def small(self) -> bool:
        """Whether the matrices are small: orthogonal ones of a batch are then defined to the bit (docs/stream.md, section 10)."""
        return self.tall[1] <= SMALL_COLUMNS and math.prod(self.tall) <= SMALL_ELEMENTS
