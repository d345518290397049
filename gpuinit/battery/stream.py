"""The raw words of a stream as bytes, for test batteries that other people wrote."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gpuinit.kernels.philox import philox
from gpuinit.key import Key

__all__ = ["MOST", "word_bytes"]

MOST = 2**63
"""A tensor has at most so many elements, and a stream words."""
_COUNTERS = 2**13
"""Drawn at once: they stay in the cache."""
_MASK = 2**32 - 1


def word_bytes(key: Key, start: int, count: int, bits: int = 32) -> Iterator[bytes]:
    """The words start .. start + count - 1 of a stream, each as its little-endian bytes, in pieces of 128 KiB at most.

    Args:
        key: of the stream. start, count: >= 0, in words; start + count at most 2^63.
        bits: 32 or 64. A word of 64 bits is two of 32, the lower one first, so the bytes from word 0 on are the same.
    """
    per_counter = 128 // bits
    low, high = np.uint64(_MASK), np.uint64(32)
    stream = np.uint64(key.stream & _MASK), np.uint64(key.stream >> 32)
    seed = np.uint64(key.seed & _MASK), np.uint64(key.seed >> 32)
    stop = start + count
    for first in range(start // per_counter, -(-stop // per_counter), _COUNTERS):
        last = min(first + _COUNTERS, -(-stop // per_counter))
        counters = np.arange(first, last, dtype=np.uint64)
        words = np.stack(philox(counters & low, counters >> high, *stream, *seed), axis=-1).astype("<u4")
        begin, end = max(0, start - first * per_counter), min(stop - first * per_counter, len(counters) * per_counter)
        yield words.tobytes()[begin * bits // 8 : end * bits // 8]
