"""Writers of structures (gpuinit/structures.py) into a GPU's memory, whole or in part.

Constants and diagonals are written there. What the CPU computes with libm or LAPACK, Fourier kernels and orthogonal
matrices, is made by the CPU's writer and copied, so it has the CPU's bits.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from gpuinit import dtypes
from gpuinit.arrays import as_array, rounded
from gpuinit.backends import cpu
from gpuinit.backends import structures as on_cpu
from gpuinit.backends.cuda import parts
from gpuinit.backends.cuda.arrays import DeviceArray, packed
from gpuinit.backends.cuda.driver import Driver
from gpuinit.backends.cuda.launch import Launch
from gpuinit.backends.layout import Axis, Layout, layout
from gpuinit.key import Key
from gpuinit.region import Region
from gpuinit.structures import Constant, Diagonal, Structure

__all__ = ["copied", "uploaded", "write"]


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
    else:
        _made_by_the_cpu(driver, processors, out, structure, region, key)


def uploaded(driver: Driver, array: np.ndarray[Any, Any], device: int) -> DeviceArray:
    """A C-contiguous copy of a host's array on the current device."""
    held = driver.upload(array)
    address = driver.view(held, "array").address
    return DeviceArray(address, array.shape, packed(array.shape, array.itemsize), array.dtype, device, keep=held)


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
    ids = rows if rows is None or isinstance(rows, DeviceArray) else uploaded(driver, rows, out.device)
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
    rows = (
        region.rows if region.rows is None or isinstance(region.rows, DeviceArray) else uploaded(driver, region.rows, out.device)
    )
    shift = structure.column - region.starts[1]
    first = (0 if rows is not None else region.starts[0]) - structure.row
    pattern = _patterns(gain)[0]
    place = 0 if rows is None else rows.address
    numbers = (out.address, first, out.shape[0], min(region.logical), region.counts[1], shift, (out.strides[0], out.strides[1]))
    driver.launch(parts.diagonals(*numbers, pattern, parts.ids_of(rows), place, processors))


def _made_by_the_cpu(
    driver: Driver, processors: int, out: DeviceArray, structure: Structure, region: Region, key: Key | None
) -> None:
    if isinstance(region.rows, DeviceArray):
        ids = region.rows
        found = driver.download(ids.address, ids.size * ids.dtype.itemsize, ids).view(ids.dtype).astype(np.int64)
        region = Region(region.logical, region.starts, region.counts, found)
    made = cpu.BACKEND.empty(out.shape, dtypes.canonical(out.dtype))
    on_cpu.write(made, structure, region, key, cpu.BACKEND.normals)
    source = uploaded(driver, made, out.device)
    _copy(driver, processors, out, source.address, source.strides, None)
