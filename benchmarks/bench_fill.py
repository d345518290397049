"""How fast is a dense fill by dtype, beside other generators and beside a constant fill of the same memory?

2^26 elements into memory already touched and shared by all sides, one thread against one; then with all processors, beside a
constant fill; then a new tensor with all processors, page faults included. PyTorch's and NumPy's generators are serial, so a
ratio at several threads would measure the processors.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import gpuinit
from benchmarks import peers, sizes
from benchmarks.pairs import interleaved
from benchmarks.subjects import LAWS, checked, touched

SIZE = sizes.size(2**26)
NEW = sizes.size(2**25)
CASES = (
    "uniform-float32",
    "normal-float32",
    "truncated normal-float32",
    "normal-bfloat16",
    "normal-float16",
    "normal-float64",
)
NEW_CASES = ("uniform-float32", "normal-float32", "truncated normal-float32", "normal-bfloat16", "normal-float64")


@pytest.mark.parametrize("case", CASES)
def test_one_thread(benchmark: Any, one_thread: None, case: str) -> None:
    law, dtype = case.split("-")
    out = touched(SIZE, dtype)
    LAWS[law].fill(out)
    checked(law, out)
    rounds = sizes.rounds(5 if law == "truncated normal" else 7)
    interleaved(benchmark, lambda: LAWS[law].fill(out), peers.filling(law, out), SIZE, rounds)


@pytest.mark.parametrize("case", CASES)
def test_all_threads(benchmark: Any, case: str) -> None:
    """Beside a constant fill by as many threads, which the memory bounds."""
    law, dtype = case.split("-")
    out, other = touched(SIZE, dtype), touched(SIZE, dtype)
    LAWS[law].fill(out)
    checked(law, out)
    pieces = np.array_split(other, gpuinit.get_num_threads())
    with ThreadPoolExecutor(len(pieces)) as pool:
        constant = {"constant fill": lambda: list(pool.map(lambda piece: piece.fill(1), pieces))}
        interleaved(benchmark, lambda: LAWS[law].fill(out), constant, SIZE, sizes.rounds(9))
    benchmark.extra_info["threads"] = len(pieces)


@pytest.mark.parametrize("case", NEW_CASES)
def test_new_tensor(benchmark: Any, case: str) -> None:
    """init(shape) beside what makes a new tensor elsewhere, all threads on every side."""
    law, dtype = case.split("-")
    checked(law, LAWS[law]((NEW,), dtype, device="cpu"))
    rounds = sizes.rounds(3 if law == "truncated normal" else 7)
    interleaved(benchmark, lambda: LAWS[law]((NEW,), dtype, device="cpu"), peers.making(law, dtype, NEW), NEW, rounds)
