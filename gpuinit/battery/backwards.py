"""Philox4x32-10 run backwards: the counter that gives chosen words, so that any word can be asked for by its element.

A round is a bijection: its multipliers are odd, so their products' lower halves give the factors back. Written from the paper
(Salmon et al., 2011), not from the engine's source.
"""

from __future__ import annotations

from gpuinit.key import Key

__all__ = ["counter_of", "place_of"]

_MASK = 2**32 - 1
_M0, _M1 = 0xD2511F53, 0xCD9E8D57
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_ROUNDS = 10
_MOST_COUNTER = 2**61
"""A tensor has at most 2^63 elements, four to a counter."""


def counter_of(words: tuple[int, int, int, int], seed: int) -> tuple[int, int]:
    """The counter's lower and upper half whose four output words under this seed are `words`."""
    c0, c1, c2, c3 = words
    low, high = seed & _MASK, seed >> 32
    for turn in reversed(range(_ROUNDS)):
        k0, k1 = low + turn * _W0 & _MASK, high + turn * _W1 & _MASK
        before_0, before_2 = c3 * pow(_M0, -1, 2**32) & _MASK, c1 * pow(_M1, -1, 2**32) & _MASK
        c1, c3 = c0 ^ (_M1 * before_2 >> 32) ^ k0, c2 ^ (_M0 * before_0 >> 32) ^ k1
        c0, c2 = before_0, before_2
    return c1 << 32 | c0, c3 << 32 | c2


def place_of(words: tuple[int, int, int, int], seed: int) -> tuple[Key, int]:
    """A key of this seed or one soon after, and the counter below 2^61 that gives `words` under it."""
    for other in range(seed, seed + 1000):
        counter, stream = counter_of(words, other % 2**64)
        if counter < _MOST_COUNTER:  # one in eight
            return Key(other % 2**64, stream), counter
    raise AssertionError("a counter below 2^61 is one in eight")
