"""Variance scaling with JAX's arguments: its modes, its axes, its fans; and the presets over it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import gpuinit
from gpuinit.arguments import at_least, axes, choice
from gpuinit.distributions import Distribution
from gpuinit.jax.keyed import KeyedInitializer
from gpuinit.key import integer
from gpuinit.structures import Constant, Structure

__all__ = [
    "fans",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "kaiming_normal",
    "kaiming_uniform",
    "lecun_normal",
    "lecun_uniform",
    "variance_scaling",
    "xavier_normal",
    "xavier_uniform",
]

Axes = int | Sequence[int]

_MEANS = {
    "fan_in": lambda fan_in, fan_out: fan_in,
    "fan_out": lambda fan_in, fan_out: fan_out,
    "fan_avg": lambda fan_in, fan_out: (fan_in + fan_out) / 2,
    "fan_geo_avg": lambda fan_in, fan_out: (fan_in * fan_out) ** 0.5,
}
_CORE = {"truncated_normal": "truncated_normal", "normal": "untruncated_normal", "uniform": "uniform"}
"""What JAX's distributions are called in gpuinit, and in Keras."""


def variance_scaling(
    scale: float,
    mode: str,
    distribution: str,
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
    dtype: Any = None,
) -> KeyedInitializer:
    """Zero mean and variance s = scale / n, n = fan_in, fan_out, their mean or their geometric mean.

        "truncated_normal"     normal of std sqrt(s) / 0.8796.. cut at +-2 of that std, so that the variance is s; ends closed
        "normal"               normal of std sqrt(s)
        "uniform"              uniform on [-sqrt(3 s), sqrt(3 s))

    Args:
        scale: finite, >= 0; 0 makes zeros.
        mode: "fan_in", "fan_out", "fan_avg" or "fan_geo_avg".
        distribution: one of the three above.
        in_axis, out_axis, batch_axis: an axis or axes of the shape each; the others are the receptive field (see `fans`).
        dtype: the element type of calls that name none; None means JAX's default float.

    Returns:
        An initializer, called as init(key, shape, dtype, out_sharding); see `KeyedInitializer`.

    Raises:
        TypeError, ValueError: an argument is wrong. When called, ValueError: the shape has no fans, or the dtype is not floating
            or complex, or cannot hold the interval.

    In a complex dtype the parts are independent, each of variance s / 2: of "truncated_normal" each part is cut, where JAX cuts
    the modulus; "uniform" is a square, where JAX has a disk. With the default axes the bits are those of gpuinit.VarianceScaling.

    Source: jax.nn.initializers.variance_scaling; Glorot and Bengio (2010), He et al. (2015), LeCun et al. (1998).
    """
    return KeyedInitializer(_Scaling(scale, mode, distribution, in_axis, out_axis, batch_axis), dtype)


def glorot_uniform(in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None) -> KeyedInitializer:
    """`variance_scaling(1, "fan_avg", "uniform")`. Source: Glorot and Bengio (2010), eq. 16."""
    return variance_scaling(1.0, "fan_avg", "uniform", in_axis, out_axis, batch_axis, dtype)


def glorot_normal(in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None) -> KeyedInitializer:
    """`variance_scaling(1, "fan_avg", "truncated_normal")`. Source: Glorot and Bengio (2010), eq. 12."""
    return variance_scaling(1.0, "fan_avg", "truncated_normal", in_axis, out_axis, batch_axis, dtype)


def lecun_uniform(in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None) -> KeyedInitializer:
    """`variance_scaling(1, "fan_in", "uniform")`. Source: LeCun et al. (1998), eq. 16."""
    return variance_scaling(1.0, "fan_in", "uniform", in_axis, out_axis, batch_axis, dtype)


def lecun_normal(in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None) -> KeyedInitializer:
    """`variance_scaling(1, "fan_in", "truncated_normal")`. Source: LeCun et al. (1998), eq. 16."""
    return variance_scaling(1.0, "fan_in", "truncated_normal", in_axis, out_axis, batch_axis, dtype)


