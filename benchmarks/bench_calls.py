"""What does a small call cost, and how long does a process take to its first tensor?"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from typing import Any

import pytest

import gpuinit
from benchmarks import peers, sizes
from benchmarks.pairs import interleaved

REPEAT = 2 if sizes.QUICK else 200


@pytest.mark.parametrize("size", [1, 256, 10_000, 100_000])
@pytest.mark.parametrize("name", ["uniform", "truncated_normal"])
def test_small_call(benchmark: Any, one_thread: None, name: str, size: int) -> None:
    """init((n,)) once compiled, beside torch.empty(n) and its torch.nn.init twin."""
    torch = peers.found("torch")
    gpuinit.RandomUniform(seed=1)((2**21,))  # from here on everything is compiled
    initializer = gpuinit.RandomUniform(-1.0, 1.0, seed=1) if name == "uniform" else gpuinit.TruncatedNormal(0.0, 1.0, seed=1)
    twin = torch and (torch.nn.init.uniform_ if name == "uniform" else torch.nn.init.trunc_normal_)
    values = initializer((size,), device="cpu")
    assert values.shape == (size,) and abs(values).max() <= (1.0 if name == "uniform" else 2.0)

    def ours() -> None:
        for _ in range(REPEAT):
            initializer((size,))

    def theirs() -> None:
        for _ in range(REPEAT):
            twin(torch.empty(size))

    others = {f"torch.nn.init.{twin.__name__}": theirs} if torch else {}
    median = interleaved(benchmark, ours, others, size * REPEAT, sizes.rounds(15))
    benchmark.extra_info["us a call"] = round(1e6 * median / REPEAT, 2)


PROCESSES = {
    "import gpuinit": "import gpuinit",
    "first HeNormal (256, 128)": "import gpuinit; gpuinit.HeNormal(seed=1)((256, 128))",
}


@pytest.mark.parametrize("what", PROCESSES)
def test_process(benchmark: Any, what: str) -> None:
    """A whole Python process, beside one that imports NumPy alone."""

    def run(code: str) -> Any:
        return lambda: subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""})

    interleaved(benchmark, run(PROCESSES[what]), {"import numpy": run("import numpy")}, 1, sizes.rounds(15))
    started = []
    for _ in range(sizes.rounds(9)):
        begin = time.perf_counter()
        run(PROCESSES[what])()
        started.append(time.perf_counter() - begin)
    del benchmark.extra_info["G/s"]
    benchmark.extra_info["ms a process"] = round(1e3 * statistics.median(started), 1)
