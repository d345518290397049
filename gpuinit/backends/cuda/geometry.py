"""The geometry of the Numba kernels: runs along y, what a run consists of along x, three axes of runs in one launch."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from gpuinit.backends.layout import Axis

__all__ = ["THREADS", "Around", "around", "blocks", "unsigned"]

THREADS = 128
"""Threads of a block at most."""
BLOCKS_PER_PROCESSOR = 32
MOST_BLOCKS_ALONG_Y = 65535
_NO_AXIS = Axis(1, 0, 0)


class Around(NamedTuple):
    """The axes of one launch, and where it begins: steps and jumps that the axes outside it have made."""

    step: int
    jump: int
    axes: tuple[Axis, Axis, Axis]

    @property
    def runs(self) -> int:
        """How many runs the axes count."""
        return math.prod(axis.length for axis in self.axes)

    @property
    def counts(self) -> tuple[Any, Any]:
        """The lengths of the second and third axis."""
        return unsigned(self.axes[1].length), unsigned(self.axes[2].length)

    @property
    def steps(self) -> tuple[Any, ...]:
        """A step along each axis, in elements of the logical tensor or bytes of the source."""
        return tuple(unsigned(axis.step) for axis in self.axes)

    @property
    def jumps(self) -> tuple[Any, ...]:
        """A step along each axis, in bytes of the output."""
        return tuple(unsigned(axis.jump) for axis in self.axes)


def around(axes: tuple[Axis, ...], picked: bool) -> Iterator[Around]:
    """The launches that any number of axes takes: three axes each, the first of them the picked one if there is one.

    Axes that a launch has no place for are walked here, those outermost (but for the picked one).
    """
    head, rest = (axes[:1], axes[1:]) if picked else ((), axes)
    rest = _merged(rest)
    most = 3 - len(head)
    outside, inside = rest[: max(len(rest) - most, 0)], rest[max(len(rest) - most, 0) :]
    middle = (_NO_AXIS,) * (3 - len(head) - len(inside))
    three = (*head, *middle, *inside)
    for place in itertools.product(*(range(axis.length) for axis in outside)):
        step = sum(at * axis.step for at, axis in zip(place, outside, strict=True))
        jump = sum(at * axis.jump for at, axis in zip(place, outside, strict=True))
        yield Around(step, jump, (three[0], three[1], three[2]))


def _merged(axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
    """Neighbouring axes as one, wherever stepping along the outer goes on where the inner ends."""
    merged: list[Axis] = []
    for axis in axes:
        if merged and merged[-1].step == axis.step * axis.length and merged[-1].jump == axis.jump * axis.length:
            merged[-1] = Axis(merged[-1].length * axis.length, axis.step, axis.jump)
        elif axis.length > 1:
            merged.append(axis)
    return tuple(merged)


def blocks(along_x: int, along_y: int, processors: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Grid and block for this much work along x and y; the kernels take what is left over in further turns."""
    columns = max(1, -(-along_x // THREADS))
    wide = max(1, -(-along_x // columns))  # no more threads along x than there is work
    high = THREADS // wide
    most = processors * BLOCKS_PER_PROCESSOR
    grid_x = max(1, min(-(-along_x // wide), most))
    grid_y = max(1, min(-(-along_y // high), MOST_BLOCKS_ALONG_Y, -(-most // grid_x)))
    return (grid_x, grid_y), (wide, high)


def unsigned(number: int) -> Any:
    """A number modulo 2^64, as kernels take it."""
    return np.uint64(number % 2**64)
