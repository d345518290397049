"""What the tests share: the two ways of the CPU, arrays full of poison, and the table of laws."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from gpuinit.backends import compiled, cpu, specification
from gpuinit.distributions import Distribution, Normal, TruncatedNormal, Uniform
from gpuinit.region import Region

os.environ["GPUINIT_DEVICE"] = "cpu"  # what tests mean by no device, wherever they run

POISON = 0xCA
"""The byte that outputs are filled with first, so that an element never written shows."""

WAYS = {"specification": specification.fill, "compiled": compiled.fill}

DTYPES = [
    np.dtype(d)
    for d in (
        *(np.float32, np.float64, np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2),
        *(np.complex64, np.complex128),
    )
]

LAWS: list[Distribution] = [
    Uniform(-1.0, 2.0),
    Uniform(-0.05, 0.05, shared_variance=True),
    Normal(0.5, 2.0),
    TruncatedNormal(0.0, 0.05),
    TruncatedNormal(-1.0, 1.0, -5.0, 5.0),
    TruncatedNormal(0.1, 1.0, -1.0, 3.0),
    TruncatedNormal(0.0, 1.0, -math.inf, -0.5),
    TruncatedNormal(0.0, 1.0, 5.0, 6.0),
    TruncatedNormal(0.0, 0.5, 1.0, 1.2),
    TruncatedNormal(0.0, 1.0, -1e-9, 2e-9),
]


def poisoned(shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
    """A new array whose every byte is POISON."""
    out = np.empty(shape, dtype)
    out.reshape(-1).view(np.uint8)[...] = POISON
    return out


def same_bits(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    """Whether two arrays agree in shape, dtype and every bit."""
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def drawn(way: Callable[..., None], law: Distribution, key: Any, region: Region, dtype: Any) -> np.ndarray[Any, Any]:
    """The region of the tensor by one of the WAYS, written over poison."""
    out = poisoned(region.counts, dtype)
    way(out, law.sampler(out.dtype), region, key)
    return out


@pytest.fixture(params=sorted(WAYS))
def way(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Each way of the CPU backend in turn."""
    return WAYS[request.param]


@pytest.fixture(scope="module")
def poisoned_memory() -> Iterator[None]:
    """What the CPU backend allocates is full of poison, so that an element of a new array that nobody writes shows."""
    empty = cpu.CPU.empty

    def full(self: Any, shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
        out = empty(self, shape, dtype)
        out.reshape(-1).view(np.uint8)[...] = POISON
        return out

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu.CPU, "empty", full)
        yield


PEAK = """
import sys
from pathlib import Path
from gpuinit.cli import main
try:
    status = main(sys.argv[1:])
except SystemExit as stop:
    status = stop.code
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(status or 0, peak.split()[1])
"""


def peak_memory(*arguments: object) -> int:
    """The most memory, in bytes, that a process of the command line with these arguments has held; it must succeed.

    Read from the process itself: what the system counts for a child begins with the memory of the parent that forked it.
    """
    command = [sys.executable, "-c", PEAK, *map(str, arguments)]
    status, kibibytes = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-2:]
    assert status == "0"
    return int(kibibytes) * 1024


def started(command: list[str], until: Callable[[], bool]) -> subprocess.Popen[str]:
    """A process that has come as far as `until` says, which it must within a minute and before it ends."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored, and children inherit that
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, before)
    deadline = time.monotonic() + 60
    while not until():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return process


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The driver of a GPU in this process' memory: the whole CUDA backend over `HostDriver`, as device "cuda" and "cuda:0"."""
    pytest.importorskip("cupy", reason="CuPy is not installed: its arrays stand for the GPU's")
    machine = pytest.importorskip("host.machine")
    if machine.compiler() is None:
        pytest.skip("there is no C++ compiler (g++): the CUDA C++ kernels cannot be run on the host")
    from host.driver import HostDriver

    from gpuinit.backends.cuda import devices, probe
    from gpuinit.backends.cuda.backend import CUDA

    driver = HostDriver()
    backend = CUDA(0, driver)  # type: ignore[arg-type]
    device = probe.Device(0, "host", 90, 2000, 3)
    monkeypatch.delenv("GPUINIT_DEVICE")
    monkeypatch.setattr(probe, "status", lambda: probe.Status(True, devices=(device,)))
    monkeypatch.setattr(devices, "backend", lambda number: backend)
    monkeypatch.setattr(devices, "owner", lambda array: backend)
    return driver
