"""What does a table that is not there cost: to make it, to look up one row, to look up a million, on one thread?

The peer is torch.nn.functional.embedding with the same ids on a table of 10^6 rows that lies in memory: it copies what it finds,
and nothing has been drawn. Page faults of the new rows are in both times.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuinit
from benchmarks import peers, sizes
from benchmarks.pairs import interleaved

ROWS, WIDTH, COUNT, REPEAT = 10**12, 128, sizes.size(10**6), 2 if sizes.QUICK else 200
CASES = {
    "uniform-float32": ("random_uniform", "float32"),
    "normal-float32": ("random_normal", "float32"),
    "truncated_normal-float32": ("truncated_normal", "float32"),
    "truncated_normal-bfloat16": ("truncated_normal", "bfloat16"),
}


def embedding(dtype: str, ids: np.ndarray[Any, Any]) -> dict[str, Any]:
    torch = peers.found("torch")
    if torch is None:
        return {}
    weight, given = torch.ones((sizes.size(10**6), WIDTH), dtype=getattr(torch, dtype)), torch.from_numpy(ids)
    return {"torch.nn.functional.embedding": lambda: torch.nn.functional.embedding(given, weight)}


def repeated(work: Any) -> Any:
    def several() -> None:
        for _ in range(REPEAT):
            work()

    return several


def test_table_construction(benchmark: Any) -> None:
    """Table((10**12, 128), ..), a key folded from a name."""
    make = repeated(lambda: gpuinit.Table((ROWS, WIDTH), "truncated_normal", seed=1, name="users"))
    median = interleaved(benchmark, make, {}, REPEAT, sizes.rounds(15))
    del benchmark.extra_info["G/s"]
    benchmark.extra_info["us a call"] = round(1e6 * median / REPEAT, 1)


@pytest.mark.parametrize("kind", ["table[5]", "table[[5]]", "rows_into(out, ids)"])
def test_table_one_row(benchmark: Any, one_thread: None, kind: str) -> None:
    gpuinit.RandomUniform(seed=1)((2**21,))  # from here on everything is compiled
    table = gpuinit.Table((ROWS, WIDTH), "random_uniform", seed=1, device="cpu")
    ids, out = np.array([5]), np.empty((1, WIDTH), np.float32)
    work = {"table[5]": lambda: table[5], "table[[5]]": lambda: table[[5]]}.get(kind, lambda: table.rows_into(out, ids))
    others = {name: repeated(peer) for name, peer in embedding("float32", ids).items()}
    median = interleaved(benchmark, repeated(work), others, WIDTH * REPEAT, sizes.rounds(15))
    benchmark.extra_info["us a call"] = round(1e6 * median / REPEAT, 1)


@pytest.mark.parametrize("case", CASES)
def test_table_rows(benchmark: Any, one_thread: None, case: str) -> None:
    """A million random rows, repeats among them, as a new array."""
    init, dtype = CASES[case]
    table = gpuinit.Table((ROWS, WIDTH), init, dtype, seed=1, device="cpu")
    ids = np.random.default_rng(1).integers(0, sizes.size(10**6), COUNT)
    whole = table[: sizes.size(10**5)]
    known = ids[ids < len(whole)][:1000]
    assert len(known) and (table[known] == whole[known]).all()
    median = interleaved(benchmark, lambda: table[ids], embedding(dtype, ids), COUNT * WIDTH, sizes.rounds(9))
    benchmark.extra_info["M rows/s"] = round(COUNT / median / 1e6, 2)
