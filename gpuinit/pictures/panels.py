"""One page of pictures of a tensor: which there are, which make sense of what is shown, and how they stand."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from gpuinit.pictures import canvas, densities, depths, matrices, quantiles, spectra
from gpuinit.pictures.exhibit import Exhibit, called
from gpuinit.pictures.propagation import ACTIVATIONS, NAMES, propagate

__all__ = ["KINDS", "Panel", "compose", "laid_out", "usual"]

Panel = Callable[[Any, int], str]
"""Draws into a figure, or a part of one so many characters wide, and says what was found."""

_HEIGHTS = {"histogram": 3.4, "qq": 3.4, "heat_map": 4.0, "singular_values": 3.4, "variance": 3.8}
_NARROW = ("heat_map", "singular_values")
"""Where both are wanted on a page they stand side by side."""

_TITLE = 66
"""Characters of a page's title that fit the width."""

KINDS = tuple(_HEIGHTS)
"""The pictures of a tensor, in the order in which they stand on a page."""


def usual(shown: Exhibit) -> list[str]:
    """The pictures that make sense: of a distribution all but the variance, of a structure its matrix, of others their values."""
    matrix = len(shown.shape) >= 2
    if shown.law is not None:
        kinds = ["histogram", "qq", "heat_map", "singular_values"]
    elif shown.statement is not None:
        kinds = ["heat_map", "singular_values"]
    else:
        kinds = ["histogram", "heat_map"]
    return [kind for kind in kinds if matrix or kind != "singular_values"]


def compose(shown: Exhibit, kinds: Sequence[str]) -> tuple[Any, list[str]]:
    """A figure with these pictures of a tensor, and what was found, a line each.

    Raises:
        ValueError: there is no such picture, or none of this tensor; the message says why. ImportError: matplotlib is missing.
    """
    for kind in kinds:
        _check(kind, shown)
    wanted = [kind for kind in KINDS if kind in kinds]
    if not wanted:
        raise ValueError(f"what=(): it must name one or more of {', '.join(KINDS)}")
    if len(wanted) == 1:
        return laid_out([[_panel(wanted[0], shown)]], [_HEIGHTS[wanted[0]]])
    bare = replace(shown, title="")  # the page has the title
    pair = all(kind in wanted for kind in _NARROW)
    rows = [[kind] for kind in wanted if not pair or kind not in _NARROW] + ([list(_NARROW)] if pair else [])
    rows.sort(key=lambda row: KINDS.index(row[0]))
    panels = [[_panel(kind, bare, len(row) == 1) for kind in row] for row in rows]
    return laid_out(panels, [max(_HEIGHTS[kind] for kind in row) for row in rows], shown.title)


def laid_out(rows: Sequence[Sequence[Panel]], heights: Sequence[float], title: str = "") -> tuple[Any, list[str]]:
    """A figure of rows of panels, each so many inches high and of panels of equal width; what they found."""
    with canvas.style():
        figure = canvas.blank(sum(heights) + 0.3 * len(textwrap.wrap(title, _TITLE)))
        if title:
            figure.suptitle(textwrap.fill(title, _TITLE), x=0.01, ha="left", fontsize=13, weight="bold")
        lines = figure.subfigures(len(rows), 1, height_ratios=heights, squeeze=False)[:, 0]
        found = []
        for line, row in zip(lines, rows, strict=True):
            parts = line.subfigures(1, len(row), squeeze=False)[0]
            found += [panel(part, canvas.COLUMNS // len(row)) for part, panel in zip(parts, row, strict=True)]
        figure.draw_without_rendering()  # finds where everything stands
        figure.set_layout_engine("none")  # and keeps that: found again from there it would be a little elsewhere
        return figure, found


def _check(kind: str, shown: Exhibit) -> None:
    if kind not in KINDS:
        raise ValueError(f"what={kind!r}: it must be one of {', '.join(KINDS)}")
    if kind == "qq":
        quantiles.check(shown)
    elif kind == "heat_map":
        matrices.check(shown)
    elif kind == "singular_values":
        spectra.check(shown)
    elif kind == "variance" and shown.initializer is None:
        raise ValueError(f"variance: nobody knows what made {shown.title}; it must be an initializer, or a file with a recipe")


def _panel(kind: str, shown: Exhibit, alone: bool = True) -> Panel:
    if kind == "histogram":
        return lambda figure, columns: densities.draw(figure, shown, columns)
    if kind == "qq":
        return lambda figure, columns: quantiles.draw(figure, shown, columns)
    if kind == "heat_map":
        return lambda figure, columns: matrices.draw(figure, shown, columns, corner=alone)
    if kind == "singular_values":
        return lambda figure, columns: spectra.draw(figure, shown, columns)
    made = shown.initializer
    signals = {NAMES[activation]: propagate(made, activation) for activation in ACTIVATIONS}
    return lambda figure, columns: depths.draw(figure, signals, called(made) if made and shown.title else "", columns)
