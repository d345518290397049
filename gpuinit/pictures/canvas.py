"""How pictures look: sizes, colours that the colour-blind tell apart, titles, and the bytes that a figure becomes.

matplotlib is loaded when the first picture is drawn, without pyplot: no window, no backend and no setting of the user's changes.
Colours: Okabe and Ito (2008), "Color universal design".
"""

from __future__ import annotations

import contextlib
import io
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

__all__ = [
    "COLOURS",
    "COLUMNS",
    "DPI",
    "GREY",
    "MARK",
    "WIDTH",
    "blank",
    "counted",
    "ended",
    "formats",
    "headed",
    "noted",
    "plain",
    "rendered",
    "style",
]

WIDTH, DPI = 8.0, 100
"""Of every picture: inches and dots an inch, 800 pixels."""

COLUMNS = 124
"""Characters of a note that fit the width."""

COLOURS = {
    **{"data": "#56B4E9", "line": "#0072B2", "law": "#D55E00", "green": "#009E73"},
    **{"orange": "#E69F00", "purple": "#CC79A7", "black": "#000000"},
}
"""Okabe and Ito's, by their use here."""

GREY, MARK = "#666666", "#333333"
"""What is said beside the data, and where something is marked."""

_SETTINGS: Mapping[str, Any] = {
    **{"font.size": 9.0, "axes.titlesize": 9.5, "axes.labelsize": 9.0, "xtick.labelsize": 8.5, "ytick.labelsize": 8.5},
    **{"axes.spines.top": False, "axes.spines.right": False, "axes.titlelocation": "left", "axes.formatter.limits": (-3, 4)},
    **{"axes.formatter.useoffset": False, "svg.hashsalt": "gpuinit", "figure.dpi": DPI},
}
_UNDATED: Mapping[str, Mapping[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
}


def formats() -> tuple[str, ...]:
    """What a figure can be written as."""
    return tuple(_UNDATED)


@contextlib.contextmanager
def style() -> Iterator[None]:
    """While the block runs, matplotlib's settings are its own defaults with ours; then what they were.

    Raises:
        ImportError: matplotlib is not installed, or broken; the message says what would install it.
    """
    try:
        import matplotlib.figure
        import matplotlib.style
    except ImportError as error:
        raise ImportError(f"pictures need matplotlib: pip install 'gpuinit[plots]' ({error})") from error
    with matplotlib.style.context(["default", dict(_SETTINGS)]):
        yield


def blank(height: float) -> Any:
    """An empty figure of the usual width, `height` inches high; within `style`."""
    import matplotlib.figure

    return matplotlib.figure.Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained", facecolor="white")


def headed(figure: Any, subject: str, message: str, note: str = "", columns: int = COLUMNS) -> None:
    """Put over a figure, or a part of one that is so many characters wide, what to see in it, and under it how it was made."""
    title = f"{subject}: {message}" if subject else message[:1].upper() + message[1:]
    figure.suptitle(textwrap.fill(title, int(0.66 * columns)), x=0.01, ha="left", weight="bold", fontsize=10.5)
    if note:
        figure.supxlabel(textwrap.fill(note, columns), x=0.01, ha="left", fontsize=8.5, color=GREY)


def counted(count: int, noun: str) -> str:
    """A number of things."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def noted(axes: Any, text: str, place: tuple[float, float] = (0.98, 0.96), **settings: Any) -> None:
    """Write into axes, by default in the upper right corner, on white so that what lies behind does not disturb."""
    settings = {"ha": "right", "va": "top", "fontsize": 8, "color": MARK, **settings}
    settings["bbox"] = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5}
    axes.text(*place, text, transform=axes.transAxes, **settings)


def ended(axes: Any, ends: Iterable[float]) -> None:
    """Mark where something ends along x, each end with its number above the axes."""
    for end in ends:
        axes.axvline(end, color=MARK, linestyle=(0, (4, 3)), linewidth=1)
        place = {"xycoords": ("data", "axes fraction"), "xytext": (0, 2), "textcoords": "offset points"}
        axes.annotate(f"{end:.4g}", (end, 1.0), **place, ha="center", fontsize=8, color=MARK)


def plain(axes: Any, ticks: int = 5) -> None:
    """A light grid behind the data, and few ticks along x."""
    axes.locator_params(axis="x", nbins=ticks)
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)


def rendered(figure: Any, form: str = "png") -> bytes:
    """The bytes of a figure as "png", "svg" or "pdf": without a date, so the same at every run of one release of matplotlib."""
    if form not in _UNDATED:
        raise ValueError(f"form={form!r}: it must be {' or '.join(_UNDATED)}")
    out = io.BytesIO()
    with style():
        figure.savefig(out, format=form, dpi=DPI, metadata=dict(_UNDATED[form]), facecolor="white")
    return out.getvalue()
