"""What the commands show: a progress bar on a terminal, and the closing summary of `gpuinit create`."""

from __future__ import annotations

import contextlib
import io
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from gpuinit.hashing import Digest
from gpuinit.tables import Job, Written
from gpuinit.tables.writer import Progress

__all__ = ["any_character", "bar", "progress", "report", "size_text"]


@contextlib.contextmanager
def progress(jobs: Sequence[Job], quiet: bool) -> Iterator[Progress | None]:
    """A bar over all the jobs' bytes."""
    with bar(sum(job.nbytes for job in jobs), jobs[0].name, quiet) as advance:
        yield None if advance is None else lambda job, nbytes: advance(job.name, nbytes)


@contextlib.contextmanager
def bar(total: int, name: str, quiet: bool) -> Iterator[Callable[[str, int], None] | None]:
    """A bar over so many bytes, with GB/s and the time left; nothing where standard error is no terminal.

    `name`: of what is at work first. What comes back takes the name of what is at work, and how many more bytes are done.
    """
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    from rich import progress as rich  # slow to import, and only needed here
    from rich.console import Console

    columns = (
        rich.TextColumn("{task.description}", markup=False),
        rich.BarColumn(),
        rich.DownloadColumn(),
        rich.TransferSpeedColumn(),
        rich.TimeRemainingColumn(),
    )
    with rich.Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(name, total=total)
        yield lambda name, nbytes: shown.update(task, advance=nbytes, description=name)


def report(written: Sequence[Written], out: str, as_json: bool) -> None:
    """Print the summary to standard output: a table and a line of totals, or a JSON document."""
    if as_json:
        print(json.dumps([_facts(item) for item in written], indent=1, allow_nan=False), flush=True)
        return
    nbytes, seconds = sum(item.nbytes for item in written), sum(item.seconds for item in written)
    with any_character():
        _print_table(written)
        print(
            f"{len(written)} {'file' if len(written) == 1 else 'files'}, {size_text(nbytes)} in {seconds:.1f} s: {out}",
            flush=True,
        )


@contextlib.contextmanager
def any_character() -> Iterator[None]:
    """While the block runs, standard output shows what its encoding lacks as `\\xe9`: the files are written by now."""
    stream = sys.stdout
    if not isinstance(stream, io.TextIOWrapper):
        yield
        return
    errors = stream.errors
    stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        stream.reconfigure(errors=errors)


def _print_table(written: Sequence[Written]) -> None:
    """A table with as many digits as fit the width; where even two are too many, a terminal folds the names."""
    from rich.console import Console

    console, endless = Console(), Console(width=10_000)
    for digits in (5, 4, 3, 2):
        table = _table(written, digits)
        width = table.__rich_measure__(endless, endless.options).maximum
        if width <= console.width:
            break
    (console if console.is_terminal else Console(width=width)).print(table)


def _table(written: Sequence[Written], digits: int) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), collapse_padding=True)
    table.add_column("table", overflow="fold")
    for heading in ("shape", "dtype"):
        table.add_column(heading, no_wrap=True)
    for heading in ("GB/s", "mean", "std", "min", "max", "hash"):
        table.add_column(heading, justify="right", no_wrap=True)
    for item in written:
        job, digest = item.job, item.digest
        known = digest is not None and digest.count
        numbers = (digest.mean, digest.std, digest.min, digest.max) if digest and known else (math.nan,) * 4
        statistics = ["-" if value != value else f"{value:.{digits}g}" for value in numbers]
        shape = "x".join(map(str, job.shape)) or "()"
        rate, hash = (f"{_rate(item):.2f}", f"{digest.hash:016x}") if digest else ("-", "there already")
        table.add_row(Text(job.name), shape, job.dtype.name, rate, *statistics, hash)
    return table


def _facts(item: Written) -> dict[str, Any]:
    digest = item.digest
    numbers = dict.fromkeys(("mean", "std", "min", "max")) if digest is None else _numbers(digest)
    return {
        "table": item.job.name,
        "file": str(item.job.path),
        "shape": list(item.job.shape),
        "dtype": item.job.dtype.name,
        "bytes": item.nbytes,
        "seconds": item.seconds,
        "resumed": item.resumed,
        **numbers,
        "hash": f"{digest.hash:016x}" if digest else None,
    }


def _numbers(digest: Digest) -> dict[str, Any]:
    mean = digest.mean
    return {
        "mean": [_finite(mean.real), _finite(mean.imag)] if isinstance(mean, complex) else _finite(mean),
        **{name: _finite(getattr(digest, name)) for name in ("std", "min", "max")},
    }


def _finite(value: float) -> float | None:
    """The number, None where JSON has none."""
    return value if math.isfinite(value) else None


def _rate(item: Written) -> float:
    return (item.nbytes - item.resumed) / item.seconds / 1e9 if item.seconds else 0.0


def size_text(nbytes: int) -> str:
    """A number of bytes, for reading."""
    return f"{nbytes / 1e9:.2f} GB" if nbytes >= 10**7 else f"{nbytes:,} bytes"
