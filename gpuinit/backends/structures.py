"""Writers of structures (gpuinit/structures.py) into NumPy arrays, whole or in part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gpuinit.arrays import as_array, rounded
from gpuinit.backends import sparse
from gpuinit.backends.stacks import Normals, write_haar
from gpuinit.kernels.trigonometry import cosine, minus_sine
from gpuinit.key import Key
from gpuinit.region import Region
from gpuinit.sampler import Sampler
from gpuinit.structures import Constant, Diagonal, Fourier, Haar, Sparse, Structure, Tap

__all__ = ["write"]

Array = np.ndarray[Any, Any]
Draw = Callable[[np.dtype[Any], Key, int], Normals]
Fill = Callable[[Array, Sampler, Region, Key], None]

_RUN = 2**13
"""Elements computed at once: temporaries take some hundred KiB, whatever the tensor's size."""
_WAVE_RUN = 2**10
"""Cosines computed at once: the arithmetic has some dozen temporaries."""
_PER_TABLE = 16
"""From this many elements for each entry on, a Fourier kernel looks its cosines up in a table of one period."""


def write(out: Array, structure: Structure, region: Region, key: Key | None, normals: Draw, fill: Fill) -> None:
    """Write the region of the tensor that a structure is into `out`.

    Args:
        out: an array of the region's shape, of any strides and dtype.
        structure: any of `gpuinit.structures`, whose check(out.dtype) has passed.
        region: which part of the logical tensor.
        key: the key of a structure that is random.
        normals: what draws standard normal matrices, as `write_haar` takes it.
        fill: fill(out, sampler, region, key) draws a region of a tensor.
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
    elif isinstance(structure, Tap):
        _tap(out, structure, region, key, normals, fill)
    elif isinstance(structure, Sparse):
        assert key is not None
        sparse.write(out, structure, region, key, fill)
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
    length, first_column, columns = structure.length(region.logical), region.starts[1], region.counts[1]
    for start in range(0, len(out), _RUN):
        stop = min(start + _RUN, len(out))
        number = np.arange(start, stop) + region.starts[0] if region.rows is None else region.rows[start:stop]
        order = number - structure.row
        step = order if structure.period is None else order % structure.period
        column = step + structure.column - first_column
        place = np.flatnonzero((order >= 0) & (step < length) & (column >= 0) & (column < columns))
        out[start + place, column[place]] = gain


def _tap(out: Array, structure: Tap, region: Region, key: Key | None, normals: Draw, fill: Fill) -> None:
    """The matrix, drawn once, wherever the region has it."""
    out[...] = np.zeros((), out.dtype)
    places, part = structure.part(region)
    matrices = np.moveaxis(out, structure.axes, (-2, -1))
    for place in places[:1]:
        write(matrices[place], structure.matrix, part, key, normals, fill)
    for place in places[1:]:
        matrices[place] = matrices[places[0]]


def _fourier(out: Array, structure: Fourier, region: Region) -> None:
    """window[t] cos(2 pi t f / F) or -window[t] sin(2 pi t f / F), rounded to float64 and then once to the dtype."""
    if out.size == 0:
        return
    wave = cosine if structure.side == "real" else minus_sine
    half = np.uint64(region.logical[2] - 1)
    period = 2 * half
    table = _waves(wave, np.arange(period, dtype=np.uint64), half) if period <= out.size // _PER_TABLE else None
    times, _, frequencies = region.counts
    wide = min(frequencies, _RUN)
    for start in range(0, times, _RUN // wide):
        stop = min(start + _RUN // wide, times)
        time = np.arange(start, stop) + region.starts[0] if region.rows is None else region.rows[start:stop]
        for first in range(0, frequencies, wide):
            last = min(first + wide, frequencies)
            frequency = np.arange(first, last, dtype=np.uint64) + np.uint64(region.starts[2])
            turn = time.astype(np.uint64)[:, None] * frequency % period  # at most 2^63, as the tensor has no more elements
            waves = _waves(wave, turn, half) if table is None else table[turn]
            out[start:stop, 0, first:last] = rounded(structure.window[time][:, None] * waves, out.dtype)


def _waves(wave: Callable[[Any, Any], Array], turn: Array, half: Any) -> Array:
    """A wave at the places `turn`, computed in runs."""
    found = np.empty(turn.shape)
    flat, turns = found.reshape(-1), turn.reshape(-1)
    for start in range(0, turn.size, _WAVE_RUN):
        flat[start : start + _WAVE_RUN] = wave(turns[start : start + _WAVE_RUN], half)
    return found
