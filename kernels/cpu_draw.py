"""Compiled drawing of words: Philox over vector registers, several at once.

Formula: the output words of counters q, q + 1, ... (kernels/philox.py), as two uint64 a counter, the earlier word in the lower half.
Map: a register holds 8 counters (4 without AVX-512), and the source runs on a bundle of registers whose instructions alternate: a
single chain of ten rounds leaves the multipliers waiting. Left to itself, LLVM vectorizes the loop and takes one register at a
time, which is a sixth slower on an AMD Zen 4.
Deterministic: integers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from gpuinit.kernels.numba_primitives import teach
from gpuinit.kernels.philox import philox

__all__ = ["BUNDLE", "HALF", "LANES", "LOW", "PADDING", "draw", "draw_same_high_word", "draw_vectors"]

_AVX512 = llvm.get_host_cpu_features().get("avx512f", False)
LANES = 8 if _AVX512 else 4
BUNDLE = 3 if _AVX512 else 1
PADDING = 2 * LANES * BUNDLE
"""How many uint64 beyond those asked for `draw` may write."""

LOW, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_U64 = ir.IntType(64)
_VECTOR = ir.VectorType(_U64, LANES)


class _Lanes:
    """A bundle of registers that emits LLVM code for the operators of the Python source, one register after the other."""

    def __init__(self, builder: Any, values: list[Any]) -> None:
        self.builder = builder
        self.values = values

    def _each(self, operation: Callable[..., Any], other: Any) -> _Lanes:
        others = other.values if isinstance(other, _Lanes) else [ir.Constant(_VECTOR, [int(other)] * LANES)] * len(self.values)
        return _Lanes(self.builder, [operation(a, b) for a, b in zip(self.values, others, strict=True)])

    def __add__(self, other: Any) -> _Lanes:
        return self._each(self.builder.add, other)

    def __mul__(self, other: Any) -> _Lanes:
        return self._each(self.builder.mul, other)

    def __and__(self, other: Any) -> _Lanes:
        return self._each(self.builder.and_, other)

    def __or__(self, other: Any) -> _Lanes:
        return self._each(self.builder.or_, other)

    def __xor__(self, other: Any) -> _Lanes:
        return self._each(self.builder.xor, other)

    def __lshift__(self, other: Any) -> _Lanes:
        return self._each(self.builder.shl, other)

    def __rshift__(self, other: Any) -> _Lanes:
        return self._each(self.builder.lshr, other)


def _splat(builder: Any, scalar: Any) -> Any:
    first = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(first, ir.Constant(_VECTOR, ir.Undefined), zeros)


@intrinsic
def draw_vectors(typingctx: Any, words: Any, place: Any, bundle: Any, low: Any, high: Any, key: Any) -> Any:
    """Write the words of the `bundle` (a literal) times LANES counters from (low, high) on into `words` from index `place` on.

    `low` and its successors are taken modulo 2^32; `key` is the tuple (seed0, seed1, stream0, stream1), all below 2^32.
    """
    if not isinstance(bundle, types.IntegerLiteral):
        return None
    registers = bundle.literal_value

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        array = context.make_array(words)(context, builder, args[0])
        first = builder.gep(array.data, [args[1]])
        seeds = [builder.extract_value(args[5], k) for k in range(4)]

        def everywhere(scalar: Any) -> _Lanes:
            return _Lanes(builder, [_splat(builder, scalar)] * registers)

        steps = [ir.Constant(_VECTOR, [r * LANES + lane for lane in range(LANES)]) for r in range(registers)]
        q = (everywhere(args[3]) + _Lanes(builder, steps)) & LOW
        seed0, seed1, stream0, stream1 = (everywhere(seed) & LOW for seed in seeds)
        w0, w1, w2, w3 = philox(q, everywhere(args[4]) & LOW, stream0, stream1, seed0, seed1)
        pairs = zip(((w1 << HALF) | w0).values, ((w3 << HALF) | w2).values, strict=True)
        for r, (even, odd) in enumerate(pairs):
            for half in range(2):
                order = [lane // 2 + half * LANES // 2 + (lane % 2) * LANES for lane in range(LANES)]
                mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), order)
                offset = ir.Constant(_U64, (2 * r + half) * LANES)
                target = builder.bitcast(builder.gep(first, [offset]), _VECTOR.as_pointer())
                builder.store(builder.shuffle_vector(even, odd, mask), target, align=8)
        return context.get_dummy_value()

    return types.void(words, types.int64, bundle, types.uint64, types.uint64, types.UniTuple(types.uint64, 4)), generate


def draw(words: Any, first: Any, count: Any, key: Any) -> None:
    """The words of the counters first, first + 1, ...; what lies behind them, up to PADDING words, may be overwritten."""
    low = first & LOW
    before_carry = min(count, np.int64(np.uint64(2**32) - low))
    draw_same_high_word(words, low, first >> HALF, before_carry, key)
    if before_carry < count:
        rest = words[2 * before_carry :]
        draw_same_high_word(rest, np.uint64(0), (first >> HALF) + np.uint64(1), count - before_carry, key)


def draw_same_high_word(words: Any, low: Any, high: Any, count: Any, key: Any) -> None:
    """As `draw`, for counters that share their upper word."""
    seeds = (key[0], key[1], key[2], key[3])
    c = 0
    while c + LANES * BUNDLE <= count:
        draw_vectors(words, 2 * c, BUNDLE, low + np.uint64(c), high, seeds)
        c += LANES * BUNDLE
    while c < count:
        draw_vectors(words, 2 * c, 1, low + np.uint64(c), high, seeds)
        c += LANES


teach(draw)
teach(draw_same_high_word)
