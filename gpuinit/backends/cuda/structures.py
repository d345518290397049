"""Writers of structures (gpuinit/structures.py) into a GPU's memory, whole or in part.

What the CPU computes with LAPACK (complex orthogonal matrices, and those of the methods "qr" and "svd"), and Fourier kernels of
integers, are made by the CPU's writer and copied.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from gpuinit import dtypes
from gpuinit.arrays import as_array, rounded
from gpuinit.backends import cpu
from gpuinit.backends.cuda import orthogonal, parts, sparse
from gpuinit.backends.cuda.arrays import DeviceArray
from gpuinit.backends.cuda.draw import empty, rows_on, uploaded
from gpuinit.backends.cuda.driver import Driver
from gpuinit.backends.cuda.launch import Launch
from gpuinit.backends.layout import Axis, Layout, layout
from gpuinit.key import Key
from gpuinit.region import Region
from gpuinit.stack import Stack
from gpuinit.structures import Constant, Diagonal, Fourier, Haar, Sparse, Structure, Tap

__all__ = ["copied", "on_host", "write"]

_ONCE = 2**63
"""The period of a diagonal that has none: no row is that far from another."""


def write(driver: Driver, processors: int, out: DeviceArray, structure: Structure, region: Region, key: Key | None) -> None:
    """Write the region of the tensor that a structure is into `out`, whose check(out.dtype) has passed."""
    if isinstance(structure, Constant):
        value = rounded(as_array(structure.value, out.dtype), out.dtype)
        if value.size == 1:
            _run(driver, _constant(out, value, processors))
        else:
            _broadcast(driver, processors, out, value, region)
    elif isinstance(structure, Diagonal):
        zero, gain = (rounded(number, out.dtype) for number in (0.0, structure.gain))
        _run(driver, _constant(out, zero, processors))
        _diagonal(driver, processors, out, structure, region, gain)
    elif isinstance(structure, Tap):
        _tap(driver, processors, out, structure, region, key)
    elif isinstance(structure, Fourier) and dtypes.is_random(out.dtype):
        _fourier(driver, processors, out, structure, region)
    elif isinstance(structure, Sparse):
        assert key is not None
        sparse.write(driver, processors, out, structure, region, key)
    elif isinstance(structure, Haar) and structure.method == "auto" and out.dtype.kind != "c":
        assert key is not None
        _orthogonal(driver, processors, out, structure, region, key)
    else:
        _made_by_the_cpu(driver, processors, out, structure, region, key)


def copied(driver: Driver, processors: int, array: DeviceArray) -> DeviceArray:
    """A C-contiguous copy of an array on the current device."""
    held = driver.empty(array.shape, array.dtype)
    made = driver.view(held, "array")
    _copy(driver, processors, made, array.address, array.strides, None)
    return made


def _run(driver: Driver, launches: Iterable[Launch]) -> None:
    for launch in launches:
        driver.launch(launch)


def _components(dtype: np.dtype[Any]) -> tuple[int, int]:
    """How many parts an element is written as, and their bytes: a complex element's two."""
    count = 2 if dtype.kind == "c" else 1
    return count, dtype.itemsize // count


def _patterns(value: np.ndarray[Any, Any]) -> tuple[bytes, bytes]:
    """The bytes of a number's part at even and at odd places."""
    count, size = _components(value.dtype)
    content = value.tobytes()
    return content[:size], content[size:] if count == 2 else content[:size]


def _constant(out: DeviceArray, value: np.ndarray[Any, Any], processors: int) -> Iterable[Launch]:
    count, size = _components(out.dtype)
    strides = out.strides if count == 1 else (*out.strides, size)
    where = layout(Region.of(out.shape).components(count), strides)
    if where.length == 1:
        where = where._replace(stride=size)
    return parts.constants(where, out.address, *_patterns(value), processors)


def _broadcast(driver: Driver, processors: int, out: DeviceArray, value: np.ndarray[Any, Any], region: Region) -> None:
    """The part of an array that the region needs, repeated along axes where the array has one element."""
    skipped = len(region.logical) - value.ndim
    stretched = [1] * skipped + [int(length) for length in value.shape]
    starts = [start if length > 1 else 0 for start, length in zip(region.starts, stretched, strict=True)]
    rows = region.rows
    box = tuple(
        slice(start, start + count) if length > 1 and not (axis == 0 and rows is not None) else slice(None)
        for axis, (start, count, length) in enumerate(zip(starts, region.counts, stretched, strict=True))
    )
    needed = np.ascontiguousarray(value.reshape(stretched)[box])
    source = uploaded(driver, needed, out.device)
    strides = tuple(stride if length > 1 else 0 for stride, length in zip(source.strides, stretched, strict=True))
    _copy(driver, processors, out, source.address, strides, rows if stretched and stretched[0] > 1 else None)


def _copy(driver: Driver, processors: int, out: DeviceArray, source: int, strides: tuple[int, ...], rows: Any) -> None:
    """Copy from a source whose axes have these strides; `rows` pick along its first axis."""
    ids = rows_on(driver, rows, out.device)
    count, size = _components(out.dtype)
    axes = [Axis(*each) for each in zip(out.shape, strides, out.strides, strict=True)]
    if count == 2:
        axes.append(Axis(2, size, size))
    inner = axes.pop() if len(axes) > (ids is not None) else Axis(1, size, size)
    while len(axes) > (ids is not None) and axes[-1][1:] == (inner.step * inner.length, inner.jump * inner.length):
        outer = axes.pop()
        inner = Axis(outer.length * inner.length, inner.step, inner.jump)
    where = Layout(0, inner.length, inner.jump, tuple(axes))
    place = 0 if ids is None else ids.address
    _run(driver, parts.copies(where, inner.step, size, out.address, source, parts.ids_of(ids), place, processors))


