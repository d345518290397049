"""`gpuinit verify` and `gpuinit words`: what they print, write and return; a GPU's results are looked at like the CPU's."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from planted import NUMPY, WHOLE

import gpuinit
from gpuinit import battery, verification
from gpuinit.backends import specification
from gpuinit.battery import orthogonal, trial
from gpuinit.battery.backwards import counter_of, place_of
from gpuinit.battery.stream import word_bytes
from gpuinit.battery.trial import Effort, Trial
from gpuinit.cli import main, verify
from gpuinit.kernels.philox import philox
from gpuinit.key import Key

TINY = Effort(2**10, 2**12, 2**10, 32, 2**10, 1, 20, 10, 5.0)
GOLDEN = Path(__file__).parent / "golden"


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-P", "-W", "error", "-m", "gpuinit", *arguments],
        capture_output=True,
        env={**os.environ, **environment},
        timeout=300,
    )


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy's way alone, with tiny samples: what is shown is what is tested."""
    monkeypatch.setattr(trial, "QUICK_NUMPY", TINY)
    monkeypatch.setattr(verification.compiled, "usable", lambda: False)


@pytest.fixture
def broken(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every word is that of an even element."""
    words = specification.words
    monkeypatch.setattr(specification, "words", lambda key, index, bits: words(key, index & ~np.uint64(1), bits))


# The command.


def test_a_whole_run() -> None:
    """It passes, tests every way of the CPU, and judges as many p-values as the tests of planted defects assume."""
    done = command("verify", "--json", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["ok"] and found["wrong"] == []
    assert found["ways"] == list(verification.cpu_ways())
    if len(found["ways"]) == 2:
        assert found["hypotheses"] == WHOLE
    assert {each["name"] for each in found["tests"]} == set(battery.names())
    assert all(each["catches"] for each in found["tests"])
    assert found["threshold"] == pytest.approx(found["rate"] / found["hypotheses"])
    for each in found["outcomes"]:
        assert (each["p"] is None) == (each["right"] is not None)
        assert each["p"] is None or 0 <= each["p"] <= 1


def test_json_has_the_keys_that_the_help_names(quick: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--json", "--only", "mean"]) == 0
    found = json.loads(capsys.readouterr().out)
    named = verify._KEYS.partition("--json prints")[2]
    assert all(re.search(rf"\b{key}\b", named) for key in found)
    assert {"ok", "seed", "hypotheses", "threshold", "ways", "wrong", "tests", "outcomes"} <= set(found)
    assert set(found["outcomes"][0]) == {"way", "test", "sample", "statistic", "p", "regular", "right", "note"}


def test_the_same_seed_gives_the_same_results(quick: None, capsys: pytest.CaptureFixture[str]) -> None:
    found = []
    for seed in ("0", "0", "1"):
        assert main(["verify", "--json", "--only", "mean", "--only", "bit*", "--seed", seed]) == 0
        found.append(json.loads(capsys.readouterr().out)["outcomes"])
    assert found[0] == found[1] != found[2]
    assert {each["test"] for each in found[0]} == {"mean", "bit pairs"}


def test_a_defect_is_named(broken: None, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Exit status 1; the table, the sentences, JSON and the page name the test and what it is there for."""
    only = ["--only", "real and*", "--only", "golden*"]
    assert main(["verify", *only]) == 1
    text = capsys.readouterr().out
    assert re.search(r"^real and imaginary parts +2 .* WRONG +a word that serves both parts", text, re.MULTILINE)
    assert "golden vectors (cpu, NumPy; 193 vectors): " in text and "Nothing was found" not in text
    assert main(["verify", *only, "--each"]) == 1
    assert text.count("real and imaginary parts") < capsys.readouterr().out.count("real and imaginary parts")
    assert main(["verify", *only, "--json", "--html", str(tmp_path / "page.html")]) == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["ok"]
    assert {each["test"] for each in found["wrong"]} == {"real and imaginary parts", "golden vectors"}
    page = (tmp_path / "page.html").read_text()
    assert "something is wrong" in page and "a word that serves both parts" in page and 'class="wrong"' in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seed", "-1"], "seed=-1 is out of range"),
        (["--rate", "1"], "'1' must be a chance"),
        (["--rate", "x"], "'x' must be a chance"),
        (["--only", "nothing"], "only='nothing' fits no test: they are golden vectors"),
        (["--device", "tpu"], "device='tpu' is not a device"),
        (["--html", "nowhere/page.html"], "there is no folder 'nowhere'"),
        (["--html", "."], "is a folder"),
        (["--json", "--each"], "not allowed with"),
        (["--html", " "], "the value is empty"),
    ],
)
def test_bad_input(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], quick: None, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["verify", *arguments]) == 2
    shown = capsys.readouterr()
    assert message in shown.err and shown.out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_table_on_a_terminal(quick: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """rich draws it, folding what is long; nothing is lost, and no markup is read out of names."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert main(["verify", "--only", "mean", "--only", "avalanche"]) == 0
    words = capsys.readouterr().out.split()
    assert {"mean", "avalanche", "half", "the", "time", "found."} <= set(words)


# The page.


class Page(HTMLParser):
    """Which tags are open, and what the page refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in ("meta", "img", "rect", "line", "polyline"):
            self.open.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        pass


def test_the_page_stands_alone(quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Well formed, every result in it, nothing loaded from elsewhere; without matplotlib it says how to get pictures."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    target = tmp_path / "page.html"
    target.write_text("old")
    assert main(["verify", "--json", "--only", "mean*", "--html", str(target)]) == 0
    found, text = json.loads(capsys.readouterr().out), target.read_text()
    page = Page(text)
    assert page.open == [] and page.links == []
    assert "http" not in text and "gpuinit[plots]" in text
    assert all(each["sample"] in text for each in found["outcomes"])
    assert list(tmp_path.iterdir()) == [target]


def test_pictures_are_embedded(quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    png = b"\x89PNG\r\n\x1a\n"
    monkeypatch.setitem(sys.modules, "gpuinit.pictures", SimpleNamespace(pictures=lambda: [("a <caption>", png)]))
    target = tmp_path / "page.html"
    assert main(["verify", "--only", "mean", "--html", str(target)]) == 0
    [link] = Page(target.read_text()).links
    assert link == "data:image/png;base64,iVBORw0KGgo="
    assert "a &lt;caption&gt;" in target.read_text() and "gpuinit[plots]" not in target.read_text()


# GPUs.


@pytest.mark.usefixtures("gpu")
def test_a_gpu_is_tested_like_the_cpu() -> None:
    """The CUDA backend on the driver that stands for a GPU's: parts, Haar matrices, values and words; all is as it should be."""
    [way] = battery.trials(["cuda:0"], 0, False)
    assert way.way == "cuda:0"
    suites = [suite for suite in battery.SUITES if suite.name in ("parts and wholes", "words", "independence of complex parts")]
    outcomes = list(battery.run([Trial(way.way, way.backend, 0, TINY)], suites=[*suites, orthogonal.ORTHOGONAL]))
    assert battery.judge(outcomes).ok, battery.judge(outcomes).wrong
    assert {"same bits as NumPy", "Gram matrix", "bit pairs", "parts equal the whole"} <= {each.test.name for each in outcomes}


def test_a_way_that_raises_is_a_finding() -> None:
    """Its suite is wrong and says why; the other suites are still looked at."""

    class Failing:
        device = "cuda:0"

        def checked_rows(self, rows: Any, length: int) -> Any:
            return rows

        def chunks(self, law: Any, *arguments: Any) -> Any:
            raise RuntimeError("an illegal memory\naccess was encountered")

    way: Any = Failing()
    suites = [suite for suite in battery.SUITES if suite.name in ("words", "fans")]
    outcomes = list(battery.run([Trial("cuda:0", way, 0, TINY)], suites=suites))
    assert [(o.suite, o.statistic.right) for o in outcomes] == [("fans", False), ("words", False)]
    assert outcomes[0].statistic.note == "raised an illegal memory access was encountered"


def test_every_gpu_that_is_there_is_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that cannot be used is left to `gpuinit doctor`, which says why."""
    good, bad = SimpleNamespace(number=0, problem=""), SimpleNamespace(number=1, problem="too old")
    monkeypatch.setattr(trial.probe, "status", lambda: SimpleNamespace(usable=True, devices=(good, bad)))
    monkeypatch.setattr(trial.backends, "select", lambda device: SimpleNamespace(device=device))
    found = battery.trials(None, 5, True)
    assert [each.way for each in found] == [*verification.cpu_ways(), "cuda:0"]
    assert [each.effort for each in found][-1] == trial.THOROUGH and found[0].effort == trial.THOROUGH_NUMPY
    assert {each.seed for each in found} == {5}


# Words.


def test_words_are_those_of_the_specification() -> None:
    """At odd starts and counts, across pieces, and beyond 2^34, where the counter's upper half begins."""
    key = Key(2**63 + 5, 2**40 + 9)
    for bits in (32, 64):
        for start, count in ((0, 1), (3, 9), (1, 2**15 + 7), (2**34 - 5, 11), (2**63 - 3, 3), (7, 0)):
            made = b"".join(word_bytes(key, start, count, bits))
            index = np.arange(start, start + count, dtype=np.uint64)
            assert made == specification.words(key, index, bits).astype(f"<u{bits // 8}").tobytes()


def test_the_words_of_the_command_are_the_published_ones() -> None:
    """The first 8 of the golden file's keys, written by a program that imports nothing of this one."""
    golden = json.loads((GOLDEN / "words.json").read_text())
    indices = [int(text, 16) for text in golden["indices"]]
    for case in golden["words"]:
        seed, stream = (int(text, 16) for text in (*case["key"], "0")[:2])
        done = command("words", "--seed", str(seed), "--stream", str(stream), "--count", "8")
        assert (done.returncode, done.stderr, len(done.stdout)) == (0, b"", 32)
        words = np.frombuffer(done.stdout, "<u4")
        for index in (i for i in indices if i < 8):
            assert f"{words[index]:08x}" == case["32"][8 * indices.index(index) :][:8]


def test_words_for_ever_end_with_their_reader() -> None:
    process = subprocess.Popen([sys.executable, "-m", "gpuinit", "words"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    first = process.stdout.read(2**20)
    process.stdout.close()
    assert process.wait(timeout=60) == 128 + 13
    assert process.stderr.read() == b""
    process.stderr.close()
    assert first == b"".join(word_bytes(Key(0), 0, 2**18))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--start", "-1"], "--start -1 is out of range"),
        (["--count", "-1"], "--count -1 is out of range"),
        (["--start", str(2**63), "--count", "1"], "there are 0 words"),
        (["--seed", str(2**64)], "seed=18446744073709551616 is out of range"),
        (["--bits", "16"], "invalid choice: 16"),
    ],
)
def test_bad_words(arguments: list[str], message: str, capfdbinary: Any) -> None:
    assert main(["words", *arguments]) == 2
    shown = capfdbinary.readouterr()
    assert message in shown.err.decode() and shown.out == b""


def test_words_refuse_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert main(["words", "--count", "4"]) == 2
    assert "standard output is a terminal" in capsys.readouterr().err


def test_philox_backwards() -> None:
    """The counter that is found gives the words, for any words and seeds; one of a tensor is below 2^61."""
    generator = np.random.default_rng(1)
    for words in (*generator.integers(0, 2**32, (50, 4)).tolist(), [0] * 4, [2**32 - 1] * 4):
        seed = int(generator.integers(0, 2**64, dtype=np.uint64))
        counter, stream = counter_of(tuple(words), seed)
        halves = (np.uint64(n >> shift & 0xFFFFFFFF) for n in (counter, stream, seed) for shift in (0, 32))
        assert [int(word) for word in philox(*halves)] == words
        key, place = place_of(tuple(words), seed)
        assert place < 2**61
        made = specification.words(key, np.arange(4 * place, 4 * place + 4, dtype=np.uint64), 32)
        assert made.tolist() == words


def test_names_are_unique_and_short() -> None:
    assert len(set(battery.names())) == len(battery.names())
    for suite in battery.SUITES:
        for test in suite.tests:
            assert 0 < len(test.name) <= 32 and 20 < len(test.catches) <= 110, test.name


def test_a_trial_draws_what_a_call_gives() -> None:
    """By each way, whole and in part, orthogonal matrices too."""
    for way, backend in verification.cpu_ways().items():
        each = Trial(way, backend, 3, TINY)
        for init in (gpuinit.HeNormal(each.key("a")), gpuinit.Orthogonal(1.0, each.key("b"), batch_axes=0)):
            whole = init((5, 6, 7), "float32", device="cpu")
            assert np.array_equal(each.draw(init, (5, 6, 7), "float32"), whole)
            assert np.array_equal(each.draw(init, (5, 6, 7), "float32", rows=[4, 0]), whole[[4, 0]])
    assert Trial(NUMPY, backend, 3, TINY).key("a") != Trial("another", backend, 3, TINY).key("a")
