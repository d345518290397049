"""What `gpuinit verify` prints: the facts as JSON has them, and a table for people."""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gpuinit.battery import Outcome, Verdict
from gpuinit.cli.report import any_character

__all__ = ["Line", "Run", "chance", "facts", "least", "lines_of", "number", "show", "summary"]


@dataclass(frozen=True, slots=True)
class Run:
    """What was tested, and what came of it."""

    ways: tuple[str, ...]
    seed: int
    thorough: bool
    outcomes: tuple[Outcome, ...]
    verdict: Verdict
    seconds: float
    versions: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: a test, with its worst outcome and of how many."""

    outcome: Outcome
    count: int
    wrong: int


def facts(run: Run) -> dict[str, Any]:
    """The run as one JSON object."""
    verdict = run.verdict
    tests = {outcome.test.name: outcome for outcome in run.outcomes}
    return {
        "ok": verdict.ok,
        "seed": run.seed,
        "thorough": run.thorough,
        "rate": verdict.rate,
        "hypotheses": verdict.hypotheses,
        "threshold": verdict.threshold,
        "seconds": round(run.seconds, 3),
        "versions": run.versions,
        "ways": list(run.ways),
        "wrong": [
            {"way": o.way, "test": o.test.name, "sample": o.sample, "reason": reason, "catches": o.test.catches}
            for o, reason in verdict.wrong
        ],
        "tests": [{"name": name, "suite": o.suite, "catches": o.test.catches} for name, o in tests.items()],
        "outcomes": [
            {
                "way": o.way,
                "test": o.test.name,
                "sample": o.sample,
                "statistic": _finite(o.statistic.value),
                "p": _finite(o.statistic.p),
                "regular": _finite(o.statistic.regular),
                "right": o.statistic.right,
                "note": o.statistic.note,
            }
            for o in run.outcomes
        ],
    }


def _finite(number: float | None) -> float | None:
    return None if number is None or not math.isfinite(number) else float(number)


def least(outcome: Outcome) -> tuple[float, float]:
    """By which outcomes are ordered, the worst first: their chance (-1: certainly wrong, 2: certainly right), then their size."""
    found = outcome.statistic
    if found.right is not None:
        return (2.0 if found.right else -1.0), -found.value
    chances = [p if p == p else 0.0 for p in (found.p, found.regular) if p is not None]
    return min(chances, default=2.0), 0.0


def lines_of(run: Run, each: bool) -> list[Line]:
    """The table: every test once with its worst outcome, or every outcome."""
    wrong = [id(outcome) for outcome, _ in run.verdict.wrong]
    if each:
        return [Line(outcome, 1, int(id(outcome) in wrong)) for outcome in run.outcomes]
    by_test: dict[str, list[Outcome]] = {}
    for outcome in run.outcomes:
        by_test.setdefault(outcome.test.name, []).append(outcome)
    return [Line(min(some, key=least), len(some), sum(id(o) in wrong for o in some)) for some in by_test.values()]


def chance(outcome: Outcome) -> str:
    """The p-value for people; with a sign where it is the chance of being as regular."""
    found = outcome.statistic
    if found.right is not None:
        return "exact"
    if found.p is None:
        return "-"
    if found.regular is not None and found.regular < found.p:
        return f"{found.regular:.2g} (even)"
    return f"{found.p:.2g}"


def number(value: float) -> str:
    """A statistic for people."""
    return f"{value:.3g}"


def summary(run: Run) -> Iterator[str]:
    """What came of it, in sentences."""
    verdict = run.verdict
    yield (
        f"gpuinit {run.versions['gpuinit']}, stream contract {run.versions['stream']}; seed {run.seed}; {', '.join(run.ways)}; "
        f"{len(run.outcomes):,} results in {run.seconds:.0f} s"
    )
    if verdict.hypotheses:
        yield (
            f"{verdict.hypotheses:,} p-values judged together (Holm): the least is rejected below {verdict.threshold:.1g}, "
            f"so that a right engine is accused once in {1 / verdict.rate:,.0f} seeds"
        )
    if verdict.ok:
        yield "Nothing was found."
        return
    yield f"{len(verdict.wrong)} of the results are wrong:"
    for outcome, reason in verdict.wrong[:20]:
        yield f"  {outcome.test.name} ({outcome.way}; {outcome.sample}): {reason}"
    if len(verdict.wrong) > 20:
        yield f"  and {len(verdict.wrong) - 20} more (--each or --json shows them)"
    yield "What these tests are there for:"
    yield from (f"  {name}: {catches}" for name, catches in {o.test.name: o.test.catches for o, _ in verdict.wrong}.items())


def show(run: Run, each: bool) -> None:
    """Print the table and the summary: by rich on a terminal, else plain lines."""
    lines = lines_of(run, each)
    with any_character():
        if isinstance(sys.stdout, io.TextIOBase) and sys.stdout.isatty():
            _print_rich(lines, each)
        else:
            print(*_plain(lines, each), sep="\n")
        print(*summary(run), sep="\n", flush=True)


def _rows(lines: Sequence[Line], each: bool) -> list[tuple[str, ...]]:
    """The cells: of every test how many results, the worst one, and what it is there for; or of every result what it is of."""
    rows: list[tuple[str, ...]] = [("test", "of", "statistic", "p", "", "sample" if each else "it is there for")]
    for line in lines:
        o = line.outcome
        state = f"{line.wrong} WRONG" if line.wrong else "ok"
        about = f"{o.way}; {o.sample}" if each else o.test.catches
        rows.append((o.test.name, str(line.count), number(o.statistic.value), chance(o), state, about))
    return rows


def _plain(lines: Sequence[Line], each: bool) -> Iterator[str]:
    rows = _rows(lines, each)
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(row[c].rjust(widths[c]) for c in range(1, 4)), row[4].ljust(widths[4])]
        yield "  ".join((*cells, row[5])).rstrip()


def _print_rich(lines: Sequence[Line], each: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), collapse_padding=True)
    headings, *rows = _rows(lines, each)
    for column, heading in enumerate(headings):
        table.add_column(heading, justify="right" if column in (1, 2, 3) else "left", no_wrap=column < 5)
    for line, row in zip(lines, rows, strict=True):
        table.add_row(*(Text(cell, style="bold red" if line.wrong else "") for cell in row))
    Console().print(table)
