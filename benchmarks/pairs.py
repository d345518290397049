"""Timing in interleaved pairs: ours, theirs, ours, theirs, so that a machine whose speed drifts cannot favour one side."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def seconds(work: Callable[[], Any]) -> float:
    """The wall-clock time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def interleaved(
    benchmark: Any, ours: Callable[[], Any], peers: dict[str, Callable[[], Any]], size: int, rounds: int = 7
) -> float:
    """Time `ours` with pytest-benchmark, each peer once before every round, and note rates and the median of the ratios.

    Args:
        benchmark: pytest-benchmark's fixture; its extra_info gets rates in G elements/s and, for each peer, peer time / our time.
        size: elements that one call makes.

    Returns:
        Our median time in seconds.
    """
    for work in (ours, *peers.values()):  # warm: compiled, touched
        work()
    pairs: dict[str, list[float]] = {name: [] for name in peers}
    mine: list[float] = []

    def before() -> None:
        for name, work in peers.items():
            pairs[name].append(seconds(work))

    def timed() -> None:
        mine.append(seconds(ours))

    benchmark.pedantic(timed, setup=before, rounds=rounds, iterations=1)
    benchmark.extra_info["G/s"] = round(size / statistics.median(mine) / 1e9, 4)
    for name, times in pairs.items():
        ratios = [theirs / our for theirs, our in zip(times, mine, strict=True)]
        benchmark.extra_info[name] = {
            "G/s": round(size / statistics.median(times) / 1e9, 4),
            "ratio": round(statistics.median(ratios), 3),
            "least": round(min(ratios), 3),
            "most": round(max(ratios), 3),
        }
    return statistics.median(mine)


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    cpuinfo = Path("/proc/cpuinfo")
    models = [line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": commit or "unknown",
        "processor": models[0] if models else platform.processor(),
        "processors": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
    }


def save(name: str, rows: list[dict[str, Any]], load: float | None = None, peers: dict[str, str] | None = None) -> Path:
    """Write rows of figures beside the machine's description, for the README to quote.

    `load` is the machine's load average before the run, `peers` the versions of what stands beside.
    """
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    where = machine()
    if load is not None:
        where |= {"load before": round(load, 2), "load after": round(os.getloadavg()[0], 2)}
    if peers is not None:
        where["peers"] = peers
    path.write_text(json.dumps({"machine": where, "rows": rows}, indent=1) + "\n")
    return path
