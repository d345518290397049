"""Collects every benchmark's figures, prints them as one table and writes them into benchmarks/results/.

Those of bench_orthogonal.py go to orthogonal.json, of bench_tables.py to tables.json, all others to cpu.json; a file is written
if there is something to write.
"""

from __future__ import annotations

from typing import Any

import pytest

import gpuinit
from benchmarks.pairs import save

_ROWS: list[dict[str, Any]] = []


@pytest.fixture
def one_thread() -> Any:
    """One thread on every side, as long as the benchmark runs."""
    before = gpuinit.get_num_threads()
    gpuinit.set_num_threads(1)
    yield
    gpuinit.set_num_threads(before)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: Any, exitstatus: int) -> None:
    runs = getattr(session.config, "_benchmarksession", None)
    for run in runs.benchmarks if runs else ():
        if run.extra_info:
            _ROWS.append({"name": run.name, **run.extra_info})
    files: dict[str, list[dict[str, Any]]] = {"orthogonal": [], "tables": [], "cpu": []}
    for row in _ROWS:
        kind = "orthogonal" if row["name"].startswith("test_orthogonal[") else "cpu"
        files["tables" if row["name"].startswith("test_table_") else kind].append(row)
    for name, rows in files.items():
        if rows and exitstatus == 0:
            save(name, rows)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    terminalreporter.section("medians of interleaved pairs; ratio = peer's time / gpuinit's")
    for row in _ROWS:
        peers = {name: value for name, value in row.items() if isinstance(value, dict)}
        rest = "  ".join(f"{name} {value}" for name, value in row.items() if name != "name" and name not in peers)
        terminalreporter.write_line(f"{row['name']:44} {rest}")
        for name, value in peers.items():
            spread = f"({value['least']} .. {value['most']})"
            terminalreporter.write_line(f"{'':44}   beside {name:34} ratio {value['ratio']:8} {spread}  {value['G/s']} G/s")
