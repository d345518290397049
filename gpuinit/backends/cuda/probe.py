"""Whether CUDA can be used here, and if not, why and what to do: the one probe that decides.

Its steps are in the order of their cost: nothing heavy is imported before a driver has named a device.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import re
import warnings
from dataclasses import dataclass
from typing import Any

from gpuinit.backends.cuda import libcuda
from gpuinit.backends.cuda.blas import missing
from gpuinit.backends.cuda.libcuda import Device, Unusable

__all__ = ["Device", "Status", "cache_state", "status", "survey"]

LEAST_CUPY = 14
"""The first CuPy whose arrays can be bfloat16."""


@dataclass(frozen=True, slots=True)
class Status:
    """What the probe found.

    Attributes:
        usable: whether arrays can be made on one of `devices` at least (each has a `problem` of its own).
        problem: one sentence that says what is wrong, "" if it is usable. remedy: one that says what to do.
        notes: what is not right, and lets CUDA be used all the same.
        driver, runtime, nvrtc: versions of CUDA, as "13.0". cupy, numba_cuda: of the packages. None: not there, or not
            looked at.
        devices: all that there are, those that are too old too.
        absent: there is nothing to use: no driver, or no device.
    """

    usable: bool
    problem: str = ""
    remedy: str = ""
    notes: tuple[str, ...] = ()
    driver: str | None = None
    runtime: str | None = None
    nvrtc: str | None = None
    cupy: str | None = None
    numba_cuda: str | None = None
    devices: tuple[Device, ...] = ()
    absent: bool = False


_known: tuple[int, Status] | None = None


def status() -> Status:
    """Whether CUDA can be used, found out once in each process; it never raises.

    Where there is no driver this takes less than a millisecond. Where CuPy is missing CUDA is not initialized, which would
    take it from processes that are forked later and use it by other means.
    """
    global _known
    known = _known
    if known is None or known[0] != os.getpid():
        _known = known = os.getpid(), _examine(thorough=False)
    return known[1]


def survey() -> Status:
    """`status()` afresh, for a report: devices are listed though CuPy is missing, and numba-cuda is loaded, which is slow."""
    return _examine(thorough=True)


def cache_state() -> tuple[str | None, str]:
    """The folder of compiled kernels, None where there is no home; and what is wrong with it, "" if it can be written to."""
    from gpuinit.kernels.folder import cache_folder

    folder = cache_folder()
    anew = "each process compiles them anew; set GPUINIT_CACHE_DIR to a folder that can be written to"
    if folder is None:
        return None, f"Compiled kernels cannot be kept, as no home folder is known: {anew}"
    place = os.path.abspath(folder)
    while not os.path.lexists(place):  # the folder is made when it is first needed
        place = os.path.dirname(place)
    if os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK):
        return str(folder), ""
    return str(folder), f"Compiled kernels cannot be kept in {folder}: {anew}"


def _examine(thorough: bool) -> Status:
    found: dict[str, Any] = {}
    notes: list[str] = []
    try:
        _check(found, notes, thorough)
    except Unusable as reason:
        found |= {"problem": _ended(reason.problem), "remedy": _ended(reason.remedy), "absent": reason.absent}
    except (Exception, SystemExit) as error:
        found |= {
            "problem": _ended(f"CUDA could not be examined: {_line(error)}"),
            "remedy": "Use device='cpu', and report this.",
        }
    with contextlib.suppress(Exception):
        notes += filter(None, [cache_state()[1]])
    return Status("problem" not in found, notes=tuple(map(_ended, notes)), **found)


def _check(found: dict[str, Any], notes: list[str], thorough: bool) -> None:
    """Fill in what there is, step by step; the first step that fails raises Unusable."""
    library = libcuda.load()
    newest = libcuda.version(library)
    found["driver"] = libcuda.dotted(newest)
    missing = None if _installed("cupy") else Unusable("CuPy is not installed", f"To use the GPU, {_install(newest // 1000)}")
    if missing and not thorough:
        raise missing
    found["devices"] = libcuda.devices(library)
    if missing:
        raise missing
    old = [device.problem for device in found["devices"] if device.problem]
    if len(old) == len(found["devices"]):
        raise Unusable(old[0], "Use a GPU of the Turing generation or later, or device='cpu'")
    notes += old
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            cupy = _check_cupy(found, newest // 1000)
            _check_nvrtc(cupy, found, notes, newest // 1000)
            _check_numba(found, newest // 1000, thorough)
            if thorough:
                _check_cublas(cupy, found, notes)
        finally:
            notes += [_line(w.message) for w in caught if issubclass(w.category, (UserWarning, RuntimeWarning))]


def _check_cupy(found: dict[str, Any], supported: int) -> Any:
    """CuPy, if it fits a driver that supports CUDA `supported`."""
    try:
        cupy = _import("cupy")
        found["cupy"] = version = str(cupy.__version__)
        if int(version.partition(".")[0]) < LEAST_CUPY:
            upgrade = _install(supported).replace("install", "install --upgrade", 1)
            raise Unusable(f"CuPy {version} is too old: gpuinit needs {LEAST_CUPY}.0 or later, which has bfloat16", upgrade)
        runtime = cupy.cuda.runtime
        amd, built = bool(runtime.is_hip), int(runtime.runtimeGetVersion())
    except Unusable:
        raise
    except (Exception, SystemExit) as error:
        remedy = f"Uninstall every CuPy that pip list shows, then {_install(supported)}"
        raise Unusable(f"CuPy is installed and cannot be imported: {_line(error)}", remedy) from None
    if amd:
        raise Unusable("The CuPy installed is built for AMD's GPUs", f"Uninstall it, then {_install(supported)}")
    found["runtime"] = libcuda.dotted(built)
    if built // 1000 > supported:
        raise Unusable(
            f"The driver is too old for this CuPy, which needs one for CUDA {built // 1000}: it supports CUDA {found['driver']}",
            f"Update the driver, or uninstall cupy-cuda{built // 1000}x and {_install(supported)}"
            if supported >= 12
            else "Update the driver",
        )
    try:
        runtime.getDeviceCount()
    except Exception as error:
        remedy = f"Update the driver, or uninstall CuPy and {_install(supported)}"
        raise Unusable(f"CuPy cannot use the driver: {_line(error)}", remedy) from None
    return cupy


def _check_nvrtc(cupy: Any, found: dict[str, Any], notes: list[str], supported: int) -> None:
    package = "nvidia-cuda-nvrtc" + ("-cu12" if found["runtime"].startswith("12.") else "")
    try:
        major, minor = cupy.cuda.nvrtc.getVersion()
    except Exception as error:
        remedy = f"pip install {package}, or 'cupy-cuda{found['runtime'].partition('.')[0]}x[ctk]' which brings it"
        raise Unusable(f"NVRTC, CUDA's compiler of kernels, cannot be loaded: {_line(error)}", remedy) from None
    found["nvrtc"] = f"{major}.{minor}"
    if major > supported:
        notes.append(f"NVRTC {major}.{minor} is newer than the driver, which may refuse its kernels: pip install {package}")
    with contextlib.suppress(Exception):
        known = max(cupy.cuda.nvrtc.getSupportedArchs())
        for device in found["devices"]:
            if device.capability > known:
                notes.append(
                    f"NVRTC {major}.{minor} does not know {device.name}, which gets kernels for older ones: "
                    f"pip install --upgrade {package}"
                )


def _check_cublas(cupy: Any, found: dict[str, Any], notes: list[str]) -> None:
    """cuBLAS, which CuPy loads when it is first asked for: half a second, so only a thorough look does."""
    try:
        getattr(cupy.cuda, "cublas", None)
    except Exception:
        notes.append(missing(found["runtime"]))


def _check_numba(found: dict[str, Any], supported: int, thorough: bool) -> None:
    """numba-cuda and its compiler; numba.cuda itself takes half a second to import, and only a thorough look does it."""
    bring = _install(supported)
    if not _installed("numba") or not _installed("numba_cuda"):
        raise Unusable("numba-cuda is not installed, and blocks, rows and constants need it", bring)
    if os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0"):
        raise Unusable("numba-cuda simulates a GPU and compiles nothing", "Unset NUMBA_ENABLE_CUDASIM")
    try:
        found["numba_cuda"] = str(_import("numba_cuda").__version__)
        if thorough:
            _import("numba.cuda")
    except (Exception, SystemExit) as error:
        raise Unusable(f"numba-cuda is installed and cannot be imported: {_line(error)}", bring) from None
    try:
        _import("cuda.bindings.nvvm").version()
    except (Exception, SystemExit) as error:
        problem = f"numba-cuda's compiler, libNVVM, cannot be loaded: {_line(error)}"
        raise Unusable(problem, f"{bring}, which brings nvidia-nvvm and cuda-bindings") from None


def _install(supported: int) -> str:
    """The command that brings what a driver for CUDA `supported` needs."""
    return f"pip install 'gpuinit[cuda{12 if supported <= 12 else 13}]'"


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _import(module: str) -> Any:
    return importlib.import_module(module)


def _ended(sentence: str) -> str:
    return sentence.rstrip(".") + "."


def _line(error: object) -> str:
    """An error or a warning on one line, without the frames that CuPy draws around its own."""
    text = " ".join(re.sub(r"={5,}|-{5,}", " ", str(error)).split())
    name = type(error).__name__
    text = name if not text else text if isinstance(error, Warning) else f"{name}: {text}"
    return text if len(text) <= 300 else text[:300] + " ..."
