"""Compiled drawing of words: Philox over bundles of vector registers.

Formula: the output words of counters q, q + 1, ... (kernels/philox.py), as two uint64 a counter, the earlier word in the
lower half: in a little-endian memory the four 32-bit words in order.
Deterministic: integers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types
from numba.extending import intrinsic

from gpuinit.kernels.numba_lane_access import count_up, store_pairs
from gpuinit.kernels.numba_lanes import AVX512, Traced, each_register, lanes_of, pack
from gpuinit.kernels.numba_primitives import teach
from gpuinit.kernels.philox import philox

__all__ = ["BUNDLE", "HALF", "LANES", "LOW", "PADDING", "draw", "draw_same_high_word", "draw_some", "philox_over_lanes"]

LANES = lanes_of(types.uint64)
BUNDLE = 3 if AVX512 else 1  # of 16 registers, two bundles' worth would spill
PADDING = 2 * LANES * BUNDLE
"""How many uint64 beyond those asked for `draw` may write."""

LOW, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


@intrinsic
def philox_over_lanes(typingctx: Any, c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> Any:
    """Philox of a bundle of counters that differ in the lowest word: the source itself, run once on registers."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        words = philox(*(Traced(builder, registers) for registers in each_register(builder, c0, sig.args, args)))
        return context.make_tuple(builder, sig.return_type, [pack(builder, word.registers) for word in words])

    return types.UniTuple(c0, 4)(c0, c1, c2, c3, k0, k1), generate


def draw(words: Any, first: Any, count: Any, key: Any) -> None:
    """The words of the counters first, first + 1, ...; what lies behind them, up to PADDING words, may be overwritten."""
    low = first & LOW
    before_carry = min(count, np.int64(np.uint64(2**32) - low))
    draw_same_high_word(words, low, first >> HALF, before_carry, key)
    if before_carry < count:
        rest = words[2 * before_carry :]
        draw_same_high_word(rest, np.uint64(0), (first >> HALF) + np.uint64(1), count - before_carry, key)


def draw_same_high_word(words: Any, low: Any, high: Any, count: Any, key: Any) -> None:
    """As `draw`, for counters that share their upper word: what depends on it alone is computed once."""
    seeds = (key[0] & LOW, key[1] & LOW, key[2] & LOW, key[3] & LOW)
    c = 0
    while c + LANES * BUNDLE <= count:
        draw_some(words, 2 * c, count_up(low + np.uint64(c), BUNDLE) & LOW, high & LOW, seeds)
        c += LANES * BUNDLE
    while c < count:
        draw_some(words, 2 * c, count_up(low + np.uint64(c), 1) & LOW, high & LOW, seeds)
        c += LANES


def draw_some(words: Any, place: Any, low: Any, high: Any, seeds: Any) -> None:
    """The words of a bundle of counters, from index `place` on."""
    w0, w1, w2, w3 = philox_over_lanes(low, high, seeds[2], seeds[3], seeds[0], seeds[1])
    store_pairs(words, place, (w1 << HALF) | w0, (w3 << HALF) | w2)


teach(draw_some)
teach(draw_same_high_word)
teach(draw)
