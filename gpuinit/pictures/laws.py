"""What the elements of a random tensor are distributed by, in closed form and in double precision.

A law gives `distribution(x)` = P(X <= x), `density(x)` where there is one, `quantile(p)`, the ends of its support, and its mean
and standard deviation. It owes nothing to the kernels that draw, but for a user's quantile function, which is its own law.
"""

from __future__ import annotations

import functools
import math
from typing import Any, Protocol

import numpy as np

from gpuinit import arrays, dtypes
from gpuinit.distributions import Normal, TruncatedNormal, Uniform
from gpuinit.kernels.quantiles import QUANTILES
from gpuinit.user_quantile import UserQuantile

__all__ = ["Law", "NormalLaw", "QuantileLaw", "TruncatedNormalLaw", "UniformLaw", "held", "law_of"]

Array = np.ndarray[Any, Any]

_GRID = 2**18
"""Places at which a user's quantile function is looked at."""
_TAIL, _NEAR = 2**13, 2.0**-8
"""Further ones in either tail, in equal ratios, and the probability up to which they lie there."""
_ROOT = math.sqrt(2.0)
_NODES = 200
"""Nodes of the quadrature for the moments of a truncated normal."""


class Law(Protocol):
    """The distribution of one real element; `mean` and `std` are None where they are not known."""

    @property
    def low(self) -> float:
        """The least value there can be, -inf if there is none."""

    @property
    def high(self) -> float:
        """The greatest value there can be, inf if there is none."""

    @property
    def mean(self) -> float | None:
        """The mean."""

    @property
    def std(self) -> float | None:
        """The standard deviation."""

    def distribution(self, x: Any) -> Array:
        """P(X <= x)."""

    def density(self, x: Any) -> Array | None:
        """The density at x; None where it is not known."""

    def quantile(self, p: Any) -> Array:
        """The value that X does not exceed with probability p, 0 < p < 1."""


def law_of(distribution: Any, dtype: Any) -> Law | None:
    """The law of an element, in a complex dtype of its real part; None of a structure, and of what has but one value."""
    halved = math.sqrt(2.0) if dtypes.component(dtype) != dtype else 1.0
    if isinstance(distribution, Uniform) and distribution.low < distribution.high:
        shrink = halved if distribution.shared_variance else 1.0
        return UniformLaw(distribution.low / shrink, distribution.high / shrink)
    if isinstance(distribution, Normal) and distribution.std > 0:
        return NormalLaw(distribution.mean.real, distribution.std / halved)
    if isinstance(distribution, TruncatedNormal) and distribution.std > 0 and distribution.lower < distribution.upper:
        mean, std, lower, upper = distribution.mean.real, distribution.std / halved, distribution.lower, distribution.upper
        return NormalLaw(mean, std) if -lower == upper == math.inf else TruncatedNormalLaw(mean, std, lower, upper)
    return _quantile_law(distribution) if isinstance(distribution, UserQuantile) else None


@functools.lru_cache(maxsize=16)
def _quantile_law(distribution: UserQuantile) -> QuantileLaw:
    return QuantileLaw(distribution)


def held(law: Law, values: Any, dtype: np.dtype[Any]) -> Array:
    """Values rounded once to a real dtype and held between the ends of the law there, as elements are; in double precision."""
    low = dtypes.at_least(law.low, dtype) if math.isfinite(law.low) else -dtypes.largest(dtype)
    high = dtypes.largest(dtype)
    if math.isfinite(law.high):
        high = (dtypes.below if isinstance(law, UniformLaw) else dtypes.at_most)(law.high, dtype)
    return np.asarray(np.clip(arrays.rounded(np.asarray(values, np.float64), dtype).astype(np.float64), low, high))


