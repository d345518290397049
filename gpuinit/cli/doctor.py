"""`gpuinit doctor`: what is here, whether it gives the right bits, and how fast it writes."""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any

import numpy as np

import gpuinit
from gpuinit import backends, verification
from gpuinit.backends import Backend, compiled
from gpuinit.backends.cuda import bandwidth, probe
from gpuinit.cli.doctor_report import lines
from gpuinit.key import CONTRACT, Key
from gpuinit.region import Region

__all__ = ["add", "run"]

_DESCRIPTION = """\
Show the devices, versions and settings that gpuinit finds, recompute golden vectors on every one of its backends
and compare them bit for bit, and measure how fast memory is filled beside a plain memset of it.

The exit status is 0 if all that is here is right; a machine without a GPU is. It is 1 if values are wrong, if there
is a GPU that cannot be used, or if GPUINIT_DEVICE names a device that cannot."""

_KEYS = """\
examples:
  gpuinit doctor
  gpuinit doctor --all
  gpuinit doctor --json | jq -r .summary

--json prints one object:
  ok              true where the exit status is 0
  problems        sentences, empty where ok is true
  summary         one sentence: where tensors are made, and why there
  versions        gpuinit, stream (the version of the contract), python, numpy, numba, ml_dtypes, scipy, cupy,
                  numba_cuda, cuda_driver, cuda_runtime, nvrtc; null for what is not there
  default_device  asked (GPUINIT_DEVICE, or null), device (what device=None means; null if it cannot be used)
  cpu             way ("compiled" or "numpy"), threads, cache_folder, cache_problem
  cuda            usable, problem, remedy, notes, devices (number, name, capability, memory, processors, problem)
  golden          of each backend: backend, device, checked, total, wrong (names), error
  bandwidth       of each device: device, bytes, memset, uniform, truncated_normal, normal (GB/s, float32), error
"""

_SECONDS = 3.0
"""After this long no further golden vector is begun on a backend: its kernel might have to be compiled."""
_PACKAGES = {
    "numpy": ("numpy",),
    "numba": ("numba",),
    "ml_dtypes": ("ml_dtypes",),
    "scipy": ("scipy",),
    "cupy": ("cupy-cuda13x", "cupy-cuda12x", "cupy"),
    "numba_cuda": ("numba-cuda",),
}
_LAWS = {"uniform": gpuinit.RandomUniform, "truncated_normal": gpuinit.TruncatedNormal, "normal": gpuinit.RandomNormal}
_FLOAT32 = np.dtype(np.float32)


