"""The distributions that random initializers state: small frozen values that know no shape, dtype or backend.

`sampler(dtype)` gives the constants with which a backend draws one (gpuinit/sampler.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from gpuinit import dtypes, sampler
from gpuinit.sampler import Sampler

__all__ = ["Distribution", "Normal", "TruncatedNormal", "Uniform"]


@runtime_checkable
class Distribution(Protocol):
    """What `Initializer.distribution(shape)` returns for random values."""

    def sampler(self, dtype: np.dtype[Any]) -> Sampler:
        """The constants with which a backend draws values of the dtype; ValueError where the dtype cannot hold them."""


@dataclass(frozen=True, slots=True)
class Uniform:
    """Uniform on [low, high); low == high is that constant.

    In a complex dtype each part is uniform on [low, high), or with `shared_variance` on that interval divided by sqrt 2, so that
    E|x|^2 is what it is in a real dtype.
    """

    low: float
    high: float
    shared_variance: bool = False

    def sampler(self, dtype: np.dtype[Any]) -> Sampler:
        shrink = math.sqrt(2.0) if self.shared_variance and dtypes.component(dtype) != dtype else 1.0
        return sampler.uniform(dtype, self.low / shrink, self.high / shrink)


@dataclass(frozen=True, slots=True)
class Normal:
    """Normal with this mean and standard deviation; in a complex dtype E|x - mean|^2 = std^2, the parts independent."""

    mean: complex
    std: float

    def sampler(self, dtype: np.dtype[Any]) -> Sampler:
        return sampler.normal(dtype, self.mean, self.std)


@dataclass(frozen=True, slots=True)
class TruncatedNormal:
    """Normal(mean, std) conditioned on [mean + lower std, mean + upper std].

    In a complex dtype each part is truncated at its own std, std / sqrt 2; no bound on the modulus is claimed.
    """

    mean: complex
    std: float
    lower: float = -2.0
    upper: float = 2.0

    def sampler(self, dtype: np.dtype[Any]) -> Sampler:
        return sampler.truncated_normal(dtype, self.mean, self.std, self.lower, self.upper)
