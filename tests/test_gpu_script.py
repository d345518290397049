"""benchmarks/gpu.sh on a machine without a GPU: every step is there, and is skipped by its name with a reason."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "benchmarks" / "gpu.sh"
STEPS = ("kernels", "doctor", "tests", "timings", "sanitizer", "frameworks", "verify", "scale", "profile")

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")


def ran(*arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHON": sys.executable, "CUDA_VISIBLE_DEVICES": "", "GPUINIT_BENCH": "--quick"}
    environment.pop("GPUINIT_REHEARSE", None)
    command = ["bash", str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


def test_every_step_is_passed_or_skipped(tmp_path: Path) -> None:
    """Rejects a step that fails for want of a GPU, one that is lost, and a skip that does not say why."""
    done = ran(tmp_path / "out")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "out" / "summary.json").read_text())
    steps = {step["name"]: step for step in found["steps"]}
    assert tuple(steps) == ("setup", "machine", *STEPS) and found["ok"] is True
    assert {name for name in STEPS if steps[name]["status"] == "passed"} == {"doctor"}
    for name in set(STEPS) - {"doctor"}:
        assert steps[name]["status"] == "skipped" and len(steps[name]["reason"]) > 10, steps[name]


def test_steps_by_name(tmp_path: Path) -> None:
    """Those that are named, in the script's order, after the set-up."""
    assert ran(tmp_path, "verify", "kernels").returncode == 0
    found = json.loads((tmp_path / "summary.json").read_text())
    assert [step["name"] for step in found["steps"]] == ["setup", "machine", "kernels", "verify"]


def test_bad_calls_write_nothing(tmp_path: Path) -> None:
    """A missing folder and an unknown step are told, with what would be right."""
    without, unknown = ran(), ran(tmp_path / "out", "bogus")
    assert (without.returncode, unknown.returncode) == (2, 2)
    assert "OUTDIR [STEP..]" in without.stderr and all(step in without.stderr for step in STEPS)
    assert unknown.stderr.startswith("bogus is no step: they are kernels ")
    assert not (tmp_path / "out").exists()
