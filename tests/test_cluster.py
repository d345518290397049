"""A worker that is killed while it writes: Dask's cluster makes its blocks again, with the same bits. See `make test-cluster`."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import gpuinit
from gpuinit.hashing import element_hash

distributed = pytest.importorskip("distributed", reason="gpuinit[dask] is not installed")
zarr = pytest.importorskip("zarr", reason="gpuinit[zarr] is not installed")

GIB = 2**30
COLUMNS = 128
PATIENCE = 300.0
"""Seconds after which a cluster that does not come to an end has failed."""


class Death(NamedTuple):
    """What was seen when a worker was killed: its process, the workers' processes after all was done, and blocks written then."""

    killed: int
    workers: set[int]
    written: int


def until(done: Callable[[], Any], what: str) -> None:
    """Wait for something that is looked at, not for a time; TimeoutError if it never comes."""
    limit = time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > limit:
            raise TimeoutError(f"{what}: not after {PATIENCE:.0f} s")
        time.sleep(0.001)


def chunk_files(folder: Path) -> list[Path]:
    """The chunks that are complete under their names; what a writer has not finished has another name."""
    return [path for path in folder.glob("c/*/*") if path.name.isdecimal()]


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def write_and_kill(table: gpuinit.Table, rows: int, folder: Path) -> Death:
    """Let two processes write the table in blocks of `rows` rows, and kill one when a quarter of the blocks is there."""
    blocks = -(-table.shape[0] // rows)
    target = zarr.create_array(str(folder), shape=table.shape, chunks=(rows, COLUMNS), dtype=table.dtype, compressors=None)
    cluster = distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        memory_limit="4GiB",
        dashboard_address=":0",  # any free port, of which no dashboard is served
        scheduler_kwargs={"dashboard": False},
    )
    with cluster, distributed.Client(cluster) as client:
        killed = min(client.run(os.getpid).values())
        writing = client.compute(table.to_dask((rows, -1)).to_zarr(target, compute=False))
        until(lambda: len(chunk_files(folder)) >= blocks // 4, "a quarter of the blocks")
        os.kill(killed, signal.SIGKILL)
        written = len(chunk_files(folder))
        until(lambda: not alive(killed), "the end of the killed process")
        writing.result(timeout=PATIENCE)
        client.wait_for_workers(2, timeout=PATIENCE)
        return Death(killed, set(client.run(os.getpid).values()), written)


def row_blocks(rows: int, step: int) -> Iterator[slice]:
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))


def block_hashes(array: Any, rows: int) -> list[int]:
    """The hash of each block of rows by its place in the whole, of a table or of what a file holds."""
    return [element_hash(array[block], start=block.start * COLUMNS) for block in row_blocks(array.shape[0], rows)]


def check(rows: int, block: int, folder: Path) -> None:
    """The file that was written around a death holds the table; and what a lost or damaged block would do is noticed."""
    table = gpuinit.Table((rows, COLUMNS), "he_normal", "float32", seed=11, name="users")
    death = write_and_kill(table, block, folder)
    blocks = -(-rows // block)
    assert death.killed not in death.workers and len(death.workers) == 2
    assert blocks // 4 <= death.written < blocks, "the worker died when all was written, and nothing was shown"
    files = chunk_files(folder)
    assert len(files) == blocks

    def stored() -> int:
        array = zarr.open_array(str(folder), mode="r")
        assert array.shape == table.shape and array.dtype == table.dtype
        return sum(block_hashes(array, block)) % 2**64

    whole = sum(block_hashes(table, block // 3 + 1)) % 2**64  # in blocks of its own
    assert stored() == whole
    victim = files[len(files) // 2]
    kept = victim.read_bytes()
    victim.write_bytes(kept[:1001] + bytes([kept[1001] ^ 1]) + kept[1002:])
    assert stored() != whole, "a flipped bit went unnoticed"
    victim.unlink()
    assert stored() != whole, "a block that is not there went unnoticed"
    victim.write_bytes(kept)
    assert stored() == whole


def test_a_killed_worker_changes_nothing(tmp_path: Path) -> None:
    """64 MiB in 256 blocks."""
    check(2**17, 2**9, tmp_path / "users.zarr")


@pytest.mark.cluster
def test_a_killed_worker_changes_nothing_of_four_gib(tmp_path: Path) -> None:
    """4 GiB in 256 blocks."""
    if shutil.disk_usage(tmp_path).free < 6 * GIB:
        pytest.skip("needs 6 GiB of free disk")
    folder = tmp_path / "users.zarr"
    try:
        check(2**23, 2**15, folder)
        assert sum(path.stat().st_size for path in chunk_files(folder)) == 4 * GIB
    finally:
        shutil.rmtree(folder, ignore_errors=True)
