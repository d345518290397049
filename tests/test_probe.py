"""The probe: every way in which CUDA can be unusable has a sentence of its own that says what to do; it never raises."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gpuinit.backends.cuda import libcuda, probe
from gpuinit.backends.cuda.probe import Device, Status

ROOT = Path(__file__).parent.parent
H100 = ("NVIDIA H100", 90, 80 * 2**30, 132)
V100 = ("Tesla V100", 70, 16 * 2**30, 80)


class Driver:
    """What libcuda.so.1 answers: a version, devices, and errors by function."""

    def __init__(self, version: int = 13000, devices: tuple[Any, ...] = (H100,), **errors: int) -> None:
        self.version, self.devices, self.errors = version, devices, errors
        self.started = 0

    def cuInit(self, flags: int) -> int:
        self.started += 1
        return self.errors.get("cuInit", 0)

    def cuDriverGetVersion(self, out: Any) -> int:
        return self.give("cuDriverGetVersion", out, self.version)

    def cuDeviceGetCount(self, out: Any) -> int:
        return self.give("cuDeviceGetCount", out, len(self.devices))

    def cuDeviceGet(self, out: Any, number: int) -> int:
        return self.give("cuDeviceGet", out, number)

    def cuDeviceGetName(self, out: Any, size: int, device: int) -> int:
        out.value = self.devices[device][0].encode()
        return self.errors.get("cuDeviceGetName", 0)

    def cuDeviceTotalMem_v2(self, out: Any, device: int) -> int:
        return self.give("cuDeviceTotalMem_v2", out, self.devices[device][2])

    def cuDeviceGetAttribute(self, out: Any, attribute: int, device: int) -> int:
        _, capability, _, processors = self.devices[device]
        return self.give("cuDeviceGetAttribute", out, {16: processors, 75: capability // 10, 76: capability % 10}[attribute])

    def give(self, function: str, out: Any, value: int) -> int:
        out._obj.value = value
        return self.errors.get(function, 0)


def raising(error: BaseException) -> Callable[..., Any]:
    def function(*arguments: Any) -> Any:
        raise error

    return function


class World:
    """What the probe finds: a driver, and modules by name; a module that is an exception is raised by its import."""

    def __init__(self) -> None:
        self.driver: Any = Driver()
        runtime = SimpleNamespace(is_hip=False, runtimeGetVersion=lambda: 13000, getDeviceCount=lambda: 1)
        self.nvrtc = SimpleNamespace(getVersion=lambda: (13, 0), getSupportedArchs=lambda: (75, 90, 120))
        self.cupy = SimpleNamespace(__version__="14.2.0", cuda=SimpleNamespace(runtime=runtime, nvrtc=self.nvrtc))
        self.runtime = runtime
        self.nvvm: Any = SimpleNamespace(version=lambda: (2, 0))
        self.modules: dict[str, Any] = {
            "cupy": self.cupy,
            "numba": SimpleNamespace(),
            "numba_cuda": SimpleNamespace(__version__="0.30.4"),
            "numba.cuda": SimpleNamespace(),
            "cuda.bindings.nvvm": self.nvvm,
        }
        self.imported: list[str] = []

    def load(self) -> Any:
        if isinstance(self.driver, Exception):
            raise self.driver
        return self.driver

    def installed(self, module: str) -> bool:
        return module in self.modules

    def import_(self, module: str) -> Any:
        self.imported.append(module)
        found = self.modules[module]
        if isinstance(found, BaseException):
            raise found
        return found


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    """A machine on which everything is right; a test breaks a piece of it."""
    made = World()
    monkeypatch.setattr(libcuda, "load", made.load)
    monkeypatch.setattr(libcuda, "_initialized_by", None)
    monkeypatch.setattr(probe, "_installed", made.installed)
    monkeypatch.setattr(probe, "_import", made.import_)
    monkeypatch.setattr(probe, "_known", None)
    monkeypatch.setenv("GPUINIT_CACHE_DIR", str(tmp_path / "kernels"))
    for name in ("CUDA_VISIBLE_DEVICES", "NUMBA_ENABLE_CUDASIM"):
        monkeypatch.delenv(name, raising=False)
    return made


def test_all_is_right(world: World) -> None:
    found = probe.status()
    assert found == Status(
        usable=True,
        driver="13.0",
        runtime="13.0",
        nvrtc="13.0",
        cupy="14.2.0",
        numba_cuda="0.30.4",
        devices=(Device(0, "NVIDIA H100", 90, 80 * 2**30, 132),),
    )
    assert found.problem == found.remedy == "" and not found.devices[0].problem
    assert "numba.cuda" not in world.imported
    assert probe.survey() == found
    assert "numba.cuda" in world.imported


def test_it_is_found_out_once(world: World) -> None:
    assert probe.status() is probe.status()
    assert world.driver.started == 1
    assert world.imported.count("cupy") == 1


NO_DRIVER = libcuda.Unusable("There is no driver", "Install one", absent=True)


def hide(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.driver = Driver(cuInit=100)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")


def simulate(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_ENABLE_CUDASIM", "1")


def without(*names: str) -> Callable[[World, Any], None]:
    return lambda world, _: [world.modules.pop(name) for name in names] and None


def driver(*arguments: Any, **errors: int) -> Callable[[World, Any], None]:
    return lambda world, _: setattr(world, "driver", Driver(*arguments, **errors))


def module(name: str, value: Any) -> Callable[[World, Any], None]:
    return lambda world, _: world.modules.__setitem__(name, value)


FAILURES: dict[str, tuple[Callable[[World, Any], None], str, str]] = {
    "no CuPy": (without("cupy"), "CuPy is not installed", r"pip install 'gpuinit\[cuda13\]'"),
    "forked": (driver(cuInit=3), "was forked from one that had initialized CUDA", "'spawn' or 'forkserver'"),
    "no device": (driver(cuInit=100), "finds no GPU.$", "nvidia-smi -L"),
    "hidden": (hide, "CUDA_VISIBLE_DEVICES='7' may be what hides them", "Unset CUDA_VISIBLE_DEVICES"),
    "stub": (driver(cuDriverGetVersion=34), "the CUDA toolkit's stub", "LD_LIBRARY_PATH"),
    "modules differ": (driver(cuInit=803), "cuInit gives error 803 .* differ in version", "Restart the machine"),
    "not ready": (driver(cuInit=802), "cuInit gives error 802", "nvidia-fabricmanager"),
    "forward compatibility": (driver(cuInit=804), "cuInit gives error 804", "cuda-compat"),
    "busy": (driver(cuInit=46), "cuInit gives error 46", "Wait for the process"),
    "any other error": (driver(cuInit=999), "cuInit gives error 999", "nvidia-smi"),
    "later error": (driver(cuDeviceTotalMem_v2=1), "cuDeviceTotalMem_v2 gives error 1 ", "nvidia-smi"),
    "old GPU": (driver(13000, (V100,)), "cuda:0, Tesla V100, has compute capability 7.0, and gpuinit needs 7.5", "Turing"),
    "broken CuPy": (
        module("cupy", ImportError("\n======\nlibcublas.so.13: cannot open\n======")),
        "CuPy is installed and cannot be imported: ImportError: libcublas.so.13: cannot open.$",
        r"Uninstall every CuPy .* pip install 'gpuinit\[cuda13\]'",
    ),
    "old CuPy": (
        lambda world, _: setattr(world.cupy, "__version__", "13.6.0"),
        "CuPy 13.6.0 is too old: gpuinit needs 14.0",
        r"pip install --upgrade 'gpuinit\[cuda13\]'",
    ),
    "AMD's CuPy": (lambda world, _: setattr(world.runtime, "is_hip", True), "built for AMD's GPUs", r"gpuinit\[cuda13\]"),
    "old driver": (
        driver(12040),
        "driver is too old for this CuPy, which needs one for CUDA 13: it supports CUDA 12.4",
        r"Update the driver, or uninstall cupy-cuda13x and pip install 'gpuinit\[cuda12\]'",
    ),
    "CuPy and driver": (
        lambda world, _: setattr(world.runtime, "getDeviceCount", raising(RuntimeError("cudaErrorInsufficientDriver"))),
        "CuPy cannot use the driver: RuntimeError: cudaErrorInsufficientDriver",
        "Update the driver, or uninstall CuPy",
    ),
    "no NVRTC": (
        lambda world, _: setattr(world.nvrtc, "getVersion", raising(RuntimeError("libnvrtc.so.13 not found"))),
        "NVRTC, .* cannot be loaded: RuntimeError: libnvrtc.so.13 not found",
        r"pip install nvidia-cuda-nvrtc, or 'cupy-cuda13x\[ctk\]'",
    ),
    "no numba-cuda": (
        without("numba_cuda"),
        "numba-cuda is not installed, and blocks, rows and constants need it",
        r"pip install 'gpuinit\[cuda13\]'",
    ),
    "broken numba-cuda": (
        module("numba_cuda", SystemError("x")),
        "numba-cuda is installed and cannot be imported",
        "pip install",
    ),
    "no NVVM": (
        module("cuda.bindings.nvvm", ImportError("no nvvm")),
        "libNVVM, cannot be loaded: ImportError: no nvvm",
        "nvidia-nvvm",
    ),
    "simulator": (simulate, "simulates a GPU", "Unset NUMBA_ENABLE_CUDASIM"),
    "anything else": (
        lambda world, _: setattr(world, "driver", OSError("the unforeseen")),
        "could not be examined: OSError: the unforeseen",
        "device='cpu'",
    ),
}
"""By name: how to provoke it, and patterns of its problem and its remedy."""


@pytest.mark.parametrize("name", FAILURES)
def test_every_failure_says_what_to_do(name: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    provoke, problem, remedy = FAILURES[name]
    provoke(world, monkeypatch)
    found = probe.status()
    assert not found.usable
    assert re.search(problem, found.problem), found.problem
    assert re.search(remedy, found.remedy), found.remedy
    for sentence in (found.problem, found.remedy):
        assert sentence.endswith(".") and not sentence.endswith("..") and "\n" not in sentence
    assert found.absent == (name in ("no device", "hidden", "stub"))
    others = [pattern for other, (_, pattern, _) in FAILURES.items() if other != name]
    assert not [pattern for pattern in others if re.search(pattern, found.problem)]


def test_nothing_heavy_is_imported_for_nothing(world: World) -> None:
    for broken in (NO_DRIVER, Driver(cuInit=100), Driver(cuInit=999), Driver(13000, (V100,))):
        world.driver = broken
        assert not probe.survey().usable
    assert world.imported == []


def test_without_a_driver_there_is_nothing_to_use(world: World) -> None:
    world.driver = NO_DRIVER
    assert probe.status() == Status(False, "There is no driver.", "Install one.", absent=True)


def test_without_cupy_cuda_is_left_alone_but_by_a_survey(world: World) -> None:
    """To initialize it would take it from whatever else the process forks."""
    del world.modules["cupy"]
    found = probe.status()
    assert (world.driver.started, found.devices, found.driver) == (0, (), "13.0")
    found = probe.survey()
    assert (world.driver.started, len(found.devices), found.problem) == (1, 1, "CuPy is not installed.")
    world.driver.version = 12080
    assert "gpuinit[cuda12]" in probe.survey().remedy


def test_an_older_minor_version_of_the_driver_serves(world: World) -> None:
    world.runtime.runtimeGetVersion = lambda: 13020
    assert probe.status().usable
    world.driver.version = 12090
    world.runtime.runtimeGetVersion = lambda: 12090
    world.nvrtc.getVersion = lambda: (12, 9)
    assert probe.survey().usable


def test_a_driver_that_no_cupy_supports(world: World) -> None:
    world.driver.version = 11080
    world.runtime.runtimeGetVersion = lambda: 12090
    assert (probe.status().problem, probe.status().remedy) == (
        "The driver is too old for this CuPy, which needs one for CUDA 12: it supports CUDA 11.8.",
        "Update the driver.",
    )


def test_a_system_exit_does_not_escape(world: World) -> None:
    world.modules["cupy"] = SystemExit(3)
    assert "cannot be imported: SystemExit: 3" in probe.status().problem


def test_an_interrupt_does(world: World) -> None:
    """And nothing is remembered."""
    world.modules["cupy"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        probe.status()
    world.modules["cupy"] = world.cupy
    assert probe.status().usable


def test_warnings_become_notes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite turns a warning that escapes into an error."""

    def imported(module: str) -> Any:
        if module == "cupy":
            warnings.warn("\n-------\n  multiple CuPy packages\n  are installed\n-------\n", stacklevel=1)
            warnings.warn("old", DeprecationWarning, stacklevel=1)
        return world.import_(module)

    monkeypatch.setattr(probe, "_import", imported)
    found = probe.status()
    assert found.usable and found.notes == ("multiple CuPy packages are installed.",)


