"""Distributions made with `gpuinit.quantile`, in the arithmetic of `gpuinit.exact`: bit-equal on every backend.

Each takes its parameters, which are finite, and a seed; scales are >= 0. They are also known by name:
`gpuinit.get("laplace")`, `gpuinit create --init laplace --arg scale=0.1`. In a complex dtype both parts have the
distribution, independently. The formulas are those of Johnson, Kotz and Balakrishnan, "Continuous Univariate
Distributions" (1994, 1995), which names them F^-1(u).
"""

from __future__ import annotations

from typing import Any

from gpuinit import exact
from gpuinit.initializers.quantile import quantile

__all__ = ["cauchy", "exponential", "gumbel", "laplace", "log_normal", "logistic", "random_sign"]


@quantile(nonnegative=("scale",))
def cauchy(u: Any, loc: float = 0.0, scale: float = 1.0) -> Any:
    """Cauchy: loc + scale tan(pi (u - 1/2)), density 1 / (pi scale (1 + z^2)) at loc + scale z.

    It has no mean. Drawn values reach 5.4e6 scales from loc (float64: 2.9e15), which float16 cannot hold at scale 1.
    """
    return loc + scale * exact.tanpi(u - 0.5)


@quantile(nonnegative=("scale",))
def exponential(u: Any, scale: float = 1.0) -> Any:
    """Exponential with mean `scale`: -scale log u, density exp(-x / scale) / scale for x > 0."""
    return scale * -exact.log(u)


@quantile(nonnegative=("scale",))
def gumbel(u: Any, loc: float = 0.0, scale: float = 1.0) -> Any:
    """Gumbel, of the greatest values: loc - scale log(-log u), distribution function exp(-exp(-z)) at loc + scale z.

    Its mean is loc + 0.5772 scale, its variance pi^2 scale^2 / 6.
    """
    return loc - scale * exact.log(-exact.log(u))


@quantile(nonnegative=("scale",))
def laplace(u: Any, loc: float = 0.0, scale: float = 1.0) -> Any:
    """Laplace: loc + scale log 2u below the middle, loc - scale log 2(1 - u) above; density exp(-|z|) / (2 scale).

    Its mean is loc, its variance 2 scale^2.
    """
    size = exact.log(2 * min(u, 1 - u))
    return loc + scale * (size if u < 0.5 else -size)


@quantile(nonnegative=("scale",))
def logistic(u: Any, loc: float = 0.0, scale: float = 1.0) -> Any:
    """Logistic: loc + scale log(u / (1 - u)), distribution function 1 / (1 + exp(-z)) at loc + scale z.

    Its mean is loc, its variance pi^2 scale^2 / 3. With p the lesser of u and 1 - u, the logarithm is that of
    1 + (1 - 2 p) / p with its sign, which is exact near 0 and in both tails.
    """
    p = min(u, 1 - u)
    size = exact.log1p((1 - 2 * p) / p)
    return loc + scale * (-size if u < 0.5 else size)


@quantile(nonnegative=("stddev",))
def log_normal(u: Any, mean: float = 0.0, stddev: float = 1.0) -> Any:
    """Log-normal: exp of a normal with this mean and standard deviation.

    Its median is exp(mean), its mean exp(mean + stddev^2 / 2).
    """
    return exact.exp(mean + stddev * exact.normal(u))


@quantile
def random_sign(u: Any, scale: float = 1.0) -> Any:
    """-scale or scale, with probability 1/2 each (Rademacher)."""
    return -scale if u < 0.5 else scale
