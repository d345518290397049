"""The initializers whose values are tested, each with the law that its documentation promises, stated here once more."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import gpuinit
from gpuinit.battery.laws import Law
from gpuinit.initializers import Initializer
from gpuinit.key import Key

__all__ = ["FAN_SHAPES", "PRESETS", "SUBJECTS", "Subject", "preset"]

Shape = tuple[int, ...]
TRUNCATED_STD = 0.87962566103423978
"""The standard deviation of a standard normal variable conditioned on [-2, 2]."""


@dataclass(frozen=True, slots=True)
class Subject:
    """An initializer and its law.

    Attributes:
        make: make(key, is_complex), the initializer for a real or a complex dtype. law: law(shape), of a real dtype's values.
        shared: whether a complex dtype's parts share the variance, so that the scale of each is divided by sqrt 2.
    """

    name: str
    make: Callable[[Key, bool], Initializer]
    law: Callable[[Shape], Law]
    shared: bool = True

    def part(self, shape: Shape, is_complex: bool) -> Law:
        """The law of a real value, or of each part of a complex one."""
        law = self.law(shape)
        if is_complex and self.shared:
            return Law(law.normal, law.location, law.scale / math.sqrt(2.0), law.lower, law.upper)
        return law


def _uniform(low: float, high: float) -> Subject:
    law = Law(False, 0.0, 1.0, low, high)
    return Subject(
        f"uniform [{low:g}, {high:g})", lambda key, _: gpuinit.RandomUniform(low, high, seed=key), lambda _: law, False
    )


def _normal(mean: float, std: float) -> Subject:
    """Both parts of a complex dtype get the mean."""
    law = Law(True, mean, std)
    both = mean * (1 + 1j)
    return Subject(
        f"normal({mean:g}, {std:g})",
        lambda key, is_complex: gpuinit.RandomNormal(both if is_complex else mean, std, seed=key),
        lambda _: law,
    )


def _truncated(mean: float, std: float, lower: float, upper: float) -> Subject:
    law = Law(True, mean, std, lower, upper)
    name = f"normal({mean:g}, {std:g}) in {lower:g} .. {upper:g} std"
    return Subject(name, lambda key, _: gpuinit.TruncatedNormal(mean, std, key, lower, upper), lambda _: law)


def _fan(shape: Shape, mode: str) -> float:
    """The number that a preset's variance is divided by; a convolution's receptive field counts."""
    field = math.prod(shape[:-2])
    fan_in, fan_out = shape[-2] * field, shape[-1] * field
    return {"in": float(fan_in), "out": float(fan_out), "average": (fan_in + fan_out) / 2}[mode]


def preset(name: str) -> Subject:
    """A preset of variance scaling, by the name of its class."""
    scale, mode = PRESETS[name]

    def law(shape: Shape) -> Law:
        variance = scale / _fan(shape, mode)
        if name.endswith("Uniform"):
            return Law(False, 0.0, math.sqrt(3 * variance), -1.0, 1.0)
        return Law(True, 0.0, math.sqrt(variance) / TRUNCATED_STD, -2.0, 2.0)

    return Subject(name, lambda key, _: getattr(gpuinit, name)(seed=key), law)


PRESETS = {
    "GlorotNormal": (1.0, "average"),
    "GlorotUniform": (1.0, "average"),
    "HeNormal": (2.0, "in"),
    "HeUniform": (2.0, "in"),
    "LecunNormal": (1.0, "in"),
    "LecunUniform": (1.0, "in"),
}
"""Of each preset the scale and the fan in variance = scale / fan."""
FAN_SHAPES: tuple[Shape, ...] = ((512, 128), (128, 512), (3, 3, 64, 32), (5, 32, 96))
"""Shapes whose fans differ from each other and from those without the receptive field."""
SUBJECTS = (
    _uniform(0.0, 1.0),
    _uniform(-3.0, 5.0),
    _normal(0.0, 1.0),
    _normal(1.0, 0.5),
    _truncated(0.0, 1.0, -2.0, 2.0),
    _truncated(0.0, 1.0, -5.0, 5.0),
    _truncated(0.0, 1.0, -1.0, 3.0),
    _truncated(0.0, 1.0, -math.inf, -0.5),
    _truncated(0.0, 1.0, 5.0, 6.0),
    *map(preset, PRESETS),
)
