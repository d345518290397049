"""Writes the tables of benchmarks/results/ into README.md, between its markers: `python -m benchmarks.report`."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
START, END = "<!-- benchmarks:start -->", "<!-- benchmarks:end -->"


def heading(machine: dict) -> str:
    """Where and how figures were taken."""
    return (
        f"{machine['processor']}, {machine['processors']} processors, {machine['date']}, commit {machine['commit']}. Medians of "
        "interleaved pairs; a ratio is the peer's time divided by gpuinit's, with its least and greatest value."
    )


def orthogonal(results: dict) -> str:
    """The Markdown of orthogonal.json."""
    lines = [
        heading(results["machine"]),
        "",
        "| orthogonal matrices, float32, all processors | gpuinit, ms | max abs(Q'Q - I) | peer | ratio |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in results["rows"]:
        for peer, figures in ((name, value) for name, value in row.items() if isinstance(value, dict)):
            ratio = f"{figures['ratio']:.2f} ({figures['least']:.2f} .. {figures['most']:.2f})"
            lines.append(f"| {row['name'][16:-1]} | {row['ms']:.0f} | {row['defect']:.1e} | {peer} | {ratio} |")
    return "\n".join(lines)


def tables(results: dict) -> str:
    """The Markdown of tables.json."""
    lines = [
        heading(results["machine"]),
        "",
        "| a table of 10^12 rows of 128, not in memory; one thread on each side | gpuinit | peer, 10^6 rows in memory | ratio |",
        "| --- | --- | --- | --- |",
    ]
    for row in results["rows"]:
        kind, case = re.match(r"test_table_(\w+?)(?:\[(.*)\])?$", row["name"]).groups()
        speed = f"{row['M rows/s']:.1f} M rows/s" if "M rows/s" in row else f"{row['us a call']:.0f} us"
        what = {"construction": "making the table", "one_row": f"one row, `{case}`"}.get(kind)
        what = what or f"a million random rows, {case.replace('-', ', ').replace('_', ' ')}"
        peers = [(name, value) for name, value in row.items() if isinstance(value, dict)]
        for peer, figures in peers:
            ratio = f"{figures['ratio']:.2f} ({figures['least']:.2f} .. {figures['most']:.2f})"
            lines.append(f"| {what} | {speed} | {peer} | {ratio} |")
        if not peers:
            lines.append(f"| {what} | {speed} | | |")
    return "\n".join(lines)


def files(results: dict) -> str:
    """The Markdown of files.json."""
    machine, rows = results["machine"], results["rows"]
    size, rounds = rows[0]["bytes"] / 2**30, rows[0]["rounds"]
    lines = [
        f"{machine['processor']}, {machine['processors']} processors, {machine['date']}, commit {machine['commit']}. {rounds} "
        "rounds; a ratio is the time of a plain sequential write of as many bytes, in the same round, divided by create's.",
        "",
        f"| a table of {size:.0f} GiB | plain write, GB/s | create, GB/s | ratio | check, GB/s | peak memory, MiB |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        ratio = f"{row['ratio']:.2f} ({row['least']:.2f} .. {row['most']:.2f})"
        figures = (row["plain write, GB/s"], row["create, GB/s"], ratio, row["check, GB/s"], row["peak memory, MiB"])
        lines.append(f"| {row['format']} | {' | '.join(map(str, figures))} |")
    return "\n".join(lines)


def table(results: dict) -> str:
    """The Markdown of cpu.json."""
    rows = {row["name"]: row for row in results["rows"]}
    lines = [
        heading(results["machine"]),
        "",
        "| work (2^26 elements into touched memory, one thread on each side) | gpuinit, G/s | peer | ratio |",
        "| --- | --- | --- | --- |",
    ]
    calls = ["", "| one call, everything compiled, one thread | gpuinit, us | peer | ratio |", "| --- | --- | --- | --- |"]
    whole = ["", "| all processors | gpuinit, G/s | per cent of a constant fill |", "| --- | --- | --- |"]
    for name, row in rows.items():
        kind, case = re.match(r"test_(\w+?)(?:\[(.*)\])?$", name).groups()
        for peer, figures in ((k, v) for k, v in row.items() if isinstance(v, dict)):
            ratio = f"{figures['ratio']:.2f} ({figures['least']:.2f} .. {figures['most']:.2f})"
            if kind == "one_thread":
                lines.append(f"| {case.replace('-', ', ').replace('_', ' ')} | {row['G/s']:.2f} | {peer} | {ratio} |")
            elif kind == "small_call":
                calls.append(f"| {case.replace('_', ' ').replace('-', ', n = ')} | {row['us a call']:.1f} | {peer} | {ratio} |")
            elif kind == "all_threads":
                whole.append(f"| {case.replace('-', ', ').replace('_', ' ')} | {row['G/s']:.2f} | {100 * figures['ratio']:.0f} |")
            elif kind == "new_tensor":
                lines.append(f"| a new normal tensor, all processors | {row['G/s']:.2f} | {peer} | {ratio} |")
    started = [
        f"{case}: {row['ms a process']:.0f} ms" for case, row in ((n[13:-1], r) for n, r in rows.items() if "test_process" in n)
    ]
    return "\n".join([*lines, *whole, *calls, "", f"Whole processes: {'; '.join(started)}."])


SHOWN = {"cpu": table, "orthogonal": orthogonal, "tables": tables, "files": files}
"""The results that the README shows, and what writes each."""


def main() -> None:
    """Replace the block between README's markers."""
    found = {name: json.loads((ROOT / f"benchmarks/results/{name}.json").read_text()) for name in SHOWN}
    readme = ROOT / "README.md"
    before, rest = readme.read_text().split(START)
    shown = "\n\n".join(write(found[name]) for name, write in SHOWN.items())
    readme.write_text(f"{before}{START}\n{shown}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
