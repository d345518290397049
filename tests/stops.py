"""Stops `gpuinit create` at each of its calls of the file system in turn, and goes on with what each stop left.

`python tests/stops.py HOW FOLDER NAME OPTION...` prints the stops as JSON. HOW: "kill" ends the process, as SIGKILL does, half of
a write being done; "signal" sends it SIGINT; an errno's name makes the call fail with that. The runs are forked from here,
before any thread has been started, so that a stop takes a few hundredths of a second.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

CALLS = ("pwrite", "fdatasync", "fsync", "replace", "rename", "unlink", "rmdir", "mkdir")
KILLED = 99
NEVER = 1 << 30


def small() -> None:
    """Chunks of 512 bytes, a checkpoint every 1024, and kept from 1024 bytes on; flushing, which takes its time, does nothing."""
    from gpuinit.tables import pipeline, writer

    pipeline.CHUNK_BYTES, pipeline.CHECKPOINT_BYTES, writer.KEPT_FROM = 512, 1024, 1024
    os.fsync = os.fdatasync = lambda descriptor: None  # type: ignore[assignment]


def stopping(how: str, number: int) -> list[str]:
    """Make call `number` of those in CALLS the last, or a failing one; the list receives the calls as they are made."""
    made: list[str] = []

    def replaced(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            made.append(name)
            if len(made) == number:
                if how == "kill":
                    if name == "pwrite":
                        real(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2], arguments[2])
                    os._exit(KILLED)
                if how == "signal":
                    os.kill(os.getpid(), signal.SIGINT)
                else:
                    raise OSError(getattr(errno, how), os.strerror(getattr(errno, how)))
            return real(*arguments, **named)

        return call

    for name in CALLS:
        setattr(os, name, replaced(name, getattr(os, name)))
    return made


def forked(work: Callable[[], Any]) -> Any:
    """What `work` returns in a process of its own, as JSON; {} if that was killed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            os.write(writing, json.dumps(work()).encode())  # less than a pipe holds
        except BaseException as error:
            os.write(writing, json.dumps({"raised": repr(error)}).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return json.loads(said) if said else {}


def create(arguments: list[str]) -> dict[str, Any]:
    """The command line run in this process: its status and what it says."""
    from gpuinit.cli import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(["create", *arguments, "--json"])
    return {"status": status, "said": err.getvalue(), "facts": json.loads(out.getvalue() or "null")}


def contents(folder: Path) -> dict[str, str]:
    """All files in a folder by their paths there, in hexadecimal."""
    return {str(path.relative_to(folder)): path.read_bytes().hex() for path in sorted(folder.rglob("*")) if path.is_file()}


def stop(how: str, number: int, folder: Path, arguments: list[str], before: Path | None) -> dict[str, Any]:
    """Stop the run at one call, and go on: what was said and left, and what came of going on."""
    shutil.rmtree(folder, ignore_errors=True)
    if before is None:
        folder.mkdir()
    else:
        shutil.copytree(before, folder)

    def first() -> dict[str, Any]:
        made = stopping(how, number)
        return {**create(arguments), "calls": made}

    stopped = forked(first)
    left = contents(folder)
    journal = next(iter(folder.glob("*.journal")), None)
    return {
        "number": number,
        "stopped": stopped,
        "left": left,
        "kept": None if journal is None else json.loads(journal.read_text())["elements"],
        "on": forked(lambda: create([*arguments, "--resume"])),
        "files": contents(folder),
    }


def main() -> None:
    """Every stop in turn, until a run comes to its end before it is stopped."""
    import zarr  # noqa: F401  # before the forks, which then need not

    import gpuinit.cli.parser  # noqa: F401

    how, folder, name, *options = sys.argv[1:]
    small()
    at, old = Path(folder) / "at", None
    arguments = [*options, "--out", str(at / name)]
    if "--force" in options:
        at.mkdir()
        forked(lambda: create([*arguments, "--seed", "99"]))
        old = at.rename(Path(folder) / "old")
    whole, stops = stop(how, NEVER, at, arguments, old), []
    while True:
        found = stop(how, len(stops) + 1, at, arguments, old)
        if found["stopped"] and len(found["stopped"]["calls"]) <= len(stops):  # which depends on how threads meet
            break
        stops.append(found)
    print(json.dumps({"old": {} if old is None else contents(old), "whole": whole, "stops": stops}))


if __name__ == "__main__":
    main()
