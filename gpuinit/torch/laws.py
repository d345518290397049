"""Distributions that torch.nn.init has and Keras has not: bounds in the unit of the values, a uniform of given variance."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gpuinit import distributions, dtypes
from gpuinit.arguments import at_least, finite, real
from gpuinit.distributions import Distribution
from gpuinit.initializers import RandomInitializer

__all__ = ["BoundedNormal", "ScaledUniform"]


class ScaledUniform(RandomInitializer):
    """Uniform on [-bound, bound); in a complex dtype on that interval divided by sqrt 2, so that E|x|^2 = bound^2 / 3 in both.

    Args:
        bound: finite, >= 0.
    """

    def __init__(self, bound: float, seed: Any = None) -> None:
        self.bound = at_least(0, bound, "bound")
        super().__init__(seed)

    def distribution(self, shape: tuple[int, ...]) -> Distribution:
        return distributions.Uniform(-self.bound, self.bound, shared_variance=True)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "bound": self.bound}


class BoundedNormal(RandomInitializer):
    """Normal(mean, std) conditioned on [a, b], ends in the unit of the values; both may be drawn, and no value lies outside.

    Args:
        mean: finite. std: finite, > 0, before truncation.
        a, b: a <= b; a may be -inf and b inf, and an end beyond the dtype's finite range means that.

    Raises:
        TypeError, ValueError: an argument is wrong. When called, ValueError: the dtype is complex, or has no value in [a, b].
    """

    def __init__(self, mean: float, std: float, a: float, b: float, seed: Any = None) -> None:
        self.mean, self.std = finite(mean, "mean"), finite(std, "std")
        self.a, self.b = real(a, "a"), real(b, "b")
        if self.std <= 0:
            raise ValueError(f"std={std!r}: it must be > 0")
        if self.a > self.b or self.a == math.inf or self.b == -math.inf:
            raise ValueError(f"a={a!r}, b={b!r}: a must be at most b, below inf, and b above -inf")
        super().__init__(seed)

    def distribution(self, shape: tuple[int, ...]) -> Distribution:
        return _Between(self.mean, self.std, self.a, self.b)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mean": self.mean, "std": self.std, "a": self.a, "b": self.b}


@dataclass(frozen=True, slots=True)
class _Between:
    """Normal(mean, std) conditioned on [low, high]."""

    mean: float
    std: float
    low: float
    high: float

    def sampler(self, dtype: np.dtype[Any]) -> Any:
        if dtypes.component(dtype) != dtype:
            raise ValueError(f"dtype={dtype.name} is complex: the bounds a={self.low}, b={self.high} are those of real numbers")
        return _between(dtype, self.mean, self.std, self.low, self.high)


@functools.lru_cache(maxsize=1024, typed=True)
def _between(dtype: np.dtype[Any], mean: float, std: float, a: float, b: float) -> Any:
    """The sampler of the truncation in standard deviations, but for the ends, which are those given.

    (a - mean) / std is rounded, and so is what a sampler makes of it again; the ends of [a, b] in the dtype are exact.
    """
    most = dtypes.largest(dtype)
    low, high = a if a >= -most else -math.inf, b if b <= most else math.inf
    least, greatest = dtypes.at_least(low, dtype), dtypes.at_most(high, dtype)
    if least > greatest:
        raise ValueError(
            f"dtype={dtype.name} has no value in [a, b] = [{a}, {b}]: its finite values run to +-{most:.6g}, and at least one "
            "must lie inside"
        )
    if least == greatest:
        return distributions.Uniform(least, least).sampler(dtype)
    made = distributions.TruncatedNormal(mean, std, -_end(-mean, std, -low), _end(mean, std, high)).sampler(dtype)
    reals = made.reals.copy()  # scale; location of both parts; low and high of both parts; the quantile's constants
    reals[3:7] = least, greatest, least, greatest
    return replace(made, reals=reals)


def _end(mean: float, std: float, high: float) -> float:
    """The upper end in standard deviations, such that mean + end std, rounded, is no less than `high`."""
    end = (high - mean) / std
    while mean + end * std < high < math.inf:
        end = max(math.nextafter(end, math.inf), end + (high - (mean + end * std)) / std)
    return end
