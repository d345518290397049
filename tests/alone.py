"""A quantile's central part compiled alone, without the generator and the loop around it: a tenth of a kernel's compilation."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from gpuinit.kernels import quantiles
from gpuinit.kernels.numba_lane_access import load_lanes, store_lanes
from gpuinit.kernels.numba_lanes import BUNDLE, lanes_of
from gpuinit.kernels.numba_source import teach_quantile
from gpuinit.kernels.primitives import bits
from gpuinit.sampler import Sampler

__all__ = ["by_numpy", "in_registers", "one_by_one"]


@functools.cache
def _compiled(quantile: str, width: int, registers: bool) -> tuple[Callable[..., None], int]:
    teach_quantile(quantile, width)
    central = quantiles.QUANTILES[quantile, width][1]
    block = BUNDLE * lanes_of(numba.uint32 if width == 32 else numba.uint64)

    def bundles(out: Any, words: Any, depth: Any, c: Any, k: Any) -> None:
        for place in range(0, len(words), block):
            store_lanes(out, place, bits(central(load_lanes(words, place), depth, c, k)))

    def singles(out: Any, words: Any, depth: Any, c: Any, k: Any) -> None:
        for place in range(len(words)):
            out[place] = bits(central(words[place], depth, c, k))

    function = bundles if registers else singles
    function.__qualname__ = f"alone-{quantile}-{width}-{'bundles' if registers else 'singles'}"
    return numba.njit(function), block


def _run(sampler: Sampler, words: np.ndarray[Any, Any], registers: bool) -> np.ndarray[Any, Any]:
    run, block = _compiled(sampler.quantile, sampler.reals.itemsize * 8, registers)
    padded = np.resize(words, -(-len(words) // block) * block)
    out = np.full(len(padded), 0xCACACACA, words.dtype)
    run(out, padded, *_arguments(sampler))
    return out[: len(words)].view(sampler.reals.dtype)


def in_registers(sampler: Sampler, words: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The standard values of words, a bundle of registers at a time."""
    return _run(sampler, words, True)


def one_by_one(sampler: Sampler, words: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The standard values of words, one after the other, as a thread of a GPU has them."""
    return _run(sampler, words, False)


def by_numpy(sampler: Sampler, words: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The standard values of words by the specification."""
    with np.errstate(all="ignore"):
        values: np.ndarray[Any, Any] = quantiles.QUANTILES[sampler.quantile, words.itemsize * 8][1](words, *_arguments(sampler))
        return values


def _arguments(sampler: Sampler) -> tuple[Any, ...]:
    return sampler.reals[0], tuple(sampler.reals[7:]), tuple(sampler.integers)
