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
"""Uniforms held at once, but for a column of more rows: 16 MiB, and as much again to sort them."""
UNIT = Uniform(0.0, 1.0)
"""In float64 its values are the upper 53 bits of the words times 2^-53, exactly."""


def write(out: Array, structure: Sparse, region: Region, key: Key, fill: Fill) -> None:
    """Write the region of the sparse matrix into `out`, an array of any strides; `fill` draws a region of a tensor."""
    fill(out, structure.values.sampler(out.dtype), region, key)
    if structure.zeros == 0 or out.size == 0:
        return
    rows, mask_key, zero = region.logical[0], structure.mask_key(key), np.zeros((), out.dtype)
    wide = max(1, CHUNK // rows)
    for first in range(0, region.counts[1], wide):
        width = min(wide, region.counts[1] - first)
        uniform = np.empty((rows, width))
        here = Region(region.logical, (0, region.starts[1] + first), uniform.shape)
        fill(uniform, UNIT.sampler(uniform.dtype), here, mask_key)
        limit, tied = _limits(uniform, structure.zeros)
        target = out[:, first : first + width]
        step = max(1, CHUNK // width)
        for start in range(0, len(out), step):
            stop = min(start + step, len(out))
            place = slice(region.starts[0] + start, region.starts[0] + stop) if region.rows is None else region.rows[start:stop]
            chosen = uniform[place] <= limit
            for column, last in tied:
                number = np.arange(rows)[place]
                chosen[:, column] &= (uniform[place, column] < limit[column]) | (number <= last)
            np.copyto(target[start:stop], zero, where=chosen)


def _limits(uniform: Array, zeros: int) -> tuple[Array, list[tuple[int, int]]]:
    """The `zeros`-th least number of each column; for columns that have it further behind, too, the last row it is zero in."""
    columns = uniform.T.copy()
    columns.partition(zeros - 1, axis=1)
    limit = columns[:, zeros - 1].copy()
    again = np.flatnonzero(columns[:, zeros:].min(axis=1, initial=np.inf) == limit)
    return limit, [(int(column), _last(uniform[:, column], limit[column], zeros)) for column in again]


def _last(column: Array, limit: Any, zeros: int) -> int:
    """The row of the `zeros`-th least (number, row) of a column, whose number is `limit`."""
    return int(np.flatnonzero(column == limit)[zeros - 1 - np.count_nonzero(column < limit)])
