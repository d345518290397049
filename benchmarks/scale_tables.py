"""Writes the tables of benchmarks/results/scale.json into docs/scale.md: `python -m benchmarks.scale_tables`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from benchmarks.pairs import RESULTS
from benchmarks.scale_plans import ASSUMED, uneven

__all__ = ["PAGE", "SOURCE", "rewritten"]

SOURCE = RESULTS / "scale.json"
PAGE = RESULTS.parents[1] / "docs/scale.md"
MEBI = 2**20
WHERE = {
    "device": "stay on the GPUs",
    "memory": "stay in memory",
    "disk": "files, own disks",
    "cache": "files, by the page cache",
    "store": "files, one store for all",
}
SPLITS = ((10**12, 8192), (100_000, 1024), (10_000, 8192))


def assumed(results: dict[str, Any]) -> Iterator[str]:
    """Every figure that was not measured."""
    yield from head("figure", "value", "from")
    for name, figure in ASSUMED.items():
        yield row(name, figure.shown, figure.source)


def measured(results: dict[str, Any]) -> Iterator[str]:
    """This machine's figures, and predicted times beside those of `gpuinit create`."""
    machine, figures = results["machine"], results["figures"]
    peak = max(check["peak"] for check in results["checks"])
    yield (
        f"{machine['processor']}, {machine['processors']} processors, {machine['date']}, commit {machine['commit']}; medians of "
        f"{results['rounds']} rounds, tables of {results['bytes'] / MEBI:,.0f} MiB. `gpuinit create` took "
        f"{figures['start']:.2f} s to start and {peak / MEBI:.0f} MiB of memory; the configuration of a table of 10^15 bytes is "
        f"{results['config bytes']} bytes long."
    )
    yield ""
    yield from head("measured", "GB/s")
    for law, rate in figures["make"].items():
        yield row(f"{law} values made, float32, all processors", gigabytes(rate))
    yield row("values hashed, all processors", gigabytes(figures["hash"]))
    for place, rates in figures["places"].items():
        yield row(f"written by one thread, {place}", gigabytes(rates["write"]))
    yield ""
    yield from head("`gpuinit create`", "bound by", "predicted, s", "measured, s", "predicted / measured")
    for check in results["checks"]:
        ratio = f"{check['ratio']:.2f} ({check['least']:.2f} .. {check['most']:.2f})"
        name = f"{check['law']}, to {'the disk' if check['place'] == 'disk' else 'memory'}"
        yield row(name, check["bound"], f"{check['predicted']:.2f}", f"{check['measured']:.2f}", ratio)


def plans(results: dict[str, Any]) -> Iterator[str]:
    """A row a plan."""
    yield from head(
        "bytes", "machines", "the values", "processes a machine", "a process", "bound by", "formula", "simulated, the last"
    )
    for plan in results["plans"]:
        kind = "no GPU" if plan["kind"] == "CPU" else f"8 x {plan['kind']}"
        law = f", {plan['law']}" if plan["target"] in ("device", "memory") else ""
        last = duration(plan["simulated"]) if "simulated" in plan else ""
        found = (f"{plan['bound']}, {gigabytes(plan['rate'])} GB/s", duration(plan["seconds"]), last)
        if not plan["fits"]:
            found = ("does not fit", "", "")
        power = f"10^{len(str(int(plan['nbytes']))) - 1}"
        size = f"{gigabytes(plan['shard'])} GB"
        yield row(power, f"{plan['machines']:,}, {kind}", f"{WHERE[plan['target']]}{law}", str(plan["processes"]), size, *found)


def failures(results: dict[str, Any]) -> Iterator[str]:
    """A row a way of writing and MTBF."""
    yield from head(
        "written", "MTBF of a machine", "failures expected", "simulated", "in vain by each", "without failures",
        "mean machine, formula", "simulated", "the last",
    )  # fmt: skip
    for found in results["failures"]:
        vain = "" if found["remade"] is None else f"{gigabytes(found['remade'])} GB"
        times = (duration(found[name]) for name in ("without", "expected seconds", "mean", "last"))
        counts = (f"{found['expected failures']:.3g}", str(found["failures"]))
        way = "by the page cache" if found["target"] == "cache" else "past it"
        yield row(way, duration(found["mtbf"]), *counts, vain, *times)


def stragglers(results: dict[str, Any]) -> Iterator[str]:
    """A static split beside a queue; then how uneven splits are."""
    yield from head("pieces a machine", "handed out", "time", "longer than ideal")
    for found in results["stragglers"]:
        over = f"{100 * (found['seconds'] / found['ideal'] - 1):.0f} %"
        yield row(str(found["pieces"]), "as they ask" if found["queue"] else "once", duration(found["seconds"]), over)
    yield ""
    yield from head("rows", "parts", "the longest over the mean")
    for rows, parts in SPLITS:
        over = 100 * uneven(rows, parts)
        yield row(f"{rows:,}", f"{parts:,}", f"+{over:.1g} %" if over < 1 else f"+{over:.0f} %")


def head(*names: str) -> Iterator[str]:
    """The first lines of a table."""
    yield row(*names)
    yield row(*("---" for _ in names))


def row(*cells: str) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def gigabytes(amount: float) -> str:
    """Bytes, or bytes a second, in 10^9, to three digits."""
    scaled = amount / 1e9
    return f"{scaled:,.{2 if scaled < 10 else 1 if scaled < 100 else 0}f}"


def duration(seconds: float) -> str:
    """A time to two or three digits, in the unit that fits it."""
    for limit, unit, name in ((1.0, 1e-3, "ms"), (1000.0, 1.0, "s"), (7200.0, 60.0, "min"), (2 * 86400.0, 3600.0, "h")):
        if seconds < limit:
            return f"{seconds / unit:.{0 if seconds / unit >= 10 else 1}f} {name}"
    return f"{seconds / 86400:.0f} d"


def rewritten(text: str, results: dict[str, Any]) -> str:
    """The page with each block between `<!-- NAME:start -->` and `<!-- NAME:end -->` as the results have it."""
    for block in (assumed, measured, plans, failures, stragglers):
        start, end = (f"<!-- {block.__name__}:{side} -->" for side in ("start", "end"))
        table = "\n".join((start, *block(results), end))
        text, count = re.subn(f"{re.escape(start)}.*{re.escape(end)}", lambda _, table=table: table, text, flags=re.DOTALL)
        if count != 1:
            raise ValueError(f"{PAGE.name} must have {start} and {end} once, and has them {count} times")
    return text


def main() -> None:
    """Rewrite the page."""
    PAGE.write_text(rewritten(PAGE.read_text(), json.loads(SOURCE.read_text())))


if __name__ == "__main__":
    main()
