"""Plans for 10^12 and 10^15 bytes: what is assumed of machines, and what benchmarks/scale_model.py makes of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from benchmarks.scale_model import Stage, Worker, bottleneck, expected_seconds, queue, simulate

__all__ = ["ASSUMED", "LAWS", "failures", "plans", "stragglers", "uneven", "writer"]

LAWS = {"uniform": "random_uniform", "truncated": "truncated_normal", "normal": "random_normal"}
GB, TB = 1e9, 1e12
MACHINES = 1024
DAY = 86400.0


class Assumed(NamedTuple):
    """A figure that was not measured here: its value in SI units, how to show it, and where it is from."""

    value: float
    shown: str
    source: str


ASSUMED = {
    "H100 memory": Assumed(80 * GB, "80 GB", "published: NVIDIA H100 Tensor Core GPU data sheet, SXM"),
    "H100 bandwidth": Assumed(3.35 * TB, "3.35 TB/s", "published: the same"),
    "H200 memory": Assumed(141 * GB, "141 GB", "published: NVIDIA H200 Tensor Core GPU data sheet, SXM"),
    "H200 bandwidth": Assumed(4.8 * TB, "4.8 TB/s", "published: the same"),
    "uniform fill": Assumed(0.9, "0.9 of the bandwidth", "promised, truncated too; not measured yet"),
    "normal fill": Assumed(0.8, "0.8 of the bandwidth", "promised; not measured yet"),
    "PCIe": Assumed(55 * GB, "55 GB/s", "published: 64 GB/s each way of PCIe 5.0 x16, of which NVIDIA's nvbandwidth shows 55.6"),
    "GPU machine": Assumed(8, "8 GPUs, 112 cores, 8 drives as one", "published: NVIDIA DGX H100/H200 user guide"),
    "CPU machine": Assumed(64, "64 cores, 1 drive", "an assumption"),
    "CPU bandwidth": Assumed(460.8 * GB, "460.8 GB/s of memory", "published: AMD EPYC 9004, 12 channels of DDR5-4800"),
    "drive, writing": Assumed(3.5 * GB, "3.5 GB/s", "published: Samsung PM9A3, U.2, as announced in 2020"),
    "drive, reading": Assumed(6.5 * GB, "6.5 GB/s", "published: the same"),
    "shared store": Assumed(1 * TB, "1 TB/s for all", "an assumption"),
    "page cache": Assumed(150 * GB, "150 GB a machine", "an assumption: what may wait for the disk, 20 % of 768 GB"),
    "machine's MTBF": Assumed(
        2048 * 54 / 419 * DAY, "264 days", "published: The Llama 3 Herd of Models, 419 interruptions of 16,384 GPUs in 54 days"
    ),
    "restart": Assumed(60.0, "60 s", "an assumption: until a scheduler has started a process again"),
    "dispatch": Assumed(1e-3, "1 ms a task", "published: Dask's best practices, 0.2 to 1 ms of overhead a task"),
    "jitter": Assumed(0.1, "10 %", "an assumption: standard deviation of a chunk's time in a stage"),
}
"""Every figure of the plans that was not measured."""


@dataclass(frozen=True)
class Case:
    """A table on machines of one kind, a GPU's name or "CPU".

    `target`: "device" and "memory" hold it; files are written past the page cache to each machine's "disk" or one "store", or
    through the page cache to the disk: "cache".
    """

    nbytes: float
    machines: int
    kind: str
    target: str
    processes: int
    law: str = "normal"


CASES = (
    Case(1e12, 1, "H100", "device", 8),
    Case(1e12, 1, "H200", "device", 8, "uniform"),
    Case(1e12, 1, "H200", "device", 8),
    Case(1e12, 2, "H100", "device", 8),
    Case(1e12, 1, "H100", "disk", 8),
    Case(1e12, 1, "CPU", "disk", 1),
    Case(1e12, 1, "CPU", "cache", 1),
    Case(1e12, 1, "CPU", "cache", 8),
    Case(1e15, MACHINES, "H100", "device", 8),
    Case(1e15, MACHINES, "H200", "device", 8, "uniform"),
    Case(1e15, MACHINES, "H200", "device", 8),
    Case(1e15, MACHINES, "CPU", "memory", 1),
    Case(1e15, MACHINES, "H100", "disk", 8),
    Case(1e15, MACHINES, "CPU", "disk", 1),
    Case(1e15, MACHINES, "CPU", "store", 1),
)
DISK, CACHE = Case(1e15, MACHINES, "CPU", "disk", 1), Case(1e15, MACHINES, "CPU", "cache", 8)
"""What failures and stragglers are looked at on."""


def value(name: str) -> float:
    """An assumed figure."""
    return ASSUMED[name].value


def writer(make: float, hashing: float, write: float, core: float, cores: float, **settings: Any) -> Worker:
    """A process that makes and hashes on `cores` cores, while one thread writes.

    Args:
        make, hashing: bytes a second on all those cores. write: of the writing thread.
        core: the same while that thread computes; while it does, it takes one of the cores from the others.
    """
    made, hashed = Stage("make", make, lane="cores"), Stage("hash", hashing, lane="cores")
    share = Stage("writing's core", core * cores, lane="cores")
    return Worker((made, hashed, share, Stage("write", write)), **settings)


def process(case: Case, figures: dict[str, Any]) -> Worker:
    """A process of a case. `figures`: what was measured, bytes a second: make a core by law, hash a core, copy a thread."""
    gpu = case.kind != "CPU"
    cores = (112 if gpu else value("CPU machine")) / case.processes
    make, hashing = figures["make"][case.law] * cores, figures["hash"] * cores
    most = value("CPU bandwidth") / case.processes
    if gpu:
        bandwidth = value(f"{case.kind} bandwidth") * value("normal fill" if case.law == "normal" else "uniform fill")
        make, link = (each * value("GPU machine") / case.processes for each in (bandwidth, value("PCIe")))
    if case.target == "device":
        return Worker((Stage("device memory", make),))
    if case.target == "memory":
        return Worker((Stage("cores", make) if make < most else Stage("memory", most),))
    drives = 8 if gpu else 1
    disk = (
        value("shared store") / case.machines if case.target == "store" else value("drive, writing") * drives
    ) / case.processes
    settings = {"read": min(value("drive, reading") * drives / case.processes, hashing), "restart": value("restart")}
    if gpu:
        stages = (Stage("make", make), Stage("copy", link), Stage("hash", hashing), Stage("write", disk))
        return Worker(stages, buffers=3, **settings)
    if case.target == "cache":
        settings |= {"flush": disk, "unflushed": value("page cache") / case.processes}
        return writer(min(make, most / 5), hashing, figures["copy"], figures["copy"], cores, **settings)
    return writer(min(make, most / 3), hashing, disk, math.inf, cores, **settings)


def plans(figures: dict[str, Any], seed: int = 0) -> list[dict[str, Any]]:
    """A row a case: what a process makes, what bounds it, the time by the formula and simulated."""
    rows = []
    for case in CASES:
        worker = process(case, figures)
        count = case.machines * case.processes
        shard = case.nbytes / count
        name, rate = bottleneck(worker)
        row = {**case.__dict__, "shard": shard, "bound": name, "rate": rate, "seconds": shard / rate, "fits": True}
        if case.target == "device":
            row["fits"] = shard <= value(f"{case.kind} memory") * value("GPU machine") / case.processes
        elif case.target != "memory":
            outcome = simulate(worker, np.full(min(count, MACHINES), shard), jitter=value("jitter"), seed=seed)
            row |= {"simulated": float(outcome.seconds.max()), "utilisation": outcome.utilisation()}
        rows.append(row)
    return rows


def failures(figures: dict[str, Any], seed: int = 0) -> list[dict[str, Any]]:
    """What failures cost 10^15 bytes on machines without GPUs, each with its own disk, past and through the page cache.

    A machine's processes are alike and fail together, so one stands for all of them.
    """
    rows = []
    for case in (DISK, CACHE):
        worker, shard = process(case, figures), case.nbytes / MACHINES / case.processes
        base = float(simulate(worker, shard).seconds.max())
        for mtbf in (value("machine's MTBF"), DAY, 3600.0):
            outcome = simulate(worker, np.full(MACHINES, shard), mtbf=mtbf, seed=seed)
            count = int(outcome.failures.sum())
            rows.append(
                {
                    "target": case.target,
                    "mtbf": mtbf,
                    "expected failures": MACHINES * base / mtbf,
                    "expected seconds": expected_seconds(worker, shard, mtbf),
                    "without": base,
                    "failures": count,
                    "mean": float(outcome.seconds.mean()),
                    "last": float(outcome.seconds.max()),
                    "remade": float(outcome.remade.sum()) * case.processes / count if count else None,
                }
            )
    return rows


def stragglers(figures: dict[str, Any], seed: int = 0) -> list[dict[str, Any]]:
    """10^15 bytes on machines of unequal speed: cut once, and taken from a queue in pieces of several sizes.

    Speeds have a standard deviation of 5 %; one machine in a hundred has half of it.
    """
    rng = np.random.default_rng(seed)
    speed = np.clip(rng.normal(1.0, 0.05, MACHINES), 0.7, 1.3)
    speed[rng.choice(MACHINES, MACHINES // 100, replace=False)] /= 2
    rate = bottleneck(process(DISK, figures))[1] * speed
    ideal = float(DISK.nbytes / rate.sum())
    rows = [{"pieces": 1, "queue": False, "ideal": ideal, "seconds": float((DISK.nbytes / MACHINES / rate).max())}]
    for pieces in (4, 16, 64, 256, 1024):
        piece = DISK.nbytes / MACHINES / pieces
        taken = queue(MACHINES * pieces, piece / rate, value("dispatch"))
        rows.append({"pieces": pieces, "queue": True, "ideal": ideal, "seconds": taken})
    return rows


def uneven(rows: int, parts: int) -> float:
    """How much longer the longest of `parts` shards is than rows / parts."""
    return math.ceil(rows / parts) * parts / rows - 1
