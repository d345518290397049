"""Compiled digest: the element hash of gpuinit/hashing.py and statistics of real floating arrays, in one reading of memory.

Map: blocks of 4096 elements are read into cache; one loop hashes their bits, one finds the least and the greatest, as integers in
the same order, one sums the values and their squares, both from the block's first value on; blocks are merged by the formula of
Chan, Golub and LeVeque (1979). Each loop does little, so that it becomes vector code of few instructions.
Deterministic: the hash. The statistics may differ in their last digits from one processor to another.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numba.core import types
from numba.np.numpy_support import from_dtype

from gpuinit.kernels import (
    mixing,
    numba_source,  # noqa: F401  (teaches Numba the primitives)
)
from gpuinit.kernels.cache import compile_once, named
from gpuinit.kernels.primitives import unbits

__all__ = ["compiled_digest", "covers"]

BLOCK = 4096
INDEX_FACTOR = np.uint64(mixing.INDEX_FACTOR)
BITS_FACTOR = np.uint64(mixing.BITS_FACTOR)
HALF = np.uint64(32)


class _Pattern(NamedTuple):
    """How bits become a number: shifted left into float32 or float64, without the sign, and scaled by a power of two."""

    stored: Any
    signed: Any
    wide: Any
    magnitude: int
    not_finite: int
    shift: int
    scale: Any


_PATTERNS = {
    "float32": _Pattern(np.uint32, np.int32, np.uint32, 0x7FFFFFFF, 0x7F800000, 0, np.float32(1)),
    "float64": _Pattern(np.uint64, np.int64, np.uint64, 0x7FFFFFFFFFFFFFFF, 0x7FF0000000000000, 0, np.float64(1)),
    "bfloat16": _Pattern(np.uint16, np.int16, np.uint32, 0x7FFF, 0x7F80, 16, np.float32(1)),
    "float16": _Pattern(np.uint16, np.int16, np.uint32, 0x7FFF, 0x7C00, 13, np.float32(2.0**112)),
    "float8_e4m3fn": _Pattern(np.uint8, np.int8, np.uint32, 0x7F, 0x7F, 20, np.float32(2.0**120)),
    "float8_e5m2": _Pattern(np.uint8, np.int8, np.uint32, 0x7F, 0x7C, 21, np.float32(2.0**112)),
}


def covers(dtype: np.dtype[Any]) -> bool:
    """Whether there is a compiled digest for the dtype."""
    return dtype.name in _PATTERNS


@functools.cache
def compiled_digest(name: str) -> Any:
    """digest(patterns, start, step, hash, numbers), `patterns` a contiguous array whose element j has index start + j step.

    Writes hash[0] and numbers[0 .. 4] = mean, sum of squares about it, least, greatest, whether some are not finite; if so, the
    other four mean nothing.
    """
    stored, signed, wide, magnitude, not_finite, shift, scale = _PATTERNS[name]
    sizes, places, most = wide(magnitude), wide(shift), stored(magnitude)
    mask, sign = signed(magnitude), signed(stored(0).itemsize * 8 - 1)

    def value(pattern: Any) -> Any:
        size = np.float64(unbits(wide(wide(pattern & sizes) << places)) * scale)
        return -size if pattern > most else size

    number = njit(inline="always")(named(value, f"digest-value-{name}"))

    def digest(patterns: Any, start: Any, step: Any, hash: Any, numbers: Any) -> None:
        total, seen, mean, spread = np.uint64(0), 0, 0.0, 0.0
        low, high = mask, signed(-mask - 1)
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
            for j in range(block.size):
                bits = signed(block[j])
                order = signed(bits ^ signed(signed(bits >> sign) & mask))  # greater numbers are greater integers
                low = min(low, order)
                high = max(high, order)
            origin = number(block[0])
            sums = squares = 0.0
            for j in range(block.size):
                distance = number(block[j]) - origin
                sums += distance
                squares += distance * distance
            shift_to_mean = sums / block.size
            jump = origin + shift_to_mean - mean
            spread += max(squares - sums * shift_to_mean, 0.0) + jump * jump * (seen / (seen + block.size) * block.size)
            mean += jump * (block.size / (seen + block.size))
            seen += block.size
        hash[0] = total
        least = number(stored(low if low >= 0 else signed(low ^ mask)))
        greatest = number(stored(high if high >= 0 else signed(high ^ mask)))
        strange = high >= not_finite or -low - 1 >= not_finite
        numbers[0], numbers[1], numbers[2], numbers[3], numbers[4] = mean, spread, least + 0.0, greatest + 0.0, strange

    u8 = types.uint64
    patterns = types.Array(from_dtype(np.dtype(stored)), 1, "C", readonly=True)
    signature = (patterns, u8, u8, u8[::1], types.float64[::1])
    return compile_once(digest, signature, f"digest-{name}", fastmath={"reassoc", "nnan", "nsz", "contract"})