def test_one_old_device_of_several_is_a_note(world: World) -> None:
    world.driver.devices = (V100, H100)
    found = probe.status()
    assert found.usable
    assert [bool(device.problem) for device in found.devices] == [True, False]
    assert found.notes == (found.devices[0].problem,)


@pytest.mark.parametrize(("version", "package"), [(13000, "nvidia-cublas"), (12090, "nvidia-cublas-cu12")])
def test_a_missing_cublas_is_a_note_of_the_survey(world: World, version: int, package: str) -> None:
    """CUDA can be used without; only large orthogonal matrices need it, and loading it takes long."""

    class Lacking(SimpleNamespace):
        @property
        def cublas(self) -> Any:
            raise ImportError("libcublas.so cannot be found")

    world.cupy.cuda = Lacking(**vars(world.cupy.cuda))
    world.cupy.cuda.runtime.runtimeGetVersion = lambda: version
    found = probe.survey()
    assert found.usable
    [note] = [note for note in found.notes if "cuBLAS" in note]
    assert re.fullmatch(rf"cuBLAS cannot be loaded, and orthogonal matrices need it, .*: pip install {package}\.", note)
    assert not [note for note in probe.status().notes if "cuBLAS" in note]


def test_an_nvrtc_that_does_not_fit_is_a_note(world: World) -> None:
    world.nvrtc.getSupportedArchs = lambda: (50, 80)
    assert [note for note in probe.survey().notes if "does not know NVIDIA H100" in note and "nvidia-cuda-nvrtc" in note]
    world.nvrtc.getSupportedArchs = raising(RuntimeError("too old to say"))
    assert probe.survey() == probe.survey() and not probe.survey().notes
    world.nvrtc.getVersion = lambda: (14, 0)
    assert [note for note in probe.survey().notes if "NVRTC 14.0 is newer than the driver" in note]
    assert probe.survey().usable


