"""How fast are fills on a GPU, beside memset and beside the generators of CuPy, PyTorch and JAX?

    python -m benchmarks.gpu_bench [--quick] [--json FILE] [--picture FILE]

Every case is first compared with the CPU's bits (dense fills at a small size). A wrong one is not timed; the exit status is then
1, as it is if a case fails, and 77 where there is no GPU. Times are medians of rounds taken in turns, by events on the GPU; JAX's
and those of calls are by the clock on the wall. A peer that is missing or fails is noted with its reason.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import gpuinit
from benchmarks import gpu_orthogonal, gpu_staging, gpu_table
from benchmarks.gpu_clock import case, machine, reason
from benchmarks.gpu_peers import Peer, peers, small_peers
from gpuinit import dtypes
from gpuinit.backends.cuda import probe
from gpuinit.hashing import Digest, element_hash

__all__ = ["run"]

LAWS = {
    "uniform": gpuinit.RandomUniform(-1.0, 1.0, seed=1),
    "truncated": gpuinit.TruncatedNormal(0.0, 1.0, seed=1),
    "normal": gpuinit.RandomNormal(0.0, 1.0, seed=1),
}
DTYPES = ("float32", "bfloat16")
LARGE = 2**32 + 2**20
NO_GPU = 77


class Bench:
    """One run: its sizes, and how long a case is timed."""

    def __init__(self, quick: bool) -> None:
        import cupy

        self.cupy = cupy
        self.sizes = (2**12, 2**16) if quick else (2**20, 2**26, 2**30)
        self.large = 2**17 if quick else LARGE
        self.rows = 1000 if quick else 1_000_000
        self.seconds = 0.01 if quick else 0.2
        self.failed: list[str] = []

    def array(self, size: int | tuple[int, ...], dtype: Any) -> Any:
        shape = (size,) if isinstance(size, int) else size
        return self.cupy.ndarray(shape, dtypes.canonical(dtype))

    def clean(self) -> None:
        """Give back what the libraries hold unused."""
        gc.collect()
        if "torch" in sys.modules:
            with contextlib.suppress(Exception):
                sys.modules["torch"].cuda.empty_cache()
        self.cupy.get_default_memory_pool().free_all_blocks()

    def lacks(self, nbytes: int) -> str:
        """Why this many bytes cannot be taken, or nothing."""
        self.clean()
        free = self.cupy.cuda.runtime.memGetInfo()[0]
        return "" if nbytes + 2**30 < free else f"{nbytes} bytes and 1 GiB beside do not fit into {free} free ones"

    def unlike(self, on_gpu: Any, on_cpu: Any) -> str:
        """A sentence if an array has not the CPU's bits."""
        digest = Digest()
        digest.update(on_cpu.reshape(-1))
        return "" if element_hash(on_gpu) == digest.hash else "WRONG: its bits are not the CPU's"

    def fills(self) -> list[dict[str, Any]]:
        """Dense fills: each law, dtype and size."""
        rows = []
        for (law, init), dtype in itertools.product(LAWS.items(), DTYPES):
            name, part = f"{law} {dtype}", {"block": (slice(5, 100_008),)}
            wrong = self.unlike(init((2**33,), dtype, device="cuda", **part), init((2**33,), dtype, device="cpu", **part))
            for size in (*self.sizes, self.large):
                about = {"name": name, "law": law, "dtype": dtype, "elements": size}
                rows.append({**about, **self.attempt(name, lambda init=init, about=about: self.fill(init, **about), wrong)})
        return rows

    def fill(self, init: Any, name: str, law: str, dtype: str, elements: int) -> dict[str, Any]:
        """One dense fill, with its peers unless it is the largest."""
        alone = elements == self.large
        lacking = self.lacks(elements * dtypes.canonical(dtype).itemsize * (1 if alone else 4))
        if lacking:
            return {"reason": lacking}
        out = self.array(elements, dtype)
        row = case(name, out, lambda: init.fill(out), self.seconds, () if alone else peers(law, dtype, elements))
        return {**row, **gpu_table.promise(law, dtype, row)}

    def attempt(self, name: str, work: Callable[[], dict[str, Any]], wrong: str = "") -> dict[str, Any]:
        """A case's row, or why there is none."""
        try:
            if not wrong:
                return work()
        except Exception as error:
            wrong = reason(error)
        self.failed.append(f"{name}: {wrong}")
        return {"name": name, "reason": wrong}

    def parts(self) -> list[dict[str, Any]]:
        """Rows by id, columns, misaligned starts and a constant, of float32."""
        init, ones, width = LAWS["truncated"], gpuinit.Ones(), 128
        size, table = self.rows * width, (10**9, width)
        ids = np.random.default_rng(1).integers(0, table[0], self.rows)
        held = self.cupy.ndarray(ids.shape, ids.dtype)
        held.set(ids)
        out, half, flat = self.array((self.rows, width), "float32"), self.array((self.rows, width // 2), "float32"), size - 1
        column = (slice(None), slice(width // 2))
        wait = self.waits
        cases: list[tuple[str, Any, Callable[[], Any], Any, Callable[[], Any]]] = [
            (
                "rows by ids on the GPU",
                out,
                lambda: init.fill(out, shape=table, rows=held),
                wait,
                lambda: init(table, device="cpu", rows=ids),
            ),
            (
                "rows by ids on the host",
                out,
                lambda: init.fill(out, shape=table, rows=ids),
                wait,
                lambda: init(table, device="cpu", rows=ids),
            ),
            (
                "half of the columns",
                half,
                lambda: init.fill(half, shape=out.shape, block=column),
                None,
                lambda: init(out.shape, device="cpu", block=column),
            ),
            (
                "from element 1 on, to memory from 4 bytes on",
                out.reshape(-1)[1:],
                lambda: init.fill(out.reshape(-1)[1:], shape=(size,), block=(slice(1, size),)),
                None,
                lambda: init((size,), device="cpu", block=(slice(1, size),)),
            ),
            (
                "from element 1 on, to aligned memory",
                out.reshape(-1)[:flat],
                lambda: init.fill(out.reshape(-1)[:flat], shape=(size,), block=(slice(1, size),)),
                None,
                lambda: init((size,), device="cpu", block=(slice(1, size),)),
            ),
            ("a constant", out, lambda: ones.fill(out), None, lambda: ones(out.shape, device="cpu")),
        ]
        return [self.attempt(each[0], lambda each=each: self.part(*each)) for each in cases]

    def part(self, name: str, out: Any, work: Callable[[], Any], wait: Any, expected: Callable[[], Any]) -> dict[str, Any]:
        """One of the parts, its bits looked at first."""
        work()
        wrong = self.unlike(out, expected())
        return case(name, out, work, self.seconds, wait=wait) if not wrong else self.attempt(name, dict, wrong)

    def waits(self, made: Any) -> None:
        self.cupy.cuda.get_current_stream().synchronize()

    def calls(self) -> list[dict[str, Any]]:
        """Microseconds that a call of 2^10 uniform float32 takes of Python's thread, the GPU's work not waited for."""
        size, init = 2**10, LAWS["uniform"]
        out = self.array(size, "float32")
        makers = [
            ("gpuinit fill", lambda: Peer(lambda: init.fill(out))),
            ("gpuinit call", lambda: Peer(lambda: init((size,), device="cuda"))),
            *small_peers(size),
        ]
        rows = []
        for name, make in makers:
            try:
                peer, times = make(), []
                for number in range(1100 if self.seconds > 0.1 else 60):
                    start = time.perf_counter()
                    made = peer.work()
                    times.append(time.perf_counter() - start)
                    if number % 32 == 31:  # the queue never fills
                        peer.wait(made) if peer.wait else self.waits(None)
                rows.append({"name": name, "us a call": round(statistics.median(times[len(times) // 10 :]) * 1e6, 2)})
            except Exception as error:
                rows.append({"name": name, "reason": reason(error)})
        return rows

    def orthogonal(self) -> list[dict[str, Any]]:
        """Orthogonal matrices beside those of PyTorch and CuPy."""
        return list(gpu_orthogonal.rows(self, self.seconds < 0.1))

    def staging(self) -> dict[str, Any]:
        """A table to host memory beside copies of as many bytes."""
        return self.attempt("to host memory", lambda: gpu_staging.row(self, self.seconds < 0.1))

    def peak(self) -> dict[str, Any]:
        """What a fill of the greatest size takes of the GPU's memory, its kernel being loaded."""
        self.clean()
        free = self.cupy.cuda.runtime.memGetInfo()[0]
        made = LAWS["normal"]((self.sizes[-1],), device="cuda")
        self.waits(made)
        taken = free - self.cupy.cuda.runtime.memGetInfo()[0]
        return {"tensor": int(made.nbytes), "taken": int(taken), "beside the tensor": int(taken - made.nbytes)}


def run(quick: bool) -> dict[str, Any]:
    """All figures."""
    bench = Bench(quick)
    found: dict[str, Any] = {"machine": machine(), "quick": quick}
    for name in ("fills", "parts", "calls", "peak", "staging", "orthogonal"):
        found[name] = getattr(bench, name)()
        bench.clean()
    return {**found, "failed": bench.failed}


def main() -> int:
    """Measure, write, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that everything runs")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--picture", type=Path, help="draw the dense fills into this PNG, if matplotlib is there")
    options = parser.parse_args()
    found = probe.status()
    if not found.usable:
        print(f"{'skipped: no GPU' if found.absent else 'the GPU cannot be used'}: {found.problem} {found.remedy}")
        return NO_GPU if found.absent else 1
    results = run(options.quick)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    print("\n".join(gpu_table.lines(results)), flush=True)
    if options.picture:
        try:
            print(gpu_table.picture(results, options.picture))
        except Exception as error:  # the figures are there
            print(f"no picture: {reason(error)}")
    return 1 if results["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
