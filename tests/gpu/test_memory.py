"""What a fill takes of the GPU's memory, in a fresh process: the tensor, and a constant."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gpu.rig import Rig

pytestmark = pytest.mark.gpu

PEAK = """
import json, threading, sys
import cupy
import gpuinit

dtype, name, elements = sys.argv[1], sys.argv[2], int(sys.argv[3])
init = getattr(gpuinit, name)(seed=1) if name != "Ones" else gpuinit.Ones()
cupy.cuda.Device().synchronize()  # the context is there, and no kernel yet
least = before = cupy.cuda.runtime.memGetInfo()[0]
ended = threading.Event()


def watch():
    global least
    while not ended.wait(0.001):
        least = min(least, cupy.cuda.runtime.memGetInfo()[0])


watcher = threading.Thread(target=watch)
watcher.start()
made = init((elements,), dtype, device="cuda")
some = init((10**9, 128), dtype, device="cuda", rows=[1, 5, 3])
cupy.cuda.Device().synchronize()
ended.set()
watcher.join()
least = min(least, cupy.cuda.runtime.memGetInfo()[0])
pool = cupy.get_default_memory_pool()
print(json.dumps({"bytes": made.nbytes, "taken": before - least, "pool": pool.total_bytes(), "used": pool.used_bytes()}))
"""


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["RandomUniform", "RandomNormal", "TruncatedNormal", "Ones"])
def test_peak_memory(name: str, dtype: str, gpu: Rig, tmp_path: Path) -> None:
    """The tensor and less than 64 MiB: rejects a temporary of the tensor's size, or of a tenth of it."""
    gpu.needs_hardware("device memory")
    elements = 2**29
    if gpu.free_bytes() < 4 * elements + 2**30:
        pytest.skip("needs 3 GiB of the GPU's memory")
    command = [sys.executable, "-c", PEAK, dtype, name, str(elements)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["bytes"] <= found["taken"] < found["bytes"] + 64 * 2**20, found
    assert found["bytes"] <= found["pool"] < found["bytes"] + 2**20, found
