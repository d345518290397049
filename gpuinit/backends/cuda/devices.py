"""The CUDA backends of this process: one object a GPU, made when the probe has found that CUDA can be used."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

from gpuinit.backends.cuda.arrays import device_of

if TYPE_CHECKING:
    from gpuinit.backends.cuda.backend import CUDA
    from gpuinit.backends.cuda.driver import Driver

__all__ = ["backend", "owner"]


@functools.cache
def _driver(process: int) -> Driver:
    from gpuinit.backends.cuda.driver import Driver

    return Driver()


@functools.cache
def _backend(number: int, process: int) -> CUDA:
    from gpuinit.backends.cuda.backend import CUDA

    return CUDA(number, _driver(process))


def backend(number: int | None) -> CUDA:
    """The backend of a GPU, None meaning CuPy's current one; the probe has found that CUDA can be used."""
    process = os.getpid()  # a child has a driver of its own
    return _backend(_driver(process).current() if number is None else number, process)


def owner(out: Any) -> CUDA:
    """The backend of the GPU that an array lies on."""
    return backend(device_of(out, _driver(os.getpid()).device_of))
