"""Draws regions of random tensors into a GPU's memory: which kernels do it, and where row ids lie."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuinit import dtypes
from gpuinit.backends.cuda import dense, parts
from gpuinit.backends.cuda.arrays import DeviceArray, packed
from gpuinit.backends.cuda.driver import Driver
from gpuinit.backends.layout import Layout, layout
from gpuinit.key import Key
from gpuinit.region import Region
from gpuinit.sampler import Sampler

__all__ = ["draw", "empty", "rows_on", "uploaded"]


def draw(driver: Driver, processors: int, out: DeviceArray, sampler: Sampler, region: Region, key: Key) -> None:
    """Write the region of the sampled tensor into `out`, an array of the current device and of the region's shape."""
    real = dtypes.component(sampler.dtype)
    count = sampler.dtype.itemsize // real.itemsize
    strides = out.strides if count == 1 else (*out.strides, real.itemsize)
    if region.whole and out.c_contiguous:
        where = Layout(0, out.size * count, real.itemsize, ())
    else:
        where = layout(region.components(count), strides)
    if not where.axes and where.stride in (real.itemsize, 0) and dense.covers(sampler):
        launches = dense.launches(sampler, key, where.base, where.length, out.address, processors)
    else:
        rows = rows_on(driver, region.rows, out.device)
        address = 0 if rows is None else rows.address
        launches = parts.fills(sampler, key, where, out.address, parts.ids_of(rows), address, processors)
    for launch in launches:
        driver.launch(launch)


def rows_on(driver: Driver, rows: Any, device: int) -> DeviceArray | None:
    """Row ids on the current device; None as it is."""
    return rows if rows is None or isinstance(rows, DeviceArray) else uploaded(driver, rows, device)


def uploaded(driver: Driver, array: np.ndarray[Any, Any], device: int) -> DeviceArray:
    """A C-contiguous copy of a host's array on the current device."""
    held = driver.upload(array)
    address = driver.view(held, "array").address
    return DeviceArray(address, array.shape, packed(array.shape, array.itemsize), array.dtype, device, keep=held)


def empty(driver: Driver, shape: tuple[int, ...], dtype: Any) -> DeviceArray:
    """An uninitialized C-contiguous array on the current device, from CuPy's allocator; it lives as long as this."""
    return driver.view(driver.empty(shape, np.dtype(dtype)), "array")
