"""Compiled CPU fills: one kernel for any part of a tensor, specialized for each quantile and element type.

Formula: value = cast(clamp(fma(scale, quantile(word(key, i)), location), low, high)), i the element's linear index.
Map: a selection is a sequence of runs, consecutive elements of the logical tensor. A run goes through a tile: 480 counters
are drawn into words, then the words become values, a bundle of vector registers at a time. Only a bundle that holds a word of
the tail is gone over again. A user's quantile that calls functions of math goes element by element, since they take no registers.
Deterministic: every value depends on its index alone; how the work is cut into calls does not matter.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import carray, njit
from numba.core import types
from numba.extending import intrinsic
from numba.np.numpy_support import from_dtype

from gpuinit.kernels import narrow as rounding
from gpuinit.kernels import programs, quantiles
from gpuinit.kernels.cache import compile_once, named
from gpuinit.kernels.cpu_draw import PADDING, draw
from gpuinit.kernels.numba_lane_access import alternate, load_lanes, store_lanes, stream_lanes
from gpuinit.kernels.numba_lanes import BUNDLE, any_lane, lanes_of
from gpuinit.kernels.numba_primitives import teach
from gpuinit.kernels.numba_source import teach_quantile
from gpuinit.kernels.primitives import clamp, fma, select

__all__ = ["compiled_fill", "pointer", "store", "store_strided"]

COUNTERS = 480


@intrinsic
def pointer(typingctx: Any, address: Any, like: Any) -> Any:
    """The address as a pointer to elements of the array `like`."""
    kind = types.CPointer(like.dtype)
    return kind(address, like), lambda context, builder, sig, args: builder.inttoptr(args[0], context.get_value_type(kind))


@intrinsic
def store(typingctx: Any, address: Any, value: Any) -> Any:
    """Write one element to any address, aligned or not."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = builder.inttoptr(args[0], context.get_value_type(value).as_pointer())
        builder.store(args[1], pointer, align=1)
        return context.get_dummy_value()

    return types.void(address, value), generate


def store_strided(address: Any, stride: Any, tile: Any, count: Any) -> None:
    """Copy a tile's first elements to addresses `stride` bytes apart."""
    for e in range(count):
        store(address + e * stride, tile[e])


teach(store_strided)


