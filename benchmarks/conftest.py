"""Collects every benchmark's figures, prints them as one table and writes them into benchmarks/results/.

Those of bench_NAME.py go to NAME.json, with the load of the machine at the beginning and at the end, and the peers' versions.
Nothing is written by a quick run, by one that failed, or by a part of a file's benchmarks.
"""

from __future__ import annotations

import importlib.metadata
import os
from typing import Any

import pytest

import gpuinit
from benchmarks import peers, sizes
from benchmarks.pairs import save

_ROWS: dict[str, list[dict[str, Any]]] = {}
_CHOSEN: dict[str, int] = {}
_LOAD = os.getloadavg()[0]


@pytest.fixture
def one_thread() -> Any:
    """One thread on every side, as long as the benchmark runs."""
    before = gpuinit.get_num_threads()
    gpuinit.set_num_threads(1)
    torch = peers.found("torch")
    theirs = torch.get_num_threads() if torch else 0
    peers.one_thread()
    yield
    gpuinit.set_num_threads(before)
    if torch:
        torch.set_num_threads(theirs)


def pytest_collection_finish(session: Any) -> None:
    for item in session.items:
        question = item.path.stem.removeprefix("bench_")
        _CHOSEN[question] = _CHOSEN.get(question, 0) + 1


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: Any, exitstatus: int) -> None:
    runs = getattr(session.config, "_benchmarksession", None)
    for run in runs.benchmarks if runs else ():
        if run.extra_info:
            question = run.fullname.partition("::")[0].rpartition("bench_")[2].removesuffix(".py")
            _ROWS.setdefault(question, []).append({"name": run.name, **run.extra_info})
    partial = session.config.option.keyword or any("::" in str(argument) for argument in session.config.args)
    for question, rows in _ROWS.items():
        if exitstatus == 0 and not sizes.QUICK and not partial and len(rows) == _CHOSEN[question]:
            save(question, rows, load=_LOAD, peers={name: _version(name) for name in peers.PACKAGES})


def _version(package: str) -> str:
    """The package's version, or why there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    terminalreporter.section("medians of interleaved pairs; ratio = peer's time / gpuinit's")
    for row in (row for rows in _ROWS.values() for row in rows):
        others = {name: value for name, value in row.items() if isinstance(value, dict)}
        rest = "  ".join(f"{name} {value}" for name, value in row.items() if name != "name" and name not in others)
        terminalreporter.write_line(f"{row['name']:44} {rest}")
        for name, value in others.items():
            spread = f"({value['least']} .. {value['most']})"
            terminalreporter.write_line(f"{'':44}   beside {name:34} ratio {value['ratio']:8} {spread}  {value['G/s']} G/s")
