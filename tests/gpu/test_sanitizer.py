"""NVIDIA's compute-sanitizer finds no wrong access, leak or race in any kernel; a planted wrong access shows that it would."""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gpu import every_kernel
from gpu.rehearsal import Rehearsal
from gpu.rig import Rig

pytestmark = pytest.mark.gpu

SECONDS = int(os.environ.get("GPUINIT_SANITIZER_SECONDS", "150"))
PLANTED = """
import cupy, numpy as np
from gpuinit.backends import select
from gpuinit.backends.cuda import parts
from gpuinit.backends.layout import Layout
cupy.cuda.set_allocator(None)
backend = select("cuda")
out = cupy.ndarray((1000,), np.float64)
for launch in parts.constants(Layout(0, 1001 + 64, 8, ()), out.data.ptr, bytes(8), bytes(8), 1):
    backend._driver.launch(launch)
cupy.cuda.Device().synchronize()
"""


def tool() -> str | None:
    found = shutil.which("compute-sanitizer")
    return found or next(iter(sorted(glob.glob("/usr/local/cuda*/bin/compute-sanitizer"), reverse=True)), None)


def sanitized(kind: str, folder: Path, *command: str) -> str:
    """What the sanitizer says; a skip where it is missing, cannot work here, or does not end."""
    program = tool()
    if program is None:
        pytest.skip("compute-sanitizer is neither on PATH nor under /usr/local/cuda*/bin")
    tests = str(Path(__file__).parent.parent)
    path = os.pathsep.join(filter(None, [tests, os.environ.get("PYTHONPATH", "")]))
    try:
        done = subprocess.run(
            [program, "--tool", kind, sys.executable, *command],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path},
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"compute-sanitizer --tool {kind} did not end within {SECONDS} s")
    text = done.stdout + done.stderr
    if re.search("Device not supported|Failed to initialize|not supported on this", text):
        pytest.skip(f"compute-sanitizer cannot work here: {text.strip().splitlines()[0]}")
    return text


def test_memcheck(gpu: Rig, tmp_path: Path) -> None:
    gpu.needs_hardware("compute-sanitizer")
    text = sanitized("memcheck", tmp_path, "-m", "gpu.every_kernel")
    assert "every kernel ran" in text and "ERROR SUMMARY: 0 errors" in text, text[-3000:]


def test_racecheck(gpu: Rig, tmp_path: Path) -> None:
    gpu.needs_hardware("compute-sanitizer")
    text = sanitized("racecheck", tmp_path, "-m", "gpu.every_kernel", "few")
    assert "every kernel ran" in text, text[-3000:]
    assert re.search(r"RACECHECK SUMMARY: 0 hazards|ERROR SUMMARY: 0 errors", text), text[-3000:]


def test_initcheck(gpu: Rig, tmp_path: Path) -> None:
    """Memory that is read was written: rejects a kernel that leaves a gap which the next one takes for numbers."""
    gpu.needs_hardware("compute-sanitizer")
    text = sanitized("initcheck", tmp_path, "-m", "gpu.every_kernel", "few")
    assert "every kernel ran" in text and "ERROR SUMMARY: 0 errors" in text, text[-3000:]


def test_synccheck(gpu: Rig, tmp_path: Path) -> None:
    """No barrier that some threads of a block do not reach."""
    gpu.needs_hardware("compute-sanitizer")
    text = sanitized("synccheck", tmp_path, "-m", "gpu.every_kernel", "few")
    assert "every kernel ran" in text and "ERROR SUMMARY: 0 errors" in text, text[-3000:]


def test_memcheck_finds_a_planted_overrun(gpu: Rig, tmp_path: Path) -> None:
    gpu.needs_hardware("compute-sanitizer")
    text = sanitized("memcheck", tmp_path, "-c", PLANTED)
    assert "Invalid __global__ write" in text and "ERROR SUMMARY: 0 errors" not in text, text[-3000:]


def test_the_script_launches_every_kernel(gpu: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the sanitizer is shown is all that there is."""
    launched = []
    driver = gpu.backend._driver
    usual = driver.launch
    monkeypatch.setattr(driver, "launch", lambda launch: (launched.append(launch), usual(launch))[1])
    every_kernel.run(gpu, few=isinstance(gpu, Rehearsal) and "GPUINIT_REHEARSE_ALL" not in os.environ)
    gpu.synchronize()
    missing = every_kernel.expected() - every_kernel.names(launched)
    if isinstance(gpu, Rehearsal) and "GPUINIT_REHEARSE_ALL" not in os.environ:
        pytest.skip(f"rehearsal: ran, by a few dtypes alone; {len(missing)} kernels were left out")
    assert not missing