def _diagonal(
    driver: Driver, processors: int, out: DeviceArray, structure: Diagonal, region: Region, gain: np.ndarray[Any, Any]
) -> None:
    rows = rows_on(driver, region.rows, out.device)
    shift = structure.column - region.starts[1]
    first = (0 if rows is not None else region.starts[0]) - structure.row
    period = structure.period or _ONCE
    turns = -(-(region.logical[0] - structure.row) // period)
    place = 0 if rows is None else rows.address
    again = (period, turns, structure.length(region.logical))
    numbers = (out.address, first, out.shape[0], *again, region.counts[1], shift, (out.strides[0], out.strides[1]))
    driver.launch(parts.diagonals(*numbers, _patterns(gain)[0], parts.ids_of(rows), place, processors))


def _tap(driver: Driver, processors: int, out: DeviceArray, structure: Tap, region: Region, key: Key | None) -> None:
    """The matrix, made once, wherever the region has it."""
    _run(driver, _constant(out, np.zeros((), out.dtype), processors))
    if 0 not in structure.axes:
        region = _with_host_rows(driver, region)
    places, part = structure.part(region)
    matrices = [_matrix(out, structure.axes, place) for place in places]
    for matrix in matrices[:1]:
        write(driver, processors, matrix, structure.matrix, part, key)
    for matrix in matrices[1:]:
        _copy(driver, processors, matrix, matrices[0].address, matrices[0].strides, None)


def _matrix(out: DeviceArray, axes: tuple[int, int], place: tuple[int, ...]) -> DeviceArray:
    """The part of an array that lies along two axes, at a place of the others."""
    others = [stride for axis, stride in enumerate(out.strides) if axis not in axes]
    address = out.address + sum(at * stride for at, stride in zip(place, others, strict=True))
    shape, strides = ((along[axes[0]], along[axes[1]]) for along in (out.shape, out.strides))
    return replace(out, address=address, shape=shape, strides=strides)


def _fourier(driver: Driver, processors: int, out: DeviceArray, structure: Fourier, region: Region) -> None:
    real = dtypes.component(out.dtype)
    if real != out.dtype:  # the imaginary parts stay zero
        _run(driver, _constant(out, np.zeros((), out.dtype), processors))
    rows = rows_on(driver, region.rows, out.device)
    window = uploaded(driver, structure.window, out.device)
    times, frequencies = ((region.starts[axis], region.counts[axis]) for axis in (0, 2))
    numbers = (out.address, window.address, times, frequencies, region.logical[2] - 1, (out.strides[0], out.strides[2]))
    place = 0 if rows is None else rows.address
    driver.launch(parts.fouriers(*numbers, (structure.side, real.name), parts.ids_of(rows), place, processors))


def _orthogonal(driver: Driver, processors: int, out: DeviceArray, structure: Haar, region: Region, key: Key) -> None:
    """In place if it is the whole tensor in the stack's own order; else the matrices that the region touches, then a copy."""
    stack = Stack(region.logical, structure.batch)
    if 0 in stack.batch:
        region = _with_host_rows(driver, region)
    which = region.along(stack.batch)
    matrices = which.indices(0, which.size)
    common = (out.dtype, structure.gain, stack, key, matrices)
    if region.whole and out.c_contiguous and stack.order == tuple(range(len(stack.shape))):
        orthogonal.haar(driver, processors, out.address, *common)
        return
    inner = stack.order[len(stack.batch) :]
    shape = (*which.counts, *(stack.shape[axis] for axis in inner))
    held = empty(driver, shape, out.dtype)
    orthogonal.haar(driver, processors, held.address, *common)
    steps = dict(zip(stack.order, held.strides, strict=True))
    source = held.address + sum(region.starts[axis] * steps[axis] for axis in inner)
    strides = tuple(steps[axis] for axis in range(len(stack.shape)))
    _copy(driver, processors, out, source, strides, None if 0 in stack.batch else region.rows)


def _made_by_the_cpu(
    driver: Driver, processors: int, out: DeviceArray, structure: Structure, region: Region, key: Key | None
) -> None:
    made = cpu.BACKEND.empty(out.shape, dtypes.canonical(out.dtype))
    cpu.BACKEND.fill(made, structure, _with_host_rows(driver, region), key)
    source = uploaded(driver, made, out.device)
    _copy(driver, processors, out, source.address, source.strides, None)


def _with_host_rows(driver: Driver, region: Region) -> Region:
    """The region with its row ids in the host's memory."""
    return region if region.rows is None else replace(region, rows=on_host(driver, region.rows))


def on_host(driver: Driver, ids: Any) -> Any:
    """Checked row ids as NumPy's int64."""
    if not isinstance(ids, DeviceArray):
        return ids
    return driver.download(ids.address, ids.size * ids.dtype.itemsize, ids).view(ids.dtype).astype(np.int64)
