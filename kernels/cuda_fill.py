"""Fills of any part of a tensor on a GPU: column blocks, rows by id, strided outputs. A Numba CUDA kernel.

Formula: value = cast(clamp(fma(scale, quantile(word(key, i)), location), low, high)), i the element's linear index.
Map: along y the runs of the selection, each consecutive elements of the logical tensor; along x the counters that a run
touches. A thread draws a counter, computes its two or four values, and stores those that belong to the run: at once where
they lie side by side in memory, else one by one.
Deterministic: every value depends on its index alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from gpuinit.kernels import narrow, quantiles
from gpuinit.kernels.cuda_parts import ID_DTYPES, coordinates
from gpuinit.kernels.memory import load, store, store_group
from gpuinit.kernels.philox import philox32
from gpuinit.kernels.primitives import clamp, fma

__all__ = ["fill_part"]


@functools.cache
def fill_part(quantile: str, storage: str, ids: str) -> tuple[Callable[..., Any], ...]:
    """What one thread of the kernel does, behind the functions that it calls.

    part(x, wide, y, high, out, base, length, stride, slots, runs, count_2, count_3, steps, jumps, rows, packed, key, frame,
    c, k): thread x of `wide` along x, y of `high` along y. `out` is the address of the selection's first element and `base`
    its logical index; `stride` and the three `jumps` are bytes, the three `steps` logical elements; `slots` is how many
    counters a run touches at most; `rows` is the address of the ids. Where `packed` is 1, the elements of a run lie side by
    side. `frame`: scale, location of even and odd elements, low and high of even, low and high of odd ones.
    """
    wide_words = storage == "float64"
    depth_of, central, tail = quantiles.QUANTILES[quantile, 64 if wide_words else 32]
    round_to, stored = narrow.STORAGE[storage]
    id_like, has_rows = ID_DTYPES[ids](0), ids != "none"
    id_size = np.uint64(id_like.itemsize)
    size = np.uint64(np.dtype(stored).itemsize)
    half = np.uint64(32)
    per = np.uint64(2 if wide_words else 4)
    per_shift = np.uint64(1 if wide_words else 2)
    group = per * size
    one, two = np.uint64(1), np.uint64(2)
    tailed = quantile in quantiles.TAILED

    def value(word: Any, scale: Any, location: Any, low: Any, high: Any, c: Any, k: Any) -> Any:
        depth = depth_of(word, c, k)
        x = central(word, depth, c, k)
        if tailed and depth > c[5]:
            x = tail(word, depth, c, k)
        return stored(round_to(clamp(fma(x, scale, location), low, high)))

    def values32(counter: Any, key: Any, frame: Any, c: Any, k: Any) -> Any:
        low, high = np.uint32(counter & np.uint64(0xFFFFFFFF)), np.uint32(counter >> half)
        w0, w1, w2, w3 = philox32(low, high, key[2], key[3], key[0], key[1])
        v0 = value(w0, frame[0], frame[1], frame[3], frame[4], c, k)
        v1 = value(w1, frame[0], frame[2], frame[5], frame[6], c, k)
        v2 = value(w2, frame[0], frame[1], frame[3], frame[4], c, k)
        v3 = value(w3, frame[0], frame[2], frame[5], frame[6], c, k)
        return v0, v1, v2, v3

    def values64(counter: Any, key: Any, frame: Any, c: Any, k: Any) -> Any:
        low, high = np.uint32(counter & np.uint64(0xFFFFFFFF)), np.uint32(counter >> half)
        w0, w1, w2, w3 = philox32(low, high, key[2], key[3], key[0], key[1])
        v0 = value(np.uint64(w0) | np.uint64(w1) << half, frame[0], frame[1], frame[3], frame[4], c, k)
        v1 = value(np.uint64(w2) | np.uint64(w3) << half, frame[0], frame[2], frame[5], frame[6], c, k)
        return v0, v1

    def store_each32(target: Any, stride: Any, element: Any, length: Any, drawn: Any) -> None:
        store_each64(target, stride, element, length, (drawn[0], drawn[1]))
        store_each64(target + two * stride, stride, element + two, length, (drawn[2], drawn[3]))

    def store_each64(target: Any, stride: Any, element: Any, length: Any, drawn: Any) -> None:
        if element < length:
            store(target, drawn[0])
        if element + one < length:
            store(target + stride, drawn[1])

    values, store_each = (values64, store_each64) if wide_words else (values32, store_each32)

    def part(
        x: Any,
        wide: Any,
        y: Any,
        high: Any,
        out: Any,
        base: Any,
        length: Any,
        stride: Any,
        slots: Any,
        runs: Any,
        count_2: Any,
        count_3: Any,
        steps: Any,
        jumps: Any,
        rows: Any,
        packed: Any,
        key: Any,
        frame: Any,
        c: Any,
        k: Any,
    ) -> None:
        run = y
        while run < runs:
            first, second, third = coordinates(run, count_2, count_3)
            address = out + first * jumps[0] + second * jumps[1] + third * jumps[2]
            if has_rows:
                first = np.uint64(load(rows + first * id_size, id_like))
            index = base + first * steps[0] + second * steps[1] + third * steps[2]
            slot = x
            while slot < slots:
                element = slot * per - (index & (per - one))  # may lie before the run: beyond its length then
                drawn = values((index >> per_shift) + slot, key, frame, c, k)
                target = address + element * stride
                inside = element < length and length - element >= per
                if packed == one and inside and target & (group - one) == np.uint64(0):
                    store_group(target, drawn)
                else:
                    store_each(target, stride, element, length, drawn)
                slot += wide
            run += high

    return (value, values, *((store_each64,) if store_each is store_each32 else ()), store_each, part)
