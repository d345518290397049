"""Writes sparse matrices into a GPU's memory, as gpuinit/backends/sparse.py does on the CPU, with the same bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gpuinit import dtypes
from gpuinit.backends.cuda import parts
from gpuinit.backends.cuda.arrays import DeviceArray, packed
from gpuinit.backends.cuda.draw import draw, empty, rows_on
from gpuinit.backends.cuda.driver import Driver
from gpuinit.backends.sparse import UNIT
from gpuinit.key import Key
from gpuinit.region import Region
from gpuinit.structures import Sparse

__all__ = ["write"]

CHUNK = 2**22
"""Uniforms held at once, but for a column of more rows: 32 MiB, which a GPU's cache about holds."""


def write(driver: Driver, processors: int, out: DeviceArray, structure: Sparse, region: Region, key: Key) -> None:
    """Write the region of the sparse matrix into `out`, an array of any strides."""
    draw(driver, processors, out, structure.values.sampler(out.dtype), region, key)
    if structure.zeros == 0:
        return
    rows, mask_key, sampler = region.logical[0], structure.mask_key(key), UNIT.sampler(np.dtype(np.float64))
    ids = rows_on(driver, region.rows, out.device)
    wide = min(max(1, CHUNK // rows), region.counts[1])
    held, limits = empty(driver, (rows, wide), np.float64), empty(driver, (2, wide), np.uint64)
    size = dtypes.component(out.dtype).itemsize
    for first in range(0, region.counts[1], wide):
        width = min(wide, region.counts[1] - first)
        here = Region(region.logical, (0, region.starts[1] + first), (rows, width))
        uniform = replace(held, shape=here.counts, strides=packed(here.counts, 8))
        draw(driver, processors, uniform, sampler, here, mask_key)
        driver.launch(parts.limits(uniform.address, rows, width, structure.zeros, limits.address, processors))
        place = 0 if ids is None else ids.address
        for part in range(out.dtype.itemsize // size):
            address = out.address + first * out.strides[1] + part * size
            numbers = (address, uniform.address, limits.address, region.starts[0], out.shape[0], width)
            strides = (out.strides[0], out.strides[1])
            driver.launch(parts.clears(*numbers, strides, size, parts.ids_of(ids), place, processors))
