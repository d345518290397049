"""`gpuinit doctor`: what it says of this machine, that it finds wrong values and unusable GPUs, and what programs read."""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import gpuinit
from gpuinit import backends, verification
from gpuinit.backends import specification
from gpuinit.backends.cpu import CPU
from gpuinit.backends.cuda import bandwidth, libcuda, probe
from gpuinit.cli import doctor, main
from gpuinit.cli.doctor_report import LAWS
from gpuinit.key import CONTRACT

GOLDEN = Path(__file__).parent / "golden"

KEYS = {
    "": "ok problems summary versions default_device cpu cuda golden bandwidth",
    "versions": "gpuinit stream python numpy numba ml_dtypes scipy cupy numba_cuda cuda_driver cuda_runtime nvrtc",
    "default_device": "asked device",
    "cpu": "way threads cache_folder cache_problem",
    "cuda": "usable problem remedy notes devices",
    "golden": "backend device checked total wrong error",
    "bandwidth": "device bytes memset uniform truncated_normal normal error",
}
DEVICE = "number name capability memory processors problem"

NO_DRIVER = probe.Status(False, "There is no driver.", "Install one.", absent=True)
H100 = probe.Device(0, "NVIDIA H100", 90, 80 * 2**30, 132)
USABLE = probe.Status(True, driver="13.0", runtime="13.0", nvrtc="13.0", cupy="14.2.0", numba_cuda="0.30.4", devices=(H100,))


def keys(text: str) -> list[str]:
    return text.split()


