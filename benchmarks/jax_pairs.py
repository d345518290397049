"""gpuinit.jax beside jax.nn.initializers, inside jit and outside: `.venv-frameworks/bin/python -m benchmarks.jax_pairs`.

Prints times as medians of ratios of interleaved calls, and the most memory that one tensor takes while it is made, in a process
of its own, over what that held before.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

import gpuinit.jax
from benchmarks.pairs import seconds

KEY = jax.random.key(5)
SHAPE = (4096, 4096)
LARGE = (16384, 4096)
ROUNDS = 9
CASES = {
    "he_normal": "float32",
    "glorot_uniform": "float32",
    "normal": "float32",
    "he_normal in bfloat16": "bfloat16",
}


def made(module: Any, case: str, dtype: str, jit: bool) -> Callable[[], Any]:
    """A call that makes the tensor and waits for it."""
    init = getattr(module, case.partition(" ")[0])(dtype=dtype)
    draw = jax.jit(lambda key: init(key, SHAPE)) if jit else lambda key: init(key, SHAPE)
    return lambda: draw(KEY).block_until_ready()


def times(case: str, dtype: str) -> tuple[float, float, float]:
    """JAX's time over ours outside jit and inside, and ours inside over ours outside."""
    modules = (gpuinit.jax, jax.nn.initializers)
    works = [made(module, case, dtype, jit) for module in modules for jit in (False, True)]
    for work in works:
        work()
    rounds = [[seconds(work) for work in works] for _ in range(ROUNDS)]
    pairs = ((2, 0), (3, 1), (1, 0))
    outside, inside, callback = (statistics.median(each[a] / each[b] for each in rounds) for a, b in pairs)
    return outside, inside, callback


def peak() -> int:
    """The most memory this process has held since it was last asked to forget, in bytes."""
    return int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]) * 1024


def memory(who: str, jit: str) -> None:
    """Print the most memory held while a large he_normal tensor is made, over its size."""
    init = (gpuinit.jax if who == "gpuinit" else jax.nn.initializers).he_normal()
    init(KEY, (1024, 1025)).block_until_ready()  # enough for gpuinit's compiled code to be loaded
    Path("/proc/self/clear_refs").write_text("5")
    before = peak()
    made = (jax.jit(lambda key: init(key, LARGE)) if jit == "inside" else lambda key: init(key, LARGE))(KEY)
    made.block_until_ready()
    print((peak() - before) / made.nbytes)


def main() -> None:
    """Print both tables."""
    print(f"{SHAPE}, {ROUNDS} rounds: JAX / gpuinit outside jit, inside; gpuinit inside / outside")
    for case, dtype in CASES.items():
        print(f"{case:24}", *(f"{ratio:8.2f}" for ratio in times(case, dtype)))
    print(f"he_normal {LARGE}: memory over the tensor's size")
    for who in ("gpuinit", "jax"):
        for jit in ("outside", "inside"):
            command = [sys.executable, "-m", "benchmarks.jax_pairs", who, jit]
            print(f"{who:8} {jit:8}", subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()[:5])


if __name__ == "__main__":
    memory(*sys.argv[1:]) if len(sys.argv) == 3 else main()
