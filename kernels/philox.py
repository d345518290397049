"""Philox4x32-10, the generator of the stream.

Salmon, Moraes, Dror and Shaw (2011), "Parallel random numbers: as easy as 1, 2, 3".

A counter of four words and a key of two give four output words: ten rounds, each two 32 x 32 -> 64 bit products.
Words are carried in uint64 and masked, which is what NumPy and vector units want.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuinit.kernels.primitives import add, complement, product_high, product_low

__all__ = ["ROUNDS", "constants", "first_words", "philox", "philox32", "philox_pairs", "schedule"]

ROUNDS = 10
_MULTIPLIER_0 = np.uint64(0xD2511F53)
_MULTIPLIER_1 = np.uint64(0xCD9E8D57)
_WEYL_0 = np.uint64(0x9E3779B9)
_WEYL_1 = np.uint64(0xBB67AE85)
_MASK = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_WORD = 0xFFFFFFFF


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


def philox_pairs(low: Any, first: Any, rest: Any) -> Any:
    """The same four words as two uint64, the earlier of each in its lower half, by the counter's lowest word.

    `low` is uint64 and below 2^32, `first` and `rest` are what `constants` gives, as uint64. The halves of the last
    round's products trade places, and are combined with the rest together.
    """
    product = low * _MULTIPLIER_0
    c2, c3 = (product >> _SHIFT) ^ first[0], product & _MASK
    product = c2 * _MULTIPLIER_1
    c0, c1, c2, c3 = (product >> _SHIFT) ^ first[1], product & _MASK, c3 ^ first[2], first[3]
    for turn in range(ROUNDS - 3):
        product_0 = c0 * _MULTIPLIER_0
        product_1 = c2 * _MULTIPLIER_1
        c0, c1 = (product_1 >> _SHIFT) ^ c1 ^ rest[2 * turn], product_1 & _MASK
        c2, c3 = (product_0 >> _SHIFT) ^ c3 ^ rest[2 * turn + 1], product_0 & _MASK
    product_0 = c0 * _MULTIPLIER_0
    product_1 = c2 * _MULTIPLIER_1
    return _turned(product_1) ^ (c1 ^ rest[-2]), _turned(product_0) ^ (c3 ^ rest[-1])


def _turned(x: Any) -> Any:
    """The halves of a uint64 in each other's place."""
    return (x >> _SHIFT) | (x << _SHIFT)


def schedule(seed: int, stream: int) -> list[int]:
    """What the ten rounds need of a key: four words for the first two rounds, and the sixteen key words of the other eight."""
    keys = [
        (word + turn * int(step)) & _WORD
        for turn in range(ROUNDS)
        for word, step in ((seed & _WORD, _WEYL_0), (seed >> 32, _WEYL_1))
    ]
    product = (stream & _WORD) * int(_MULTIPLIER_1)
    return [product >> 32 ^ keys[0], keys[3], stream >> 32 ^ keys[1], product & _WORD ^ keys[2], *keys[4:]]


def first_words(head: Any, high: Any) -> Any:
    """What the first two rounds add to a counter's lowest word, by a schedule's first four words and the counter's second."""
    product = (head[0] ^ high) * _MULTIPLIER_0
    return head[2], head[3], (product >> _SHIFT) ^ head[1], product & _MASK


def constants(seed: int, stream: int, high: int) -> tuple[list[int], list[int]]:
    """What the ten rounds need of a key and of a counter but for its lowest word: see `Stream` in philox.cuh.

    `high` is the second word of the counter. The first two rounds have four words, the other eight their sixteen key words.
    """
    words = schedule(seed, stream)
    first = first_words([np.uint64(word) for word in words[:4]], np.uint64(high))
    return [int(word) for word in first], words[4:]
