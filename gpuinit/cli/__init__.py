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
    """A signal asked the process to end; `status` is what it exits with."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.status = 128 + number


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line on `argv` (by default the process's arguments) and return the exit status."""
    try:
        with _signals():
            from gpuinit.cli.parser import (
                run,
            )  # the work begins here, imports included, so that a signal is met everywhere

            return run(argv)
    except KeyboardInterrupt:
        return _fail("interrupted", 128 + signal.SIGINT)
    except _Stopped as stopped:
        return _fail(f"stopped by {signal.Signals(stopped.status - 128).name}", stopped.status)
    except BrokenPipeError:  # the reader of the output left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """While the block runs, requests to end arrive as an exception, so that unfinished files are removed."""

    def stop(number: int, frame: Any) -> None:
        raise _Stopped(number)

    try:
        wanted = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) is signal.SIG_DFL]
        before = {number: signal.signal(number, stop) for number in wanted}
    except ValueError:  # not the main thread
        before = {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _fail(message: str, status: int) -> int:
    print(f"gpuinit: error: {message}", file=sys.stderr)
    return status
