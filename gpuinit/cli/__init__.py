"""The command line.

Exit status: 0 done; 1 failed while running; 2 bad input, nothing written; 128 + n stopped by signal n.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["main"]


class _Stopped(BaseException):
    """The signal `number` asked the process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line on `argv` (by default the process's arguments) and return the exit status."""
    _hold_descriptors()
    try:
        with _signals():
            from gpuinit.cli.parser import run  # here, so that a signal during these imports is met too

            return run(argv)
    except KeyboardInterrupt as stopped:
        return _fail(_with_notes("interrupted", stopped), 128 + signal.SIGINT)
    except _Stopped as stopped:
        how = "interrupted" if stopped.number == signal.SIGINT else f"stopped by {signal.Signals(stopped.number).name}"
        return _fail(_with_notes(how, stopped), 128 + stopped.number)
    except BrokenPipeError:  # the reader of the output left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def _hold_descriptors() -> None:
    """Open nothing as those of 0, 1 and 2 that are closed, so that no output file becomes standard error."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """While the block runs, the first request to end arrives as an exception, so that unfinished files are removed.

    Later ones are ignored: what the first began is not interrupted.
    """
    stopping = False

    def stop(number: int, frame: Any) -> None:
        nonlocal stopping
        if not stopping:
            stopping = True
            raise _Stopped(number)

    usual = (signal.SIG_DFL, signal.default_int_handler)  # another is the caller's own, or nohup's
    try:
        wanted = [n for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) in usual]
        before = {number: signal.signal(number, stop) for number in wanted}
    except ValueError:  # not the main thread
        before = {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _with_notes(message: str, error: BaseException) -> str:
    """The message, and what was noted on the way, as where an unfinished file is kept."""
    return "; ".join((message, *getattr(error, "__notes__", ())))


def _fail(message: str, status: int) -> int:
    if sys.stderr is not None:  # None: it was closed, and print would take standard output
        print(f"gpuinit: error: {message}", file=sys.stderr)
    return status
