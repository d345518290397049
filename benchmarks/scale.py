"""How large tables are made on many machines: measures this one, checks the model on it, and plans the large ones.

    python -m benchmarks.scale [--out benchmarks/results/scale.json] [--bytes 2147483648] [--folder .] [--rounds 3]

Each round measures, one after the other, what the model asks for (values made and hashed by all processors, bytes written and
flushed) and then the real `gpuinit create`, on the disk of --folder and, where there is one, in memory (/dev/shm). The model
predicts each run from the figures of its own round; medians of the rounds are written down. `make scale` does it and rewrites the
tables of docs/scale.md. It takes about (rounds) x 25 x (bytes / disk rate), and twice --bytes of free space in each place.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import gpuinit
from benchmarks.pairs import RESULTS, machine, seconds
from benchmarks.scale_model import CHUNK, bottleneck, simulate
from benchmarks.scale_plans import LAWS, failures, plans, stragglers, writer
from gpuinit.hashing import Digest
from gpuinit.tables.pipeline import CHECKPOINT_BYTES

COLUMNS = 128
MEMORY = Path("/dev/shm")
TINY = 1 << 23
"""Bytes of a table that takes hardly longer than starting the process and loading compiled code."""


def buffer() -> np.ndarray[Any, Any]:
    """A chunk, touched."""
    return np.zeros((CHUNK // 4 // COLUMNS, COLUMNS), np.float32)


def rate(nbytes: int, work: Callable[[], object]) -> float:
    """Bytes a second."""
    return nbytes / seconds(work)


def making(law: str, nbytes: int) -> float:
    """Bytes a second of float32 values made by all processors, chunk after chunk into one buffer."""
    chunk, initializer = buffer(), gpuinit.get({"class_name": LAWS[law], "config": {"seed": 0}})
    shape, rows = (2**40, COLUMNS), chunk.shape[0]

    def work() -> None:
        for first in range(0, nbytes // CHUNK * rows, rows):
            initializer.fill(chunk, shape=shape, block=(slice(first, first + rows),))

    initializer.fill(chunk, shape=shape, block=(slice(0, rows),))
    return rate(nbytes // CHUNK * CHUNK, work)


def hashing(nbytes: int) -> float:
    """Bytes a second of `Digest.update` by all processors."""
    chunk, digest = buffer(), Digest()
    digest.update(chunk)
    return rate(nbytes // CHUNK * CHUNK, lambda: [digest.update(chunk, first) for first in range(0, nbytes, CHUNK)])


def writing(folder: Path, nbytes: int) -> dict[str, float]:
    """Bytes a second of a plain file's write by one thread, by that thread's time on a processor, and of fdatasync."""
    chunk, path = buffer(), folder / "plain"
    wrote = core = flushed = 0.0
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        for number in range(1, nbytes // CHUNK + 1):
            began, computed = time.perf_counter(), time.thread_time()
            assert os.write(file, chunk.data) == CHUNK
            wrote, core = wrote + time.perf_counter() - began, core + time.thread_time() - computed
            if number * CHUNK % CHECKPOINT_BYTES == 0:
                flushed += seconds(lambda: os.fdatasync(file))
        flushed += seconds(lambda: os.fdatasync(file))
    finally:
        os.close(file)
        path.unlink()
    done = nbytes // CHUNK * CHUNK
    return {"write": done / wrote, "core": done / max(core, 1e-9), "flush": done / flushed}


def create(folder: Path, law: str, nbytes: int) -> tuple[float, int]:
    """The seconds that `gpuinit create` takes for a table, and its greatest memory in bytes."""
    out = folder / "table.safetensors"
    shape = f"{nbytes // 4 // COLUMNS},{COLUMNS}"
    options = ["--shape", shape, "--init", LAWS[law], "--out", str(out), "--device", "cpu", "--quiet"]
    began = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-m", "gpuinit", "create", *options])
    _, status, usage = os.wait4(child.pid, 0)
    took = time.perf_counter() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"gpuinit create failed with status {child.returncode}")
    out.unlink()
    return took, usage.ru_maxrss * 1024


def predicted(figures: dict[str, Any], place: str, law: str, nbytes: int) -> tuple[float, str]:
    """The time of `gpuinit create` by the model, and what bounds it."""
    disk = figures["places"][place]
    cores = len(os.sched_getaffinity(0))
    worker = writer(
        figures["make"][law],
        figures["hash"],
        disk["write"],
        disk["core"],
        cores,
        flush=disk["flush"],
        checkpoint=CHECKPOINT_BYTES,
        start=figures["start"],
    )
    return float(simulate(worker, nbytes).seconds[0]), bottleneck(worker)[0]


def one_round(places: dict[str, Path], nbytes: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The figures of a round, and a row a place and law: predicted and measured seconds."""
    figures: dict[str, Any] = {"places": {}, "make": {}}
    rows = []
    figures["hash"] = hashing(nbytes // 2)
    figures["start"] = create(next(reversed(places.values())), "uniform", TINY)[0]
    for law in LAWS:
        figures["make"][law] = making(law, nbytes // 2)
        for place, folder in places.items():
            figures["places"][place] = writing(folder, nbytes)
            took, peak = create(folder, law, nbytes)
            expected, by = predicted(figures, place, law, nbytes)
            rows.append({"place": place, "law": law, "bound": by, "predicted": expected, "measured": took, "peak": peak})
            print(f"{place:8} {law:10} predicted {expected:6.2f} s, measured {took:6.2f} s, bound by {by}", flush=True)
    return figures, rows


def medians(values: list[Any]) -> Any:
    """The median of numbers, or of each entry of dicts alike."""
    if isinstance(values[0], dict):
        return {name: medians([each[name] for each in values]) for name in values[0]}
    return statistics.median(values)


def checks(rounds: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Medians of the rounds' rows, with predicted / measured of each round."""
    found = []
    for same in zip(*rounds, strict=True):
        ratios = [row["predicted"] / row["measured"] for row in same]
        middle = {name: statistics.median(row[name] for row in same) for name in ("predicted", "measured", "peak")}
        bounds = [row["bound"] for row in same]
        ratio = {"ratio": statistics.median(ratios), "least": min(ratios), "most": max(ratios)}
        found.append({**same[0], **middle, "bound": max(set(bounds), key=bounds.count), **ratio})
    return found


def a_core(figures: dict[str, Any]) -> dict[str, Any]:
    """What the plans take from the measurement: a core's rates, and one thread's into memory that no disk slows down."""
    cores = len(os.sched_getaffinity(0))
    write = max(place["write"] for place in figures["places"].values())
    return {"make": {law: made / cores for law, made in figures["make"].items()}, "hash": figures["hash"] / cores, "write": write}


def main() -> None:
    """Measure, check, plan, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULTS / "scale.json")
    parser.add_argument("--bytes", type=int, default=2 << 30, help="of each table, a multiple of 64 MiB (default 2 GiB)")
    parser.add_argument("--folder", type=Path, default=Path(), help="a folder on the disk to measure (default: this one)")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.bytes < 2 * CHUNK or options.bytes % (2 * CHUNK):
        parser.error(f"--bytes {options.bytes} must be a positive multiple of {2 * CHUNK}")
    with tempfile.TemporaryDirectory(dir=options.folder) as disk, tempfile.TemporaryDirectory(dir=roomy(options.bytes)) as memory:
        places = {"disk": Path(disk), "memory": Path(memory)}
        for folder in places.values():
            create(folder, "uniform", TINY)  # compiled, cached
        done = [one_round(places, options.bytes) for _ in range(options.rounds)]
    figures = medians([figures for figures, _ in done])
    core = a_core(figures)
    table = gpuinit.Table((10**12, 250), "he_normal", "float32", seed=0, name="items")
    results = {
        "machine": machine(),
        "bytes": options.bytes,
        "rounds": options.rounds,
        "config bytes": len(json.dumps(table.get_config())),
        "figures": figures,
        "core": core,
        "checks": checks([rows for _, rows in done]),
        "plans": plans(core),
        "failures": failures(core),
        "stragglers": stragglers(core),
    }
    options.out.write_text(json.dumps(results, indent=1, allow_nan=False) + "\n")


def roomy(nbytes: int) -> Path | None:
    """Where files are in memory, if there is such a place with room; else where temporary files are."""
    return MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 2 * nbytes else None


if __name__ == "__main__":
    main()
