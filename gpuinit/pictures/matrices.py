"""A heat map of a matrix. Of a large one blocks of neighbouring elements, evenly spread over it, are shown, and those alone are
read or made; of a structure that is zero nearly everywhere each dot is the element of greatest magnitude in its cell."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuinit.pictures import canvas
from gpuinit.pictures.exhibit import Exhibit, real
from gpuinit.structures import Haar, Structure

__all__ = ["check", "draw", "excerpt", "runs"]

Array = np.ndarray[Any, Any]

_WHOLE = 192
"""Rows or columns that are shown as they are."""
_RUN, _RUNS = 24, 8
"""Of more, so many runs of so many neighbours."""
_CORNER = 16
"""Rows and columns of the corner that is shown beside."""
_REDUCED = 2**24
"""Elements of a structure that are all looked at."""
_SHARE = 0.995
"""The colours end at the magnitude that this share of the elements does not exceed."""
_COLOURS = 65
"""An odd number of them: the middle one, white, is zero's."""


def runs(length: int) -> list[tuple[int, int]]:
    """What of an axis is shown: starts and stops, ascending, evenly spread from its first place to its last."""
    if length <= _WHOLE:
        return [(0, length)]
    starts = [(length - _RUN) * number // (_RUNS - 1) for number in range(_RUNS)]
    return [(start, start + _RUN) for start in starts]


def excerpt(shown: Exhibit) -> Array:
    """What is shown, in double precision, of complex elements the real parts: blocks side by side, or a dot a cell."""
    if _is_reduced(shown):
        return _extremes(real(shown.block((0, shown.rows), (0, shown.columns))))
    blocks = [[real(shown.block(rows, columns)) for columns in runs(shown.columns)] for rows in runs(shown.rows)]
    return np.block(blocks)


def _is_structured(shown: Exhibit) -> bool:
    """Whether a block may look like no other."""
    return isinstance(shown.statement, Structure) and not isinstance(shown.statement, Haar)


def _is_reduced(shown: Exhibit) -> bool:
    return _is_structured(shown) and shown.size <= _REDUCED and max(shown.rows, shown.columns) > _WHOLE


def _extremes(values: Array) -> Array:
    """The element of greatest magnitude in each of _WHOLE x _WHOLE cells, fewer along a short side."""
    least = greatest = values
    for axis, length in enumerate(values.shape):
        starts = np.arange(min(length, _WHOLE)) * length // min(length, _WHOLE)
        least, greatest = np.minimum.reduceat(least, starts, axis), np.maximum.reduceat(greatest, starts, axis)
    return np.where(-least > greatest, least, greatest)


def check(shown: Exhibit) -> None:
    """Refuse (ValueError) a tensor without elements."""
    if not shown.size:
        raise ValueError(f"heat_map: {shown.title} has no elements")


def draw(figure: Any, shown: Exhibit, columns: int = canvas.COLUMNS, corner: bool = True) -> str:
    """Draw into a figure, or a part of one so many characters wide, its corner by itself beside; what was found, in words."""
    values = excerpt(shown)
    finite = np.abs(values[np.isfinite(values)])
    most = float(finite.max(initial=0.0))
    end = float(np.quantile(finite, _SHARE)) if most else 1.0
    end = end or most
    corner = corner and not _is_structured(shown) and min(shown.rows, shown.columns) > _CORNER
    axes, *others = np.atleast_1d(figure.subplots(1, 2 if corner else 1))
    image = _image(axes, values, end, corner)
    axes.set_xlabel("column")
    axes.set_ylabel("row" if len(shown.shape) < 3 else "row (all axes but the last)")
    for axis, line, length in ((axes.xaxis, axes.axvline, shown.columns), (axes.yaxis, axes.axhline, shown.rows)):
        if _is_reduced(shown):
            _evenly(axis, length)
        else:
            _along(axis, line, length)
    for other in others:
        small = real(shown.block((0, _CORNER), (0, _CORNER)))
        _image(other, small, end, corner)
        other.set(xlabel=f"the first {_CORNER} rows and columns", xticks=[], yticks=[])
    bar = figure.colorbar(image, ax=[axes, *others], extend="both" if most > end else "neither", shrink=0.9)
    bar.set_label("value (real part)" if shown.dtype.kind == "c" else "value")
    ticks = np.linspace(-end, end, 5)
    bar.set_ticks(ticks, labels=[f"{tick:.3g}" for tick in ticks])
    seen = _seen(shown, values)
    heading = "where its values lie" if shown.law is None else "any pattern would be a fault"
    canvas.headed(figure, shown.title, heading, f"Red above zero, blue below; {seen}.", columns)
    return seen


def _seen(shown: Exhibit, values: Array) -> str:
    if values.size == shown.size:
        return "all elements"
    if _is_reduced(shown):
        return "each dot is the element of greatest magnitude in its cell"
    return f"{values.size:,} of {shown.size:,} elements: white lines part blocks that are not neighbours"


def _image(axes: Any, values: Array, end: float, square: bool) -> Any:
    import matplotlib

    colours = matplotlib.colormaps["RdBu_r"].resampled(_COLOURS).with_extremes(bad=canvas.GREY)
    square = square and 1 / 3 <= values.shape[0] / values.shape[1] <= 3  # else squares would make a strip
    settings = {"cmap": colours, "vmin": -end, "vmax": end, "interpolation": "nearest", "aspect": "equal" if square else "auto"}
    return axes.imshow(np.ma.masked_invalid(values), **settings)


def _along(axis: Any, line: Any, length: int) -> None:
    """Number the places of an axis in the whole, and part its runs."""
    shown = runs(length)
    if length == 1:
        axis.set_ticks([])
    elif len(shown) == 1:
        axis.get_major_locator().set_params(integer=True, nbins=6)
    else:
        for number in range(1, len(shown)):
            line(number * _RUN - 0.5, color="white", linewidth=1.5)
        marked = (0, 2, 4, len(shown) - 1)
        axis.set_ticks([number * _RUN for number in marked], [f"{shown[number][0]:,}" for number in marked])


def _evenly(axis: Any, length: int) -> None:
    """Number the places of an axis in the whole where each dot is a cell of it."""
    dots = min(length, _WHOLE)
    marked = [dots * quarter // 4 for quarter in range(4)] if dots >= 4 else range(dots)
    axis.set_ticks(list(marked), [f"{dot * length // dots:,}" for dot in marked])
