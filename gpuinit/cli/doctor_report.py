"""What `gpuinit doctor` prints for people: plain lines, the same on a terminal and in a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["lines"]

TITLES = {
    "gpuinit": "gpuinit",
    "stream": "stream contract",
    "python": "Python",
    "numpy": "NumPy",
    "numba": "Numba",
    "ml_dtypes": "ml_dtypes",
    "scipy": "SciPy",
    "cupy": "CuPy",
    "numba_cuda": "numba-cuda",
    "cuda_driver": "driver for CUDA",
    "cuda_runtime": "CUDA runtime",
    "nvrtc": "NVRTC",
}
LAWS = ("uniform", "truncated_normal", "normal")


def lines(facts: dict[str, Any]) -> Iterator[str]:
    """The report for people."""
    cpu, cuda, versions = facts["cpu"], facts["cuda"], facts["versions"]
    yield ", ".join(f"{title} {versions[name]}" for name, title in TITLES.items() if versions[name] is not None)
    way = "kernels compiled by Numba" if cpu["way"] == "compiled" else "NumPy alone, because Numba cannot be used"
    yield f"CPU: {way}; threads: {cpu['threads']}; compiled kernels are kept in {cpu['cache_folder'] or 'no folder'}"
    for device in cuda["devices"]:
        capability = f"{device['capability'] // 10}.{device['capability'] % 10}"
        size = f"{device['memory'] / 2**30:.1f} GiB, {device['processors']} multiprocessors"
        yield f"cuda:{device['number']}: {device['name']}, compute capability {capability}, {size}"
    if not cuda["usable"]:
        yield f"CUDA cannot be used: {cuda['problem']} {cuda['remedy']}"
    yield from dict.fromkeys(note for note in (cpu["cache_problem"] and f"{cpu['cache_problem']}.", *cuda["notes"]) if note)
    yield ""
    yield from _table(
        ("golden vectors", "right", "checked", "of"),
        ((each["backend"], each["checked"] - len(each["wrong"]), each["checked"], each["total"]) for each in facts["golden"]),
    )
    if any(each["checked"] < each["total"] and not each["error"] for each in facts["golden"]):
        yield "The others' kernels would have to be compiled; with --all they are."
    yield ""
    yield from _table(
        ("float32, GB/s", "MiB", "memset", *(name.replace("_", " ") for name in LAWS)),
        (
            (each["device"], each["bytes"] // 2**20, *("-" if each[n] is None else f"{each[n]:.2f}" for n in ("memset", *LAWS)))
            for each in facts["bandwidth"]
        ),
    )
    yield ""
    yield facts["summary"]
    yield from (f"Not right: {problem}" for problem in facts["problems"])
    if facts["ok"]:
        yield "All that is here is right."


def _table(headings: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> Iterator[str]:
    texts = [headings, *(tuple(map(str, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for first, *others in texts:
        yield "  ".join([first.ljust(widths[0]), *(t.rjust(w) for t, w in zip(others, widths[1:], strict=True))])
