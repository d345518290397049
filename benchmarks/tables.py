"""The committed results as Markdown tables, every figure of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

__all__ = ["DETAILS", "ratio", "taken"]

Results = dict[str, Any]
Line = tuple[Any, ...]


def taken(results: Results) -> str:
    """Where and when figures were taken."""
    machine = results["machine"]
    load = f", load average {machine['load before']} before" if "load before" in machine else ""
    return f"{machine['processor']}, {machine['processors']} processors, {machine['date']}, commit {machine['commit']}{load}."


def ratio(figures: dict[str, Any]) -> str:
    """Median of the pairs' ratios, the least and the greatest."""
    return f"{figures['ratio']:.2f} ({figures['least']:.2f} .. {figures['most']:.2f})"


def table(head: Line, lines: Iterable[Line]) -> str:
    """A Markdown table."""
    rows = [head, ("---",) * len(head), *lines]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


def cases(results: Results, kind: str) -> Iterator[tuple[str, dict[str, Any], dict[str, dict[str, Any]]]]:
    """Of each row of test_KIND[case]: the case in words, the row, and its peers."""
    for row in results["rows"]:
        found = re.match(rf"test_{kind}(?:\[(.*)\])?$", row["name"])
        if found:
            case = (found[1] or "").replace("-", ", ").replace("_", " ")
            yield case, row, {name: value for name, value in row.items() if isinstance(value, dict)}


def beside(results: Results, kind: str, *figures: Callable[[dict[str, Any]], str]) -> Iterator[Line]:
    """A line for each peer of each case; one for a case without."""
    for case, row, peers in cases(results, kind):
        mine = tuple(figure(row) for figure in figures)
        if not peers:
            yield (case, *mine, "", "")
        for peer, value in peers.items():
            yield (case, *mine, peer, ratio(value))


def _rate(row: dict[str, Any]) -> str:
    return f"{row['G/s']:.2f}"


def fill(results: Results) -> str:
    """Dense fills."""
    whole = [
        (case, _rate(row), round(100 * peers["constant fill"]["ratio"])) for case, row, peers in cases(results, "all_threads")
    ]
    return "\n\n".join([
        table(("2^26 elements into touched memory, one thread", "G/s", "peer", "ratio"), beside(results, "one_thread", _rate)),
        table(("the same, all processors", "G/s", "per cent of a constant fill"), whole),
        table(("a new tensor of 2^25, all processors", "G/s", "peer", "ratio"), beside(results, "new_tensor", _rate)),
    ])  # fmt: skip


def calls(results: Results) -> str:
    """Small calls and whole processes."""
    lines = [
        (re.sub(r", (\d+)$", r", n = \1", line[0]), *line[1:])
        for line in beside(results, "small_call", lambda row: f"{row['us a call']:.1f}")
    ]
    processes = [
        (case, f"{row['ms a process']:.0f}", ratio(peers["import numpy"])) for case, row, peers in cases(results, "process")
    ]
    return "\n\n".join([
        table(("one call, compiled, one thread", "us", "peer", "ratio"), lines),
        table(("a whole process", "ms", "ratio of `import numpy`"), processes),
    ])  # fmt: skip


def sweep(results: Results) -> str:
    """The cost of an element, a column a side."""
    lines = []
    for case, row, peers in cases(results, "sweep"):
        named = {name.split()[0].split(".")[0]: value for name, value in peers.items()}
        others = [
            f"{row['ns an element'] * named[name]['ratio']:.3f}" if name in named else ""
            for name in ("torch", "numpy", "constant")
        ]
        law = case.rpartition(", ")[0]  # the size comes last
        lines.append((law, f"2^{row['size'].bit_length() - 1}", f"{row['ns an element']:.3f}", *others))
    return table(("one thread, ns an element", "elements", "gpuinit", "torch", "numpy", "constant fill"), lines)


def blocks(results: Results) -> str:
    """Parts of a tensor."""
    share = "of the whole's speed, per cent"
    figures = (_rate, lambda row: f"{row[share]:.0f}")
    head = ("a part of (2^14, 2^13), float32, one thread", "G/s", "per cent of the whole's speed", "peer", "ratio")
    return table(head, beside(results, "block", *figures))


def tables(results: Results) -> str:
    """Tables that are not there."""
    lines = [("making it", f"{row['us a call']:.0f} us", "", "") for _, row, _ in cases(results, "table_construction")]
    lines += [
        (f"one row, `{row['name'].partition('[')[2][:-1]}`", f"{row['us a call']:.0f} us", peer, ratio(value))
        for _, row, peers in cases(results, "table_one_row")
        for peer, value in peers.items()
    ]
    lines += [
        (f"a million random rows, {line[0]}", *line[1:])
        for line in beside(results, "table_rows", lambda row: f"{row['M rows/s']:.1f} M rows/s")
    ]
    return table(("a table of 10^12 rows of 128, one thread", "gpuinit", "peer, 10^6 rows in memory", "ratio"), lines)


def orthogonal(results: Results) -> str:
    """Orthogonal matrices."""
    figures = (lambda row: f"{row['ms']:.0f}", lambda row: f"{row['defect']:.1e}")
    head = ("orthogonal, float32, all processors", "ms", "max abs(Q'Q - I)", "peer", "ratio")
    return table(head, beside(results, "orthogonal", *figures))


def files(results: Results) -> str:
    """Whole files."""
    rows = results["rows"]
    head = (f"a table of {rows[0]['bytes'] / 2**30:.0f} GiB, {rows[0]['rounds']} rounds", "plain write, GB/s", "create, GB/s")
    lines = [
        (row["format"], row["plain write, GB/s"], row["create, GB/s"], ratio(row), row["check, GB/s"], row["peak memory, MiB"])
        for row in rows
    ]
    return table((*head, "ratio of a plain write's time", "check, GB/s", "peak memory, MiB"), lines)


def models(results: Results) -> str:
    """Whole models."""
    lines = [
        (row["name"], f"{row['parameters'] / 1e6:.0f} M", row["PyTorch, s"], row["gpuinit, s"], ratio(row))
        for row in results["rows"]
    ]
    return table(("a model built, all processors", "parameters", "PyTorch, s", "gpuinit, s", "ratio"), lines)


DETAILS: dict[str, tuple[str, str, Callable[[Results], str]]] = {
    "fill": ("Dense fills by dtype", "make bench QUESTION=fill", fill),
    "sweep": ("The cost of an element by size", "make bench QUESTION=sweep", sweep),
    "calls": ("Small calls, and whole processes", "make bench QUESTION=calls", calls),
    "blocks": ("Parts of a tensor", "make bench QUESTION=blocks", blocks),
    "tables": ("Rows by id", "make bench QUESTION=tables", tables),
    "orthogonal": ("Orthogonal matrices", "make bench QUESTION=orthogonal", orthogonal),
    "files": ("Files", "make bench-files", files),
    "models": ("Whole models", "make bench-models", models),
}
"""Of each file of results: a title, the command that makes it, and what writes its tables."""
