"""Compiled drawing of words: Philox over bundles of vector registers.

Formula: the output words of counters q, q + 1, ... under a schedule (kernels/philox.py), as two uint64 a counter, the
earlier word in the lower half: in a little-endian memory the four 32-bit words in order.
Deterministic: integers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from gpuinit.kernels.numba_lane_access import count_up, store_pairs
from gpuinit.kernels.numba_lanes import AVX512, Traced, each_register, lanes_of, pack, splat
from gpuinit.kernels.numba_primitives import teach
from gpuinit.kernels.philox import first_words, philox_pairs

__all__ = ["BUNDLE", "HALF", "LANES", "LOW", "PADDING", "draw", "draw_same_high_word", "philox_over_lanes", "schedule_words"]

LANES = lanes_of(types.uint64)
BUNDLE = 4 if AVX512 else 1  # of 16 registers, two would spill
PADDING = 2 * LANES * BUNDLE
"""How many uint64 beyond those asked for `draw` may write."""

LOW, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


@intrinsic
def philox_over_lanes(typingctx: Any, low: Any, first: Any, rest: Any) -> Any:
    """Philox of a bundle of counters that differ in the lowest word: the source itself, run once on registers."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        registers = each_register(builder, low, sig.args[:1], args[:1])[0]

        def spread(place: int) -> list[Any]:
            kind = sig.args[place]
            words = [builder.extract_value(args[place], k) for k in range(kind.count)]
            return [Traced(builder, [splat(builder, word, low.width)] * low.bundle) for word in words]

        pairs = philox_pairs(Traced(builder, registers), spread(1), spread(2))
        return context.make_tuple(builder, sig.return_type, [pack(builder, pair.registers) for pair in pairs])

    return types.UniTuple(low, 2)(low, first, rest), generate


@intrinsic
def schedule_words(typingctx: Any, key: Any, begin: Any, count: Any) -> Any:
    """`count` words of a schedule from number `begin` on (both literals), each below 2^32, which LLVM is told so."""
    if not isinstance(begin, types.IntegerLiteral) or not isinstance(count, types.IntegerLiteral):
        return None
    kind = types.UniTuple(types.uint64, count.literal_value)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = context.make_array(key)(context, builder, args[0]).data
        places = range(begin.literal_value, begin.literal_value + count.literal_value)
        words = [builder.load(builder.gep(data, [ir.Constant(ir.IntType(64), place)])) for place in places]
        return context.make_tuple(builder, kind, [builder.and_(word, ir.Constant(word.type, int(LOW))) for word in words])

    return kind(key, begin, count), generate


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
    first, rest = first_words(schedule_words(key, 0, 4), high & LOW), schedule_words(key, 4, 16)
    c = 0
    while c + LANES * BUNDLE <= count:
        even, odd = philox_over_lanes(count_up(low + np.uint64(c), BUNDLE) & LOW, first, rest)
        store_pairs(words, 2 * c, even, odd)
        c += LANES * BUNDLE
    while c < count:
        even, odd = philox_over_lanes(count_up(low + np.uint64(c), 1) & LOW, first, rest)
        store_pairs(words, 2 * c, even, odd)
        c += LANES


teach(first_words)
teach(draw_same_high_word)
teach(draw)
