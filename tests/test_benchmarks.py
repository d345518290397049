"""The pages show the committed figures and no others; the benchmarks' own logic."""

from __future__ import annotations

import copy
import re
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # benchmarks/ is no part of the package

from benchmarks import peers, report, subjects  # noqa: E402
from benchmarks.pairs import interleaved  # noqa: E402


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return report.results()


def test_the_readme_shows_the_committed_figures(found: dict[str, Any]) -> None:
    """All that stands between the markers; rejects a figure that was changed by hand, and results without their report."""
    assert (ROOT / "README.md").read_text(encoding="utf-8") == report.shown("README.md", report.summary(found))


def test_the_page_of_benchmarks_shows_the_committed_figures(found: dict[str, Any]) -> None:
    assert (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8") == report.shown("docs/benchmarks.md", report.details(found))


def test_the_picture_shows_the_committed_figures(found: dict[str, Any]) -> None:
    """Its file says which; what it draws is not compared, since that depends on matplotlib's release."""
    content = (ROOT / report.PICTURE).read_bytes()
    assert described(content) == f"sweep.json {report.digest(found['sweep'])}"
    assert described(report.draw(found["sweep"])) == described(content)


def described(png: bytes) -> str:
    place = 8
    while place < len(png):
        length, kind = struct.unpack(">I4s", png[place : place + 8])
        body = png[place + 8 : place + 8 + length]
        assert zlib.crc32(kind + body) == struct.unpack(">I", png[place + 8 + length : place + 12 + length])[0]
        if kind == b"tEXt" and body.startswith(b"Description\0"):
            return body.partition(b"\0")[2].decode()
        place += 12 + length
    raise AssertionError("the picture has no description")


def test_another_figure_would_be_seen(found: dict[str, Any]) -> None:
    """Each file's first ratio stands on a page: with another one the page would differ."""
    for name in found:
        other = copy.deepcopy(found)
        row = next(row for row in other[name]["rows"] if row.get("ratio") or any(isinstance(v, dict) for v in row.values()))
        figures = row if "ratio" in row else next(value for value in row.values() if isinstance(value, dict))
        figures["ratio"] *= 1.5
        assert report.details(other) != report.details(found), name


def test_every_result_says_where_and_when(found: dict[str, Any]) -> None:
    for name, results in found.items():
        machine = results["machine"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", machine["date"]) and re.fullmatch(r"[0-9a-f]{7,}", machine["commit"]), name
        assert machine["processor"] and results["rows"], name


def test_no_measured_speed_stands_in_the_readme_by_hand() -> None:
    """Outside of the markers and of blocks that show what a command printed there is no rate."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    before, rest = text.split(report.START)
    prose = re.sub(r"^```.*?^```", "", before + rest.split(report.END)[1], flags=re.DOTALL | re.MULTILINE)
    assert re.findall(r"\d+(?:\.\d+)? (?:G|M|GB|MB|k)?(?:/s| values a second)|\d[\d.]* times as fast", prose) == []


def test_what_is_timed_is_checked_first() -> None:
    """Rejects values of another scale or place, beyond their bound, and poison."""
    for law, init in subjects.LAWS.items():
        good = init((2**16,), "float32", device="cpu")
        subjects.checked(law, good)
        for wrong in (good * np.float32(1.1), good + np.float32(0.1), np.full_like(good, np.nan)):
            with pytest.raises(AssertionError):
                subjects.checked(law, wrong)


def test_pairs_are_taken_in_turns() -> None:
    """Ours, theirs, ours, theirs; the ratio is theirs over ours."""
    order: list[str] = []

    class Benchmark:
        def __init__(self) -> None:
            self.extra_info: dict[str, Any] = {}

        def pedantic(self, work: Any, setup: Any, rounds: int, iterations: int) -> None:
            for _ in range(rounds):
                setup()
                work()

    def working(name: str, size: int) -> Any:
        return lambda: (order.append(name), np.sort(np.arange(size)[::-1].copy()))

    benchmark = Benchmark()
    interleaved(benchmark, working("ours", 1000), {"theirs": working("theirs", 300_000)}, 10, rounds=3)
    assert order == ["ours", "theirs", *["theirs", "ours"] * 3]
    assert benchmark.extra_info["theirs"]["ratio"] > 2 and benchmark.extra_info["theirs"]["least"] > 1


def test_a_peer_that_is_missing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    out = np.ones(64, np.float32)
    for package in peers.PACKAGES:
        monkeypatch.setitem(sys.modules, package, None)
    assert list(peers.filling("normal", out)) == ["numpy SFC64 normal"]
    assert peers.making("normal", "float32", 64) == {}
    peers.filling("normal", out)["numpy SFC64 normal"]()
    assert len(set(out.tolist())) > 60
