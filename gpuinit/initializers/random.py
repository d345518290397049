"""Initializers with one fixed distribution: normal, uniform, truncated normal."""

from __future__ import annotations

import math
from typing import Any

from gpuinit import arrays, distributions
from gpuinit.arguments import at_least, finite, finite_complex, real
from gpuinit.initializers.base import RandomInitializer

__all__ = ["RandomNormal", "RandomUniform", "TruncatedNormal"]


class RandomNormal(RandomInitializer):
    """Normal with density exp(-(x - mean)^2 / (2 stddev^2)) / (stddev sqrt(2 pi)).

    Args:
        mean: finite number; a complex one needs a complex dtype.
        stddev: finite, >= 0, in the unit of the values; 0 makes the constant `mean`.
        seed: None, an integer in 0 .. 2^64 - 1, a Key or a SeedGenerator, as in RandomInitializer.

    Raises:
        TypeError, ValueError: an argument is wrong. When called, ValueError: the dtype is not floating or complex, or
            its finite range does not hold mean +- 6.34 stddev (float64: 9.2).

    The values are unbounded in law and within those 6.34 (9.2) stddev in fact. In a complex dtype each part has stddev
    / sqrt 2.
    """

    def __init__(self, mean: complex = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        self.mean = finite_complex(mean, "mean")
        self.stddev = at_least(0, stddev, "stddev")
        super().__init__(seed)

    def distribution(self, shape: tuple[int, ...]) -> distributions.Distribution:
        return distributions.Normal(self.mean, self.stddev)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mean": arrays.encode(self.mean), "stddev": self.stddev}


class RandomUniform(RandomInitializer):
    """Uniform on the half-open interval [minval, maxval).

    Args:
        minval, maxval: finite real numbers, minval <= maxval; equal ones make that constant.
        seed: None, an integer in 0 .. 2^64 - 1, a Key or a SeedGenerator, as in RandomInitializer.

    Raises:
        TypeError, ValueError: an argument is wrong. When called, ValueError: the dtype is not floating or complex, or
            has no finite value in the interval.

    minval may be drawn, maxval never is, in any dtype. In a complex dtype each part is uniform on the interval.
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Any = None) -> None:
        self.minval = finite(minval, "minval")
        self.maxval = finite(maxval, "maxval")
        if self.minval > self.maxval:
            raise ValueError(f"minval={self.minval} is greater than maxval={self.maxval}: it must be at most maxval")
        super().__init__(seed)

    def distribution(self, shape: tuple[int, ...]) -> distributions.Distribution:
        return distributions.Uniform(self.minval, self.maxval)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "minval": self.minval, "maxval": self.maxval}


class TruncatedNormal(RandomInitializer):
    """Normal(mean, stddev) conditioned on [mean + lower stddev, mean + upper stddev].

    Args:
        mean: finite number; a complex one needs a complex dtype.
        stddev: finite, >= 0: the standard deviation before truncation (at +-2 the values' own is 0.8796 of it).
        seed: None, an integer in 0 .. 2^64 - 1, a Key or a SeedGenerator, as in RandomInitializer.
        lower, upper: the interval's ends in standard deviations from the mean, lower <= upper; lower may be -inf, upper
            +inf.

    Raises:
        TypeError, ValueError: an argument is wrong. When called, ValueError: the dtype is not floating or complex, or
            has no finite value in the interval.

    Both ends are closed and no value lies outside, in any dtype. In a complex dtype each part is truncated at its own
    stddev / sqrt 2. Values are drawn by the inverse distribution function, none is redrawn.
    """

    def __init__(
        self, mean: complex = 0.0, stddev: float = 0.05, seed: Any = None, lower: float = -2.0, upper: float = 2.0
    ) -> None:
        self.mean = finite_complex(mean, "mean")
        self.stddev = at_least(0, stddev, "stddev")
        self.lower = real(lower, "lower")
        self.upper = real(upper, "upper")
        if self.lower > self.upper or self.lower == math.inf or self.upper == -math.inf:
            raise ValueError(
                f"lower={self.lower}, upper={self.upper}: lower must be at most upper, below inf, and upper above -inf"
            )
        super().__init__(seed)

    def distribution(self, shape: tuple[int, ...]) -> distributions.Distribution:
        return distributions.TruncatedNormal(self.mean, self.stddev, self.lower, self.upper)

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "mean": arrays.encode(self.mean), "stddev": self.stddev}
        if (self.lower, self.upper) != (-2.0, 2.0):
            config.update(lower=self.lower, upper=self.upper)
        return config
