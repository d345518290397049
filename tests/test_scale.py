"""The model of docs/scale.md against closed forms, its measurement of this machine, and the page against its results.

Each test names the wrong model that it rejects.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpuinit

scale = pytest.importorskip("benchmarks.scale")
model = pytest.importorskip("benchmarks.scale_model")
plans = pytest.importorskip("benchmarks.scale_plans")
tables = pytest.importorskip("benchmarks.scale_tables")

Stage, Worker, simulate = model.Stage, model.Worker, model.simulate
CHUNK, CHECKPOINT = model.CHUNK, model.CHECKPOINT
RESULTS = json.loads(tables.SOURCE.read_text())


def seconds(worker: Any, nbytes: float, **settings: Any) -> float:
    [found] = simulate(worker, nbytes, **settings).seconds
    return float(found)


@pytest.mark.parametrize("slowest", range(4))
def test_one_bottleneck(slowest: int) -> None:
    """Wherever it stands, the time is bytes / its rate and one chunk's way; rejects stages that do not overlap."""
    rates = [4e9, 5e9, 6e9, 7e9]
    rates[slowest] = 1e9
    stages = tuple(Stage(f"stage {number}", rate) for number, rate in enumerate(rates))
    found = seconds(Worker(stages, buffers=5), 400 * CHUNK)
    way = sum(CHUNK / rate for rate in rates)
    assert found == pytest.approx(400 * CHUNK / 1e9 + way - CHUNK / 1e9)
    assert found < 0.75 * 400 * way
    assert model.bottleneck(Worker(stages)) == (f"stage {slowest}", pytest.approx(1e9))


def test_one_buffer() -> None:
    """Nothing overlaps: the sum of all stages, overheads too; rejects a stage that begins before its buffer is free."""
    stages = Stage("make", 4e9, 0.001), Stage("copy", 5e9), Stage("write", 1e9, 0.002)
    one = sum(stage.seconds(CHUNK) for stage in stages)
    assert seconds(Worker(stages, buffers=1), 100 * CHUNK) == pytest.approx(100 * one)
    assert seconds(Worker(stages, buffers=2), 100 * CHUNK) < 0.8 * 100 * one


def test_two_buffers_and_a_last_chunk_that_is_smaller() -> None:
    """Two equal stages take a step more than one; rejects a last chunk that is counted whole."""
    worker = Worker((Stage("make", 1e9), Stage("write", 1e9)), buffers=2)
    assert seconds(worker, 100 * CHUNK) == pytest.approx(101 * CHUNK / 1e9)
    assert seconds(worker, 99.5 * CHUNK) == pytest.approx(100.5 * CHUNK / 1e9)


def test_stages_on_one_lane_take_turns() -> None:
    """Making and hashing on the same cores add up; rejects cores that do both at once."""
    apart = Worker((Stage("make", 2e9), Stage("hash", 2e9), Stage("write", 1.5e9)), buffers=3)
    shared = Worker((Stage("make", 2e9, lane="cores"), Stage("hash", 2e9, lane="cores"), Stage("write", 1.5e9)), buffers=3)
    assert seconds(shared, 400 * CHUNK) == pytest.approx(400 * CHUNK / 1e9 + CHUNK / 1.5e9)
    assert seconds(apart, 400 * CHUNK) < 0.8 * seconds(shared, 400 * CHUNK)
    assert model.bottleneck(shared) == ("cores", pytest.approx(1e9))


def test_flushes() -> None:
    """Beside writing at checkpoints, or after it; rejects a disk that works before it is told to, and one that is forgotten."""
    stages = (Stage("make", 4e9), Stage("write", 2e9))
    written = seconds(Worker(stages), 400 * CHUNK)
    assert seconds(Worker(stages, flush=5e8, checkpoint=math.inf), 400 * CHUNK) == pytest.approx(written + 400 * CHUNK / 5e8)
    first = CHUNK / 4e9 + CHECKPOINT / 2e9
    assert seconds(Worker(stages, flush=5e8), 400 * CHUNK) == pytest.approx(first + 400 * CHUNK / 5e8, rel=0.01)
    assert seconds(Worker(stages, flush=8e9), 400 * CHUNK) == pytest.approx(written, rel=0.01)


def test_writing_waits_for_the_disk() -> None:
    """A kill loses what waits and a flush that is not through, without a bound much more; rejects one that is not kept."""
    disk = {"flush": 5e8, "restart": 1.0}
    stages = (Stage("make", 4e9), Stage("write", 4e9))
    settings: dict[str, Any] = {"mtbf": 10.0, "seed": 3}
    shards = np.full(200, 400.0 * CHUNK)
    bounded = simulate(Worker(stages, unflushed=2 * CHECKPOINT, **disk), shards, **settings)
    free = simulate(Worker(stages, **disk), shards, **settings)
    assert bounded.failures.sum() > 200
    assert (bounded.remade <= bounded.failures * 4 * CHECKPOINT).all()
    assert free.remade.sum() / free.failures.sum() > 3 * bounded.remade.sum() / bounded.failures.sum()
    assert (bounded.seconds >= 400 * CHUNK / 5e8).all()


