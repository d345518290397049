"""The figures of benchmarks/gpu_bench.py as text and as a picture: python -m benchmarks.gpu_table gpu.json [gpu.png]."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["lines", "picture", "promise"]

PROMISED = {"uniform": 90, "truncated": 90, "normal": 80}
"""Per cent of memset in float32."""
PROMISED_FROM = 2**26
"""Elements from which the promise is looked at: below, launching takes longer than filling."""

PEERS = ("torch", "jax", "cupy.random", "cupy Generator")
COLORS = {
    "gpuinit": ("#0072B2", ""),
    "torch": ("#E69F00", "//"),
    "jax": ("#009E73", "\\\\"),
    "cupy.random": ("#CC79A7", "xx"),
    "cupy Generator": ("#56B4E9", ".."),
}
"""Okabe and Ito's colours, told apart without colour by their hatching too."""


def promise(law: str, dtype: str, row: dict[str, Any]) -> dict[str, Any]:
    """Whether a row keeps what is promised: per cent of memset in float32, and faster than each peer."""
    if row["elements"] < PROMISED_FROM:
        return {}
    found: dict[str, Any] = {}
    if dtype == "float32":
        found["memset promise"] = {"per cent": PROMISED[law], "met": row["per cent of memset"] >= PROMISED[law]}
    if row["ratios"]:
        found["faster than each peer"] = min(row["ratios"].values()) > 1
    return found


def lines(results: dict[str, Any]) -> Iterator[str]:
    """The table."""
    machine = results["machine"]
    yield (
        f"{machine['device']}, driver {machine['driver']}, gpuinit {machine['gpuinit']} at {machine['commit']}, "
        f"{machine['date']}" + (" (quick: sizes too small to mean anything)" if results["quick"] else "")
    )
    yield ""
    heads = "".join(f"{peer:>15}" for peer in PEERS)
    yield f"{'dense fill':20} {'elements':>11} {'G/s':>8} {'GB/s':>8} {'% memset':>9} {'promise':>13}{heads}   (time / ours)"
    for row in results["fills"]:
        yield _fill(row)
    yield ""
    yield f"{'parts, float32':46} {'us':>10} {'GB/s':>8} {'% memset':>9}"
    for row in results["parts"]:
        if "reason" in row:
            yield f"{row['name']:46} {row['reason']}"
            continue
        ours = row["figures"]["gpuinit"]
        yield f"{row['name']:46} {ours['us']:10.1f} {ours['GB/s']:8.1f} {row['per cent of memset']:9.1f}"
    yield ""
    yield "a call of 1024 uniform float32, us: " + ", ".join(
        f"{row['name']} {row.get('us a call', row.get('reason'))}" for row in results["calls"]
    )
    yield from _orthogonal(results.get("orthogonal", []))
    yield from _staging(results.get("staging"))
    peak = results["peak"]
    yield f"memory of a fill: {peak['tensor']} bytes of the tensor and {peak['beside the tensor']} beside them"
    reasons = {
        f"{peer}: {figure['reason']}"
        for row in results["fills"]
        for peer, figure in row.get("figures", {}).items()
        if "reason" in figure
    }
    yield from (f"not measured: {reason}" for reason in sorted(reasons))
    yield from (f"FAILED: {name}" for name in dict.fromkeys(results["failed"]))
    yield _verdict(results)


def _fill(row: dict[str, Any]) -> str:
    start = f"{row['name']:20} {row.get('elements', ''):>11}"
    if "reason" in row:
        return f"{start} {row['reason']}"
    ours = row["figures"]["gpuinit"]
    promise = row.get("memset promise")
    said = f"{'met' if promise['met'] else 'MISSED'} ({promise['per cent']} %)" if promise else ""
    ratios = "".join(f"{row['ratios'].get(peer, ''):>15}" for peer in PEERS)
    return f"{start} {ours['G/s']:8.2f} {ours['GB/s']:8.1f} {row['per cent of memset']:9.1f} {said:>13}{ratios}"


