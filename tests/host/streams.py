"""Streams that stand for a GPU's: what is put on one is done in its order, at any time, and in any order beside the others."""

from __future__ import annotations

import contextlib
import random
from collections import deque
from collections.abc import Callable, Iterator

__all__ = ["Streams"]

Work = Callable[[], object]


class Streams:
    """Stream 0, the current one at first, and those that `new` makes.

    `pace`: "early", work is done as soon as it is given; "late", not before the host waits for it or for what waits for it; a
    Random, each time that something is asked of the streams some of them do some of their work. A program that is right gives the
    same at every pace.
    """

    def __init__(self) -> None:
        self.pace: str | random.Random = "early"
        self.alive = {0}
        self._queues: dict[int, deque[Work]] = {0: deque()}
        self._given, self._done = {0: 0}, {0: 0}
        self._current = [0]
        self._working = False

    @property
    def current(self) -> int:
        """The number of the current stream."""
        return self._current[-1]

    @property
    def pending(self) -> int:
        """How many works are not done yet."""
        return sum(map(len, self._queues.values()))

    @property
    def idle(self) -> bool:
        """Whether nothing is left to do, nor being done."""
        return not self.pending and not self._working

    def pending_on(self, stream: int) -> int:
        """The same of one stream."""
        return len(self._queues[stream])

    def forget(self) -> None:
        """Leave undone what is left, and the streams that were made, after something that went wrong."""
        for queue in self._queues.values():
            queue.clear()
        self._done = dict(self._given)
        self.alive = {0}

    def new(self) -> int:
        """A stream of its own; numbers are not used again."""
        number = len(self._queues)
        self._queues[number], self._given[number], self._done[number] = deque(), 0, 0
        self.alive.add(number)
        return number

    def end(self, stream: int) -> None:
        """The stream is not used any more; it must have nothing left to do."""
        assert not self._queues[stream], f"stream {stream} is ended before its work is done"
        self.alive.remove(stream)

    @contextlib.contextmanager
    def using(self, stream: int) -> Iterator[None]:
        """While the block runs, the stream is the current one."""
        assert stream in self.alive, f"stream {stream} has ended"
        self._current.append(stream)
        try:
            yield
        finally:
            self._current.pop()

    def put(self, work: Work, stream: int | None = None) -> None:
        """Give work to a stream, None meaning the current one."""
        number = self.current if stream is None else stream
        self._queues[number].append(work)
        self._given[number] += 1
        self._go_on()

    def wait(self, stream: int) -> None:
        """Let the current stream wait for what another has been given so far; streams of others have nothing to do."""
        until = self._given.get(stream, 0)

        def wait() -> None:
            while stream in self._done and self._done[stream] < until:
                self._step(stream)

        self.put(wait)

    def synchronize(self) -> None:
        """Do all that the current stream has been given."""
        self._go_on()
        while self._queues[self.current]:
            self._step(self.current)

    def finish(self) -> None:
        """Do everything."""
        while busy := [number for number, queue in self._queues.items() if queue]:
            self._step(busy[0])

    def _step(self, stream: int) -> None:
        work, before = self._queues[stream].popleft(), self._working
        self._working = True  # what is freed meanwhile is put behind, and not done within
        try:
            work()
        finally:
            self._working = before
            self._done[stream] += 1

    def _go_on(self) -> None:
        if self._working or self.pace == "late":
            return
        if self.pace == "early":
            self.finish()
            return
        assert isinstance(self.pace, random.Random)
        for _ in range(self.pace.randrange(4)):
            if busy := [number for number, queue in self._queues.items() if queue]:
                self._step(self.pace.choice(busy))
