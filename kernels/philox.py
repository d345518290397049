"""Philox4x32-10, the generator of the stream.

Salmon, Moraes, Dror and Shaw (2011), "Parallel random numbers: as easy as 1, 2, 3".

A counter of four words and a key of two give four output words: ten rounds, each two 32 x 32 -> 64 bit products.
Words are carried in uint64 and masked, which is what NumPy and vector units want.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuinit.kernels.primitives import add, complement, product_high, product_low

__all__ = ["ROUNDS", "constants", "philox", "philox32"]

ROUNDS = 10
_MULTIPLIER_0 = np.uint64(0xD2511F53)
_MULTIPLIER_1 = np.uint64(0xCD9E8D57)
_WEYL_0 = np.uint64(0x9E3779B9)
_WEYL_1 = np.uint64(0xBB67AE85)
_MASK = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)


def philox(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> Any:
    """The four output words of the counter (c0, c1, c2, c3) under the key (k0, k1): uint64 in, below 2^32, and out alike."""
    for _ in range(ROUNDS):
        product_0 = c0 * _MULTIPLIER_0
        product_1 = c2 * _MULTIPLIER_1
        c0 = (product_1 >> _SHIFT) ^ c1 ^ k0
        c1 = product_1 & _MASK
        c2 = (product_0 >> _SHIFT) ^ c3 ^ k1
        c3 = product_0 & _MASK
        k0 = (k0 + _WEYL_0) & _MASK
        k1 = (k1 + _WEYL_1) & _MASK
    return c0, c1, c2, c3


def philox32(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> Any:
    """The same in 32-bit words, which is what a GPU's integer units want: uint32 in and out."""
    multiplier_0, multiplier_1 = np.uint32(0xD2511F53), np.uint32(0xCD9E8D57)
    for _ in range(ROUNDS):
        high_0, low_0 = product_high(c0, multiplier_0), product_low(c0, multiplier_0)
        high_1, low_1 = product_high(c2, multiplier_1), product_low(c2, multiplier_1)
        c0 = complement(complement(high_1, c1), k0)
        c1 = low_1
        c2 = complement(complement(high_0, c3), k1)
        c3 = low_0
        k0 = add(k0, np.uint32(0x9E3779B9))
        k1 = add(k1, np.uint32(0xBB67AE85))
    return c0, c1, c2, c3


def constants(seed: int, stream: int, high: int) -> tuple[list[int], list[int]]:
    """What the ten rounds need of a key and of a counter but for its lowest word: see `Stream` in philox.cuh.

    `high` is the second word of the counter. The first two rounds have four words, the other eight their sixteen key words.
    """
    mask = 0xFFFFFFFF
    keys = [
        (word + turn * int(step)) & mask
        for turn in range(ROUNDS)
        for word, step in ((seed & mask, _WEYL_0), (seed >> 32, _WEYL_1))
    ]
    product = (stream & mask) * int(_MULTIPLIER_1)
    after = (product >> 32 ^ high ^ keys[0]) * int(_MULTIPLIER_0)
    first = [stream >> 32 ^ keys[1], product & mask ^ keys[2], after >> 32 ^ keys[3], after & mask]
    return first, keys[4:]
