"""What the Numba CUDA kernels share: how a run's number becomes its place.

A selection is a sequence of runs, counted by up to three axes, of which the outermost may be picked by ids. All numbers are
uint64, and wrap: a negative stride is its complement.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuinit.kernels.primitives import quotient

__all__ = ["ID_DTYPES", "coordinates"]

ID_DTYPES = {"none": np.int64, "int32": np.int32, "int64": np.int64}
"""The kinds of row ids, and the type that each is read as."""


def coordinates(run: Any, count_2: Any, count_3: Any) -> Any:
    """The coordinates of a run along the three axes, outermost first."""
    third, rest = np.uint64(0), run
    if count_3 > np.uint64(1):
        rest = quotient(run, count_3)
        third = run - rest * count_3
    second, first = np.uint64(0), rest
    if count_2 > np.uint64(1):
        first = quotient(rest, count_2)
        second = rest - first * count_2
    return first, second, third
