"""Rounding to the narrow types by bits against ml_dtypes and NumPy, over every binade and every tie."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from gpuinit.kernels import narrow

TARGETS = {
    "bfloat16": (narrow.to_bfloat16, ml_dtypes.bfloat16),
    "float16": (narrow.to_float16, np.float16),
    "float8_e4m3fn": (narrow.to_float8_e4m3fn, ml_dtypes.float8_e4m3fn),
    "float8_e5m2": (narrow.to_float8_e5m2, ml_dtypes.float8_e5m2),
}


def inputs(dtype: Any) -> np.ndarray[Any, Any]:
    """Finite float32 values of both signs within the type's range: a walk, and each value and tie with its neighbours."""
    unsigned = np.dtype(f"u{np.dtype(dtype).itemsize}")
    values = np.arange(2 ** (8 * unsigned.itemsize), dtype=unsigned).view(dtype).astype(np.float32)
    values = np.sort(values[np.isfinite(values)])
    ties = ((values[1:].astype(np.float64) + values[:-1]) / 2).astype(np.float32)
    exact = np.concatenate([values, ties])
    around = [np.nextafter(exact, np.float32(side)) for side in (-np.inf, np.inf)]
    walk = np.arange(0, 2**32, 1499, dtype=np.uint64).astype(np.uint32).view(np.float32)
    every = np.concatenate([exact, *around, walk[np.isfinite(walk)]])
    return every[np.abs(every) <= float(ml_dtypes.finfo(dtype).max)]


@pytest.mark.parametrize("name", TARGETS)
def test_rounds_once_to_nearest_even(name: str) -> None:
    """Rejects ties that all go up or all go down in size, and lost subnormals: the inputs tell each from what is right."""
    function, dtype = TARGETS[name]
    x = inputs(dtype)
    pattern = np.dtype(f"u{np.dtype(dtype).itemsize}")
    expected = x.astype(dtype).view(pattern)
    assert (function(x).astype(pattern) == expected).all()
    inner = x[np.abs(x) < float(ml_dtypes.finfo(dtype).max) / 2]
    for wrong in (
        np.nextafter(inner, np.copysign(np.float32(np.inf), inner)),  # a tie goes up in size
        np.nextafter(inner, np.float32(0)),  # a tie goes down in size
        np.where(np.abs(inner) < float(ml_dtypes.finfo(dtype).smallest_normal), np.float32(0), inner),
    ):
        assert (function(wrong).astype(pattern) != inner.astype(dtype).view(pattern)).any()
