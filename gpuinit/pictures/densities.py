"""A sample's histogram on the density that it was drawn from, plainly and in logarithms down to the last bins."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gpuinit.pictures import canvas
from gpuinit.pictures.cells import Histogram, histogram_of
from gpuinit.pictures.exhibit import SAMPLE, Exhibit

__all__ = ["CONFIDENCE", "draw"]

CONFIDENCE = 0.99
_POINTS = 801
_UNLIKELY = 1e-6
"""The chance of a chi-square below which a picture says that the values are not of their law."""


def draw(figure: Any, shown: Exhibit, columns: int = canvas.COLUMNS) -> str:
    """Draw into a figure, or a part of one so many characters wide; what was found, in words."""
    found = histogram_of(shown.sample, shown.dtype, shown.law)
    plainly, logarithmic = figure.subplots(1, 2)
    for axes in (plainly, logarithmic):
        _data(axes, found)
        if shown.law is not None:
            _law(axes, shown, found)
            canvas.ended(axes, filter(math.isfinite, (shown.law.low, shown.law.high)))
        axes.set_xlabel(_label(shown))
    plainly.set_ylabel("density (1 / unit of the value)")
    plainly.set_ylim(0, 1.25 * float(found.heights.max()) or 1.0)
    _tails(logarithmic, found)
    fit = found.chi_square()
    canvas.headed(figure, shown.title, _heading(fit), _note(shown, found), columns)
    seen = f"{canvas.counted(found.total, 'element')} in {canvas.counted(len(found.counts), 'bin')}"
    if fit is None:
        return seen
    verdict = f"chi-square {fit[0]:.1f}, {fit[1]} degrees of freedom, p = {fit[2]:.2g}"
    canvas.noted(plainly, verdict)
    return f"{seen}, {verdict}"


def _data(axes: Any, found: Histogram) -> None:
    axes.stairs(found.heights, found.edges, fill=True, color=canvas.COLOURS["data"], label="drawn")
    if found.values is not None:  # each bin is one value
        axes.vlines(found.edges[1:-1], 0, np.minimum(found.heights[1:], found.heights[:-1]), color="white", linewidth=0.5)
    canvas.plain(axes)


def _law(axes: Any, shown: Exhibit, found: Histogram) -> None:
    law, colour = shown.law, canvas.COLOURS["law"]
    x = np.linspace(found.edges[0], found.edges[-1], _POINTS)
    density = law.density(x) if law is not None else None
    if density is None:  # of a user's quantile function the bins' chances are known
        axes.stairs(found.expected, found.edges, color=colour, linewidth=1.2, label="law")
    else:
        axes.plot(x, density, color=colour, linewidth=1.5, label="law")


def _tails(axes: Any, found: Histogram) -> None:
    """A logarithmic axis with room for a bin with one element, and the band that a bin lies in with the confidence."""
    band = found.band(CONFIDENCE)
    heights = np.concatenate([found.heights, found.heights if found.expected is None else found.expected])
    if not heights.any():
        return
    axes.set_yscale("log")
    least = max(float(heights[heights > 0].min()), 0.5 / max(1, found.total) / float(found.widths.max()))
    axes.set_ylim(bottom=10.0 ** math.floor(math.log10(least / 2)))
    axes.tick_params(which="minor", labelleft=False)
    axes.set_ylabel("the same, logarithmic")
    if band is not None:
        low, high = (np.maximum(end, least / 10) for end in band)
        axes.stairs(high, found.edges, baseline=low, fill=True, color=canvas.COLOURS["law"], alpha=0.3, label="band")


def _label(shown: Exhibit) -> str:
    return "value (real part)" if shown.dtype.kind == "c" else "value"


def _heading(fit: tuple[float, int, float] | None) -> str:
    if fit is None:
        return "its values"
    return f"its values {'follow' if fit[2] > _UNLIKELY else 'do not follow'} their law"


def _note(shown: Exhibit, found: Histogram) -> str:
    parts = []
    if shown.size > SAMPLE:
        parts.append(f"{shown.sample.size:,} of {shown.size:,} elements, in runs spread over it")
    if shown.law is not None:
        parts.append(f"Blue: elements. Orange: the exact law; right, the band that a bin lies in {CONFIDENCE:.0%} of the time")
    else:
        parts.append("No law is known to compare with")
    if found.values is not None:
        parts.append(f"each bar is one of {found.values} values of {shown.dtype.name}")
    elif shown.dtype.itemsize < 4:
        parts.append(f"edges lie where rounding to {shown.dtype.name} changes")
    if found.below or found.above:
        parts.append(f"{found.below + found.above:,} outside of what is shown")
    missing = shown.sample.size - found.total
    if missing:
        parts.append(f"{missing:,} not finite")
    return "; ".join(parts) + "."
