"""Test statistics and their p-values: what is known of each when the law is right, without any sample of its own.

`p` is the chance of a value as far off or further; `regular` the chance of one as near or nearer, for statistics that can be too
near: counts more even than chance makes them. Both are uniform on (0, 1) where the law is right and the statistic continuous.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuinit.battery.anderson import anderson_tails

__all__ = [
    "Moments",
    "Statistic",
    "anderson",
    "chi_square",
    "correlations",
    "count",
    "exact",
    "kolmogorov",
    "largest",
    "mean",
    "poisson",
    "squares",
]

Array = np.ndarray[Any, Any]
_STRAIGHT = 1e-4
"""Below this skewness the normal law serves."""


@dataclass(frozen=True, slots=True)
class Statistic:
    """What one test found in one sample.

    Attributes:
        value: the statistic.
        p, regular: as in the module; None where the test has no chance in it.
        right: of such a test, whether all is as it must be; None of others.
        note: what else there is to say, a few words.
    """

    value: float
    p: float | None = None
    regular: float | None = None
    right: bool | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean, variance and skewness of a quantity."""

    mean: float
    variance: float
    skewness: float


def exact(right: bool, value: float = 0.0, note: str = "") -> Statistic:
    """The result of a test without chance."""
    return Statistic(value, right=bool(right), note=note)


def mean(found: float, size: int, known: Moments) -> Statistic:
    """The mean of `size` independent values beside what is known of one: in standard errors, two-sided.

    The law of the mean is taken as a gamma law of the same skewness (Pearson, 1895, type III), so that powers of values, which
    are skewed, have the right tails too; the error is of order 1 / size.
    """
    from scipy import special

    z = (found - known.mean) / math.sqrt(known.variance / size)
    skewness = known.skewness / math.sqrt(size)
    if abs(skewness) < _STRAIGHT:
        return Statistic(z, _both(special.ndtr(z), special.ndtr(-z)))
    shape = 4 / skewness**2
    place = max(0.0, shape + math.sqrt(shape) * z * math.copysign(1, skewness))
    return Statistic(z, _both(special.gammainc(shape, place), special.gammaincc(shape, place)))


def kolmogorov(u: Array) -> Statistic:
    """The Kolmogorov-Smirnov distance of sorted values from the uniform law on (0, 1), times sqrt(n)."""
    from scipy import stats

    size = len(u)
    above = np.arange(1, size + 1) / size - u
    distance = max(float(above.max()), float(1 / size - above.min()))
    return Statistic(math.sqrt(size) * distance, float(stats.kstwo.sf(distance, size)), float(stats.kstwo.cdf(distance, size)))


def anderson(u: Array) -> Statistic:
    """The Anderson-Darling statistic of sorted values against the uniform law on (0, 1): it weighs both tails."""
    size = len(u)
    inside = np.clip(u, 1e-300, 1 - 2.0**-53)
    weights = np.arange(1, 2 * size, 2)
    value = -size - float(np.dot(weights, np.log(inside) + np.log1p(-inside[::-1]))) / size
    upper, lower = anderson_tails(value)
    return Statistic(value, upper, lower)


def chi_square(counts: Array, expected: Array, note: str = "") -> Statistic:
    """Counts of all cells beside the expected ones: in standard deviations of a chi-square law of one degree less than cells."""
    degrees = len(counts) - 1
    return _chi(float((np.square(counts - expected) / expected).sum()), degrees, note)


def squares(z: Array, note: str = "") -> Statistic:
    """The sum of squares of independent standard normal numbers, in standard deviations of its chi-square law."""
    return _chi(float(np.square(z).sum()), np.size(z), note)


def largest(z: Array, note: str = "") -> Statistic:
    """The largest of many numbers that are about standard normal, by size; its chance by Sidak's formula."""
    from scipy import special

    worst = float(np.abs(z).max())
    one = 2 * float(special.ndtr(-worst))
    return Statistic(worst, -math.expm1(np.size(z) * math.log1p(-min(one, 1 - 2.0**-53))), note=note)


def count(hits: int, trials: int, probability: float, note: str = "") -> Statistic:
    """How often something happened in independent trials: in standard errors, with exact binomial tails, two-sided."""
    from scipy import stats

    law = stats.binom(trials, probability)
    z = (hits - trials * probability) / math.sqrt(trials * probability * (1 - probability))
    return Statistic(z, _both(law.cdf(hits), law.sf(hits - 1)), note=note)


def poisson(hits: int, expected: float, note: str = "") -> Statistic:
    """How often something rare happened: in standard errors, with exact Poisson tails, two-sided."""
    from scipy import special

    upper = special.pdtrc(hits - 1, expected) if hits else 1.0
    return Statistic((hits - expected) / math.sqrt(expected), _both(special.pdtr(hits, expected), upper), note=note)


def correlations(x: Array, y: Array, shifts: range | tuple[int, ...]) -> Array:
    """sqrt(n) times the correlation of x[i] with y[i + s], s each of `shifts`, of two arrays of mean 0: about standard normal."""
    reach = max(map(abs, shifts))
    middle = x[reach : len(x) - reach]
    scale = math.sqrt(float(np.dot(x, x)) * float(np.dot(y, y))) / len(x)
    found = [float(np.dot(middle, y[reach + s : reach + s + len(middle)])) / math.sqrt(len(middle)) / scale for s in shifts]
    return np.array(found)


def _chi(value: float, degrees: int, note: str) -> Statistic:
    from scipy import special

    upper, lower = float(special.chdtrc(degrees, value)), float(special.chdtr(degrees, value))
    return Statistic((value - degrees) / math.sqrt(2 * degrees), upper, lower, note=note)


def _both(lower: float, upper: float) -> float:
    """The two-sided chance of the tails on both sides."""
    return float(min(1.0, 2 * min(lower, upper)))
