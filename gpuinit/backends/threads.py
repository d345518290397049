"""The threads of the CPU backend: a small pool that survives forks and takes calls from several threads at once."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from gpuinit.key import integer

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

__all__ = ["PIECE", "get_num_threads", "run", "set_num_threads"]

PIECE = 2**19
"""Elements of one piece of work: a fraction of a millisecond, so that threads end together."""

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_threads: int | None = None


def get_num_threads() -> int:
    """How many threads a large fill uses: `set_num_threads`, else GPUINIT_NUM_THREADS, else the processors this
    process may use."""
    global _threads
    if _threads is None:
        asked = os.environ.get("GPUINIT_NUM_THREADS", "")
        if asked and not (asked.isdecimal() and int(asked) > 0):
            raise ValueError(f"GPUINIT_NUM_THREADS={asked!r}: it must be an integer >= 1")
        _threads = (
            int(asked) if asked else len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        )
    return _threads


def set_num_threads(count: int) -> None:
    """Let large fills use `count` >= 1 threads; values do not depend on it."""
    global _threads
    number = integer(count, "count")
    if number < 1:
        raise ValueError(f"count={number}: the number of threads must be >= 1")
    with _lock:
        _threads = number
        _forget_pool()


def run(work: Callable[[int, int], None], size: int) -> None:
    """Call `work(first, last)` over pieces that cover 0 .. size, on this thread and the pool's; the first exception is raised.

    After an interrupt (Ctrl-C) a helper may still be at its piece, so `work` must hold on to whatever it writes to.
    """
    pieces = -(-size // PIECE)
    helpers = min(get_num_threads(), pieces) - 1
    if helpers < 1:
        work(0, size)
        return
    turn = itertools.count()

    def take_turns() -> None:
        while (piece := next(turn)) < pieces:
            work(piece * PIECE, min((piece + 1) * PIECE, size))

    futures: list[Future[None]] = []
    try:
        for _ in range(helpers):
            futures.append(_the_pool().submit(take_turns))
    except RuntimeError:  # the interpreter is shutting down, or another thread replaced the pool: this one does the rest
        pass
    try:
        take_turns()
    finally:
        next(itertools.islice(turn, pieces, None))  # after an exception here, let the helpers find nothing left
        for future in futures:
            future.result()


def _the_pool() -> ThreadPoolExecutor:
    global _pool
    from concurrent.futures import ThreadPoolExecutor  # here, because it brings logging with it, 15 ms of import

    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(max(get_num_threads() - 1, 1), thread_name_prefix="gpuinit")
        return _pool


def _forget_pool() -> None:
    global _pool
    old, _pool = _pool, None
    if old is not None:
        old.shutdown(wait=False)


def _after_fork() -> None:
    # The parent's threads do not exist in the child; its pool and lock are of no use there.
    global _lock, _pool
    _lock, _pool = threading.Lock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
