"""The GPU tests without a GPU: over the host's memory and the kernels that tests/host runs, at small sizes.

With GPUINIT_REHEARSE=1 `pytest -m gpu tests/gpu` runs this way, and what needs a real GPU is skipped by name.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest

from gpu.rig import Rig
from gpuinit import dtypes
from gpuinit.backends.cuda import devices, probe
from gpuinit.backends.cuda.probe import Device, Status

__all__ = ["Rehearsal"]


class Rehearsal(Rig):
    """The host's memory in place of a GPU's."""

    rehearsal = True

    def __init__(self) -> None:
        from host.driver import HostDriver

        self.driver = HostDriver()
        here = Device(0, "a rehearsal", 90, 2**34, self.driver.processors(0))
        self._status = Status(True, devices=(here,), cupy="rehearsed")

    @contextlib.contextmanager
    def installed(self) -> Any:
        """While the block runs, the backend's driver is the host's."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(devices, "_driver", lambda process: self.driver)
            patch.setattr(probe, "status", lambda: self._status)
            devices._backend.cache_clear()
            yield
            devices._backend.cache_clear()

    def needs_hardware(self, why: str) -> None:
        pytest.skip(f"rehearsal: needs a GPU: {why}")

    def size(self, real: int, rehearsed: int) -> int:
        return rehearsed

    def device_count(self) -> int:
        return 1

    def free_bytes(self) -> int:
        return 2**33

    def used_bytes(self) -> int:
        return 0

    def too_many(self) -> int:
        self.driver.room = 2**30
        return 2**31

    def empty(self, shape: Any, dtype: Any) -> Any:
        return self.driver.empty((shape,) if isinstance(shape, int) else tuple(shape), dtypes.canonical(dtype))

    def put(self, array: Any) -> Any:
        from host.driver import on_host

        made = self.empty(np.shape(array), np.asarray(array).dtype)
        on_host(made)[...] = array
        return made

    def download(self, address: int, nbytes: int, keep: Any) -> np.ndarray[Any, Any]:
        return np.asarray(self.driver.download(address, nbytes, keep))

    def stream(self) -> Any:
        return _NoStream()

    def synchronize(self) -> None:
        pass

    def torch(self, tensor: Any) -> Any:
        return tensor.clone()

    def foreign(self, value: Any) -> Any:
        return _SaysItIsOnAGPU(value)

    def numba(self, array: np.ndarray[Any, Any]) -> Any:
        return _Interface(array.copy())

    def from_numba(self, value: Any) -> np.ndarray[Any, Any]:
        found: np.ndarray[Any, Any] = value.held
        return found


class _NoStream(contextlib.nullcontext):  # type: ignore[type-arg]
    def synchronize(self) -> None:
        pass


class _SaysItIsOnAGPU:
    """A CPU tensor that says it is on a GPU."""

    def __init__(self, tensor: Any) -> None:
        self._tensor = tensor

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0

    def __dlpack__(self, stream: Any = None) -> Any:
        return self._tensor.__dlpack__()


class _Interface:
    """Host memory behind the CUDA array interface."""

    def __init__(self, held: np.ndarray[Any, Any]) -> None:
        self.held = held

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        given = self.held.__array_interface__
        return {**{name: given[name] for name in ("shape", "typestr", "data", "strides")}, "version": 3, "stream": None}
