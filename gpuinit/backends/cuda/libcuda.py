"""What the NVIDIA driver's own library says, asked by its C interface: its version and its devices. Part of the probe."""

from __future__ import annotations

import contextlib
import ctypes
import os
from dataclasses import dataclass
from typing import Any

__all__ = ["OLDEST", "Device", "Unusable", "devices", "dotted", "load", "version"]

OLDEST = 75
"""The least compute capability that the kernels are compiled for, 7.5."""
LIBRARIES = ("libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1")
NOT_INITIALIZED, STUB, NO_DEVICE = 3, 34, 100
FAILURES = {
    46: ("a device is busy or in exclusive use", "Wait for the process that holds it, or choose another by CUDA_VISIBLE_DEVICES"),
    802: ("the system is not ready", "Start the services that the machine needs, as nvidia-fabricmanager"),
    803: (
        "the driver's library and its kernel module differ in version",
        "Restart the machine, which loads the driver installed",
    ),
    804: ("this GPU does not take CUDA's forward compatibility", "Update the driver, or remove the cuda-compat package"),
}
"""What else cuInit may answer, and what to do."""
OTHERWISE = ("which CUDA's documentation lists under CUresult", "See what nvidia-smi says, and restart the driver")
PROCESSORS, MAJOR, MINOR = 16, 75, 76
"""Attributes of a device."""

_initialized_by: int | None = None
"""The process in which this module has initialized CUDA."""


class Unusable(Exception):
    """CUDA cannot be used.

    Attributes:
        problem: one sentence that says why. remedy: one that says what to do. absent: there is nothing to use.
    """

    def __init__(self, problem: str, remedy: str, absent: bool = False) -> None:
        super().__init__(problem)
        self.problem, self.remedy, self.absent = problem, remedy, absent


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU.

    Attributes:
        number: N of "cuda:N". capability: 90 for 9.0. memory: bytes. processors: its multiprocessors.
    """

    number: int
    name: str
    capability: int
    memory: int
    processors: int

    @property
    def problem(self) -> str:
        """Why this device cannot be used, "" if it can."""
        if self.capability >= OLDEST:
            return ""
        has = f"{self.capability // 10}.{self.capability % 10}"
        return f"cuda:{self.number}, {self.name}, has compute capability {has}, and gpuinit needs 7.5 or later."


def load() -> Any:
    """The driver's library; loading it initializes nothing.

    Raises:
        Unusable: there is none.
    """
    for name in LIBRARIES:
        with contextlib.suppress(OSError):
            return ctypes.CDLL(name)
    raise Unusable(
        "There is no NVIDIA driver here (libcuda.so.1 cannot be loaded)",
        "On a machine with an NVIDIA GPU install its driver; give a container its GPUs, as docker run --gpus all does",
        absent=True,
    )


def version(library: Any) -> int:
    """The newest CUDA that the driver supports, 13000 for 13.0."""
    return _number(library, "cuDriverGetVersion")


def dotted(version: int) -> str:
    """A version of CUDA as it is written: "13.0" for 13000."""
    return f"{version // 1000}.{version % 1000 // 10}"


def devices(library: Any) -> tuple[Device, ...]:
    """The devices that this process may use, one at least; CUDA is initialized.

    Raises:
        Unusable: there is none, the driver does not start, or it was started before this process was forked.
    """
    global _initialized_by
    forked = _initialized_by not in (None, os.getpid())
    error = NOT_INITIALIZED if forked else library.cuInit(0)
    if error == NOT_INITIALIZED:
        raise Unusable(
            "This process was forked from one that had initialized CUDA, and cannot use it",
            "Start it by multiprocessing's 'spawn' or 'forkserver', or use CUDA for the first time after the fork",
        )
    if error not in (0, NO_DEVICE):
        raise _failed("cuInit", error)
    count = 0
    if not error:
        _initialized_by = os.getpid()
        count = _number(library, "cuDeviceGetCount")
    if not count:
        raise _none()
    return tuple(_device(library, number) for number in range(count))


def _none() -> Unusable:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return Unusable("The NVIDIA driver finds no GPU", "See whether nvidia-smi -L lists one", absent=True)
    return Unusable(
        f"The NVIDIA driver finds no GPU, and CUDA_VISIBLE_DEVICES={visible!r} may be what hides them",
        "Unset CUDA_VISIBLE_DEVICES, or set it to a device that nvidia-smi -L lists",
        absent=True,
    )


def _device(library: Any, number: int) -> Device:
    handle = _number(library, "cuDeviceGet", number)
    name, memory = ctypes.create_string_buffer(256), ctypes.c_size_t()
    _call(library, "cuDeviceGetName", name, 256, handle)
    _call(library, "cuDeviceTotalMem_v2", ctypes.byref(memory), handle)
    processors, major, minor = (_number(library, "cuDeviceGetAttribute", which, handle) for which in (PROCESSORS, MAJOR, MINOR))
    return Device(number, name.value.decode(errors="replace"), 10 * major + minor, memory.value, processors)


def _number(library: Any, function: str, *arguments: int) -> int:
    """What a function of the driver writes to its first argument, an int."""
    value = ctypes.c_int()
    _call(library, function, ctypes.byref(value), *arguments)
    return value.value


def _call(library: Any, function: str, *arguments: Any) -> None:
    error = getattr(library, function)(*arguments)
    if error:
        raise _failed(function, error)


def _failed(function: str, error: int) -> Unusable:
    if error == STUB:
        return Unusable(
            "The libcuda.so.1 that is found is the CUDA toolkit's stub, which is no driver",
            "Take the toolkit's folder of stubs off LD_LIBRARY_PATH, and install NVIDIA's driver if there is a GPU",
            absent=True,
        )
    reason, remedy = FAILURES.get(error, OTHERWISE)
    return Unusable(f"The NVIDIA driver does not work: {function} gives error {error} ({reason})", remedy)
