"""The threads of the CPU backend: a small pool that survives forks and takes calls from several threads at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from gpuinit.key import integer

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

__all__ = ["PIECE", "get_num_threads", "run", "set_num_threads", "spare"]

PIECE = 2**19
"""Elements of one piece of work: a fraction of a millisecond, so that threads end together and Ctrl-C is met soon."""

_local = threading.local()
_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_threads: int | None = None


def get_num_threads() -> int:
    """How many threads a large fill uses: `set_num_threads`, else GPUINIT_NUM_THREADS, else the processors allowed."""
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


def spare(count: int) -> None:
    """Let the fills of this thread use `count` threads fewer, but at least one, for what runs beside them; 0 ends that."""
    _local.spared = count


def run(work: Callable[[int, int], None], size: int) -> None:
    """Call `work(first, last)` over pieces that cover 0 .. size, on this thread and the pool's; the first exception is raised.

    When it returns or raises, no piece is being worked at any more. Helpers that are busy elsewhere are not waited for.
    """
    turns = _Turns(work, size)
    helpers = min(get_num_threads() - getattr(_local, "spared", 0), turns.pieces) - 1
    try:
        for _ in range(helpers):
            _the_pool().submit(turns.help)
    except RuntimeError:  # the interpreter is shutting down, no thread can be started, or another call replaced the pool
        pass
    try:
        while (piece := turns.next()) is not None:
            work(*piece)
    finally:
        turns.finish()


class _Turns:
    """The pieces of one call: whoever comes takes the next.

    Only the helpers' pieces are counted as they run: the caller knows of its own, and may be interrupted anywhere.
    """

    def __init__(self, work: Callable[[int, int], None], size: int) -> None:
        self.pieces = -(-size // PIECE)
        self._piece = PIECE
        self._work = work
        self._size = size
        self._next = 0
        self._running = 0
        self._error: BaseException | None = None
        self._changed = threading.Condition()

    def next(self, helpers: int = 0) -> tuple[int, int] | None:
        """The next piece, first and last element, or None if there is none; a helper says that it is one."""
        with self._changed:
            if self._next >= self.pieces:
                return None
            first = self._next * self._piece
            self._next += 1
            self._running += helpers
            return first, min(first + self._piece, self._size)

    def help(self) -> None:
        """Work at pieces until there are none left; an exception is kept for `finish`, and ends the work."""
        while (piece := self.next(helpers=1)) is not None:
            error: BaseException | None = None
            try:
                self._work(*piece)
            except BaseException as raised:
                error = raised
            with self._changed:
                self._running -= 1
                if error is not None:
                    self._error, self._next = error, self.pieces
                self._changed.notify_all()

    def finish(self) -> None:
        """Let no further piece begin, wait for those under way, and raise what went wrong in one."""
        with self._changed:
            self._next = self.pieces
            while self._running:
                self._changed.wait()
            error, self._error = self._error, None
        if error is not None:
            raise error


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
