"""The laws that values must have, stated by formula and by SciPy's normal distribution, with nothing of the engine's own.

A narrow dtype's values are tested against their discrete law: each representable value has the probability of the reals that
round to it, and the outermost ones inside the bounds have what lies beyond.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuinit import dtypes
from gpuinit.battery.statistic import Moments

__all__ = ["Law", "is_narrow", "neighbours", "power_of"]

Array = np.ndarray[Any, Any]
_NODES = 200
_NOTHING = 1e-25
"""A probability that no expectation shows."""
_REACH = 12.0
"""Standard deviations beyond which a normal density counts for nothing."""


@dataclass(frozen=True, slots=True)
class Law:
    """location + scale T, T uniform on [lower, upper) or standard normal conditioned on [lower, upper].

    `normal`: which of the two. All methods take and give float64.
    """

    normal: bool
    location: float
    scale: float
    lower: float = -math.inf
    upper: float = math.inf

    @property
    def low(self) -> float:
        """The lower end."""
        return self.location + self.scale * self.lower

    @property
    def high(self) -> float:
        """The upper end; a uniform law does not reach it."""
        return self.location + self.scale * self.upper

    def cdf(self, x: Array) -> Array:
        """P(X <= x), from the tail that the interval lies in."""
        t = (np.asarray(x) - self.location) / self.scale
        if not self.normal:
            return np.clip((t - self.lower) / (self.upper - self.lower), 0.0, 1.0)
        from scipy import special

        t = np.clip(t, self.lower, self.upper)
        if self.lower > 0:
            beyond = special.ndtr(-self.lower)
            return np.asarray((beyond - special.ndtr(-t)) / (beyond - special.ndtr(-self.upper)))
        before = special.ndtr(self.lower)
        return np.asarray((special.ndtr(t) - before) / (special.ndtr(self.upper) - before))

    def ends(self, dtype: np.dtype[Any]) -> tuple[float, float]:
        """The least and the greatest value of a real dtype that may occur: inside the interval, its open end left out."""
        low, high = self.low, self.high
        if math.isinf(low) and math.isinf(high):
            return -math.inf, math.inf
        least, greatest = _nearest(low, dtype), _nearest(high, dtype)
        if least < low:
            least = float(neighbours(np.array([least]), dtype)[1][0])
        if greatest > high or (greatest == high and not self.normal):
            greatest = float(neighbours(np.array([greatest]), dtype)[0][0])
        return least, greatest

    def masses(self, dtype: np.dtype[Any]) -> tuple[Array, Array]:
        """All values of a narrow dtype that may occur, ascending, and P(X rounds to a smaller one), with a last entry of 1."""
        return _masses(self, dtype)

    def probabilities(self, values: Array, dtype: np.dtype[Any], generator: np.random.Generator) -> Array:
        """u uniform on (0, 1) where values of a real dtype have this law: their place in the law, drawn within the rounding.

        A value that stands for the reals from a to b gives cdf(a) + v (cdf(b) - cdf(a)), v of `generator` (the randomized
        probability integral transform), so that tests for continuous laws are exact for rounded values. In float64 rounding does
        not matter.
        """
        if dtype == np.float64:
            return self.cdf(values)
        x = values.astype(np.float64)
        if is_narrow(dtype):
            known, below = self.masses(dtype)
            place = np.clip(np.searchsorted(known, x), 0, len(known) - 1)
            before, after = below[place], below[place + 1]
        else:
            down, up = neighbours(x, dtype)
            before, after = self.cdf((down + x) / 2), self.cdf((x + up) / 2)
        return np.asarray(before + generator.random(len(x)) * (after - before))

    def spread(self, dtype: np.dtype[Any]) -> tuple[float, float]:
        """Mean and standard deviation; exact for a narrow dtype's law."""
        return _known(self, dtype)[0]

    def moments(self, power: int, dtype: np.dtype[Any]) -> Moments:
        """Of T^power, T = (X - mean) / std, power 1 .. 4: its mean, variance and skewness; exact for a narrow dtype's law."""
        return _known(self, dtype)[1][power - 1]


@functools.lru_cache(maxsize=4)
def _masses(law: Law, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    least, greatest = law.ends(dtype)
    values = _representable(dtype)
    values = values[(values >= least) & (values <= greatest)]
    return values, np.concatenate([[0.0], law.cdf((values[:-1] + values[1:]) / 2), [1.0]])


@functools.lru_cache(maxsize=256)
def _known(law: Law, dtype: np.dtype[Any]) -> tuple[tuple[float, float], list[Moments]]:
    x, weights = _points(law, dtype)
    center = float(np.dot(weights, x))
    std = math.sqrt(float(np.dot(weights, np.square(x - center))))
    t = (x - center) / std
    found = []
    for power in range(1, 5):
        f = power_of(t, power)
        mean = float(np.dot(weights, f))
        variance = float(np.dot(weights, np.square(f - mean)))
        found.append(Moments(mean, variance, float(np.dot(weights, power_of(f - mean, 3))) / variance**1.5))
    return (center, std), found


def _points(law: Law, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    """Places and weights that give the law's expectations: all values of a narrow dtype, else Gauss' for the density."""
    if is_narrow(dtype):
        values, below = law.masses(dtype)
        masses = np.diff(below)
        return values[masses > _NOTHING], masses[masses > _NOTHING]
    low, high = max(law.lower, min(-_REACH, law.upper - _REACH)), min(law.upper, max(_REACH, law.lower + _REACH))
    nodes, weights = _gauss()
    t = (low + high) / 2 + (high - low) / 2 * nodes
    if law.normal:
        nearest = min(max(0.0, low), high)
        weights = weights * np.exp((nearest**2 - t**2) / 2)
    return law.location + law.scale * t, weights / weights.sum()


@functools.cache
def _gauss() -> tuple[Array, Array]:
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return nodes, weights


def power_of(t: Array, power: int) -> Array:
    """t^power by products, which are many times as fast as NumPy's `**`."""
    result = t
    for _ in range(power - 1):
        result = result * t
    return result


def is_narrow(dtype: np.dtype[Any]) -> bool:
    """Whether all values of a real dtype can be listed."""
    return dtype.itemsize <= 2


def neighbours(values: Array, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    """The next smaller and the next greater value of a real dtype, of values of it given as float64."""
    if dtype == np.float64:
        return np.nextafter(values, -np.inf), np.nextafter(values, np.inf)
    if dtype == np.float32:
        single = values.astype(np.float32)
        low, high = np.nextafter(single, np.float32(-np.inf)), np.nextafter(single, np.float32(np.inf))
        return low.astype(np.float64), high.astype(np.float64)
    known = _representable(dtype)
    place = np.searchsorted(known, values)
    return known[np.maximum(place - 1, 0)], known[np.minimum(place + 1, len(known) - 1)]


def _nearest(x: float, dtype: np.dtype[Any]) -> float:
    """The value of a real dtype next to x, its largest for what is beyond."""
    if math.isinf(x):
        return x
    most = dtypes.largest(dtype)
    return float(np.asarray(min(max(x, -most), most)).astype(dtype).astype(np.float64))


@functools.cache
def _representable(dtype: np.dtype[Any]) -> Array:
    """All finite values of a narrow dtype, ascending, zero once."""
    bits = 8 * dtype.itemsize
    with np.errstate(invalid="ignore"):
        values = np.arange(2**bits, dtype=f"u{dtype.itemsize}").view(dtype).astype(np.float64)
    return np.unique(values[np.isfinite(values)])