RATE, READ, RESTART, MTBF, PIECES = 4e8, 1e9, 5.0, 30.0, 24
FAILING = Worker((Stage("make", RATE),), buffers=1, read=READ, restart=RESTART)


def test_failures() -> None:
    """Times and bytes within 5 standard errors; rejects a start from nothing, and one without reading or waiting."""
    total = PIECES * CHECKPOINT
    found = simulate(FAILING, np.full(8000, float(total)), mtbf=MTBF, seed=1)
    error = 5 * found.seconds.std() / math.sqrt(8000)
    assert abs(found.seconds.mean() - model.expected_seconds(FAILING, total, MTBF)) < error
    whole = math.expm1(total / RATE / MTBF) * (MTBF + RESTART)
    trusting = Worker(FAILING.stages, restart=RESTART)
    hasty = Worker(FAILING.stages, read=READ)
    wrong = [whole, *(model.expected_seconds(other, total, MTBF) for other in (trusting, hasty))]
    assert all(abs(found.seconds.mean() - other) > error for other in wrong)


def test_what_failures_lose() -> None:
    """Whole chunks behind the last checkpoint, by the exact mean; rejects a loss of all or of half of a checkpoint."""
    worker = Worker((Stage("make", RATE),), buffers=1, restart=RESTART)
    found = simulate(worker, np.full(8000, float(PIECES * CHECKPOINT)), mtbf=MTBF, seed=2)
    step, count = CHUNK / RATE / MTBF, CHECKPOINT // CHUNK
    tries = math.exp(count * step)
    lost = [number * CHUNK * (math.exp(-number * step) - math.exp(-(number + 1) * step)) for number in range(count)]
    expected = PIECES * tries * sum(lost)
    error = 5 * found.remade.std() / math.sqrt(8000)
    assert abs(found.remade.mean() - expected) < error
    for wrong in (CHECKPOINT, CHECKPOINT / 2):
        assert abs(found.remade.mean() - wrong * found.failures.mean()) > error
    assert abs(found.failures.mean() - PIECES * math.expm1(count * step)) < 5 * found.failures.std() / math.sqrt(8000)


