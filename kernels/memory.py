"""Reading and writing memory by address: the primitives of the Numba CUDA kernels that are not arithmetic.

The bodies here serve the CUDA simulator, in which device memory is this process's; `kernels.numba_memory` gives each its
meaning in compiled code. Addresses are uint64, and multiples of what is read or written there.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

__all__ = ["load", "store", "store_group"]


def load(address: Any, like: Any) -> Any:
    """The number at an address, of the type that `like` has."""
    return np.frombuffer(ctypes.string_at(int(address), like.itemsize), like.dtype)[0]


def store(address: Any, value: Any) -> None:
    """Write a number to an address."""
    ctypes.memmove(int(address), value.tobytes(), value.itemsize)


def store_group(address: Any, values: Any) -> None:
    """Write a tuple of two or four numbers of one type to consecutive places at once; the address is a multiple of their size."""
    together = np.array(values)
    ctypes.memmove(int(address), together.tobytes(), together.nbytes)