def add(commands: Any) -> None:
    """Declare the command."""
    text = {"help": "show what is here and check that it gives the right bits", "description": _DESCRIPTION, "epilog": _KEYS}
    parser = commands.add_parser("doctor", **text)
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    parser.add_argument(
        "--all", action="store_true", help="check every golden vector, however many kernels have to be compiled for that"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Examine, print, and return the exit status."""
    with contextlib.redirect_stdout(sys.stderr):  # what libraries have to say is not the report
        facts = _examine(math.inf if options.all else _SECONDS)
    text = json.dumps(facts, indent=1) if options.json else "\n".join(lines(facts))
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    return 0 if facts["ok"] else 1


def _examine(seconds: float) -> dict[str, Any]:
    cuda = probe.survey()
    problems: list[str] = []
    if not cuda.usable and not cuda.absent:
        problems.append(f"{cuda.problem} {cuda.remedy}")
    threads = _attempt(gpuinit.get_num_threads, problems)
    device = _attempt(gpuinit.default_device, problems)
    folder, wrong = probe.cache_state()
    rates = [_rates(*each, problems) for each in _devices(cuda)]  # first: it compiles what is compared the soonest
    golden = [_golden(*each, seconds, problems) for each in _ways(cuda, problems)]
    return {
        "ok": not problems,
        "problems": problems,
        "summary": _summary(cuda, device),
        "versions": _versions(cuda),
        "default_device": {"asked": os.environ.get("GPUINIT_DEVICE") or None, "device": device},
        "cpu": {
            "way": "compiled" if compiled.usable() else "numpy",
            "threads": threads,
            "cache_folder": folder,
            "cache_problem": wrong,
        },
        "cuda": {
            **{name: getattr(cuda, name) for name in ("usable", "problem", "remedy", "notes")},
            "devices": [
                {name: getattr(d, name) for name in ("number", "name", "capability", "memory", "processors", "problem")}
                for d in cuda.devices
            ],
        },
        "golden": golden,
        "bandwidth": rates,
    }


def _summary(cuda: probe.Status, device: str | None) -> str:
    if device is None:
        return "No tensor can be made unless a device is named, because that of GPUINIT_DEVICE cannot be used."
    if cuda.usable:
        return f"Tensors are made on {device} unless another device is named."
    return f"Tensors are made on the CPU, bit for bit as on a GPU, because CUDA cannot be used: {cuda.problem}"


def _versions(cuda: probe.Status) -> dict[str, Any]:
    found: dict[str, Any] = {"gpuinit": gpuinit.__version__, "stream": CONTRACT, "python": platform.python_version()}
    for name, distributions in _PACKAGES.items():
        found[name] = None
        for distribution in reversed(distributions):
            with contextlib.suppress(metadata.PackageNotFoundError):
                found[name] = metadata.version(distribution)
    found["cupy"] = cuda.cupy or found["cupy"]
    return {**found, "cuda_driver": cuda.driver, "cuda_runtime": cuda.runtime, "nvrtc": cuda.nvrtc}


def _attempt(work: Callable[[], Any], problems: list[str], about: str = "") -> Any:
    """What `work` returns; None if it raises, and then the reason joins the problems."""
    try:
        return work()
    except Exception as error:
        said = " ".join(str(error).split()) or type(error).__name__
        problems.append(about + (said if said.endswith(".") else f"{said}."))
        return None


def _gpus(cuda: probe.Status) -> list[probe.Device]:
    return [device for device in cuda.devices if cuda.usable and not device.problem]


def _ways(cuda: probe.Status, problems: list[str]) -> Iterator[tuple[str, str, Callable[[], Backend]]]:
    """Everything that can fill: its name, its device, and how to get it."""
    for name, way in (_attempt(verification.cpu_ways, problems) or {}).items():
        yield name, "cpu", functools.partial(lambda given: given, way)
    for device in _gpus(cuda):
        yield f"cuda:{device.number}", f"cuda:{device.number}", functools.partial(backends.select, f"cuda:{device.number}")


def _golden(name: str, device: str, backend: Callable[[], Backend], seconds: float, problems: list[str]) -> dict[str, Any]:
    """The golden vectors on one backend."""
    total, mine = verification.total(), list[str]()
    results = _attempt(lambda: verification.check(backend(), seconds), mine, f"{name}: ") or []
    wrong = [vector for vector, right in results if not right]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        shown = "; ".join(wrong[:3])
        problems.append(f"{name}: {len(wrong)} of {len(results)} golden vectors are wrong: {shown}{more}.")
    problems += mine
    about = {"backend": name, "device": device, "checked": len(results), "total": total}
    return {**about, "wrong": wrong, "error": "".join(mine)}


def _devices(cuda: probe.Status) -> Iterator[tuple[str, int, Callable[..., dict[str, float]]]]:
    """The devices to be timed: their names, how many float32 to fill, and what times fills of an array."""
    yield "cpu", 2**24 if compiled.usable() else 2**16, _cpu_rates
    for device in _gpus(cuda):
        size = min(2**28, device.memory // 32)
        yield f"cuda:{device.number}", size, functools.partial(bandwidth.rates, device.number)


def _rates(device: str, size: int, measure: Callable[..., dict[str, float]], problems: list[str]) -> dict[str, Any]:
    """GB/s of memset and of each law on one device."""

    def measured() -> dict[str, float]:
        backend = backends.select(device)
        out = backend.empty((size,), _FLOAT32)
        where, key = Region.of((size,)), Key(0)
        laws = {name: kind(seed=0).law((size,), _FLOAT32) for name, kind in _LAWS.items()}
        return measure(out, {name: functools.partial(backend.fill, out, law, where, key) for name, law in laws.items()})

    mine: list[str] = []
    found = _attempt(measured, mine, f"{device}: ") or {}
    problems += mine
    rates = {name: round(found[name], 3) if name in found else None for name in ("memset", *_LAWS)}
    return {"device": device, "bytes": 4 * size, **rates, "error": "".join(mine)}


def _cpu_rates(out: np.ndarray[Any, Any], fills: dict[str, Callable[[], object]]) -> dict[str, float]:
    def seconds(work: Callable[[], object]) -> float:
        work()
        times = []
        for _ in range(5):
            began = time.perf_counter()
            work()
            times.append(time.perf_counter() - began)
        return min(times)

    works: dict[str, Callable[[], object]] = {"memset": functools.partial(out.fill, 1.0), **fills}
    return {name: out.nbytes / seconds(work) / 1e9 for name, work in works.items()}