@pytest.mark.parametrize("kind", ["file", "inside a file", "dangling"])
def test_a_cache_folder_that_cannot_be_written_to_is_a_note(kind: str, world: World, monkeypatch: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    folder = tmp_path / {"file": "file", "inside a file": "file/kernels", "dangling": "dangling"}[kind]
    monkeypatch.setenv("GPUINIT_CACHE_DIR", str(folder))
    found = probe.status()
    assert found.usable
    assert found.notes == (probe.cache_state()[1] + ".",)
    assert re.search(f"cannot be kept in {folder}: each process compiles them anew; set GPUINIT_CACHE_DIR", found.notes[0])


def test_cache_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GPUINIT_CACHE_DIR", str(tmp_path / "a" / "b"))
    assert probe.cache_state() == (str(tmp_path / "a" / "b"), "")
    assert not (tmp_path / "a").exists()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "cannot be kept in" in probe.cache_state()[1]
    for name in ("GPUINIT_CACHE_DIR", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", raising(RuntimeError("no home")))
    folder, problem = probe.cache_state()
    assert folder is None and "no home folder" in problem and "GPUINIT_CACHE_DIR" in problem


def in_child(work: Callable[[], str]) -> str:
    """What `work` returns in a forked child."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns where the process has threads
        child = os.fork()
    if child == 0:
        try:
            os.write(writer, work().encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        said = stream.read()
    os.waitpid(child, 0)
    return said


def test_a_fork_loses_what_its_parent_initialized(world: World) -> None:
    assert probe.status().usable
    assert "was forked from one that had initialized CUDA" in in_child(lambda: probe.status().problem)
    assert probe.status().usable


def test_a_fork_asks_for_itself(world: World) -> None:
    """A parent that has not initialized CUDA leaves it to the child."""
    world.driver = NO_DRIVER
    assert not probe.status().usable
    world.driver = Driver()
    assert not probe.status().usable
    assert in_child(lambda: str(probe.status().usable)) == "True"


def run(code: str, *folders: Path, **environment: str) -> str:
    """What a fresh interpreter prints, with folders before all others on its path; warnings are errors there."""
    path = os.pathsep.join(map(str, folders))
    result = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path, **environment},
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout.strip()


BROKEN = {
    "raises": "raise ImportError('libnvrtc.so.13: cannot open shared object file')",
    "system error": "raise SystemError('built for another Python')",
    "exits": "raise SystemExit('no')",
    "warns": "import warnings; warnings.warn('several CuPy packages are installed')",
    "empty": "",
}


@pytest.mark.parametrize("how", BROKEN)
def test_gpuinit_works_beside_a_broken_cupy(how: str, tmp_path: Path) -> None:
    """A driver that names a GPU, and a package `cupy` on the path that cannot be used."""
    (tmp_path / "cupy").mkdir()
    (tmp_path / "cupy" / "__init__.py").write_text(BROKEN[how])
    code = f"""
        import sys
        sys.path.insert(0, {str(ROOT / "tests")!r})
        import gpuinit
        from gpuinit.backends.cuda import libcuda, probe
        from test_probe import Driver
        libcuda.load = Driver
        found = probe.status()
        assert found.problem.startswith("CuPy is installed and cannot be imported: "), found
        assert found.cupy is None and len(found.devices) == 1 and not found.usable
        assert not ({how!r} == "warns") or any("several CuPy packages" in note for note in found.notes), found
        print(gpuinit.default_device(), gpuinit.HeNormal(seed=1)((2, 2)).shape)
    """
    assert run(code, tmp_path, GPUINIT_DEVICE="") == "cpu (2, 2)"


def test_what_is_installed() -> None:
    assert probe._installed("numpy")
    assert not probe._installed("no_such_package")
    assert not probe._installed("sys.no_such_module")


LIBRARY = """
#include <unistd.h>
#include <string.h>
static int owner = 0;
int cuInit(unsigned flags) { if (owner && owner != getpid()) return 3; owner = getpid(); return 0; }
int cuDriverGetVersion(int *out) { *out = 13010; return 0; }
int cuDeviceGetCount(int *out) { *out = owner == getpid() ? 2 : 0; return 0; }
int cuDeviceGet(int *out, int number) { *out = number; return 0; }
int cuDeviceGetName(char *out, int size, int device) { strncpy(out, device ? "Second" : "First", size); return 0; }
int cuDeviceTotalMem_v2(size_t *out, int device) { *out = (size_t)80 << 30; return 0; }
int cuDeviceGetAttribute(int *out, int which, int device) { *out = which == 16 ? 132 : which == 75 ? 9 : 0; return 0; }
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a libcuda.so.1 that has the functions the probe asks, compiled here."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("driver")
    (folder / "driver.c").write_text(LIBRARY)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", folder / "libcuda.so.1", folder / "driver.c"], check=True)
    return folder


def test_a_library_is_asked_as_c_asks(library: Path, tmp_path: Path) -> None:
    """A real shared object by the loader's path, and a fork that another library's use of CUDA would meet as well."""
    (tmp_path / "cupy.py").write_text("raise ImportError('broken')")
    code = """
        import os, warnings
        from gpuinit.backends.cuda import libcuda, probe
        found = probe.status()
        print(found.driver, *((d.number, d.name, d.capability, d.memory, d.processors) for d in found.devices), flush=True)
        print(found.problem, flush=True)
        warnings.simplefilter("ignore")  # Python 3.12 warns where NumPy has threads
        if os.fork() == 0:
            print(probe.status().problem, flush=True)
            libcuda._initialized_by = None
            print(probe.survey().problem, flush=True)
            os._exit(0)
        os.wait()
    """
    lines = run(code, tmp_path, LD_LIBRARY_PATH=str(library)).splitlines()
    assert lines[0] == f"13.1 (0, 'First', 90, {80 << 30}, 132) (1, 'Second', 90, {80 << 30}, 132)"
    assert lines[1] == "CuPy is installed and cannot be imported: ImportError: broken."
    assert len(lines) == 4 and all("was forked from one that had initialized CUDA" in line for line in lines[2:])


# This machine, whatever it has.


def no_driver() -> bool:
    try:
        libcuda.load()
    except libcuda.Unusable:
        return True
    return False


def test_this_machine() -> None:
    """The probe answers in a sentence, or finds a GPU that CuPy can compute on."""
    found = probe.survey()
    assert found.usable == (found.problem == "") == (found.remedy == "")
    if found.usable:
        assert found.devices and found.cupy and found.nvrtc and found.numba_cuda and found.driver and found.runtime
    else:
        assert found.problem.endswith(".") and found.remedy.endswith(".")


@pytest.mark.skipif(not no_driver(), reason="there is an NVIDIA driver here")
def test_without_a_driver_the_probe_costs_next_to_nothing() -> None:
    """Under 5 ms, the best of 5 processes; neither CuPy nor Numba is imported."""
    code = """
        import sys, time, gpuinit
        from gpuinit.backends.cuda import probe
        began = time.perf_counter()
        found = probe.status()
        seconds = time.perf_counter() - began
        assert found.absent and "NVIDIA driver" in found.problem and "docker run --gpus all" in found.remedy
        assert not {"cupy", "numba", "numba_cuda", "cuda"} & set(sys.modules)
        print(seconds)
    """
    assert min(float(run(code)) for _ in range(5)) < 0.005
