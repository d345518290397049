"""Long proofs, by `make test-thorough`."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

GIB = 2**30


@pytest.mark.thorough
def test_eight_gib_table_takes_little_memory(tmp_path: Path) -> None:
    """`gpuinit create` of 8 GiB peaks under 400 MiB: rejects a whole table, or a whole file mapping, in memory."""
    if shutil.disk_usage(tmp_path).free < 10 * GIB:
        pytest.skip("needs 10 GiB of free disk")
    command = [sys.executable, "-m", "gpuinit", "create", "--shape", "16777216,128", "--init", "he_normal", "--json"]
    made = subprocess.run([*command, "--out", str(tmp_path / "w.safetensors")], capture_output=True, text=True, check=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    assert (tmp_path / "w.safetensors").stat().st_size > 8 * GIB
    assert json.loads(made.stdout)
    assert peak < 400 * 2**20, f"{peak / 2**20:.0f} MiB"
