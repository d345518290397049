"""How large tables are made on many machines: measures this one, checks the model on it, and plans the large ones.

    python -m benchmarks.scale [--out benchmarks/results/scale.json] [--bytes 2147483648] [--folder out] [--rounds 3]

Each round runs the real `gpuinit create` for each law, on the disk of --folder and in memory (/dev/shm, if there is room). Before
and after each run it measures what the model asks for: values made and hashed by all processors, bytes written and flushed. The
model predicts the run from the mean of both; medians of the rounds are written down. `make scale` does it and rewrites the tables
of docs/scale.md. Each run takes about 4 x (bytes / disk rate) and some seconds, and twice --bytes of free space in each place.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import mmap
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import gpuinit
from benchmarks.pairs import RESULTS, machine, seconds
from benchmarks.scale_model import CHUNK, bottleneck, simulate
from benchmarks.scale_plans import LAWS, failures, plans, stragglers, writer
from gpuinit.hashing import Digest
from gpuinit.tables import direct
from gpuinit.tables.contents import DIRECT_FROM, write_at
from gpuinit.tables.pipeline import CHECKPOINT_BYTES

COLUMNS = 128
MEMORY = Path("/dev/shm")
PLACES = ("disk", "memory")
TINY = 1 << 23
"""Bytes of a table that takes hardly longer than starting the process and loading compiled code."""


def chunks() -> Iterator[np.ndarray[Any, Any]]:
    """Two chunks in turn without end, as the CPU's backend has them: the caches do not hold them, and their pages are huge."""
    both = []
    for _ in range(2):
        pages = mmap.mmap(-1, CHUNK, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with contextlib.suppress(AttributeError, OSError):
            pages.madvise(mmap.MADV_HUGEPAGE)
        both.append(np.frombuffer(pages, np.float32).reshape(-1, COLUMNS))
        both[-1][:] = 0
    return itertools.cycle(both)


def making(law: str, nbytes: int) -> float:
    """Bytes a second of float32 values made by all processors, chunk after chunk."""
    turns, initializer = chunks(), gpuinit.get({"class_name": LAWS[law], "config": {"seed": 0}})
    rows = CHUNK // 4 // COLUMNS

    def work() -> None:
        for first in range(0, nbytes // CHUNK * rows, rows):
            initializer.fill(next(turns), shape=(2**40, COLUMNS), block=(slice(first, first + rows),))

    initializer.fill(next(turns), shape=(2**40, COLUMNS), block=(slice(0, rows),))
    return nbytes / seconds(work)


def hashing(nbytes: int) -> float:
    """Bytes a second of `Digest.update` by all processors."""
    turns, digest = chunks(), Digest()
    digest.update(next(turns))
    return nbytes / seconds(lambda: [digest.update(next(turns), first) for first in range(0, nbytes, CHUNK)])


def writing(folder: Path, nbytes: int) -> dict[str, float]:
    """Bytes a second of a plain file's write by one thread, by that thread's time on a processor, and of fdatasync.

    It is written past the page cache where that can be done, as `gpuinit create` does.
    """
    turns, path = chunks(), folder / "plain"
    wrote = core = flushed = 0.0
    with open(path, "wb", buffering=0) as file:
        for place in range(0, nbytes, CHUNK):
            data = next(turns).reshape(-1).view(np.uint8)
            began, computed = time.perf_counter(), time.thread_time()
            done = direct.write(file.fileno(), data, place)
            write_at(file, data[done:], place + done)
            wrote, core = wrote + time.perf_counter() - began, core + time.thread_time() - computed
            if (place + CHUNK) % CHECKPOINT_BYTES == 0 or place + CHUNK == nbytes:
                flushed += seconds(lambda: os.fdatasync(file.fileno()))
    path.unlink()
    return {"write": nbytes / wrote, "core": nbytes / max(core, 1e-9), "flush": nbytes / flushed}


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


def sample(folder: Path, law: str, nbytes: int) -> dict[str, float]:
    """What the model asks for, of this moment: rates in bytes a second, and the seconds of a start."""
    return {
        "make": making(law, nbytes // 2),
        "hash": hashing(nbytes // 2),
        "start": create(folder, law, TINY)[0],
        **writing(folder, nbytes),
    }


def predicted(figures: dict[str, float], nbytes: int) -> tuple[float, str]:
    """The time of `gpuinit create` by the model, and what bounds it."""
    rates = (figures[name] for name in ("make", "hash", "write", "core"))
    settings = {name: figures[name] for name in ("flush", "start")}
    worker = writer(*rates, len(os.sched_getaffinity(0)), checkpoint=CHECKPOINT_BYTES, **settings)
    return float(simulate(worker, nbytes).seconds[0]), bottleneck(worker)[0]


def one_round(places: dict[str, Path], nbytes: int) -> list[dict[str, Any]]:
    """A row a place and law: the figures before and after the real run averaged, predicted and measured seconds."""
    rows = []
    for law, (place, folder) in itertools.product(LAWS, places.items()):
        writing(folder, nbytes)  # a virtual machine may have to ask its host for memory, once
        before = sample(folder, law, nbytes)
        took, peak = create(folder, law, nbytes)
        after = sample(folder, law, nbytes)
        figures = {name: statistics.mean((before[name], after[name])) for name in before}
        expected, by = predicted(figures, nbytes)
        rows.append({"place": place, "law": law, "bound": by, "predicted": expected, "measured": took, "peak": peak, **figures})
        print(f"{place:8} {law:10} predicted {expected:6.2f} s, measured {took:6.2f} s, bound by {by}", flush=True)
    return rows


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians of the figures, of the rows that each is of."""

    def middle(name: str, **of: str) -> float:
        return statistics.median(row[name] for row in rows if all(row[key] == value for key, value in of.items()))

    return {
        "make": {law: middle("make", law=law) for law in LAWS},
        "hash": middle("hash"),
        "start": middle("start"),
        "places": {place: {name: middle(name, place=place) for name in ("write", "core", "flush")} for place in PLACES},
    }


def checks(rounds: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Medians of the rounds' rows, with predicted / measured of each round."""
    found = []
    for same in zip(*rounds, strict=True):
        ratios = [row["predicted"] / row["measured"] for row in same]
        middle = {name: statistics.median(row[name] for row in same) for name in ("predicted", "measured", "peak")}
        bounds = [row["bound"] for row in same]
        bound = max(set(bounds), key=bounds.count)
        ratio = {"ratio": statistics.median(ratios), "least": min(ratios), "most": max(ratios)}
        found.append({"place": same[0]["place"], "law": same[0]["law"], "bound": bound, **middle, **ratio})
    return found


def a_core(figures: dict[str, Any]) -> dict[str, Any]:
    """What the plans take from the measurement: what a core makes and hashes, and what a thread copies into memory."""
    cores = len(os.sched_getaffinity(0))
    makes = {law: made / cores for law, made in figures["make"].items()}
    return {"make": makes, "hash": figures["hash"] / cores, "copy": figures["places"]["memory"]["write"]}


def main() -> None:
    """Measure, check, plan, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULTS / "scale.json")
    parser.add_argument("--bytes", type=int, default=2 << 30, help="of each table, a multiple of 256 MiB (default 2 GiB)")
    parser.add_argument("--folder", type=Path, default=Path("out"), help="a folder on the disk to measure (default: out)")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.bytes < DIRECT_FROM or options.bytes % DIRECT_FROM:
        parser.error(f"--bytes {options.bytes} must be a positive multiple of {DIRECT_FROM}")
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.folder) as disk, tempfile.TemporaryDirectory(dir=roomy(options.bytes)) as memory:
        places = dict(zip(PLACES, (Path(disk), Path(memory)), strict=True))
        for folder in places.values():
            create(folder, "uniform", TINY)  # compiled, cached
        done = [one_round(places, options.bytes) for _ in range(options.rounds)]
    figures = summary([row for rows in done for row in rows])
    core = a_core(figures)
    table = gpuinit.Table((10**12, 250), "he_normal", "float32", seed=0, name="items")
    results = {
        "machine": machine(),
        "bytes": options.bytes,
        "rounds": options.rounds,
        "config bytes": len(json.dumps(table.get_config())),
        "figures": figures,
        "core": core,
        "checks": checks(done),
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
