"""Writers of structures (gpuinit/structures.py) into NumPy arrays, whole or in part."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gpuinit.arrays import as_array, rounded
from gpuinit.backends.stacks import Normals, write_haar
from gpuinit.key import Key
from gpuinit.region import Region
from gpuinit.structures import Constant, Diagonal, Fourier, Haar, Structure

__all__ = ["write"]

Array = np.ndarray[Any, Any]

_RUN = 2**13
"""Elements computed at once: temporaries take some hundred KiB, whatever the tensor's size."""


def write(
    out: Array,
    structure: Structure,
    region: Region,
    key: Key | None,
    normals: Callable[[np.dtype[Any], Key, int], Normals],
) -> None:
    """Write the region of the tensor that a structure is into `out`.

    Args:
        out: an array of the region's shape, of any strides and dtype.
        structure: a Constant, Diagonal, Fourier or Haar, whose check(out.dtype) has passed.
        region: which part of the logical tensor.
        key: the key of a structure that is random.
        normals: what draws standard normal matrices, as `write_haar` takes it.
    """
    if isinstance(structure, Constant):
        _constant(out, structure, region)
    elif isinstance(structure, Diagonal):
        _diagonal(out, structure, region)
    elif isinstance(structure, Fourier):
        _fourier(out, structure, region)
    elif isinstance(structure, Haar):
        assert key is not None
        write_haar(out, structure, region, key, normals)
    else:
        raise TypeError(f"{type(structure).__name__} is not a structure that the CPU can write")


def _constant(out: Array, structure: Constant, region: Region) -> None:
    """The number, or the part of the array that the region needs, broadcast."""
    value = as_array(structure.value, out.dtype)
    skipped = len(region.logical) - value.ndim
    box = tuple(
        part if length > 1 and isinstance(part, slice) else slice(None)
        for part, length in zip(region.slices[skipped:], value.shape, strict=True)
    )
    value = value[box]
    if region.rows is None or skipped or len(value) == 1:
        _store(out, value)
        return
    step = max(1, _RUN // max(1, value[0].size))
    for start in range(0, len(region.rows), step):
        some = region.rows[start : start + step]
        _store(out[start : start + step], value[some] if step > 1 else value[some[0] : some[0] + 1])


def _store(out: Array, value: Array) -> None:
    """Round an array to the dtype of `out` and broadcast it there, in runs of the array."""
    if value.dtype == out.dtype or value.size <= _RUN:
        out[...] = rounded(value, out.dtype)
        return
    axis = next(axis for axis, length in enumerate(value.shape) if length > 1) - value.ndim
    length = value.shape[axis]
    step = max(1, _RUN * length // value.size)
    behind = (slice(None),) * (-1 - axis)
    for start in range(0, length, step):
        part: Any = (..., slice(start, start + step), *behind)
        _store(out[part], value[part])


def _diagonal(out: Array, structure: Diagonal, region: Region) -> None:
    gain = rounded(structure.gain, out.dtype)
    out[...] = np.zeros((), out.dtype)
    if out.size == 0:
        return
    length = min(region.logical)
    first_column, columns = region.starts[1], region.counts[1]
    if region.rows is not None:
        order = region.rows - structure.row
        column = order + structure.column - first_column
        place = np.flatnonzero((order >= 0) & (order < length) & (column >= 0) & (column < columns))
        out[place, column[place]] = gain
        return
    first = max(region.starts[0] - structure.row, first_column - structure.column, 0)
    last = min(region.starts[0] + region.counts[0] - structure.row, first_column + columns - structure.column, length)
    each = np.arange(first, max(first, last))
    out[each + (structure.row - region.starts[0]), each + (structure.column - first_column)] = gain


def _fourier(out: Array, structure: Fourier, region: Region) -> None:
    """window[t] cos(2 pi t f / F) or -window[t] sin(2 pi t f / F), from float64."""
    if out.size == 0:
        return
    period = 2 * (region.logical[2] - 1)
    shift = period if structure.side == "imag" else 0  # -sin(a) = cos(a + pi/2), in quarters of a step
    times, _, frequencies = region.counts
    wide = min(frequencies, _RUN)
    for start in range(0, times, _RUN // wide):
        stop = min(start + _RUN // wide, times)
        time = np.arange(start, stop) + region.starts[0] if region.rows is None else region.rows[start:stop]
        for first in range(0, frequencies, wide):
            last = min(first + wide, frequencies)
            frequency = np.arange(first, last) + region.starts[2]
            turn = 4 * _products(time, frequency, period) + shift
            kernel = structure.window[time][:, None] * _cosine(turn % (4 * period), 4 * period)
            out[start:stop, 0, first:last] = rounded(kernel, out.dtype)


def _products(time: Array, frequency: Array, period: int) -> Array:
    """t f modulo the period, in exact integers: Python's where 64 bits might overflow."""
    exact = np.int64 if period < 2**31 else object
    product: Array = time.astype(exact)[:, None] % period * frequency.astype(exact)[None, :] % period
    return product.astype(np.int64)


def _cosine(turn: Array, period: int) -> Array:
    """cos(2 pi turn / period) for integers 0 <= turn < period, a multiple of 4; exact at each quarter of the period."""
    turn = np.minimum(turn, period - turn)  # 0 .. half
    flipped = 4 * turn > period
    turn = np.where(flipped, period // 2 - turn, turn)  # 0 .. quarter
    near_zero = 8 * turn > period
    angle = np.where(near_zero, period // 4 - turn, turn) * (2 * math.pi / period)
    value = np.where(near_zero, np.sin(angle), np.cos(angle))
    return np.where(flipped, -value, value)
