"""The element hash of gpuinit/hashing.py and the check of row ids on a GPU: each thread reduces its share. Numba CUDA kernels.

Map: along y the runs of the array, along x the elements of a run; ids along x. Every thread writes one number, and the host
puts them together.
Deterministic: a sum modulo 2^64, and a least place.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from gpuinit.kernels.cuda_parts import ID_DTYPES, coordinates
from gpuinit.kernels.memory import load, store
from gpuinit.kernels.mixing import BITS_FACTOR, INDEX_FACTOR

__all__ = ["hash_part", "rows_part"]

_PATTERN = {"1": np.uint8, "2": np.uint16, "4": np.uint32, "8": np.uint64}


@functools.cache
def hash_part(size: str) -> tuple[Callable[..., Any], ...]:
    """part(x, wide, y, high, source, start, length, stride, runs, count_2, count_3, jumps, sums).

    The element at place p of the array, in C order, has index `start` + p; thread (x, y) writes its sum to place
    y wide + x of `sums`.
    """
    like = _PATTERN[size](0)
    index_factor, bits_factor, half = np.uint64(INDEX_FACTOR), np.uint64(BITS_FACTOR), np.uint64(32)

    def part(
        x: Any,
        wide: Any,
        y: Any,
        high: Any,
        source: Any,
        start: Any,
        length: Any,
        stride: Any,
        runs: Any,
        count_2: Any,
        count_3: Any,
        jumps: Any,
        sums: Any,
    ) -> None:
        total = np.uint64(0)
        run = y
        while run < runs:
            first, second, third = coordinates(run, count_2, count_3)
            address = source + first * jumps[0] + second * jumps[1] + third * jumps[2]
            index = start + run * length
            element = x
            while element < length:
                bits = np.uint64(load(address + element * stride, like))
                mixed = (index + element) * index_factor + bits * bits_factor
                mixed = (mixed ^ mixed >> half) * bits_factor
                mixed = (mixed ^ mixed >> half) * bits_factor
                total += mixed ^ mixed >> half
                element += wide
            run += high
        store(sums + (y * wide + x) * np.uint64(8), total)

    return (part,)


@functools.cache
def rows_part(ids: str) -> tuple[Callable[..., Any], ...]:
    """part(x, wide, y, high, rows, stride, count, length, places): where the first id outside 0 .. `length` - 1 stands.

    Thread x writes the least place of such an id among those that it looks at, or 2^64 - 1, to place x of `places`.
    """
    like = ID_DTYPES[ids](0)
    nothing = np.uint64(2**64 - 1)

    def part(
        x: Any,
        wide: Any,
        y: Any,
        high: Any,
        rows: Any,
        stride: Any,
        count: Any,
        length: Any,
        places: Any,
    ) -> None:
        found = nothing
        place = x
        while place < count:
            if found == nothing and np.uint64(load(rows + place * stride, like)) >= length:  # a negative id is huge
                found = place
            place += wide
        store(places + x * np.uint64(8), found)

    return (part,)
