"""Arrays handed over by DLPack in every dtype, bfloat16 and float8 too, which NumPy and CuPy do not export by themselves."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuinit import dtypes
from gpuinit.backends import dlpack

__all__ = ["Export"]


class Export:
    """An array as an object that every consumer of DLPack takes: `torch.from_dlpack(Export(array))` is the same memory.

    Args:
        array: NumPy's or CuPy's, of any dtype that gpuinit makes.

    Raises:
        TypeError: it is no array.
        ValueError: the dtype is none of them, or a stride is negative, over which PyTorch 2.13 ends the process.

    Nothing is copied: an array of bfloat16 or float8 is exported as integers of its width, and the capsule then names its real
    type. Device, stream and lifetime are as the array's own export has them. A consumer may still copy: JAX aliases memory on the
    CPU that starts at a multiple of 64 bytes, as what an initializer makes does. Not every consumer knows float8.
    """

    def __init__(self, array: Any) -> None:
        if not hasattr(array, "dtype") or not hasattr(array, "__dlpack__"):
            raise TypeError(f"array is a {type(array).__name__}: it must be NumPy's or CuPy's")
        if min(getattr(array, "strides", None) or (0,)) < 0:
            raise ValueError(
                f"array has strides {array.strides}, and consumers of DLPack take no negative ones: export array.copy()"
            )
        self._dtype = dtypes.canonical(array.dtype)
        self._retyped = self._dtype.name in dtypes.EXTENDED
        self._array = array.view(np.dtype(f"u{self._dtype.itemsize}")) if self._retyped else array

    def __dlpack_device__(self) -> tuple[int, int]:
        kind, number = self._array.__dlpack_device__()
        return int(kind), int(number)

    def __dlpack__(self, **asked: Any) -> Any:
        """The capsule that the array's own `__dlpack__` makes, with the array's dtype."""
        capsule = self._array.__dlpack__(**asked)
        return dlpack.retype(capsule, self._dtype) if self._retyped else capsule
