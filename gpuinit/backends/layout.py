"""How a region lies in memory and in its logical tensor: runs of consecutive elements, and the axes that count the runs."""

from __future__ import annotations

import contextlib
import mmap
from typing import Any, NamedTuple

import numpy as np

from gpuinit.region import Region

__all__ = ["Axis", "Layout", "consecutive", "layout", "pages", "placed"]


class Axis(NamedTuple):
    """An axis around the runs: its length, and how far a step goes, in elements of the logical tensor and in bytes."""

    length: int
    step: int
    jump: int


class Layout(NamedTuple):
    """A region as runs.

    A run is `length` consecutive logical elements, `stride` bytes apart in the output. The first run begins at the
    logical index `base`; `axes`, outermost first, count the runs. Where the region has rows, they stand for the first
    of the axes.
    """

    base: int
    length: int
    stride: int
    axes: tuple[Axis, ...]


def layout(region: Region, strides: tuple[int, ...]) -> Layout:
    """The layout of a region that is written with these strides (bytes): its runs as long as they can be."""
    steps = region.strides()
    base = sum(start * step for start, step in zip(region.starts, steps, strict=True))
    length, stride = 1, None
    axes: list[Axis] = []
    for axis in reversed(range(len(steps))):
        count, step, jump = region.counts[axis], steps[axis], strides[axis]
        picked = axis == 0 and region.rows is not None
        if count == 1 and not picked:
            continue
        if not picked and not axes and step == length and (stride is None or jump == length * stride):
            stride = jump if stride is None else stride
            length *= count
        else:
            axes.append(Axis(count, step, jump))
    return Layout(base, length, 0 if stride is None else stride, tuple(reversed(axes)))


def consecutive(numbers: np.ndarray[Any, Any]) -> bool:
    """Whether each number of an array that is not empty is the one before it plus one."""
    return int(numbers[-1]) - int(numbers[0]) == len(numbers) - 1 and bool((numbers[1:] > numbers[:-1]).all())


def placed(memory: np.ndarray[Any, Any], region: Region, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """The first bytes of a buffer as a C-contiguous array for a region; ValueError if it does not fit there."""
    nbytes = region.size * dtype.itemsize
    if nbytes > memory.nbytes:
        raise ValueError(
            f"most={memory.nbytes}: a region of shape {region.counts} in {dtype.name} takes {nbytes} bytes; it must be the "
            "bytes of the largest region"
        )
    return memory[:nbytes].view(dtype).reshape(region.counts)


def pages(nbytes: int) -> np.ndarray[Any, Any]:
    """Memory of its own that begins at a page and is not touched yet; in huge pages where the system has them."""
    try:
        memory = mmap.mmap(-1, max(nbytes, 1), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, OverflowError):
        raise MemoryError(f"a chunk takes {nbytes} bytes, which cannot be allocated here") from None
    with contextlib.suppress(AttributeError, OSError):  # a kernel without them
        memory.madvise(mmap.MADV_HUGEPAGE)  # made and copied with fewer faults
    return np.frombuffer(memory, np.uint8)[:nbytes]
