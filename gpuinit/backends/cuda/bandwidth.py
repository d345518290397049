"""How fast a GPU's memory is written, timed by the GPU itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["rates"]

ROUNDS = 5
REPEATS = 8
"""Fills between two events: the GPU has the next at hand while it works, so that launching takes no time from it."""


def rates(number: int, out: Any, fills: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """GB/s of writing `out` by the driver's memset and by each of `fills`.

    Args:
        number: N of "cuda:N". out: a contiguous CuPy array there.
        fills: by name, functions that put one fill of `out` on CuPy's current stream.

    Returns:
        The best of 5 rounds of 8 fills, "memset" first. What compiles and loads kernels is not counted.
    """
    import cupy

    with cupy.cuda.Device(number):
        stream = cupy.cuda.get_current_stream()

        def memset() -> None:
            cupy.cuda.runtime.memsetAsync(out.data.ptr, 0, out.nbytes, stream.ptr)

        return {name: out.nbytes / _seconds(cupy.cuda, stream, work) / 1e9 for name, work in {"memset": memset, **fills}.items()}


def _seconds(cuda: Any, stream: Any, work: Callable[[], object]) -> float:
    """The time of one call's work on the GPU."""
    began, ended = cuda.Event(), cuda.Event()
    for _ in range(REPEATS):
        work()
    times = []
    for _ in range(ROUNDS):
        began.record(stream)
        for _ in range(REPEATS):
            work()
        ended.record(stream)
        ended.synchronize()
        times.append(cuda.get_elapsed_time(began, ended) / 1e3 / REPEATS)
    return float(min(times))
