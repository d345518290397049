"""Writes what the committed results say into README.md and docs/benchmarks.md, and draws the sweep: python -m benchmarks.report.

Between the markers of each page stands what this module writes and nothing else; tests/test_benchmarks.py compares.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.tables import DETAILS, cases, ratio, table, taken

__all__ = ["PICTURE", "details", "digest", "draw", "main", "results", "shown", "summary"]

ROOT = Path(__file__).parents[1]
START, END = "<!-- benchmarks:start -->", "<!-- benchmarks:end -->"
PICTURE = "docs/benchmarks.png"
CAPTION = "Time of one element by the size of a fill, float32, one thread: gpuinit, PyTorch, NumPy and a constant fill"


def results() -> dict[str, Any]:
    """Every file of results that the pages show, by name."""
    return {name: json.loads((ROOT / f"benchmarks/results/{name}.json").read_text(encoding="utf-8")) for name in DETAILS}


def summary(found: dict[str, Any]) -> str:
    """README's block: the picture, and one table of the figures that matter most."""
    head = ("what", "gpuinit", "beside", "ratio")
    return "\n\n".join([
        f"![{CAPTION}]({PICTURE})",
        "A ratio is the peer's time divided by gpuinit's, the median of interleaved pairs (least .. greatest). "
        f"{taken(found['fill'])} [docs/benchmarks.md](docs/benchmarks.md) has every figure, where and how each was taken.",
        table(head, _essential(found)),
    ])  # fmt: skip


def _essential(found: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    wanted = {"torch uniform_", "torch normal_", "torch.nn.init.trunc_normal_"}
    for case, row, peers in cases(found["fill"], "one_thread"):
        for peer in sorted(wanted & set(peers)):
            yield f"{case}, one thread", f"{row['G/s']:.2f} G/s", peer, ratio(peers[peer])
    for case, row, peers in cases(found["fill"], "all_threads"):
        if case == "uniform, float32":
            yield f"{case}, all processors", f"{row['G/s']:.2f} G/s", "a constant fill", ratio(peers["constant fill"])
    for case, row, peers in cases(found["fill"], "new_tensor"):
        if case == "normal, float32":
            for peer in peers:
                yield f"a new tensor, {case}, all processors", f"{row['G/s']:.2f} G/s", peer, ratio(peers[peer])
    for case, row, peers in cases(found["calls"], "small_call"):
        if case in ("uniform, 1", "uniform, 10000"):
            for peer in peers:
                yield f"one call, uniform, n = {case.split()[-1]}", f"{row['us a call']:.1f} us", peer, ratio(peers[peer])
    for case, row, peers in cases(found["tables"], "table_rows"):
        if case == "normal, float32":
            for peer in peers:
                yield (
                    "a million rows of 128 by id, made",
                    f"{row['M rows/s']:.1f} M rows/s",
                    f"{peer}, in memory",
                    ratio(peers[peer]),
                )
    for case, row, peers in cases(found["orthogonal"], "orthogonal"):
        for peer in peers:
            if "torch" in peer and case in ("4096 x 4096", "8192 x (64 x 64)"):
                yield f"orthogonal, {case}", f"{row['ms']:.0f} ms", peer, ratio(peers[peer])
    for row in found["files"]["rows"]:
        if row["format"] == "safetensors":
            yield f"a file of {row['bytes'] / 2**30:.0f} GiB", f"{row['create, GB/s']:.2f} GB/s", "a plain write", ratio(row)
    for row in found["models"]["rows"]:
        yield f"{row['name']} of transformers, built", f"{row['gpuinit, s']:.2f} s", "PyTorch", ratio(row)


def details(found: dict[str, Any]) -> str:
    """The block of docs/benchmarks.md: every table, with where and how it was taken."""
    parts = []
    for name, (title, command, write) in DETAILS.items():
        peers = found[name]["machine"].get("peers")
        beside = f" Peers: {', '.join(f'{peer} {version}' for peer, version in peers.items())}." if peers else ""
        parts += [f"## {title}", f"`{command}`. {taken(found[name])}{beside}", write(found[name])]
        if name == "sweep":
            parts.append(f"![{CAPTION}]({PICTURE.removeprefix('docs/')})")
    return "\n\n".join(parts)


def shown(page: str, block: str) -> str:
    """A page's text with the block between its markers."""
    before, rest = (ROOT / page).read_text(encoding="utf-8").split(START)
    return f"{before}{START}\n{block}\n{END}{rest.split(END)[1]}"


def digest(sweep: dict[str, Any]) -> str:
    """What the picture's file carries, to tell which figures it shows."""
    return hashlib.sha256(json.dumps(sweep, sort_keys=True).encode()).hexdigest()


def draw(sweep: dict[str, Any]) -> bytes:
    """The picture of the sweep, as PNG."""
    import io

    from matplotlib.figure import Figure

    from gpuinit.pictures.canvas import COLOURS, DPI, WIDTH, style

    looks = {
        "gpuinit": (COLOURS["law"], "o", "-"),
        "torch": (COLOURS["line"], "s", "--"),
        "numpy": (COLOURS["green"], "^", ":"),
        "constant": (COLOURS["black"], "", "-."),
    }
    with style():
        figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
        for place, law in enumerate(("uniform", "normal")):
            axes = figure.add_subplot(1, 2, place + 1)
            rows = [row for row in sweep["rows"] if f"{law}-float32" in row["name"] and "truncated" not in row["name"]]
            rows.sort(key=lambda row: row["size"])
            lines: dict[str, list[tuple[int, float]]] = {name: [] for name in looks}
            for row in rows:
                lines["gpuinit"].append((row["size"], row["ns an element"]))
                for peer, value in row.items():
                    if isinstance(value, dict):
                        lines[peer.split()[0]].append((row["size"], row["ns an element"] * value["ratio"]))
            for name, points in lines.items():
                colour, marker, dashes = looks[name]
                if points:
                    label = {"constant": "a constant fill"}.get(name, name)
                    axes.plot(*zip(*points, strict=True), dashes, color=colour, marker=marker, markersize=4, label=label)
            axes.set(xscale="log", yscale="log", xlabel="elements", title=f"{law}, float32, one thread")
            axes.set_xscale("log", base=2)
            axes.grid(True, color="#dddddd", linewidth=0.6)
            if place == 0:
                axes.set_ylabel("ns an element")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=len(looks), frameon=False)
        target = io.BytesIO()
        figure.savefig(target, dpi=DPI, metadata={"Software": None, "Description": f"sweep.json {digest(sweep)}"})
    return target.getvalue()


def main() -> None:
    """Write both pages and the picture."""
    found = results()
    (ROOT / "README.md").write_text(shown("README.md", summary(found)), encoding="utf-8")
    (ROOT / "docs/benchmarks.md").write_text(shown("docs/benchmarks.md", details(found)), encoding="utf-8")
    (ROOT / PICTURE).write_bytes(draw(found["sweep"]))


if __name__ == "__main__":
    main()
