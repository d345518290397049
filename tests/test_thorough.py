"""Long proofs, by `make test-thorough`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import peak_memory

GIB = 2**30


@pytest.mark.thorough
def test_eight_gib_table_takes_little_memory(tmp_path: Path) -> None:
    """`gpuinit create` of 8 GiB peaks under 400 MiB: rejects a whole table, or a whole file mapping, in memory."""
    if shutil.disk_usage(tmp_path).free < 10 * GIB:
        pytest.skip("needs 10 GiB of free disk")
    peak = peak_memory("create", "--shape", "16777216,128", "--init", "he_normal", "--out", tmp_path / "w.safetensors", "--quiet")
    assert (tmp_path / "w.safetensors").stat().st_size > 8 * GIB
    assert peak < 400 * 2**20, f"{peak / 2**20:.0f} MiB"