def _orthogonal(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Orthogonal matrices in float32: the promise is 5 times torch's speed, and an error of 2e-6."""
    if not rows:
        return
    yield ""
    heads = f"{'ms':>10} {'error':>9} {'from CPU':>9} {'beside':>12} {'torch':>8} {'cupy QR':>8}"
    yield f"{'orthogonal, float32':20} {heads}   (time / ours) promise"
    for row in rows:
        if "reason" in row:
            yield f"{row['name']:20} {row['reason']}"
            continue
        distance = f"{row['from the CPU']:9.1e}" if "from the CPU" in row else " " * 9
        ratios = "".join(f" {row['ratios'].get(peer, ''):>8}" for peer in ("torch", "cupy QR"))
        said = {True: "met", False: "MISSED"}.get(row.get("promise met"), "")
        figures = f"{row['us'] / 1e3:10.2f} {row['error']:9.1e} {distance} {row['beside the matrix']:12}{ratios}"
        yield f"{row['name']:20} {figures} {said:>23}"
        reasons = (f"{peer}: {figure['reason']}" for peer, figure in row["peers"].items() if "reason" in figure)
        yield from (f"not measured: {reason}" for reason in reasons)
    yield ""


def _staging(row: dict[str, Any] | None) -> Iterator[str]:
    """A table to host memory, beside copies of as many bytes."""
    if not row:
        return
    if "reason" in row:
        yield f"{row['name']}: {row['reason']}"
        return
    speeds = row["GB/s"]
    yield (
        f"{row['law']} to host memory, {row['bytes']} bytes by {row['chunk']}: {speeds['gpuinit']} GB/s, copies alone "
        f"{speeds['copies']}: {row['per cent of the copies']} %"
    )


def _verdict(results: dict[str, Any]) -> str:
    promises = [row["memset promise"]["met"] for row in results["fills"] if "memset promise" in row]
    faster = [row["faster than each peer"] for row in results["fills"] if "faster than each peer" in row]
    if not promises:
        return "the promise: not looked at, as no size is large enough"
    return (
        f"the promise (float32: uniform and truncated 90 % of memset, normal 80 %): {'met' if all(promises) else 'MISSED'} in "
        f"{sum(promises)} of {len(promises)} cases; faster than each peer: {'met' if all(faster) else 'MISSED'} in "
        f"{sum(faster)} of {len(faster)}"
    )


def picture(results: dict[str, Any], path: Path) -> str:
    """Draw GB/s of the largest fills that have peers, with memset's as a line; what was done, in words."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError as error:
        return f"no picture: {error}"
    rows = [row for row in results["fills"] if row.get("ratios")]
    if not rows:
        return "no picture: no case has a peer"
    largest = max(row["elements"] for row in rows)
    rows = [row for row in rows if row["elements"] == largest]
    kinds = list(dict.fromkeys(row["dtype"] for row in rows))
    figure, axes = pyplot.subplots(1, len(kinds), figsize=(6 * len(kinds), 4.5), sharey=True, squeeze=False, layout="constrained")
    for axis, dtype in zip(axes[0], kinds, strict=True):
        _panel(axis, [row for row in rows if row["dtype"] == dtype])
        axis.set_title(f"{dtype}, {largest:,} elements")
    axes[0][0].set_ylabel("GB/s written")
    handles = {label: handle for axis in axes[0] for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=len(handles), frameon=False)
    figure.suptitle(f"{results['machine']['device']}, {results['machine']['date']}")
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
    return f"picture: {path.name}"


def _panel(axis: Any, rows: list[dict[str, Any]]) -> None:
    names = [name for name in COLORS if any("GB/s" in row["figures"].get(name, {}) for row in rows)]
    width = 0.8 / len(names)
    for place, name in enumerate(names):
        color, hatch = COLORS[name]
        found = [(at, row["figures"][name]["GB/s"]) for at, row in enumerate(rows) if "GB/s" in row["figures"].get(name, {})]
        left = [at - 0.4 + (place + 0.5) * width for at, _ in found]
        bars = axis.bar(
            left, [rate for _, rate in found], width, label=name, color=color, hatch=hatch, edgecolor="black", linewidth=0.6
        )
        axis.bar_label(bars, fmt="%.0f", fontsize=8, padding=2)
    memset = [row["figures"]["memset"]["GB/s"] for row in rows]
    left, right = [at - 0.45 for at in range(len(rows))], [at + 0.45 for at in range(len(rows))]
    axis.hlines(memset, left, right, colors="black", linestyles="--", label="memset")
    axis.set_xticks(range(len(rows)), [row["law"] for row in rows])
    axis.set_ylim(0, 1.15 * max(memset))
    axis.spines[["top", "right"]].set_visible(False)


def main() -> None:
    """Print the table of a results file, and draw it."""
    results = json.loads(Path(sys.argv[1]).read_text())
    print("\n".join(lines(results)))
    if len(sys.argv) > 2:
        print(picture(results, Path(sys.argv[2])))


if __name__ == "__main__":
    main()
