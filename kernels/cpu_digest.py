"""Compiled digest: the element hash of gpuinit/hashing.py and statistics of real floating arrays, in one reading of memory.

Map: blocks of 4096 elements are read into cache; one loop hashes their bits, one turns them into float64 and sums,
one sums squares about the block's mean; blocks are merged by the formula of Chan, Golub and LeVeque (1979).
Deterministic: the hash. The statistics may differ in their last digits from one processor to another.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from numba.core import types
from numba.np.numpy_support import from_dtype

from gpuinit.kernels import (
    mixing,
    numba_source,  # noqa: F401  (teaches Numba the primitives)
)
from gpuinit.kernels.cache import compile_once
from gpuinit.kernels.primitives import unbits

__all__ = ["compiled_digest", "covers"]

BLOCK = 4096
INDEX_FACTOR = np.uint64(mixing.INDEX_FACTOR)
BITS_FACTOR = np.uint64(mixing.BITS_FACTOR)
HALF = np.uint64(32)


class _Pattern(NamedTuple):
    """How bits become a number: shifted left into float32 or float64, without the sign, and scaled by a power of two."""

    stored: Any
    wide: Any
    magnitude: int
    not_finite: int
    shift: int
    scale: Any


_PATTERNS = {
    "float32": _Pattern(np.uint32, np.uint32, 0x7FFFFFFF, 0x7F800000, 0, np.float32(1)),
    "float64": _Pattern(np.uint64, np.uint64, 0x7FFFFFFFFFFFFFFF, 0x7FF0000000000000, 0, np.float64(1)),
    "bfloat16": _Pattern(np.uint16, np.uint32, 0x7FFF, 0x7F80, 16, np.float32(1)),
    "float16": _Pattern(np.uint16, np.uint32, 0x7FFF, 0x7C00, 13, np.float32(2.0**112)),
    "float8_e4m3fn": _Pattern(np.uint8, np.uint32, 0x7F, 0x7F, 20, np.float32(2.0**120)),
    "float8_e5m2": _Pattern(np.uint8, np.uint32, 0x7F, 0x7C, 21, np.float32(2.0**112)),
}


def covers(dtype: np.dtype[Any]) -> bool:
    """Whether there is a compiled digest for the dtype."""
    return dtype.name in _PATTERNS


@functools.cache
def compiled_digest(name: str) -> Any:
    """digest(patterns, start, step, hash, numbers), `patterns` a contiguous array whose element j has index start + j step.

    Writes hash[0] and numbers[0 .. 4] = mean, sum of squares about it, least, greatest, how many are not finite; if
    there are any, the
    other four mean nothing.
    """
    stored, wide, magnitude, not_finite, shift, scale = _PATTERNS[name]
    sizes, special, places = wide(magnitude), stored(not_finite), wide(shift)

    def digest(patterns: Any, start: Any, step: Any, hash: Any, numbers: Any) -> None:
        tile = np.empty(BLOCK, np.float64)
        total, strange, seen = np.uint64(0), np.int64(0), 0
        mean, spread, least, greatest = 0.0, 0.0, np.inf, -np.inf
        factor = step * INDEX_FACTOR
        for begin in range(0, patterns.size, BLOCK):
            block = patterns[begin : min(begin + BLOCK, patterns.size)]
            first = start * INDEX_FACTOR + np.uint64(begin) * factor
            for j in range(block.size):
                x = first + np.uint64(j) * factor + np.uint64(block[j]) * BITS_FACTOR
                x ^= x >> HALF
                x *= BITS_FACTOR
                x ^= x >> HALF
                x *= BITS_FACTOR
                total += x ^ (x >> HALF)
            block_sum = 0.0
            for j in range(block.size):
                strange += np.int64(stored(block[j] & special) == special)
                size = np.float64(unbits(wide(wide(block[j] & sizes) << places)) * scale)
                number = -size if block[j] > sizes else size
                tile[j] = number
                block_sum += number
                least = min(least, number)
                greatest = max(greatest, number)
            center = block_sum / block.size
            squares = 0.0
            for j in range(block.size):
                squares += (tile[j] - center) * (tile[j] - center)
            distance = center - mean
            spread += squares + distance * distance * (seen / (seen + block.size) * block.size)
            mean += distance * (block.size / (seen + block.size))
            seen += block.size
        hash[0] = total
        numbers[0], numbers[1], numbers[2], numbers[3], numbers[4] = mean, spread, least, greatest, strange

    u8 = types.uint64
    patterns = types.Array(from_dtype(np.dtype(stored)), 1, "C", readonly=True)
    signature = (patterns, u8, u8, u8[::1], types.float64[::1])
    return compile_once(digest, signature, f"digest-{name}", fastmath={"reassoc", "nnan", "nsz"})
