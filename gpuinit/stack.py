"""How a tensor is a stack of matrices: which axes count them, and which make their rows and columns."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

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

    @classmethod
    def of(cls, shape: tuple[int, ...], batch_axes: tuple[int, ...] | None) -> Stack:
        """The stack that an argument `batch_axes=` names, None meaning one matrix.

        Raises:
            ValueError: there is no such axis, one is named twice, or fewer than two others are left.
        """
        axes = batch_axes or ()
        for axis in axes:
            if not -len(shape) <= axis < len(shape):
                raise np.exceptions.AxisError(f"batch_axes={axes}: shape={shape} has no axis {axis}")
        batch = tuple(sorted({axis % len(shape) for axis in axes}))
        if len(batch) < len(axes):
            raise ValueError(f"batch_axes={axes} names an axis of shape={shape} twice: each may stand there once")
        if len(shape) - len(batch) < 2:
            beside = f" beside batch_axes={axes}" if axes else ""
            raise ValueError(f"shape={shape} has {len(shape) - len(batch)} axes{beside}: a matrix needs at least 2")
        return cls(shape, batch)

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
        """Whether the matrices are small ones of a batch, whose orthogonal values are defined to the bit (docs/stream.md, 10)."""
        return bool(self.batch) and self.tall[1] <= SMALL_COLUMNS and math.prod(self.tall) <= SMALL_ELEMENTS
