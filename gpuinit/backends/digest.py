"""The compiled digest over the pool of threads."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from gpuinit.backends import compiled, threads

__all__ = ["measure", "worthwhile"]

LEAST = 2**18
"""From this size on the compiled digest pays, even if it must be loaded first."""


def worthwhile(values: np.ndarray[Any, Any]) -> bool:
    """Whether `measure` covers these values, and they are enough for it to pay."""
    if values.size < LEAST or values.strides != (values.itemsize,) or not compiled.usable():
        return False
    from gpuinit.kernels.cpu_digest import covers

    return bool(covers(values.dtype))


def measure(values: np.ndarray[Any, Any], start: int, step: int) -> list[tuple[int, int, float, float, float, float]] | None:
    """Hash, count, mean, sum of squares about it, least and greatest value of each piece of a contiguous 1-D real array.

    Element j has index start + j step modulo 2^64. None if some value is not finite: then NumPy should look.
    """
    from gpuinit.kernels.cpu_digest import compiled_digest

    kernel = compiled_digest(values.dtype.name)
    patterns = values.view(f"u{values.itemsize}")
    pieces: list[tuple[int, int, float, float, float, float]] = []
    strange: list[float] = []
    lock = threading.Lock()

    def work(first: int, last: int) -> None:
        hash, numbers = np.zeros(1, np.uint64), np.zeros(5)
        kernel(patterns[first:last], np.uint64((start + first * step) % 2**64), np.uint64(step), hash, numbers)
        mean, spread, least, greatest, not_finite = numbers.tolist()
        with lock:
            pieces.append((int(hash[0]), last - first, mean, spread, least, greatest))
            strange.append(not_finite)

    threads.run(work, values.size)
    return None if any(strange) else sorted(pieces)
