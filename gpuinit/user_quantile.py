"""Distributions that users write: a quantile function traced once, and checked for each dtype and each set of parameters."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuinit import dtypes, sampler
from gpuinit.kernels.programs import install
from gpuinit.kernels.quantiles import QUANTILES
from gpuinit.sampler import Sampler

__all__ = ["UserQuantile", "compiled"]

_CHECKED = 257
"""Words at which a distribution is looked at before it is drawn: the least, the greatest, and those between in equal steps."""


@functools.cache
def compiled(function: Callable[..., Any]) -> str:
    """The name of the quantile that a function is, for `QUANTILES`; QuantileError if it cannot be one."""
    from gpuinit.tracing.trace import trace

    name: str = install(trace(function))
    return name


@dataclass(frozen=True, slots=True)
class UserQuantile:
    """The values function(u, *parameters), u uniform in (0, 1); a complex dtype's parts are such values, independent.

    `quantile` is the name that the function goes by in `QUANTILES`; `label` and `names` are what errors call it and its
    parameters.
    """

    label: str
    quantile: str
    names: tuple[str, ...]
    parameters: tuple[float, ...]

    def sampler(self, dtype: np.dtype[Any]) -> Sampler:
        return _checked(self, dtype)


@functools.lru_cache(maxsize=1024)
def _checked(law: UserQuantile, dtype: np.dtype[Any]) -> Sampler:
    real = dtypes.component(dtype)
    with np.errstate(over="ignore"):
        made = sampler.user(dtype, law.quantile, law.parameters)
    stated = ", ".join(f"{name}={value}" for name, value in zip(law.names, law.parameters, strict=True))
    constants = made.reals[7:]
    for name, given, value in zip(law.names, law.parameters, constants, strict=False):
        if not np.isfinite(value):
            raise ValueError(
                f"{name}={given} of {law.label} is beyond {made.reals.dtype.name}, which {dtype.name} is computed in"
            )
    bits = made.reals.itemsize * 8
    words = np.array([(2**bits - 1) * place // (_CHECKED - 1) for place in range(_CHECKED)], f"u{bits // 8}")
    with np.errstate(all="ignore"):
        values = QUANTILES[law.quantile, bits][1](words, made.reals[0], tuple(constants), tuple(made.integers))
    # u = (k + 1/2) 2^-F, k the word's top F bits
    fraction = np.finfo(made.reals.dtype).nmant
    most = dtypes.largest(real)
    for word, value in zip(words, values, strict=True):
        u = ((int(word) >> (bits - fraction)) + 0.5) / 2.0**fraction
        if np.isnan(value):
            raise ValueError(f"{law.label}({stated}) is nan at u={u}, computed in {made.reals.dtype.name}: it must be a number")
        if abs(value) > most:
            raise ValueError(
                f"dtype={dtype.name} cannot represent {law.label}({stated}): its value at u={u} is {value:.6g}, and the finite "
                f"values of {dtype.name} run to +-{most:.6g}"
            )
    return made
