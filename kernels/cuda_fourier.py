"""Kernels of the short-time Fourier transform on a GPU. A Numba CUDA kernel.

Formula: value = cast(window[t] * wave(t f modulo 2 half, half)), wave the cosine or minus the sine of `kernels.trigonometry`.
Map: along y the times t, along x the frequencies f.
Deterministic: every value depends on its t and f alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from gpuinit.kernels import narrow, trigonometry
from gpuinit.kernels.cuda_parts import ID_DTYPES
from gpuinit.kernels.memory import load, store
from gpuinit.kernels.primitives import add, bits, both, quotient, select, subtract, unbits

__all__ = ["as_it_is", "fourier_part", "to_nearest", "to_odd"]

_ZERO = np.float64(0.0)
_WAVES = {"real": trigonometry.cosine, "imag": trigonometry.minus_sine}


def as_it_is(x: Any) -> Any:
    """A float64."""
    return x


def to_nearest(x: Any) -> Any:
    """A float64 rounded to float32."""
    return np.float32(x)


def to_odd(x: Any) -> Any:
    """A float64 rounded to odd in float32; rounding that to a narrower type equals rounding once (Boldo and Melquiond, 2008).

    The two are compared and not subtracted: x is a product, and a compiler would fuse it with the difference.
    """
    near = np.float32(x)
    back, pattern, one = np.float64(near), bits(near), np.uint32(1)
    away = select(x > _ZERO, x > back, x < back)
    odd = select(away, add(pattern, one), subtract(pattern, one))
    even = both(pattern, one) == np.uint32(0)
    return unbits(select(back == x, pattern, select(even, odd, pattern)))


@functools.cache
def fourier_part(side: str, storage: str, ids: str) -> tuple[Callable[..., Any], ...]:
    """part(x, wide, y, high, out, window, first_time, times, first_frequency, frequencies, half, jump, stride, rows).

    `window` is the address of a float64 for each time t of the whole kernel; time r of the selection's `times` is `first_time`
    + r, or the id. The window times the wave is rounded to float64, and that once to the storage type.
    """
    wave = _WAVES[side]
    round_to, stored = narrow.STORAGE[storage]
    computed = {"float64": as_it_is, "float32": to_nearest}.get(storage, to_odd)
    like, id_like, has_rows = np.float64(0), ID_DTYPES[ids](0), ids != "none"
    size, id_size = np.uint64(8), np.uint64(id_like.itemsize)

    def part(
        x: Any,
        wide: Any,
        y: Any,
        high: Any,
        out: Any,
        window: Any,
        first_time: Any,
        times: Any,
        first_frequency: Any,
        frequencies: Any,
        half: Any,
        jump: Any,
        stride: Any,
        rows: Any,
    ) -> None:
        run, period = y, half + half
        while run < times:
            time = first_time + run
            if has_rows:
                time = np.uint64(load(rows + run * id_size, id_like))
            weight = load(window + time * size, like)
            place = x
            while place < frequencies:
                product = time * (first_frequency + place)  # below 2^63, as the tensor has no more elements
                turn = product - quotient(product, period) * period
                store(out + run * jump + place * stride, stored(round_to(computed(weight * wave(turn, half)))))
                place += wide
            run += high

    return computed, part
