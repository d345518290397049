"""The stream contract run by NumPy alone: the executable specification, and the CPU path until compiled code pays.

Slow (one to fifteen million values a second), needs no Numba, allocates a few hundred kilobytes whatever the size.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuinit import dtypes
from gpuinit.kernels import quantiles
from gpuinit.kernels.philox import philox
from gpuinit.kernels.primitives import clamp, fma
from gpuinit.key import Key
from gpuinit.region import Region
from gpuinit.sampler import Sampler

__all__ = ["fill", "values", "words"]

CHUNK = 2**13
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


def fill(out: np.ndarray[Any, Any], sampler: Sampler, region: Region, key: Key) -> None:
    """Write the region of the sampled tensor into `out`, an array of any strides of the region's shape."""
    real = dtypes.component(out.dtype)
    parts = out.dtype.itemsize // real.itemsize
    for start in range(0, region.size, CHUNK):
        stop = min(start + CHUNK, region.size)
        index = region.indices(start, stop)
        if parts == 2:
            index = (index[:, None] * np.uint64(2) + np.arange(2, dtype=np.uint64)).reshape(-1)
        block = values(sampler, key, index).view(out.dtype)
        if out.flags.c_contiguous:
            out.reshape(-1)[start:stop] = block
        else:
            out[np.unravel_index(np.arange(start, stop), out.shape)] = block


def values(sampler: Sampler, key: Key, index: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The values of the components (elements of a real tensor) at the linear indices `index` (uint64), in the component dtype."""
    scale, *frame = sampler.reals[:7]
    c, k = tuple(sampler.reals[7:]), tuple(sampler.integers)
    word = words(key, index, sampler.reals.dtype.itemsize * 8)
    first_part = index & np.uint64(1) == 0
    location, low, high = (np.where(first_part, frame[a], frame[b]) for a, b in ((0, 1), (2, 4), (3, 5)))
    with np.errstate(all="ignore"):
        standard = _standard(sampler.quantile, word, c, k)
        drawn: np.ndarray[Any, Any] = clamp(fma(standard, scale, location), low, high)
        return drawn.astype(dtypes.component(sampler.dtype))


def _standard(quantile: str, word: Any, c: Any, k: Any) -> Any:
    depth_of, central, tail = quantiles.QUANTILES[quantile, word.dtype.itemsize * 8]
    depth = depth_of(word, c, k)
    standard = central(word, depth, c, k)
    if quantile not in quantiles.TAILED:
        return standard
    deep = np.flatnonzero(depth > c[5])
    if deep.size:
        standard[deep] = tail(word[deep], depth[deep], c, k)
    return standard


def words(key: Key, index: np.ndarray[Any, Any], bits: int) -> np.ndarray[Any, Any]:
    """The word of each element: of 32 bits, word i % 4 of counter i // 4; of 64 bits, words 2 (i % 2) + 1 and 2 (i %
    2) of i // 2."""
    per_counter = np.uint64(128 // bits)
    counter, lane = np.divmod(index, per_counter)
    counters, place = counter, np.arange(len(index))
    if len(index) and int(counter.max()) - int(counter.min()) < len(index):  # neighbours share counters: draw each once
        counters = np.arange(counter.min(), counter.max() + np.uint64(1), dtype=np.uint64)
        place = (counter - counters[0]).astype(np.intp)
    output = np.stack(philox(counters & _LOW, counters >> _HALF, *_words_of(key.stream), *_words_of(key.seed)), axis=-1)
    if bits == 64:
        output = (output[:, 1::2] << _HALF) | output[:, ::2]
    return output[place, lane.astype(np.intp)].astype(np.uint32 if bits == 32 else np.uint64)


def _words_of(number: int) -> tuple[Any, Any]:
    return np.uint64(number & 0xFFFFFFFF), np.uint64(number >> 32)