def he_uniform(in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None) -> KeyedInitializer:
    """`variance_scaling(2, "fan_in", "uniform")`. Source: He et al. (2015), eq. 10."""
    return variance_scaling(2.0, "fan_in", "uniform", in_axis, out_axis, batch_axis, dtype)


def he_normal(in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None) -> KeyedInitializer:
    """`variance_scaling(2, "fan_in", "truncated_normal")`. Source: He et al. (2015), eq. 10."""
    return variance_scaling(2.0, "fan_in", "truncated_normal", in_axis, out_axis, batch_axis, dtype)


xavier_uniform = glorot_uniform
"""`glorot_uniform` by its other name."""
xavier_normal = glorot_normal
"""`glorot_normal` by its other name."""
kaiming_uniform = he_uniform
"""`he_uniform` by its other name."""
kaiming_normal = he_normal
"""`he_normal` by its other name."""


def fans(shape: tuple[int, ...], in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = ()) -> tuple[float, float]:
    """fan_in and fan_out of a weight tensor as JAX counts them.

        fan_in = size / (out batch),  fan_out = size / (in batch),  with in, out, batch the products over the axes named

    Args:
        shape: the whole tensor's dimensions.
        in_axis, out_axis, batch_axis: an axis, or axes, negative ones counting from the end.

    Returns:
        (fan_in, fan_out) > 0; a dimension of 0 counts as 1.

    Raises:
        ValueError: the shape has fewer than 2 axes, and in_axis is the default.
        numpy.exceptions.AxisError (a ValueError and an IndexError): no such axis.

    Source: jax.nn.initializers, JAX 0.10.
    """
    if isinstance(in_axis, int) and in_axis == -2 and len(shape) <= 1:
        raise ValueError(f"shape={shape} has {len(shape)} axes: in_axis=-2 needs at least 2; give in_axis")
    sizes = tuple(max(1, length) for length in shape)
    inputs, outputs, batch = (
        _product(sizes, axis, name) for axis, name in ((in_axis, "in_axis"), (out_axis, "out_axis"), (batch_axis, "batch_axis"))
    )
    field = math.prod(sizes) / inputs / outputs / batch
    return inputs * field, outputs * field


def _product(sizes: tuple[int, ...], axis: Axes, name: str) -> int:
    given = _tuple(axis, name)
    for each in given:
        if not -len(sizes) <= each < len(sizes):
            raise np.exceptions.AxisError(f"{name}={axis}: a shape of {len(sizes)} axes has no axis {each}")
    return math.prod(sizes[each] for each in given)


def _tuple(axis: Any, name: str) -> tuple[int, ...]:
    return tuple(axes(axis, name) or ()) if hasattr(axis, "__iter__") else (integer(axis, name),)


class _Scaling(gpuinit.Initializer):
    """What `variance_scaling` states, with the key left to the call."""

    def __init__(self, scale: float, mode: str, distribution: str, in_axis: Axes, out_axis: Axes, batch_axis: Axes) -> None:
        self.scale = at_least(0, scale, "scale")
        self.mode = choice(mode, "mode", tuple(_MEANS))
        self.name = choice(distribution, "distribution", tuple(_CORE))
        for axis, argument in ((in_axis, "in_axis"), (out_axis, "out_axis"), (batch_axis, "batch_axis")):
            _tuple(axis, argument)
        self.axes = (in_axis, out_axis, batch_axis)

    def distribution(self, shape: tuple[int, ...]) -> Distribution | Structure:
        variance = self.scale / _MEANS[self.mode](*fans(shape, *self.axes))
        if variance == 0:
            return Constant(0)
        return gpuinit.VarianceScaling(variance, "fan_in", _CORE[self.name]).distribution((1, 1))

    def get_config(self) -> dict[str, Any]:
        names = ("in_axis", "out_axis", "batch_axis")
        return {"scale": self.scale, "mode": self.mode, "distribution": self.name, **dict(zip(names, self.axes, strict=True))}
