"""A model of how large tables become files: chunks on their way through a worker's stages, flushes, failures, many workers.

Chunks pass the stages in order. What serves a stage is its lane; stages on one lane take turns, in the order of the chunks. A
chunk holds a buffer from its first stage to the end of its last, which copies it into the page cache. Now and then the disk is
told to flush what was written, beside all that; what it has flushed then is recorded, and stands after a failure. A failed worker
starts again, reads what stands, and goes on.

As chunks never overtake each other, the events are a recurrence over chunks (begin = latest of what is waited for), and all
workers take a step of it at once, as arrays.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np

__all__ = ["CHECKPOINT", "CHUNK", "Outcome", "Stage", "Worker", "bottleneck", "expected_seconds", "queue", "simulate"]

CHUNK = 32 << 20
CHECKPOINT = 256 << 20

Numbers = np.ndarray


@dataclass(frozen=True)
class Stage:
    """A step of a chunk's way: `overhead` seconds and bytes / `rate` (bytes a second), on a lane of its own or a named one."""

    name: str
    rate: float
    overhead: float = 0.0
    lane: str = ""

    def seconds(self, nbytes: Numbers | float) -> Numbers | float:
        """The time of a chunk of so many bytes."""
        return self.overhead + nbytes / self.rate


@dataclass(frozen=True)
class Worker:
    """A process that makes a shard and writes it.

    Attributes:
        stages: what a chunk passes, the writing last.
        flush: bytes a second from the page cache to the disk. read: at which what stands is read and hashed after a failure.
        buffers: chunks on their way at most. chunk, checkpoint: bytes of a chunk, and between two flushes at least.
        unflushed: bytes that may wait for the disk; a chunk that would exceed them waits before it is written.
        start: seconds before the first chunk. restart: seconds between a failure and reading what stands.
    """

    stages: tuple[Stage, ...]
    flush: float = math.inf
    read: float = math.inf
    buffers: int = 2
    chunk: float = CHUNK
    checkpoint: float = CHECKPOINT
    unflushed: float = math.inf
    start: float = 0.0
    restart: float = 0.0


@dataclass
class Outcome:
    """What became of each worker: seconds until all was flushed, failures, bytes that were written in vain, busy seconds."""

    seconds: Numbers
    failures: Numbers
    remade: Numbers
    busy: dict[str, Numbers] = field(default_factory=dict)

    def utilisation(self) -> dict[str, float]:
        """The share of all workers' time that each stage, and the disk, was at work."""
        return {name: float(busy.sum() / self.seconds.sum()) for name, busy in self.busy.items()}


def bottleneck(worker: Worker) -> tuple[str, float]:
    """The lane, or "disk", that bounds a worker, and its bytes a second: the time of a large shard is bytes / rate."""
    lanes: dict[str, float] = {}
    for stage in worker.stages:
        lane = stage.lane or stage.name
        lanes[lane] = lanes.get(lane, 0.0) + stage.seconds(worker.chunk) / worker.chunk
    rates = {lane: 1 / each if each else math.inf for lane, each in lanes.items()} | {"disk": worker.flush}
    name = min(rates, key=rates.__getitem__)
    return name, rates[name]


def expected_seconds(worker: Worker, nbytes: float, mtbf: float) -> float:
    """The expected time of a shard whose checkpoints take bytes / rate each and stand at once, with failures of rate 1 / mtbf.

    A piece of length t that begins anew after each failure takes (exp(t / mtbf) - 1) (mtbf + restart) (Daly, 2006); here the
    first try of a piece need not read what stands, and all others must.
    """
    total, rate = 0.0, bottleneck(worker)[1]
    for first in range(0, math.ceil(nbytes), int(worker.checkpoint)):
        piece = min(worker.checkpoint, nbytes - first) / rate
        again = math.expm1((piece + first / worker.read) / mtbf) * (mtbf + worker.restart)
        failed = -math.expm1(-piece / mtbf)
        total += mtbf * failed + failed * (worker.restart + again)
    return worker.start + total


def queue(tasks: int, seconds: Numbers, dispatch: float = 0.0) -> float:
    """When the last of equal tasks is done that idle workers take from one queue.

    Args:
        seconds: what a task takes each worker. dispatch: seconds of the scheduler for a task; it serves one at a time.
    """
    idle = [(0.0, number) for number in range(len(seconds))]
    scheduler = last = 0.0
    for _ in range(tasks):
        ready, number = idle[0]
        scheduler = max(scheduler, ready) + dispatch
        done = scheduler + float(seconds[number])
        heapq.heapreplace(idle, (done, number))
        last = max(last, done)
    return last


