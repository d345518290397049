"""Does writing a table keep up with the disk, in little memory? `python -m benchmarks.files FOLDER`, or `make bench-files`.

For each format and round, interleaved: a plain sequential write of as many bytes from one reused buffer, in pieces of 32
MiB and flushed at the end, then `gpuinit create` as a process of its own, flushing included. Then `gpuinit check`. A ratio is the
plain write's time over create's: 1 means that making the values costs nothing beside the disk.
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
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pairs import save

PIECE = 32 << 20
PEAK = "import resource, sys; from gpuinit.cli import main; status = main(sys.argv[1:]); \
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr); sys.exit(status)"


def plain(path: Path, nbytes: int) -> float:
    """Seconds of a sequential write of so many bytes, flushed."""
    piece = np.random.default_rng(0).integers(0, 256, PIECE, np.uint8).data
    start = time.perf_counter()
    with open(path, "wb", buffering=0) as file:
        for place in range(0, nbytes, PIECE):
            rest = piece[: min(PIECE, nbytes - place)]
            while rest:
                rest = rest[file.write(rest) :]
        os.fsync(file.fileno())
    found = time.perf_counter() - start
    path.unlink()
    return found


def command(*arguments: object) -> tuple[float, int, Any]:
    """Seconds and peak memory of a process of the command line, and the JSON that it printed."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *map(str, arguments), "--json"], capture_output=True, text=True, check=True
    )
    return time.perf_counter() - start, int(done.stderr.split()[-1]) * 1024, json.loads(done.stdout)[0]


def one_format(folder: Path, suffix: str, rows: int, rounds: int) -> dict[str, Any]:
    """The figures of one format."""
    nbytes, path = rows * 128 * 4, folder / f"w{suffix}"
    plains, makes, checks, peaks, hashes = [], [], [], [], set()
    for _ in range(rounds):
        plains.append(plain(folder / "plain", nbytes))
        seconds, peak, facts = command("create", "--shape", f"{rows},128", "--init", "truncated_normal", "--out", path)
        makes.append(seconds)
        peaks.append(peak)
        hashes.add(facts["hash"])
        seconds, peak, facts = command("check", path)
        assert facts["equal"]
        checks.append(seconds)
        peaks.append(peak)
        for made in folder.iterdir():
            (shutil.rmtree if made.is_dir() else os.unlink)(made)
    assert len(hashes) == 1
    ratios = [base / made for base, made in zip(plains, makes, strict=True)]
    row = {
        "format": suffix[1:],
        "bytes": nbytes,
        "rounds": rounds,
        "plain write, GB/s": round(nbytes / statistics.median(plains) / 1e9, 3),
        "create, GB/s": round(nbytes / statistics.median(makes) / 1e9, 3),
        "ratio": round(statistics.median(ratios), 3),
        "least": round(min(ratios), 3),
        "most": round(max(ratios), 3),
        "check, GB/s": round(nbytes / statistics.median(checks) / 1e9, 3),
        "peak memory, MiB": round(max(peaks) / 2**20),
        "hash": hashes.pop(),
    }
    print(json.dumps(row), flush=True)
    return row


def main() -> None:
    """Measure, and write benchmarks/results/files.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "folder", nargs="?", default=tempfile.gettempdir(), help="where the files are written: on the disk in question"
    )
    parser.add_argument("--gib", type=float, default=12.0, help="the size of the table (default 12)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--formats", default="safetensors,npy,zarr")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        rows = int(options.gib * 2**30 / 512)
        suffixes = [f".{name}" for name in options.formats.split(",")]
        save("files", [one_format(Path(folder), suffix, rows, options.rounds) for suffix in suffixes])


if __name__ == "__main__":
    main()