@pytest.mark.parametrize(("fails", "lost"), [(1.5, 1), (2.4, 2), (2.6, 0), (4.4, 2), (4.6, 0), (10.2, 2)])
def test_a_checkpoint_stands_once_it_is_flushed(fails: float, lost: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One failure at a known time, chunks of a second, flushes of half a second; rejects one that stands when it is begun."""
    lives = iter([fails, math.inf])
    monkeypatch.setattr(model._Run, "_lifetimes", lambda run, count: np.full(count, next(lives)))
    worker = Worker((Stage("make", CHUNK),), flush=4 * CHUNK, checkpoint=2 * CHUNK, restart=3.0)
    found = simulate(worker, 10 * CHUNK)
    assert found.remade == pytest.approx(lost * CHUNK)
    redone = 10 - math.floor(min(fails, 10)) + lost
    assert found.seconds == pytest.approx(fails + 3 + redone + 0.5)


def test_without_failures_nothing_is_lost() -> None:
    found = simulate(FAILING, np.full(3, 100.0 * CHUNK))
    assert not found.failures.any() and not found.remade.any()


def test_workers_with_their_own_disks() -> None:
    """Each as if it were alone, the job as long as the last; rejects shares of one disk, and speeds that are mixed up."""
    worker = Worker((Stage("make", 2e9), Stage("write", 1e9)), flush=9e8, start=2.0)
    shards = np.array([10.0, 400.0, 100.0, 99.25]) * CHUNK
    speed = np.array([1.0, 1.0, 0.5, 2.0])
    together = simulate(worker, shards, speed=speed).seconds
    alone = [seconds(worker, shard, speed=factor) for shard, factor in zip(shards, speed, strict=True)]
    assert together == pytest.approx(alone)
    assert together.argmax() == 1
    assert together.max() == pytest.approx(2 + shards[1] / 9e8, rel=0.03)


def test_utilisation() -> None:
    """The bottleneck is always at work, others by their rates; rejects shares of something else than the time."""
    worker = Worker((Stage("make", 4e9), Stage("write", 1e9)), flush=2e9)
    found = simulate(worker, np.full(2, 1000.0 * CHUNK)).utilisation()
    assert found == pytest.approx({"make": 0.25, "write": 1.0, "disk": 0.5}, rel=0.01)


def test_jitter() -> None:
    """Mean and variance of a sum of chunks' times within 5 standard errors; rejects one factor for all chunks of a worker."""
    found = simulate(Worker((Stage("make", 1e9),)), np.full(4000, 50.0 * CHUNK), jitter=0.2, seed=4).seconds
    mean, spread = 50 * CHUNK / 1e9, 0.2 * math.sqrt(50) * CHUNK / 1e9
    assert abs(found.mean() - mean) < 5 * spread / math.sqrt(4000)
    assert abs(found.std() / spread - 1) < 5 / math.sqrt(2 * 4000)
    assert spread < 0.2 * mean / 5


def test_queue() -> None:
    """Idle workers take the next task; rejects a static split, and a scheduler that serves all at once."""
    assert model.queue(12, np.full(4, 2.0)) == pytest.approx(6.0)
    assert model.queue(13, np.full(4, 2.0)) == pytest.approx(8.0)
    assert model.queue(1000, np.full(4, 0.001), dispatch=1.0) == pytest.approx(1000.001)
    each = np.array([1.0, 1.0, 1.0, 4.0])
    ideal = 130 / (1 / each).sum()
    assert ideal <= model.queue(130, each) <= ideal + each.max()
    assert model.queue(130, each) < 0.5 * 130 / 4 * each.max()


@pytest.mark.parametrize(("rows", "parts"), [(10, 4), (8, 8), (5, 8), (1001, 1000)])
def test_uneven_splits_are_those_of_a_table(rows: int, parts: int) -> None:
    longest = max(shard.shape[0] for shard in gpuinit.Table((rows, 2)).shards(parts))
    assert plans.uneven(rows, parts) == pytest.approx(longest / (rows / parts) - 1)


def test_measuring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command measures, predicts and writes what the page's tables ask for; `gpuinit create` is run once, for real."""
    took, peak = scale.create(tmp_path, "uniform", scale.TINY)
    assert 0 < took < 60 and peak > scale.TINY  # which begins with the memory of the process that starts it, here of many tests
    assert not any(tmp_path.iterdir())
    monkeypatch.setattr(scale, "create", lambda folder, law, nbytes: (took, peak))
    for name in ("plans", "failures", "stragglers"):
        monkeypatch.setattr(scale, name, lambda core, name=name: RESULTS[name])
    out = tmp_path / "scale.json"
    options = ["--out", str(out), "--bytes", str(8 * CHUNK), "--folder", str(tmp_path), "--rounds", "2"]
    monkeypatch.setattr(sys, "argv", ["scale", *options])
    scale.main()
    found = json.loads(out.read_text())
    assert list(tmp_path.iterdir()) == [out]
    assert found.keys() == RESULTS.keys()
    assert [(check["place"], check["law"]) for check in found["checks"]] == [
        (place, law) for law in plans.LAWS for place in ("disk", "memory")
    ]
    for check in found["checks"]:
        assert 0 < check["least"] <= check["ratio"] <= check["most"]
        assert check["predicted"] > took  # as long as starting, and the pipeline's time
    assert tables.rewritten(tables.PAGE.read_text(), found) != tables.PAGE.read_text()


def test_medians() -> None:
    """Of the rounds' own ratios; rejects a ratio of medians."""
    same = {"place": "disk", "law": "normal", "bound": "write", "peak": 1}
    rounds = [[{**same, "predicted": p, "measured": m}] for p, m in ((1.0, 2.0), (3.0, 3.0), (4.0, 1.0))]
    [check] = scale.checks(rounds)
    assert (check["predicted"], check["measured"]) == (3.0, 2.0)
    assert (check["least"], check["ratio"], check["most"]) == (0.5, 1.0, 4.0)


def test_the_results_are_of_the_present_assumptions() -> None:
    """Every plan of the file has the bottleneck that follows from its measured figures; rejects a file that was not rewritten."""
    assert len(RESULTS["plans"]) == len(plans.CASES)
    for row, case in zip(RESULTS["plans"], plans.CASES, strict=True):
        assert {name: row[name] for name in case.__dict__} == case.__dict__
        assert model.bottleneck(plans.process(case, RESULTS["core"])) == (row["bound"], pytest.approx(row["rate"]))
        assert row["seconds"] == pytest.approx(row["shard"] / row["rate"])
        if "simulated" in row:
            assert 0.98 < row["simulated"] / row["seconds"] < 1.15, row


def test_the_page_shows_the_results() -> None:
    """Rejects a table that was edited by hand or is older than the file; `python -m benchmarks.scale_tables` rewrites it."""
    text = tables.PAGE.read_text()
    assert tables.rewritten(text, RESULTS) == text
    with pytest.raises(ValueError, match="plans:start"):
        tables.rewritten(text.replace("<!-- plans:start -->", ""), RESULTS)


def test_what_the_page_says_of_room() -> None:
    """The plans that do not fit are those of the text: 125 and 122 GB a GPU, on an H100 alone."""
    fits = {(row["nbytes"], row["kind"], row["machines"]): row["fits"] for row in RESULTS["plans"] if row["target"] == "device"}
    assert fits == {
        (1e12, "H100", 1): False,
        (1e12, "H200", 1): True,
        (1e12, "H100", 2): True,
        (1e15, "H100", 1024): False,
        (1e15, "H200", 1024): True,
    }