class GPU(CPU):
    """What stands for a GPU: the specification, in memory of the host, with a fault if wanted."""

    device = "cuda:0"

    def __init__(self, fault: str = "") -> None:
        super().__init__()
        self.fault = fault

    def fill(self, out: Any, law: Any, region: Any, key: Any) -> None:
        if self.fault == "raises":
            raise RuntimeError("an illegal memory\naccess was encountered")
        specification.fill(out, law, region, key)
        if self.fault == "one bit" and law.quantile == "symmetric" and out.dtype == np.float32:
            out.reshape(-1).view(np.uint32)[-1] ^= 1


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No GPU, a small part of the golden vectors and small fills, by NumPy alone: the logic is what is tested."""
    vectors = verification.golden()
    few = {
        "keys": vectors["keys"],
        "words": {**vectors["words"], "words": vectors["words"]["words"][:1]},
        "values": {**vectors["values"], "cases": [case for case in vectors["values"]["cases"] if case["dtype"] == "float32"]},
        "tensors": [case for case in vectors["tensors"] if case["dtype"] == "float32"],
    }
    few["values"]["cases"] += [case for case in vectors["values"]["cases"] if case["dtype"] == "float64"][:1]
    monkeypatch.setattr(verification, "golden", lambda: few)
    monkeypatch.setattr(verification.compiled, "usable", lambda: False)
    monkeypatch.setattr(probe, "survey", lambda: NO_DRIVER)
    monkeypatch.setattr(probe, "status", lambda: probe.survey())
    monkeypatch.delenv("GPUINIT_DEVICE", raising=False)
    monkeypatch.delenv("GPUINIT_NUM_THREADS", raising=False)


def with_gpu(monkeypatch: pytest.MonkeyPatch, gpu: CPU) -> None:
    """A usable GPU, cuda:0, that is filled by `gpu`."""
    select = backends.select
    monkeypatch.setattr(probe, "survey", lambda: USABLE)
    monkeypatch.setattr(backends, "select", lambda device: select("cpu") if device == "cpu" else gpu)
    monkeypatch.setattr(bandwidth, "rates", lambda number, out, fills: [fill() for fill in fills.values()] and dict(RATES))


RATES = {"memset": 2800.0, "uniform": 2700.0, "truncated_normal": 2600.0, "normal": 2500.12345}


def report(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    """The exit status and the JSON of the command in this process."""
    status = main(["doctor", "--json"])
    shown = capsys.readouterr()
    found: dict[str, Any] = json.loads(shown.out)
    assert found["ok"] == (status == 0) == (found["problems"] == [])
    return status, found


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-W", "error", "-m", "gpuinit", "doctor", *arguments],
        capture_output=True,
        text=True,
        env={**{k: v for k, v in os.environ.items() if k != "GPUINIT_DEVICE"}, **environment},
        timeout=300,
    )


def no_driver() -> bool:
    with contextlib.suppress(libcuda.Unusable):
        libcuda.load()
        return False
    return True


without_driver = pytest.mark.skipif(not no_driver(), reason="there is an NVIDIA driver here")

# This machine.


@without_driver
def test_a_machine_without_a_gpu_is_right() -> None:
    """Exit status 0, one sentence that explains, and plain text."""
    done = command()
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    assert any(
        line.startswith("Tensors are made on the CPU, bit for bit as on a GPU, because CUDA cannot be used: ")
        and line.endswith("There is no NVIDIA driver here (libcuda.so.1 cannot be loaded).")
        for line in lines
    )
    assert lines[-1] == "All that is here is right."
    assert lines[0].startswith(f"gpuinit {gpuinit.__version__}, stream contract {CONTRACT}, Python 3.")
    assert any("docker run --gpus all" in line for line in lines)
    total = verification.total()
    assert [line.split()[-3:] for line in lines if line.startswith("cpu, NumPy")] == [[str(total)] * 3]
    assert all(line == line.rstrip() or line.startswith(("golden", "cpu", "float32")) for line in lines)


def test_json_of_this_machine() -> None:
    """The keys are those that the help documents, and nothing else is on standard output."""
    done = command("--json")
    found = json.loads(done.stdout)
    assert done.returncode == (0 if found["ok"] else 1)
    assert set(found) == set(keys(KEYS[""]))
    for name in ("versions", "default_device", "cpu", "cuda"):
        assert set(found[name]) == set(keys(KEYS[name])), name
    for name in ("golden", "bandwidth"):
        assert found[name]
        for each in found[name]:
            assert set(each) == set(keys(KEYS[name])), name
    assert all(set(each) == set(keys(DEVICE)) for each in found["cuda"]["devices"])
    assert found["versions"]["gpuinit"] == gpuinit.__version__
    assert found["versions"]["numpy"] == np.__version__
    assert found["bandwidth"][0]["device"] == "cpu"
    assert all(found["bandwidth"][0][name] > 0 for name in ("memset", *LAWS))
    assert found["golden"][0]["checked"] == found["golden"][0]["total"] == verification.total()


def test_help_documents_the_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--help"]) == 0
    text = capsys.readouterr().out
    for name in keys(" ".join([*KEYS.values(), DEVICE])):
        assert name in text, name


@without_driver
def test_a_device_that_is_asked_for_and_cannot_be_used() -> None:
    """GPUINIT_DEVICE=cuda without a GPU: the default is not usable, so the status is 1 and the reason is told."""
    done = command("--json", GPUINIT_DEVICE="cuda")
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert found["default_device"] == {"asked": "cuda", "device": None}
    assert len(found["problems"]) == 1
    assert "GPUINIT_DEVICE='cuda' cannot be used" in found["problems"][0] and "NVIDIA driver" in found["problems"][0]
    assert "unless a device is named" in found["summary"]


@pytest.mark.parametrize(("name", "value"), [("GPUINIT_DEVICE", "gpu"), ("GPUINIT_NUM_THREADS", "many")])
def test_settings_that_are_wrong(name: str, value: str, quick: None, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.setattr(backends.cpu.compiled.threads, "_threads", None)
    status, found = report(capsys)
    assert status == 1
    assert any(f"{name}='{value}'" in problem for problem in found["problems"])


# Its logic, with a GPU that is none.


def test_no_driver_is_no_fault(quick: None, capsys: pytest.CaptureFixture[str]) -> None:
    status, found = report(capsys)
    assert status == 0
    assert found["cuda"]["usable"] is False
    assert (found["cuda"]["problem"], found["cuda"]["remedy"]) == ("There is no driver.", "Install one.")
    assert found["summary"].endswith("because CUDA cannot be used: There is no driver.")
    assert [each["backend"] for each in found["golden"]] == ["cpu, NumPy"]
    assert found["cpu"]["way"] == "numpy"
    assert main(["doctor"]) == 0
    assert "NumPy alone, because Numba cannot be used" in capsys.readouterr().out


def test_a_gpu_that_cannot_be_used_is_a_fault(quick: None, monkeypatch: Any, capsys: Any) -> None:
    broken = probe.Status(False, "CuPy is not installed.", "pip install 'gpuinit[cuda13]'.", driver="13.0", devices=(H100,))
    monkeypatch.setattr(probe, "survey", lambda: broken)
    status, found = report(capsys)
    assert status == 1
    assert found["problems"] == ["CuPy is not installed. pip install 'gpuinit[cuda13]'."]
    assert found["cuda"]["devices"][0]["name"] == "NVIDIA H100"
    assert {each["device"] for each in found["golden"] + found["bandwidth"]} == {"cpu"}
    assert main(["doctor"]) == 1
    shown = capsys.readouterr().out
    assert "Not right: CuPy is not installed. pip install 'gpuinit[cuda13]'.\n" in shown
    assert "All that is here is right" not in shown


def test_a_gpu_that_is_right(quick: None, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr(doctor, "_devices", lambda cuda: [("cuda:0", 64, lambda out, fills: RATES)])
    with_gpu(monkeypatch, GPU())
    status, found = report(capsys)
    assert status == 0
    assert [each["backend"] for each in found["golden"]] == ["cpu, NumPy", "cuda:0"]
    assert found["golden"][1] == {**found["golden"][1], "checked": verification.total(), "wrong": [], "error": ""}
    assert found["bandwidth"] == [{"device": "cuda:0", "bytes": 256, **RATES, "normal": 2500.123, "error": ""}]
    assert found["summary"] == "Tensors are made on cuda:0 unless another device is named."
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert "cuda:0: NVIDIA H100, compute capability 9.0, 80.0 GiB, 132 multiprocessors" in shown
    assert "2500.12" in shown


def test_one_wrong_bit_on_a_gpu_is_found(quick: None, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr(doctor, "_devices", lambda cuda: [])
    with_gpu(monkeypatch, GPU("one bit"))
    status, found = report(capsys)
    assert status == 1
    right, wrong = found["golden"]
    assert right["wrong"] == []
    assert wrong["checked"] == verification.total()
    assert not [name for name in wrong["wrong"] if "uniform" in name.lower() or "words" in name or "float64" in name]
    assert "normal(0, 0, 0.02) float32, a block" in wrong["wrong"] and "RandomNormal 9999 float32" in wrong["wrong"]
    [problem] = found["problems"]
    assert problem.startswith(f"cuda:0: {len(wrong['wrong'])} of {verification.total()} golden vectors are wrong: ")
    assert wrong["wrong"][0] in problem and problem.endswith(f" and {len(wrong['wrong']) - 3} more.")


def test_a_backend_that_raises_is_told(quick: None, monkeypatch: Any, capsys: Any) -> None:
    with_gpu(monkeypatch, GPU("raises"))
    monkeypatch.setattr(doctor, "_devices", lambda cuda: [("cuda:0", 64, lambda out, fills: bandwidth.rates(0, out, fills))])
    status, found = report(capsys)
    assert status == 1
    assert found["golden"][1]["error"] == found["bandwidth"][0]["error"] == "cuda:0: an illegal memory access was encountered."
    assert found["golden"][1]["checked"] == 0 and found["bandwidth"][0]["normal"] is None
    assert set(found["problems"]) == {"cuda:0: an illegal memory access was encountered."}
    assert main(["doctor"]) == 1
    assert "  -" in capsys.readouterr().out


def test_a_device_too_old_is_left_out(quick: None, monkeypatch: Any, capsys: Any) -> None:
    new, old = probe.Device(0, "NVIDIA T4", 75, 2**20, 40), probe.Device(1, "Tesla V100", 70, 2**20, 80)
    with_gpu(monkeypatch, GPU())
    monkeypatch.setattr(probe, "survey", lambda: probe.Status(True, notes=(old.problem,), devices=(new, old)))
    status, found = report(capsys)
    assert status == 0
    assert [each["device"] for each in found["golden"]] == ["cpu", "cuda:0"]
    assert [(each["device"], each["bytes"]) for each in found["bandwidth"]] == [("cpu", 2**18), ("cuda:0", 2**17)]
    assert found["cuda"]["notes"] == [old.problem]
    assert [bool(each["problem"]) for each in found["cuda"]["devices"]] == [False, True]
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.count("Tesla V100, has compute capability 7.0, and gpuinit needs 7.5 or later.") == 1


def test_a_wrong_golden_value_is_found(quick: None, monkeypatch: Any, capsys: Any) -> None:
    vectors = copy.deepcopy(verification.golden())
    case = vectors["values"]["cases"][0]
    last = case["values"][-1]
    case["values"] = case["values"][:-1] + ("0" if last != "0" else "1")
    tensor = vectors["tensors"][0]
    tensor["hash"] = hex(int(tensor["hash"], 16) ^ 1)
    word = vectors["words"]["words"][0]
    word["64"] = ("0" if word["64"][0] != "0" else "1") + word["64"][1:]
    folded = next(case for case in vectors["keys"] if int(case["key"][1], 16) % 2)
    folded["gives"][1] = hex(int(folded["gives"][1], 16) ^ 1)
    monkeypatch.setattr(verification, "golden", lambda: vectors)
    status, found = report(capsys)
    assert status == 1
    assert found["golden"][0]["wrong"] == [
        "keys",
        "uniform(-0.05, 0.05) float32, rows",
        f"{tensor['initializer']} {'x'.join(map(str, tensor['shape']))} float32",
        "words of 64 bits, Key(0x0, 0x0)",
    ]
    assert main(["doctor"]) == 1
    assert "Not right: cpu, NumPy: 4 of" in capsys.readouterr().out


def test_what_libraries_print_is_not_in_the_report(quick: None, monkeypatch: Any, capsys: Any) -> None:
    def noisy() -> probe.Status:
        print("CuPy says hello")
        return NO_DRIVER

    monkeypatch.setattr(probe, "survey", noisy)
    assert main(["doctor", "--json"]) == 0
    shown = capsys.readouterr()
    json.loads(shown.out)
    assert "hello" in shown.err


def test_all_has_no_end(quick: None, monkeypatch: Any, capsys: Any) -> None:
    """A backend whose kernels take long is checked in part, and the report says so; --all waits for all of it."""

    def checked(backend: Any, seconds: float) -> list[tuple[str, bool]]:
        return [("words", True)] * (verification.total() if seconds == math.inf else 1)

    monkeypatch.setattr(verification, "check", checked)
    assert main(["doctor"]) == 0
    assert "with --all they are" in capsys.readouterr().out
    assert main(["doctor", "--all"]) == 0
    assert "with --all they are" not in capsys.readouterr().out


def test_names_that_the_output_cannot_hold(quick: None, monkeypatch: Any, tmp_path: Path) -> None:
    """A cache folder whose name is no text, printed in ASCII."""
    folder = tmp_path / os.fsdecode(b"k\xc3\xa9\xff")
    monkeypatch.setenv("GPUINIT_CACHE_DIR", str(folder))
    done = subprocess.run(
        [sys.executable, "-P", "-m", "gpuinit", "doctor"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "NUMBA_DISABLE_JIT": "1", "GPUINIT_DEVICE": "cpu"},
        timeout=300,
    )
    assert b"k\\xe9\\udcff" in done.stdout, done.stderr


# The golden vectors of the package.


def subset() -> Any:
    spec = importlib.util.spec_from_file_location("subset", GOLDEN / "subset.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_packages_vectors_are_those_of_the_tests() -> None:
    """One truth: golden.json has nothing of its own. It is written by python tests/golden/subset.py."""
    text = (Path(verification.__file__).with_name("golden.json")).read_text(encoding="utf-8")
    assert text == subset().text(), "gpuinit/golden.json is stale: run python tests/golden/subset.py"


def test_the_packages_vectors_cover_every_dtype_and_law() -> None:
    made = subset()
    found = verification.golden()
    assert len(found["values"]["cases"]) == len(made.LAWS) * len(made.DTYPES)
    assert {case["dtype"] for case in found["values"]["cases"]} == set(gpuinit.dtypes.RANDOM)
    assert {case["dtype"] for case in found["tensors"]} == set(gpuinit.dtypes.RANDOM)
    assert len(found["tensors"]) == len(made.TENSORS) * len(made.DTYPES)
    assert len(found["words"]["words"]) == made.KEYS
    names = [name for name, _ in verification.check(verification.cpu_ways()["cpu, NumPy"])]
    assert len(set(names)) == len(names) == verification.total()


def test_every_way_of_the_cpu_is_right() -> None:
    ways = verification.cpu_ways()
    assert list(ways) == ["cpu, NumPy", "cpu, compiled"]
    for name, way in ways.items():
        assert [vector for vector, right in verification.check(way) if not right] == [], name
    assert len(verification.check(ways["cpu, NumPy"], seconds=-1.0)) == 0


# How a GPU is timed, with a CuPy that counts.


def test_bandwidth(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver's memset on the current stream, several fills between two events, the best round of five."""
    log: list[str] = []
    clock = [0.0]

    class Event:
        def record(self, stream: Any) -> None:
            assert stream is STREAM
            self.time = clock[0]
            log.append("event")

        def synchronize(self) -> None:
            log.append("wait")

    STREAM = SimpleNamespace(ptr=7)

    def work(name: str, milliseconds: float) -> None:
        log.append(name)
        clock[0] += milliseconds

    runtime = SimpleNamespace(memsetAsync=lambda pointer, value, size, stream: work(f"{pointer} {value} {size} {stream}", 0.5))
    cuda = SimpleNamespace(
        Device=lambda number: contextlib.nullcontext(log.append(f"device {number}")),
        get_current_stream=lambda: STREAM,
        get_elapsed_time=lambda began, ended: ended.time - began.time,
        runtime=runtime,
        Event=Event,
    )
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(cuda=cuda))
    out = SimpleNamespace(data=SimpleNamespace(ptr=4096), nbytes=10**9)
    slow = iter([100.0] * 12 + [2.0] * 1000)
    found = bandwidth.rates(3, out, {"normal": lambda: work("normal", next(slow))})
    assert found == {"memset": pytest.approx(2000.0), "normal": pytest.approx(500.0)}
    assert list(found) == ["memset", "normal"]
    assert log[0] == "device 3"
    assert log[1:9] == ["4096 0 1000000000 7"] * 8
    assert log[9:20] == ["event", *["4096 0 1000000000 7"] * 8, "event", "wait"]
