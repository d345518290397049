"""Making while writing: how far writing may run ahead of the journal, and who gets the processors."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpuinit
from gpuinit.backends import threads
from gpuinit.tables import check, contents, pipeline, plan_tensor, write

CHUNK = 4096


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "CHUNK_BYTES", CHUNK)
    monkeypatch.setattr(pipeline, "CHECKPOINT_BYTES", 2 * CHUNK)


def test_a_slow_disk_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill loses at most what MOST_CHECKPOINTS times a checkpoint and the chunks on their way hold: rejects writing on while a
    flush takes its time, after which hundreds of chunks would stand behind the journal's entry."""
    written, ahead = [], []
    flush, store = contents.Stream._flush, contents.Stream.write

    def slow(self: Any) -> None:
        before = len(written)
        time.sleep(0.1)
        ahead.append(len(written) - before)
        flush(self)

    def counted(self: Any, block: Any, chunk: Any) -> None:
        written.append(block)
        store(self, block, chunk)

    monkeypatch.setattr(contents.Stream, "_flush", slow)
    monkeypatch.setattr(contents.Stream, "write", counted)
    write(plan_tensor((300, 1024), tmp_path / "w.npy", seed=1))
    assert len(written) == 300 and check(tmp_path / "w.npy").equal
    assert 2 < max(ahead) <= 2 * pipeline.MOST_CHECKPOINTS + 2, ahead


def test_a_late_writer_gets_a_processor_of_its_own_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rejects sparing none, sparing where the writer is early, and sparing on after the last chunk or an error."""
    spared: list[int] = []
    monkeypatch.setattr(threads, "spare", lambda count: spared.append(int(count)))
    store = contents.Stream.write

    def late(self: Any, block: Any, chunk: Any) -> None:
        time.sleep(0.02)
        store(self, block, chunk)

    monkeypatch.setattr(contents.Stream, "write", late)
    write(plan_tensor((8, 1024), tmp_path / "late.npy", seed=1))
    assert spared[-1] == 0 and sum(spared) >= 4

    spared.clear()
    made = gpuinit.Table.chunks

    def slowly(self: Any, *given: Any) -> Any:
        for chunk in made(self, *given):
            time.sleep(0.02)
            yield chunk

    monkeypatch.setattr(contents.Stream, "write", store)
    monkeypatch.setattr(gpuinit.Table, "chunks", slowly)
    write(plan_tensor((8, 1024), tmp_path / "early.npy", seed=1))
    assert spared[-1] == 0 and sum(spared) <= 2

    def failing(*given: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(contents.Stream, "write", failing)
    with pytest.raises(OSError, match="Input/output error"):
        write(plan_tensor((8, 1024), tmp_path / "failing.npy", seed=1))
    assert spared[-1] == 0


def test_a_spared_thread_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two threads one is left, the caller's; another caller's fills take both; at least one works. The bits stay."""
    monkeypatch.setattr(threads, "_threads", 2)
    whole = gpuinit.RandomNormal(seed=1)((4, threads.PIECE))
    for count, most in ((0, 2), (1, 1), (7, 1)):
        seen: set[int] = set()
        barrier = threading.Barrier(most)

        def work(first: int, last: int, seen: set[int] = seen, barrier: Any = barrier) -> None:
            if threading.get_ident() not in seen:
                seen.add(threading.get_ident())
                barrier.wait(timeout=10)  # until as many threads as there should be have come
            time.sleep(0.02)  # while which one more would come

        threads.spare(count)
        try:
            threads.run(work, 8 * threads.PIECE)
            assert len(seen) == most
            made = np.empty_like(whole)
            gpuinit.RandomNormal(seed=1).fill(made)
            assert made.tobytes() == whole.tobytes()
        finally:
            threads.spare(0)
