"""What is timed, and that it is right before it is: three laws of standard deviation 1 (the uniform one on [-1, 1))."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import gpuinit

__all__ = ["LAWS", "checked", "touched"]

LAWS = {
    "uniform": gpuinit.RandomUniform(-1.0, 1.0, seed=1),
    "normal": gpuinit.RandomNormal(0.0, 1.0, seed=1),
    "truncated normal": gpuinit.TruncatedNormal(0.0, 1.0, seed=1),
}
_VARIANCE = {"uniform": 1 / 3, "normal": 1.0, "truncated normal": 0.7737413035499232}
_BOUND = {"uniform": 1.0, "normal": math.inf, "truncated normal": 2.0}


def touched(size: int, dtype: str) -> np.ndarray[Any, Any]:
    """Memory that has been written to, aligned as gpuinit's own tensors and PyTorch's are."""
    out: np.ndarray[Any, Any] = gpuinit.Ones()((size,), dtype, device="cpu")
    return out


def checked(law: str, out: np.ndarray[Any, Any]) -> None:
    """AssertionError unless values lie within their bounds and their mean and variance within 6 standard errors."""
    some = out[: 2**20].astype(np.float64)
    error = math.sqrt(_VARIANCE[law] / some.size)
    narrow = 2**-8 if out.itemsize < 4 else 0.0  # a value rounded to 8 bits may move by so much
    assert np.isfinite(some).all() and np.abs(some).max() <= _BOUND[law], law
    assert abs(some.mean()) < 6 * error + narrow * 0.01, (law, some.mean())
    assert abs(some.var() - _VARIANCE[law]) < 6 * math.sqrt(2 / some.size) + narrow, (law, some.var())