def simulate(
    worker: Worker,
    nbytes: Numbers | float,
    *,
    mtbf: float = math.inf,
    jitter: float = 0.0,
    speed: Numbers | float = 1.0,
    seed: int = 0,
) -> Outcome:
    """Run workers of one kind, each with a disk (or a fair share of one) of its own.

    Args:
        nbytes: the shard of each worker. mtbf: mean seconds between failures of one, exponentially distributed.
        jitter: the standard deviation of a stage's time over its mean. speed: a factor of all stages' rates, one a worker.
    """
    run = _Run(
        worker, np.atleast_1d(np.asarray(nbytes, float)), mtbf, jitter, np.asarray(speed, float), np.random.default_rng(seed)
    )
    while run.active.any():
        run.step()
    return Outcome(run.seconds, run.failures, run.remade, run.busy)


class _Run:
    """The state of all workers after the same number of steps; a step is each worker's next chunk."""

    def __init__(
        self, worker: Worker, total: Numbers, mtbf: float, jitter: float, speed: Numbers, rng: np.random.Generator
    ) -> None:
        self.worker, self.total, self.mtbf, self.jitter, self.speed, self.rng = worker, total, mtbf, jitter, speed, rng
        self.active = np.ones(total.size, bool)
        self.seconds, self.failures, self.remade = np.zeros((3, total.size))
        self.busy = {name: np.zeros(total.size) for name in (*(stage.name for stage in worker.stages), "disk")}
        self.fails = worker.start + self._lifetimes(total.size)
        self.free = {stage.lane or stage.name: np.full(total.size, worker.start) for stage in worker.stages}
        self.ends = deque(np.full(total.size, worker.start) for _ in range(worker.buffers))
        self.disk, self.recorded_at = np.full((2, total.size), worker.start)
        self.written, self.asked, self.covered, self.stands = np.zeros((4, total.size))

    def step(self) -> None:
        """Bring each active worker's next chunk through all stages, and look whether it failed or finished on the way."""
        worker, before = self.worker, self.written
        size = np.minimum(worker.chunk, self.total - before)
        ready = self.ends.popleft()
        for stage in worker.stages:
            lane = stage.lane or stage.name
            begin = np.maximum(ready, self.free[lane])
            if stage is worker.stages[-1] and math.isfinite(worker.unflushed):
                begin = self._room(begin, before + size - worker.unflushed)
            took = stage.seconds(size) / self.speed * self._noise()
            self.free[lane] = ready = begin + took
            self.busy[stage.name] += np.where(self.active, took, 0.0)
        self.ends.append(ready)
        self.written = before + size
        stands = np.where(self.recorded_at <= self.fails, self.covered, self.stands)
        self._record(ready)
        last = self.written >= self.total
        self._ask(last, ready, self.total)
        end = np.where(last, np.maximum(ready, self.disk), ready)
        failed = self.active & (end > self.fails)
        finished = self.active & last & ~failed
        self.seconds[finished] = end[finished]
        self.active &= ~finished
        if failed.any():
            self._fail(failed, np.where(ready <= self.fails, self.written, before), stands)

    def _room(self, begin: Numbers, need: Numbers) -> Numbers:
        """When the first `need` bytes are flushed, if that is later than `begin`; the disk is told to if it was not."""
        self._ask(need > self.asked, begin, need)
        late = self.disk - (self.asked - need) / self.worker.flush
        return np.where(need > 0, np.maximum(begin, late), begin)

    def _ask(self, those: Numbers, now: Numbers, upto: Numbers) -> None:
        """Have the disk flush up to that byte, after what it was told before."""
        took = np.where(those, (upto - self.asked) / self.worker.flush, 0.0)
        self.disk = np.where(those, np.maximum(self.disk, now) + took, self.disk)
        self.asked = np.where(those, upto, self.asked)
        self.busy["disk"] += np.where(self.active, took, 0.0)

    def _record(self, now: Numbers) -> None:
        """Begin a flush of all that is written if the one before is recorded and enough was written since."""
        stood = self.recorded_at <= now
        self.stands = np.where(stood, self.covered, self.stands)
        due = stood & (self.written - self.covered >= self.worker.checkpoint)
        self._ask(due, now, self.written)
        self.covered = np.where(due, self.written, self.covered)
        self.recorded_at = np.where(due, self.disk, self.recorded_at)

    def _fail(self, those: Numbers, written: Numbers, stands: Numbers) -> None:
        """Start those workers again behind what stands; one that fails while it is read does so at its next step."""
        self.failures += those
        self.remade += np.where(those, written - stands, 0.0)
        begin = self.fails + self.worker.restart
        ready = begin + stands / self.worker.read
        self.fails = np.where(those, begin + self._lifetimes(those.size), self.fails)
        for times in (*self.free.values(), *self.ends, self.disk, self.recorded_at):
            times[those] = ready[those]
        for counts in (self.written, self.asked, self.covered, self.stands):
            counts[those] = stands[those]

    def _lifetimes(self, count: int) -> Numbers:
        return np.full(count, math.inf) if math.isinf(self.mtbf) else self.rng.exponential(self.mtbf, count)

    def _noise(self) -> Numbers | float:
        """Factors of mean 1."""
        return self.rng.gamma(self.jitter**-2, self.jitter**2, self.total.size) if self.jitter else 1.0
