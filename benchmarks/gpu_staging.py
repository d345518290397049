"""A table from a GPU to host memory, beside plain copies of as many bytes. `benchmarks.gpu_bench` calls it.

Ours makes the table in chunks and copies them. The copies move one chunk again and again, to pinned memory on one stream, and are
waited for once. Nobody reads what arrives. Pairs in turns, by the clock on the wall.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import gpuinit
from gpuinit import Key, backends
from gpuinit.hashing import Digest
from gpuinit.region import Region

__all__ = ["CHUNK", "row"]

CHUNK = 2**25
"""Bytes, as `gpuinit create` has them."""
COUNT = 128
QUICK = (2**16, 5)
PAIRS = 7
COLUMNS = 128
LAW = gpuinit.RandomUniform(-1.0, 1.0, seed=1)


def row(bench: Any, quick: bool) -> dict[str, Any]:
    """The figures; ValueError if the bits are not the CPU's."""
    chunk, count = QUICK if quick else (CHUNK, COUNT)
    _check(chunk)
    lacking = bench.lacks(3 * chunk)
    if lacking:
        return {"name": "to host memory", "reason": lacking}
    contenders = {"gpuinit": lambda: _exhaust(chunks(chunk, count)), "copies": copies(bench, chunk, count)}
    for work in contenders.values():
        work()
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(PAIRS):
        for name, work in contenders.items():
            start = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - start)
    ratios = [copied / ours for ours, copied in zip(times["gpuinit"], times["copies"], strict=True)]
    found = {"name": "to host memory", "law": "uniform float32", "bytes": chunk * count, "chunk": chunk, "pairs": PAIRS}
    speeds = {name: round(chunk * count / statistics.median(rounds) / 1e9, 3) for name, rounds in times.items()}
    return {**found, "GB/s": speeds, "per cent of the copies": round(100 * statistics.median(ratios), 1)}


def chunks(chunk: int, count: int, rest: int = 0) -> Iterator[Any]:
    """A table of so many chunks, and `rest` rows more."""
    step, dtype = chunk // (4 * COLUMNS), np.dtype(np.float32)
    shape = (step * count + rest, COLUMNS)
    starts = range(0, shape[0], step)
    regions = (Region.of(shape, (slice(start, min(start + step, shape[0])),)) for start in starts)
    return backends.select("cuda").chunks(LAW.law(shape, dtype), Key(1), dtype, regions, chunk)


def copies(bench: Any, chunk: int, count: int) -> Callable[[], None]:
    """What copies as many bytes from one buffer on the GPU to two in pinned memory."""
    cuda = bench.cupy.cuda
    runtime, stream, source = cuda.runtime, cuda.Stream(non_blocking=True), bench.array((chunk // 4,), "float32")
    LAW.fill(source)
    bench.waits(source)
    targets = [cuda.alloc_pinned_memory(chunk) for _ in range(2)]

    def work() -> None:
        for turn in range(count):
            runtime.memcpyAsync(targets[turn % 2].ptr, source.data.ptr, chunk, runtime.memcpyDeviceToHost, stream.ptr)
        stream.synchronize()

    return work


def _check(chunk: int) -> None:
    digest, start = Digest(), 0
    for part in chunks(chunk, 3, 5):
        digest.update(part, start)
        start += part.size
    expected = Digest()
    expected.update(LAW((start // COLUMNS, COLUMNS), "float32", device="cpu"), 0)
    if digest.hash != expected.hash:
        raise ValueError("WRONG: its bits are not the CPU's")


def _exhaust(given: Iterator[Any]) -> None:
    for _ in given:
        pass
