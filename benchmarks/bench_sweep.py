"""What does an element cost, from 2^10 to 2^30 of them, one thread on every side?

Into memory that is there and that all sides share; the constant fill is NumPy's, of the same memory. Small fills are repeated
until a round lasts a few milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import gpuinit
from benchmarks import peers, sizes
from benchmarks.pairs import interleaved
from benchmarks.subjects import LAWS, checked, touched

SIZES = tuple(2**k for k in (range(10, 13, 2) if sizes.QUICK else range(10, 31, 2)))
CASES = ("uniform-float32", "normal-float32", "truncated normal-bfloat16")
SLOW = 2**24
"""Where PyTorch's truncated normal takes a second: larger ones are left out."""


def repeated(work: Callable[[], Any], times: int) -> Callable[[], None]:
    def several() -> None:
        for _ in range(times):
            work()

    return several


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("case", CASES)
def test_sweep(benchmark: Any, one_thread: None, case: str, size: int) -> None:
    law, dtype = case.split("-")
    gpuinit.RandomUniform(seed=1)((2**21,), device="cpu")  # from here on everything is compiled
    out = touched(size, dtype)
    LAWS[law].fill(out)
    checked(law, out)
    others = peers.filling(law, out) if law != "truncated normal" or size <= SLOW else {}
    others["constant fill"] = lambda: out.fill(1)
    times = sizes.rounds(max(1, 2**20 // size))
    rounds = sizes.rounds(3 if size >= 2**28 else 7)
    work = {name: repeated(peer, times) for name, peer in others.items()}
    median = interleaved(benchmark, repeated(lambda: LAWS[law].fill(out), times), work, size * times, rounds)
    benchmark.extra_info["ns an element"] = round(1e9 * median / times / size, 4)
    benchmark.extra_info["size"] = size
