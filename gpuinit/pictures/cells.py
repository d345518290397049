"""The bins of a histogram, whose edges lie where rounding to the tensor's dtype changes, and how many elements each is to have.

A value of a narrow dtype stands for all numbers that are rounded to it. With edges midway between neighbouring values the chance
of a bin is that of the law between its edges, exactly, however few values the dtype has there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuinit import dtypes
from gpuinit.pictures.laws import Law

__all__ = ["Histogram", "histogram_of"]

Array = np.ndarray[Any, Any]

_FEWEST, _MOST = 10, 100
"""Bins; between those as many as the square root of the number of elements."""
_FEW = 256
"""Values of a narrow dtype up to which each has a bin of its own."""
_WIDEST = 12.0
"""Interquartile ranges on either side of the median beyond which a histogram does not go."""
_EXPECTED = 5.0
"""Elements that a cell of the chi-square statistic is to have at least."""


@dataclass(frozen=True)
class Histogram:
    """How many elements of a sample fall between edges, and how many the law has there.

    Attributes:
        edges: of the bins, ascending. counts: of each. below, above: elements outside of all. total: finite elements.
        chances: of each bin under the law, None without one; chance_below, chance_above: of what lies outside.
        values: how many values of the dtype lie between the outer edges, None if more than there are bins.
    """

    edges: Array
    counts: Array
    below: int
    above: int
    total: int
    chances: Array | None = None
    chance_below: float = 0.0
    chance_above: float = 0.0
    values: int | None = None

    @property
    def widths(self) -> Array:
        """Of the bins."""
        return np.diff(self.edges)

    @property
    def heights(self) -> Array:
        """The density of each bin: its share of the elements, divided by its width."""
        return np.asarray(self.counts / (max(1, self.total) * self.widths))

    @property
    def expected(self) -> Array | None:
        """The density that each bin is to have under the law."""
        return None if self.chances is None else self.chances / self.widths

    def band(self, confidence: float) -> tuple[Array, Array] | None:
        """Between which heights each bin lies with this confidence, by itself: quantiles of its binomial count."""
        if self.chances is None:
            return None
        from scipy import special

        outside = (1 - confidence) / 2
        with np.errstate(all="ignore"):
            ends = [np.ceil(special.bdtrik(share, self.total, self.chances)) for share in (outside, 1 - outside)]
        low, high = (np.nan_to_num(np.maximum(end, 0)) / (max(1, self.total) * self.widths) for end in ends)
        return low, high

    def chi_square(self) -> tuple[float, int, float] | None:
        """Pearson's statistic, its degrees of freedom and the chance of a greater one; None without a law or with one cell.

        Neighbouring bins are joined until each is to have 5 elements.
        """
        if self.chances is None:
            return None
        counts, wanted = [0.0], [0.0]
        chances = (self.chance_below, *self.chances, self.chance_above)
        for count, chance in zip((self.below, *self.counts, self.above), chances, strict=True):
            if wanted[-1] >= _EXPECTED:
                counts.append(0.0)
                wanted.append(0.0)
            counts[-1] += count
            wanted[-1] += chance * self.total
        if wanted[-1] < _EXPECTED and len(wanted) > 1:
            last, due = counts.pop(), wanted.pop()
            counts[-1] += last
            wanted[-1] += due
        if len(wanted) < 2:
            return None
        from scipy import special

        statistic = float(((np.array(counts) - wanted) ** 2 / wanted).sum())
        return statistic, len(wanted) - 1, float(special.chdtrc(len(wanted) - 1, statistic))


def histogram_of(sample: Array, dtype: np.dtype[Any], law: Law | None) -> Histogram:
    """Count a sample, in double precision, in about 100 bins, fewer of a small one; what is not finite is left out.

    Between the ends of the law; of one that reaches far, to where a sample of this size has hardly an element, and 12
    interquartile ranges from its median at most.
    """
    finite = sample[np.isfinite(sample)]
    part = dtypes.component(dtype)
    low, high = _range(finite, law)
    bins = min(_MOST, max(_FEWEST, math.isqrt(finite.size)))
    edges, values = _edges(low, high, law, bins, part)
    below, above = int((finite < edges[0]).sum()), int((finite > edges[-1]).sum())
    counts = np.histogram(finite, edges)[0]
    if law is None:
        return Histogram(edges, counts, below, above, finite.size, values=values)
    chances = law.distribution(edges)
    if edges[0] <= law.low:  # values between the end of the law and the first of the dtype are held at that
        chances[0] = 0.0
    if edges[-1] >= law.high:
        chances[-1] = 1.0
    outside = float(chances[0]), float(1 - chances[-1])
    return Histogram(edges, counts, below, above, finite.size, np.diff(chances), *outside, values)


def _range(finite: Array, law: Law | None) -> tuple[float, float]:
    if law is None:
        if not finite.size:
            return 0.0, 1.0
        low, high = float(finite.min()), float(finite.max())
        quarters = np.quantile(finite, [0.25, 0.5, 0.75])
    else:
        rare = 0.2 / max(finite.size, 10)
        low, high = (end if math.isfinite(end) else float(law.quantile(p)) for end, p in ((law.low, rare), (law.high, 1 - rare)))
        quarters = law.quantile(np.array([0.25, 0.5, 0.75]))
    reach = _WIDEST * float(quarters[2] - quarters[0])
    if reach > 0:
        low, high = max(low, float(quarters[1]) - reach), min(high, float(quarters[1]) + reach)
    return low, high


def _edges(low: float, high: float, law: Law | None, bins: int, dtype: np.dtype[Any]) -> tuple[Array, int | None]:
    """About `bins` + 1 edges from `low` to `high`, and how many values of the dtype that is, None if more than one a bin.

    They lie midway between values, but for the ends of the law: what lies beyond the last value there is held at that.
    """
    cells = _Floats(dtype) if dtype.kind in "fV" else _Integers()
    first, last = cells.at_least(low), -cells.at_least(-high)
    ends = (
        low if law is not None and low <= law.low else cells.under(first),
        high if law is not None and high >= law.high else -cells.under(-last),
    )
    if not ends[0] < ends[1]:  # one value of a type whose neighbours are too near for double precision
        margin = max(abs(low), 1.0) * 2.0**-40
        return np.array([low - margin, low + margin]), 1
    values = cells.between(first, last)
    if values <= _FEW:
        middles = {-cells.under(-value) for value in cells.values(first, last)}
    else:
        middles = {-cells.under(-cells.at_most(low + (high - low) * place / bins)) for place in range(1, bins)}
    edges = [ends[0], *sorted(edge for edge in middles if first < edge < last), ends[1]]
    return np.array(edges), values if values == len(edges) - 1 else None


class _Integers:
    """Neighbours among integers."""

    def at_least(self, x: float) -> float:
        return float(math.ceil(x))

    def at_most(self, x: float) -> float:
        return float(math.floor(x))

    def under(self, value: float) -> float:
        """Midway between a value and the one below it."""
        return value - 0.5

    def between(self, first: float, last: float) -> int:
        """How many values there are from the first to the last."""
        return int(last - first) + 1

    def values(self, first: float, last: float) -> Iterator[float]:
        """Those values, ascending."""
        return map(float, range(int(first), int(last) + 1))


class _Floats:
    """Neighbours among the values of a floating dtype."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype

    def at_least(self, x: float) -> float:
        return dtypes.at_least(x, self._dtype)

    def at_most(self, x: float) -> float:
        return dtypes.at_most(x, self._dtype)

    def under(self, value: float) -> float:
        neighbour = dtypes.below(value, self._dtype)
        return (neighbour + value) / 2 if math.isfinite(neighbour) else value

    def between(self, first: float, last: float) -> int:
        return self._ordinal(last) - self._ordinal(first) + 1

    def values(self, first: float, last: float) -> Iterator[float]:
        while first < last:
            yield first
            first = -dtypes.below(-first, self._dtype)
        yield last

    def _ordinal(self, value: float) -> int:
        """The value's number among all, counted from zero."""
        bits = int(np.asarray(abs(value)).astype(self._dtype).view(f"u{self._dtype.itemsize}"))
        return -bits if value < 0 else bits
