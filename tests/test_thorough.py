"""Long proofs, by `make test-thorough`."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import peak_memory

GIB = 2**30
SHAPE = "25165824,128"
"""12 GiB of float32."""


@pytest.mark.thorough
def test_a_twelve_gib_table_takes_little_memory_and_survives_kills(tmp_path: Path) -> None:
    """`gpuinit create` of 12 GiB peaks under 400 MiB; killed three times and resumed it holds the same; so does `check`.

    Rejects a whole table, or a whole file mapping, in memory; a resume that trusts what the kill left, or starts over.
    """
    if shutil.disk_usage(tmp_path).free < 14 * GIB:
        pytest.skip("needs 14 GiB of free disk")
    out = tmp_path / "w.safetensors"
    arguments = ["create", "--shape", SHAPE, "--init", "truncated_normal", "--out", str(out), "--json"]
    whole = json.loads(subprocess.run([sys.executable, "-m", "gpuinit", *arguments], capture_output=True, check=True).stdout)[0]
    out.unlink()

    journal = tmp_path / "w.safetensors.journal"
    kills = sorted(random.Random(time.time_ns()).sample(range(1, 12), 3))
    for gib in kills:
        process = subprocess.Popen([sys.executable, "-m", "gpuinit", *arguments, "--resume"], stdout=subprocess.DEVNULL)
        while not journal.exists() or json.loads(journal.read_text())["elements"] * 4 < gib * GIB:
            assert process.poll() is None, "it ended before it was killed"
            time.sleep(random.random() / 10)
        process.send_signal(signal.SIGKILL)
        process.wait()
    resumed = json.loads(
        subprocess.run([sys.executable, "-m", "gpuinit", *arguments, "--resume"], capture_output=True, check=True).stdout
    )[0]
    assert resumed["hash"] == whole["hash"] and resumed["mean"] == pytest.approx(whole["mean"])
    assert resumed["resumed"] >= kills[-1] * GIB and not journal.exists()
    assert peak_memory("check", out, "--quiet") < 400 * 2**20
    out.unlink()

    peak = peak_memory(*arguments)
    assert out.stat().st_size > 12 * GIB
    assert peak < 400 * 2**20, f"{peak / 2**20:.0f} MiB"
