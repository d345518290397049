"""Timing on a GPU: rounds in turns, by the GPU's own events or by the clock on the wall; and what they were taken on."""

from __future__ import annotations

import importlib.metadata
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gpuinit
from benchmarks.gpu_peers import Peer, memset
from gpuinit.backends.cuda import probe

__all__ = ["case", "machine", "one_round", "reason", "rounds_of"]

PACKAGES = ("numpy", "numba", "numba-cuda", "cupy-cuda13x", "cupy-cuda12x", "torch", "jax", "ml_dtypes", "matplotlib")


def one_round(peer: Peer, calls: int) -> float:
    """Seconds of one call, when this many are given at once."""
    import cupy

    cuda, made = cupy.cuda, None
    if peer.wait is None:
        began, ended = cuda.Event(), cuda.Event()
        began.record()
        for _ in range(calls):
            peer.work()
        ended.record()
        ended.synchronize()
        return float(cuda.get_elapsed_time(began, ended)) / 1e3 / calls
    start = time.perf_counter()
    for _ in range(calls):
        made = peer.work()
    peer.wait(made)
    return (time.perf_counter() - start) / calls


def rounds_of(contenders: dict[str, Peer], seconds: float) -> dict[str, list[float]]:
    """The rounds of each contender, taken in turns; each lasts a hundredth of the case, and there are 7 at least."""
    calls = {}
    for name, peer in contenders.items():
        for count in (1, 3):  # warm: compiled, loaded, allocated
            once = one_round(peer, count)
        calls[name] = max(1, min(500, round(seconds / 100 / max(once, 1e-7))))
    found: dict[str, list[float]] = {name: [] for name in contenders}
    end = time.perf_counter() + seconds * len(contenders)
    while len(found["gpuinit"]) < 7 or (time.perf_counter() < end and len(found["gpuinit"]) < 200):
        for name, peer in contenders.items():
            found[name].append(one_round(peer, calls[name]))
    return found


def case(name: str, out: Any, work: Callable[[], Any], seconds: float, others: Any = (), wait: Any = None) -> dict[str, Any]:
    """The figures of one fill of `out`, beside memset and the others."""
    contenders, reasons = {"gpuinit": Peer(work, wait), "memset": memset(out)}, {}
    for other, make in others:
        try:
            peer = make()
            one_round(peer, 1)
            contenders[other] = peer
        except Exception as error:
            reasons[other] = reason(error)
    times = rounds_of(contenders, seconds)
    size, nbytes = int(out.size), int(out.nbytes)
    figures: dict[str, Any] = {}
    for other, rounds in times.items():
        middle = statistics.median(rounds)
        figures[other] = {
            "us": round(middle * 1e6, 3),
            "G/s": round(size / middle / 1e9, 3),
            "GB/s": round(nbytes / middle / 1e9, 2),
            "rounds": len(rounds),
            "timed by": "wall" if contenders[other].wait else "events",
        }
    ours = figures["gpuinit"]["us"]
    return {
        "name": name,
        "elements": size,
        "bytes": nbytes,
        "figures": figures | {other: {"reason": why} for other, why in reasons.items()},
        "per cent of memset": round(100 * figures["memset"]["us"] / ours, 1),
        "ratios": {other: round(f["us"] / ours, 2) for other, f in figures.items() if other not in ("gpuinit", "memset")},
    }


def reason(error: Exception) -> str:
    """An error on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    import cupy

    found = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.runtime.getDevice())
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": said("git", "rev-parse", "--short", "HEAD") or "unknown",
        "device": found["name"].decode() if isinstance(found["name"], bytes) else str(found["name"]),
        "processors": int(found["multiProcessorCount"]),
        "memory": int(found["totalGlobalMem"]),
        "driver": said("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader").split("\n")[0] or "unknown",
        "cuda": probe.status().driver,
        "python": platform.python_version(),
        "gpuinit": gpuinit.__version__,
        "versions": versions,
    }


def said(*command: str) -> str:
    """What a command prints; nothing if it is missing or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