class UniformLaw:
    """Uniform on [low, high)."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high
        self.mean, self.std = (low + high) / 2, (high - low) / math.sqrt(12.0)

    def distribution(self, x: Any) -> Array:
        return np.clip((np.asarray(x, np.float64) - self.low) / (self.high - self.low), 0.0, 1.0)

    def density(self, x: Any) -> Array:
        inside = (np.asarray(x) >= self.low) & (np.asarray(x) <= self.high)
        return np.where(inside, 1 / (self.high - self.low), 0.0)

    def quantile(self, p: Any) -> Array:
        return np.asarray(self.low + (self.high - self.low) * np.asarray(p))


class NormalLaw:
    """Normal of this mean and standard deviation."""

    low, high = -math.inf, math.inf

    def __init__(self, mean: float, std: float) -> None:
        self.mean, self.std = mean, std

    def distribution(self, x: Any) -> Array:
        return np.asarray(_special().ndtr(self._standard(x)))

    def density(self, x: Any) -> Array:
        return np.asarray(np.exp(-(self._standard(x) ** 2) / 2) / (math.sqrt(2 * math.pi) * self.std))

    def quantile(self, p: Any) -> Array:
        return np.asarray(self.mean + self.std * _special().ndtri(p))

    def _standard(self, x: Any) -> Array:
        return np.asarray((np.asarray(x, np.float64) - self.mean) / self.std)


class TruncatedNormalLaw:
    """Normal(mean, std) conditioned on mean + lower std .. mean + upper std; worked from the nearer tail, so right far out.

    For 0 < a < b it is P(Z <= z) = (1 - Q(z) / Q(a)) / (1 - Q(b) / Q(a)) with Q the upper tail, whose logarithm is accurate.
    """

    def __init__(self, mean: float, std: float, lower: float, upper: float) -> None:
        self.low, self.high = mean + std * lower, mean + std * upper
        self._place, self._scale = mean, std
        self._mirrored = upper < 0
        self._ends = (-upper, -lower) if self._mirrored else (lower, upper)

    def distribution(self, x: Any) -> Array:
        p = self._below(np.clip(self._standard(x), *self._ends))
        return 1 - p if self._mirrored else p

    def density(self, x: Any) -> Array:
        z, special = self._standard(x), _special()
        a, b = self._ends
        with np.errstate(over="ignore", under="ignore"):
            if a > 0:
                share = np.exp(-(z**2) / 2 - special.log_ndtr(-a)) / -np.expm1(special.log_ndtr(-b) - special.log_ndtr(-a))
            else:
                share = np.exp(-(z**2) / 2) / (self._central(b) - self._central(a))
        inside = (z >= a) & (z <= b)
        return np.where(inside, share / (math.sqrt(2 * math.pi) * self._scale), 0.0)

    def quantile(self, p: Any) -> Array:
        special, (a, b) = _special(), self._ends
        p = 1 - np.asarray(p, np.float64) if self._mirrored else np.asarray(p, np.float64)
        if a > 0:
            mass = -np.expm1(special.log_ndtr(-b) - special.log_ndtr(-a))
            z = -special.ndtri_exp(special.log_ndtr(-a) + np.log1p(-p * mass))
        else:
            z = _ROOT * special.erfinv(2 * (self._central(a) + p * (self._central(b) - self._central(a))))
        z = np.clip(z, a, b)
        return np.asarray(self._place + self._scale * (-z if self._mirrored else z))

    @functools.cached_property
    def mean(self) -> float:
        nodes, weights = _nodes()
        return float(weights @ self.quantile(nodes))

    @functools.cached_property
    def std(self) -> float:
        nodes, weights = _nodes()
        return math.sqrt(float(weights @ (self.quantile(nodes) - self.mean) ** 2))

    def _below(self, z: Array) -> Array:
        special, (a, b) = _special(), self._ends
        if a > 0:
            far = special.log_ndtr(-a)
            return np.asarray(np.expm1(special.log_ndtr(-z) - far) / np.expm1(special.log_ndtr(-b) - far))
        return np.asarray((self._central(z) - self._central(a)) / (self._central(b) - self._central(a)))

    def _central(self, z: Any) -> Any:
        """Phi(z) - 1/2, accurate near zero too."""
        return _special().erf(np.asarray(z) / _ROOT) / 2

    def _standard(self, x: Any) -> Array:
        z = (np.asarray(x, np.float64) - self._place) / self._scale
        return np.asarray(-z if self._mirrored else z)


class QuantileLaw:
    """The law of a user's quantile function f: P(X <= x) is the share of u in (0, 1) with f(u) <= x.

    f is looked at in the arithmetic of float64 on a grid of u that is dense in both tails: a probability is within 4e-6, and in
    the tails within 1 %. f need not be monotone.
    """

    mean, std = None, None

    def __init__(self, quantile: UserQuantile) -> None:
        self._quantile = quantile
        self._constants = quantile.sampler(np.dtype(np.float64))
        tail = np.geomspace(2.0**-52, _NEAR, _TAIL)
        edges = np.unique(np.concatenate([[0.0], tail, np.arange(1, _GRID) / _GRID, 1 - tail, [1.0]]))
        values = self._function((edges[1:] + edges[:-1]) / 2)
        order = np.argsort(values, kind="stable")
        self._values, shares = values[order], np.diff(edges)[order]
        self._below = np.concatenate([[0.0], np.cumsum(shares)])
        self.low, self.high = -math.inf, math.inf

    def distribution(self, x: Any) -> Array:
        return np.asarray(self._below[np.searchsorted(self._values, x, side="right")])

    def density(self, x: Any) -> None:
        return None

    def quantile(self, p: Any) -> Array:
        return np.asarray(np.interp(p, (self._below[1:] + self._below[:-1]) / 2, self._values))

    def _function(self, u: Array) -> Array:
        words = (u * 2.0**64).astype(np.uint64)
        scale, constants = self._constants.reals[0], tuple(self._constants.reals[7:])
        draw = QUANTILES[self._quantile.quantile, 64][1]
        with np.errstate(all="ignore"):
            return np.asarray(draw(words, scale, constants, tuple(self._constants.integers)), np.float64)


def _nodes() -> tuple[Array, Array]:
    """Nodes and weights of Gauss' rule on (0, 1)."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return (nodes + 1) / 2, weights / 2


def _special() -> Any:
    import scipy.special

    return scipy.special
