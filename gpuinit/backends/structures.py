"""Writers of structures (gpuinit/structures.py) into NumPy arrays, whole or in part."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gpuinit.arrays import cast
from gpuinit.backends.orthogonal import haar
from gpuinit.key import Key
from gpuinit.region import Region
from gpuinit.structures import Constant, Diagonal, Fourier, Haar, Structure

__all__ = ["write"]

Array = np.ndarray[Any, Any]
Normal = Callable[[tuple[int, int], np.dtype[Any], Key], Array]

_CHUNK = 2**16


def write(out: Array, structure: Structure, region: Region, key: Key | None, normal: Normal) -> None:
    """Write the region of the tensor that a structure is into `out`.

    Args:
        out: an array of the region's shape, of any strides and dtype.
        structure: a Constant, Diagonal, Fourier or Haar.
        region: which part of the logical tensor.
        key: the key of a structure that is random.
        normal: draws the standard normal matrix of a shape, dtype and key.

    Raises:
        ValueError: the dtype cannot hold the values; nothing has been written then.
    """
    if isinstance(structure, Constant):
        out[...] = _constant(structure, region, out.dtype)
    elif isinstance(structure, Diagonal):
        _diagonal(out, structure, region)
    elif isinstance(structure, Fourier):
        out[...] = cast(_fourier(structure, region), out.dtype)
    elif isinstance(structure, Haar):
        assert key is not None
        whole = haar(region.logical, out.dtype, structure.gain, structure.method, key, normal)
        out[...] = whole[region.slices]
    else:
        raise TypeError(f"{type(structure).__name__} is not a structure that the CPU can write")


def _constant(structure: Constant, region: Region, dtype: np.dtype[Any]) -> Array:
    """What broadcasts to the region: the number, or the part of the array that the region needs."""
    value = structure.value
    if isinstance(value, np.ndarray):
        skipped = len(region.logical) - value.ndim
        index = tuple(
            part if length > 1 else slice(None) for part, length in zip(region.slices[skipped:], value.shape, strict=True)
        )
        value = value[index]
    return cast(value, dtype)


def _diagonal(out: Array, structure: Diagonal, region: Region) -> None:
    gain = cast(structure.gain, out.dtype)
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


def _fourier(structure: Fourier, region: Region) -> Array:
    """window[t] cos(2 pi t f / F) or -window[t] sin(2 pi t f / F) in float64; t f is reduced modulo F in integers."""
    period = 2 * (region.logical[2] - 1)
    if region.size == 0:
        return np.zeros(region.counts)
    time = np.arange(region.starts[0], region.starts[0] + region.counts[0]) if region.rows is None else region.rows
    frequency = np.arange(region.starts[2], region.starts[2] + region.counts[2])
    exact = np.int64 if period < 2**31 else object  # Python's integers where 64 bits might overflow
    shift = period if structure.side == "imag" else 0  # -sin(a) = cos(a + pi/2), in quarters of a step
    kernel = np.empty((len(time), len(frequency)))
    step = max(1, _CHUNK // len(frequency))
    for start in range(0, len(time), step):
        some = time[start : start + step]
        turn = (some.astype(exact)[:, None] % period * frequency.astype(exact)[None, :] % period).astype(np.int64)
        cosine = _cosine((4 * turn + shift) % (4 * period), 4 * period)
        kernel[start : start + step] = structure.window[some][:, None] * cosine
    return kernel.reshape(region.counts)


def _cosine(turn: Array, period: int) -> Array:
    """cos(2 pi turn / period) for integers 0 <= turn < period, a multiple of 4; exact at each quarter of the period."""
    turn = np.minimum(turn, period - turn)  # 0 .. half
    flipped = 4 * turn > period
    turn = np.where(flipped, period // 2 - turn, turn)  # 0 .. quarter
    near_zero = 8 * turn > period
    angle = np.where(near_zero, period // 4 - turn, turn) * (2 * math.pi / period)
    value = np.where(near_zero, np.sin(angle), np.cos(angle))
    return np.where(flipped, -value, value)
