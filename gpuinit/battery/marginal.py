"""Whether the values of each law, in each dtype, are distributed as they should be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuinit import dtypes
from gpuinit.battery import statistic
from gpuinit.battery.laws import Law, is_narrow, power_of
from gpuinit.battery.statistic import Statistic
from gpuinit.battery.subjects import SUBJECTS
from gpuinit.battery.suite import Suite, Test
from gpuinit.battery.trial import Trial

__all__ = ["MARGINAL", "Values", "values_of"]

Array = np.ndarray[Any, Any]
_COLUMNS = 256
_CELLS = 256
_LEAST = 16.0
"""No cell of a chi-square test expects less."""


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """A sample of real numbers with their law.

    Attributes:
        numbers: as float64, in the order drawn; a complex tensor's parts in turns. dtype: the real type that they were drawn in.
        sorted: their places in the law, uniform on (0, 1) where the law is right, ascending.
    """

    numbers: Array
    law: Law
    dtype: np.dtype[Any]
    sorted: Array

    def moment(self, power: int) -> Statistic:
        """The mean of the standardized values' power."""
        center, std = self.law.spread(self.dtype)
        found = float(np.mean(power_of((self.numbers - center) / std, power)))
        return statistic.mean(found, len(self.numbers), self.law.moments(power, self.dtype))


def values_of(made: Array, law: Law, generator: np.random.Generator) -> Values:
    """The sample of a tensor whose elements, or whose elements' parts, have this law."""
    dtype = dtypes.component(made.dtype)
    numbers = made.reshape(-1).view(dtype).astype(np.float64)
    return Values(numbers, law, dtype, np.sort(law.probabilities(numbers, dtype, generator)))


def _samples(trial: Trial) -> Iterator[tuple[str, Values]]:
    for subject in SUBJECTS:
        for dtype in dtypes.RANDOM:
            is_complex = dtype.startswith("complex")
            rows = trial.effort.values // (2 * _COLUMNS if is_complex else _COLUMNS)
            shape, name = (rows, _COLUMNS), f"{subject.name} {dtype}"
            made = trial.draw(subject.make(trial.key(name), is_complex), shape, dtype)
            yield name, values_of(made, subject.part(shape, is_complex), trial.generator(name))


def _histogram(sample: Values) -> Statistic:
    edges = np.searchsorted(sample.sorted, np.arange(1, _CELLS) / _CELLS)
    counts = np.diff(edges, prepend=0, append=len(sample.sorted))
    return statistic.chi_square(counts, np.full(_CELLS, len(counts) and len(sample.sorted) / _CELLS))


def _tail_histogram(sample: Values) -> Statistic:
    """Cells of probability 2^-k, k = 2 .. K, in both tails, and the two that are left beyond them."""
    u, size = sample.sorted, len(sample.sorted)
    halvings = np.arange(1, int(np.log2(size / _LEAST)) + 1)
    below = np.searchsorted(u, 0.5**halvings)
    above = size - np.searchsorted(u, 1 - 0.5**halvings)
    counts = np.concatenate([-np.diff(below, append=0), -np.diff(above, append=0)])
    expected = size * -np.diff(0.5**halvings, append=0)
    return statistic.chi_square(counts, np.concatenate([expected, expected]))


def _representable(sample: Values) -> Statistic | None:
    """Every value of a narrow dtype by itself, rare neighbours together."""
    if not is_narrow(sample.dtype):
        return None
    known, below = sample.law.masses(sample.dtype)
    size = len(sample.numbers)
    expected = np.cumsum(np.diff(below)) * size
    ends = [0]
    while expected[-1] - (expected[ends[-1] - 1] if ends[-1] else 0.0) >= 2 * _LEAST:
        reached = expected[ends[-1] - 1] if ends[-1] else 0.0
        ends.append(int(np.searchsorted(expected, reached + _LEAST)) + 1)
    if len(ends) == 1:
        return None
    if ends[-1] == len(known):  # the last cell is whole by itself
        ends.pop()
    place = np.clip(np.searchsorted(known, sample.numbers), 0, len(known) - 1)
    counts = np.add.reduceat(np.bincount(place, minlength=len(known)), ends)
    return statistic.chi_square(counts, np.add.reduceat(np.diff(below), ends) * size, f"{len(ends)} cells")


def _bounds(sample: Values) -> Statistic:
    least, greatest = sample.law.ends(sample.dtype)
    outside = int(((sample.numbers < least) | (sample.numbers > greatest) | ~np.isfinite(sample.numbers)).sum())
    return statistic.exact(outside == 0, outside, f"{outside} of {len(sample.numbers)} outside [{least:.9g}, {greatest:.9g}]")


def _power(power: int) -> Callable[[Values], Statistic]:
    return lambda sample: sample.moment(power)


MARGINAL = Suite(
    "values",
    _samples,
    (
        Test("mean", "a location that is off by 7 / sqrt(n) standard deviations", _power(1)),
        Test("variance", "a scale that is off by 5 / sqrt(n) (normal), as a forgotten 0.8796 or the other fan", _power(2)),
        Test("skewness", "tails that differ, as a sign that goes with the size", _power(3)),
        Test("kurtosis", "another law of the same mean and variance; a sum of a dozen uniforms from 2^19 values on", _power(4)),
        Test(
            "Kolmogorov-Smirnov", "a distribution function that is off by 4 / sqrt(n)", lambda s: statistic.kolmogorov(s.sorted)
        ),
        Test(
            "Anderson-Darling",
            "the same near either end: clipping, folding, a wrong tail",
            lambda s: statistic.anderson(s.sorted),
        ),
        Test("histogram", "a dent in the density of a part in 256, by 14 sqrt(256 / n); values too evenly spread", _histogram),
        Test("histogram of the tails", "tails cut or too heavy, down to where 16 values are expected", _tail_histogram),
        Test(
            "representable values",
            "rounding toward zero (from 2^19 values on) or twice: each value of a narrow dtype has its share",
            _representable,
        ),
        Test("bounds", "a value outside the interval, or the open end reached by rounding", _bounds),
    ),
)
