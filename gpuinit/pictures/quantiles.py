"""A sample's order statistics beside the exact quantiles of its law, with the band that each lies in by itself.

The k-th least of n values has the chances of a Beta(k, n + 1 - k) variable (David and Nagaraja, 2003, sec. 2.1); the band is what
the law makes of its quantiles, rounded to the tensor's dtype as the values are. Right, the same with the band as the unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuinit import dtypes
from gpuinit.pictures import canvas
from gpuinit.pictures.densities import CONFIDENCE
from gpuinit.pictures.exhibit import Exhibit
from gpuinit.pictures.laws import Law, held

__all__ = ["Ranks", "check", "draw", "ranks_of"]

Array = np.ndarray[Any, Any]

_CENTRE, _TAIL = 200, 60
"""How many ranks are looked at in equal steps, and in either tail in equal ratios."""
_FURTHEST = 3.0
"""Deviations beyond so many half-widths of the band are drawn there."""
_WIDE = 60.0
"""Interquartile ranges from which on an axis is logarithmic on either side of the middle."""
_TICKS = {1e-6: "1e-6", 1e-3: "0.001", 0.05: "0.05", 0.5: "0.5", 0.95: "0.95", 0.999: "0.999", 1 - 1e-6: "1 - 1e-6"}


@dataclass(frozen=True)
class Ranks:
    """Some order statistics: their probabilities (k - 1/2) / n, their values, what the law has there, and the band."""

    probabilities: Array
    values: Array
    exact: Array
    low: Array
    high: Array

    @property
    def inside(self) -> float:
        """The share of them that lies in the band."""
        return float(((self.values >= self.low) & (self.values <= self.high)).mean())

    @property
    def deviations(self) -> Array:
        """Value less exact one, in half-widths of the band on that side; of a narrow dtype the half-width may be 0."""
        away = self.values - self.exact
        half = np.where(away < 0, self.exact - self.low, self.high - self.exact)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(away == 0, 0.0, away / half)


def ranks_of(sample: Array, dtype: np.dtype[Any], law: Law, confidence: float = CONFIDENCE) -> Ranks:
    """Order statistics of the finite values of a sample, of which there is one at least: of many some, dense in the tails."""
    from scipy import special

    ordered = np.sort(sample[np.isfinite(sample)])
    count = len(ordered)
    tail = np.geomspace(1, max(1.0, count / 2), _TAIL)
    ranks = np.unique(np.concatenate([np.linspace(1, count, _CENTRE), tail, count + 1 - tail]).round().astype(np.int64))
    part = dtypes.component(dtype)
    outside = (1 - confidence) / 2
    low, exact, high = (
        held(law, law.quantile(p), part)
        for p in (
            special.betaincinv(ranks, count + 1 - ranks, outside),
            (ranks - 0.5) / count,
            special.betaincinv(ranks, count + 1 - ranks, 1 - outside),
        )
    )
    return Ranks((ranks - 0.5) / count, ordered[ranks - 1], exact, np.minimum(low, exact), np.maximum(high, exact))


def check(shown: Exhibit) -> None:
    """Refuse (ValueError) a tensor without a law, or without an element."""
    if shown.law is None:
        raise ValueError(f"qq: {shown.title} has no law of its elements to compare with; take histogram or heat_map")
    if not shown.size:
        raise ValueError(f"qq: {shown.title} has no elements")


def draw(figure: Any, shown: Exhibit, columns: int = canvas.COLUMNS) -> str:
    """Draw what `check` has passed into a figure, or a part of one so many characters wide; what was found, in words."""
    count = int(np.isfinite(shown.sample).sum())
    if not count or shown.law is None:
        raise ValueError(f"qq: none of {canvas.counted(shown.sample.size, 'element')} is finite")
    found = ranks_of(shown.sample, shown.dtype, shown.law)
    left, right = figure.subplots(1, 2)
    _values(left, found, shown)
    _deviations(right, found)
    verdict = f"{found.inside:.1%} of {len(found.values)} order statistics lie in their {CONFIDENCE:.0%} bands"
    seen = f"{canvas.counted(len(found.values), 'order statistic')} of {canvas.counted(count, 'element')}"
    note = f"{seen}. Orange: the exact law, and the band that each lies in {CONFIDENCE:.0%} of the time, by itself."
    note += " Right: the same, in units of the band."
    canvas.headed(figure, shown.title, "order statistics on exact quantiles", note, columns)
    canvas.noted(right, verdict)
    return verdict


def _values(axes: Any, found: Ranks, shown: Exhibit) -> None:
    colour = canvas.COLOURS["law"]
    axes.fill_between(found.exact, found.low, found.high, color=colour, alpha=0.3, linewidth=0, label="band")
    axes.plot(found.exact[[0, -1]], found.exact[[0, -1]], color=colour, linewidth=1.2, label="law")
    axes.plot(found.exact, found.values, "o", color=canvas.COLOURS["line"], markersize=2.5, label="drawn")
    canvas.plain(axes)
    spread = float(np.subtract(*np.quantile(found.exact, [0.75, 0.25])))
    if found.exact[-1] - found.exact[0] > _WIDE * spread > 0:
        from matplotlib.ticker import SymmetricalLogLocator

        for scale, axis in ((axes.set_xscale, axes.xaxis), (axes.set_yscale, axes.yaxis)):
            scale("symlog", linthresh=2 * spread)
            locator = SymmetricalLogLocator(base=1000.0, linthresh=2 * spread)
            axis.set_major_locator(locator)
    part = " (real part)" if shown.dtype.kind == "c" else ""
    axes.set_xlabel("exact quantile")
    axes.set_ylabel(f"drawn value{part}")


def _deviations(axes: Any, found: Ranks) -> None:
    from scipy import special

    score = special.ndtri(found.probabilities)
    axes.axhspan(-1, 1, color=canvas.COLOURS["law"], alpha=0.3, linewidth=0)
    axes.axhline(0, color=canvas.COLOURS["law"], linewidth=1.2)
    shown = np.clip(found.deviations, -_FURTHEST, _FURTHEST)
    axes.plot(score, shown, "o", color=canvas.COLOURS["line"], markersize=2.5, label="drawn")
    canvas.plain(axes)
    ticks = [p for p in _TICKS if found.probabilities[0] / 2 <= p <= (1 + found.probabilities[-1]) / 2]
    axes.set_xticks(special.ndtri(ticks), [_TICKS[p] for p in ticks])
    axes.set_ylim(-_FURTHEST - 0.2, _FURTHEST + 0.2)
    axes.set_xlabel("probability of a lesser value")
    axes.set_ylabel("deviation / half of the band")
