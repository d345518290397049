"""Writes sparse matrices into NumPy arrays: normal values, of which a number in each column is set to zero.

docs/stream.md, section 10, says which: of the float64 uniforms u(r, c) under the mask's key, in each column those of the
`zeros` rows with the least (u, r).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gpuinit.distributions import Uniform
from gpuinit.key import Key
from gpuinit.region import Region
from gpuinit.sampler import Sampler
from gpuinit.structures import Sparse

__all__ = ["UNIT", "write"]

Array = np.ndarray[Any, Any]
Fill = Callable[[Array, Sampler, Region, Key], None]

CHUNK = 2**21
"""Uniforms held at once, but for a column of more rows: 16 MiB."""
UNIT = Uniform(0.0, 1.0)
"""In float64 its values are the upper 53 bits of the words times 2^-53, exactly."""
_SAMPLER = UNIT.sampler(np.dtype(np.float64))


def write(out: Array, structure: Sparse, region: Region, key: Key, fill: Fill) -> None:
    """Write the region of the sparse matrix into `out`, an array of any strides; `fill` draws a region of a tensor."""
    fill(out, structure.values.sampler(out.dtype), region, key)
    if structure.zeros == 0 or out.size == 0:
        return
    mask_key, zero = structure.mask_key(key), np.zeros((), out.dtype)
    wide = max(1, CHUNK // region.logical[0])
    for first in range(0, region.counts[1], wide):
        target = out[:, first : first + wide]
        column, width = region.starts[1] + first, target.shape[1]
        limit, last = _limits(region.logical, column, width, structure.zeros, mask_key, fill)
        step = CHUNK // width
        for start in range(0, len(out), step):
            some = target[start : start + step]
            ids = None if region.rows is None else region.rows[start : start + step]
            uniform = np.empty(some.shape)
            begin = (region.starts[0] + start if ids is None else 0, column)
            fill(uniform, _SAMPLER, Region(region.logical, begin, some.shape, ids), mask_key)
            chosen = uniform <= limit
            for tied in last:
                number = np.arange(begin[0], begin[0] + len(some)) if ids is None else ids
                chosen[:, tied] &= (uniform[:, tied] < limit[tied]) | (number <= last[tied])
            np.copyto(some, zero, where=chosen)


def _limits(
    shape: tuple[int, ...], column: int, width: int, zeros: int, mask_key: Key, fill: Fill
) -> tuple[Array, dict[int, int]]:
    """The `zeros`-th least u of columns; for those in which that u comes again, the row of the `zeros`-th least (u, r)."""
    rows = shape[0]
    columns = np.empty((width, rows))
    fill(columns.T, _SAMPLER, Region(shape, (0, column), (rows, width)), mask_key)
    columns.partition(zeros - 1, axis=1)
    limit = columns[:, zeros - 1].copy()
    last = {}
    for tied in np.flatnonzero(columns[:, zeros:].min(axis=1, initial=np.inf) == limit).tolist():
        again = np.empty((rows, 1))
        fill(again, _SAMPLER, Region(shape, (0, column + tied), again.shape), mask_key)
        less = np.count_nonzero(again < limit[tied])
        last[tied] = int(np.flatnonzero(again == limit[tied])[zeros - 1 - less])
    return limit, last
