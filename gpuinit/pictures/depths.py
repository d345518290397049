"""The picture that tells which initializer goes with an activation: signal and gradient through the layers of a deep stack."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from gpuinit.pictures import canvas
from gpuinit.pictures.propagation import Signal

__all__ = ["PRESETS", "draw"]

PRESETS = ("he_normal", "he_uniform", "glorot_normal", "glorot_uniform", "lecun_normal", "lecun_uniform", "random_normal")
"""What is compared unless others are named; random_normal has its default standard deviation, 0.05, whatever the width."""

_FAMILIES = {"he": "line", "glorot": "orange", "lecun": "green", "random": "law", "orthogonal": "purple"}
_LEAST = 1e-300
_APART = 0.07
"""Between labels, as a share of the axes' height."""
_KEPT = 1000.0
"""A signal is called kept if it changes by less than this factor from the first layer to the last, and its gradient too."""


def draw(figure: Any, signals: Mapping[str, Signal], subject: str, columns: int = canvas.COLUMNS) -> str:
    """Draw signals, by their names, into a figure or a part of one so many characters wide; what was found, in words."""
    forward, backward = figure.subplots(1, 2, sharey=True)
    first = next(iter(signals.values()))
    depth = len(first.forward)
    layers = np.arange(1, depth + 1)
    _lines(forward, layers, {name: signal.forward for name, signal in signals.items()})
    _lines(backward, layers, {name: signal.backward for name, signal in signals.items()})
    forward.set_ylabel("mean square (1 = that of the input)")
    forward.set_title("the signal, forward")
    backward.set_title("its gradient, backward from the loss")
    forward.set_xlabel("layer")
    backward.set_xlabel("layer, from the last to the first")
    backward.invert_xaxis()
    _limits(forward, signals)
    for axes, values in ((forward, "forward"), (backward, "backward")):
        _labels(axes, {name: getattr(signal, values)[-1 if axes is forward else 0] for name, signal in signals.items()})
    found = ", ".join(f"{label} {_ratio(signal.forward):.2g}" for label, signal in signals.items())
    canvas.headed(
        figure,
        subject,
        _heading(signals),
        f"{depth} dense layers of width {first.width}, standard normal inputs, before any training. "
        f"Kept: changed less than {_KEPT:g}-fold, forward and backward.{_legend(signals)}",
        columns,
    )
    return f"mean square at layer {depth} over that at layer 1: {found}"


def _legend(signals: Mapping[str, Signal]) -> str:
    """What colours and strokes cannot say by themselves."""
    uniform = " Solid: normal; dashed: uniform." if any(name.endswith("_uniform") for name in signals) else ""
    return uniform + (" On square layers glorot_* and lecun_* coincide." if {*PRESETS} <= {*signals} else "")


def _heading(signals: Mapping[str, Signal]) -> str:
    """Whose signal is kept, by the names."""
    kept = [name for name, s in signals.items() if all(1 / _KEPT < _ratio(x) < _KEPT for x in (s.forward, s.backward[::-1]))]
    if not kept:
        return "the signal is lost or explodes"
    names: list[str] = []
    for family, members in _families(signals).items():
        names += [family] if set(members) <= set(kept) else [name for name in members if name in kept]
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{listed} {'keeps' if len(kept) == 1 else 'keep'} the signal"


def _families(names: Iterable[str]) -> dict[str, list[str]]:
    """Names by what they are called together: he_normal and he_uniform are he_*, where both are there."""
    every = list(names)
    found: dict[str, list[str]] = {}
    for name in every:
        family = name.rpartition("_")[0]
        pair = [f"{family}_normal", f"{family}_uniform"]
        found.setdefault(f"{family}_*" if set(pair) <= set(every) else name, []).append(name)
    return found


def _ratio(values: Any) -> float:
    return float(values[-1] / values[0]) if values[0] else math.nan


def _look(name: str, number: int) -> dict[str, Any]:
    """The colour of a family, and a dashed line for a uniform distribution."""
    shade = _FAMILIES.get(name.partition("_")[0].lower())
    colour = canvas.COLOURS[shade] if shade else list(canvas.COLOURS.values())[1:][number % 6]
    wide = 4.0 if name.startswith("glorot") else 1.6  # lecun's lines lie on them
    return {"color": colour, "linewidth": wide, "linestyle": (0, (4, 2)) if name.endswith("uniform") else "-"}


def _lines(axes: Any, layers: Any, values: Mapping[str, Any]) -> None:
    axes.set_yscale("log")
    for number, (name, each) in enumerate(values.items()):
        shown = np.where(np.isfinite(each) & (each > _LEAST), each, np.nan)
        axes.plot(layers, shown, label=name, **_look(name, number))
    axes.set_xlim(1, max(2, len(layers)))
    canvas.plain(axes)


def _limits(axes: Any, signals: Mapping[str, Signal]) -> None:
    """Both axes' range: all that is finite, and a decade at least on either side of 1."""
    every = np.concatenate([part for signal in signals.values() for part in (signal.forward, signal.backward)])
    every = every[np.isfinite(every) & (every > _LEAST)]
    low, high = min(0.1, float(every.min(initial=1.0))), max(10.0, float(every.max(initial=1.0)))
    room = (high / low) ** 0.04
    axes.set_ylim(low / room, high * room)


def _labels(axes: Any, ends: Mapping[str, float]) -> None:
    """A name at the end of each line, in its colour, moved up or down where two would lie upon each other."""
    low, high = (math.log(end) for end in axes.get_ylim())
    heights = {name: (math.log(end) - low) / (high - low) for name, end in ends.items() if math.isfinite(end) and end > _LEAST}
    numbers = {name: number for number, name in enumerate(ends)}
    shown: list[tuple[float, str, str]] = []
    for family, members in _families(heights).items():
        places = [heights[name] for name in members]
        if max(places) - min(places) < 2 * _APART:
            shown.append((sum(places) / len(places), family, members[0]))
        else:
            shown += [(heights[name], name, name) for name in members]
    shown.sort()
    for (_, text, name), place in zip(shown, _parted([height for height, _, _ in shown]), strict=True):
        colour = _look(name, numbers[name])["color"]
        axes.text(1.02, place, text, transform=axes.transAxes, va="center", fontsize=9, color=colour)


def _parted(heights: Sequence[float]) -> list[float]:
    """Ascending heights moved as little as need be for all to be _APART: groups that would touch are spread about their mean."""
    groups: list[list[float]] = []  # each: its heights' mean and its size
    for height in heights:
        groups.append([height, 1.0])
        while len(groups) > 1 and groups[-1][0] - groups[-2][0] < _APART * (groups[-1][1] + groups[-2][1]) / 2:
            (one, few), (other, more) = groups.pop(), groups.pop()
            groups.append([(one * few + other * more) / (few + more), few + more])
    return [mean + _APART * (place - (count - 1) / 2) for mean, count in groups for place in range(int(count))]