@functools.cache
def compiled_fill(quantile: str, storage: str, paired: bool) -> Any:
    """The fill kernel of a quantile and a real element type; `paired` where real and imaginary parts alternate.

    fill(address, first, last, base, length, axes, rows, stride, key, reals, integers) writes the elements first .. last - 1 of
    the selection in its own C order. `axes` has a row an outer axis, innermost last: count, stride in elements of the logical
    tensor, stride in bytes of the output. `rows`, if not empty, holds the ids that stand for the first axis. A run is `length`
    consecutive logical elements, `stride` bytes apart in the output; `base` and `address` belong to the selection's first.
    `stream`: write past the caches where the quantile and the addresses allow.
    """
    name = f"fill-{quantile}-{storage}-{'paired' if paired else 'single'}"
    wide = storage == "float64"
    depth_of, central, tail = quantiles.QUANTILES[quantile, 64 if wide else 32]
    teach_quantile(quantile, 64 if wide else 32)
    one_by_one = quantile in programs.PROGRAMS and programs.PROGRAMS[quantile].calls_math
    narrow, stored = rounding.STORAGE[storage]
    word, real = (np.uint64, np.float64) if wide else (np.uint32, np.float32)
    has_tail = quantile in quantiles.TAILED
    per_counter = 2 if wide else 4
    tile_size = COUNTERS * per_counter
    block_size = BUNDLE * lanes_of(from_dtype(np.dtype(word)))
    itemsize = np.dtype(stored).itemsize

    def finish(x: Any, frame: Any) -> Any:
        scale, even, odd, low, high, odd_low, odd_high = frame
        if paired:
            x = fma(x, scale, alternate(even, odd))
            return narrow(clamp(x, alternate(low, odd_low), alternate(high, odd_high)))
        return narrow(clamp(fma(x, scale, even), low, high))

    finish = njit(forceinline=True)(named(finish, f"{name}-finish"))

    def evaluate(out: Any, stream: Any, words: Any, skip: Any, blocks: Any, deep: Any, reals: Any, integers: Any) -> None:
        frame = (reals[0], reals[1], reals[2], reals[3], reals[4], reals[5], reals[6])
        c = (reals[7], reals[8], reals[9], reals[10], reals[11], reals[12], reals[13])
        k = (integers[0], integers[1], integers[2])
        for block in range(blocks):
            word = load_lanes(words, skip + block * block_size)
            depth = depth_of(word, c, k)
            if has_tail:
                deep[block] = any_lane(depth > c[5])
            x = finish(central(word, depth, c, k), frame)
            if stream and not has_tail:  # a bundle with a tail is written twice, and better so in the cache
                stream_lanes(out, block * block_size, x)
            else:
                store_lanes(out, block * block_size, x)
        if has_tail:  # a loop of its own, because constants stay in registers where no rare branch stands between
            for block in range(blocks):
                if deep[block]:
                    word = load_lanes(words, skip + block * block_size)
                    depth = depth_of(word, c, k)
                    x = select(depth > c[5], tail(word, depth, c, k), central(word, depth, c, k))
                    store_lanes(out, block * block_size, finish(x, frame))

    def evaluate_singly(out: Any, stream: Any, words: Any, skip: Any, blocks: Any, deep: Any, reals: Any, integers: Any) -> None:
        c = (reals[7], reals[8], reals[9], reals[10], reals[11], reals[12], reals[13])
        k = (integers[0], integers[1], integers[2])
        for e in range(blocks * block_size):
            odd = paired and e & 1 == 1
            x = fma(central(words[skip + e], reals[0], c, k), reals[0], reals[2 if odd else 1])
            out[e] = stored(narrow(clamp(x, reals[5 if odd else 3], reals[6 if odd else 4])))

    evaluate = njit(named(evaluate_singly if one_by_one else evaluate, f"{name}-evaluate"))

    def fill(
        address: Any,
        first: Any,
        last: Any,
        base: Any,
        length: Any,
        axes: Any,
        rows: Any,
        stride: Any,
        key: Any,
        reals: Any,
        integers: Any,
        stream: Any,
    ) -> None:
        pairs = np.zeros(2 * COUNTERS + max(block_size, PADDING), np.uint64)
        words = pairs.view(word)
        tile = np.empty(tile_size + block_size, stored)
        deep = np.empty(tile_size // block_size + 1, np.bool_)
        position = first
        while position < last:
            run = position // length
            offset = position - run * length
            wanted = min(length - offset, last - position)
            position += wanted
            index = base + np.uint64(offset)
            target = address + offset * stride
            for axis in range(axes.shape[0] - 1, -1, -1):
                count = axes[axis, 0]
                coordinate = run % count
                run //= count
                target += coordinate * axes[axis, 2]
                if axis == 0 and rows.size > 0:
                    coordinate = rows[coordinate]
                index += np.uint64(coordinate) * np.uint64(axes[axis, 1])
            counter = index // np.uint64(per_counter)
            skip = np.int64(index % np.uint64(per_counter))
            while wanted > 0:
                here = min(tile_size - skip, wanted)
                draw(pairs, counter, (skip + here + per_counter - 1) // per_counter, key)
                lead = skip & 1 if paired else 0  # a bundle begins with a real part
                if stride == itemsize and here % block_size == 0 and lead == 0 and target % itemsize == 0:
                    out = carray(pointer(target, tile), (here,))
                    evaluate(out, stream and target % 64 == 0, words, skip, here // block_size, deep, reals, integers)
                else:
                    evaluate(tile, False, words, skip - lead, (lead + here + block_size - 1) // block_size, deep, reals, integers)
                    store_strided(target, stride, tile[lead:], here)
                target += here * stride
                counter += np.uint64((skip + here) // per_counter)
                wanted -= here
                skip = 0

    i8, u8, read_only = types.int64, types.uint64, functools.partial(types.Array, layout="C", readonly=True)
    geometry = (i8, i8, i8, u8, i8, read_only(i8, 2), read_only(i8, 1), i8)
    constants = (read_only(u8, 1), read_only(from_dtype(np.dtype(real)), 1), read_only(from_dtype(np.dtype(word)), 1))
    return compile_once(fill, geometry + constants + (types.boolean,), name)
