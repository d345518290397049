"""Initializers whose variance depends on the tensor's fans: VarianceScaling and its six presets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from gpuinit import distributions
from gpuinit.arguments import axes, choice, finite
from gpuinit.fans import compute_fans
from gpuinit.initializers.base import RandomInitializer

__all__ = ["GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform", "VarianceScaling"]

_TRUNCATED_STD = 0.87962566103423978
"""The standard deviation of a standard normal conditioned on [-2, 2]: sqrt(1 - 4 phi(2) / (2 Phi(2) - 1))."""


class VarianceScaling(RandomInitializer):
    """Zero mean and variance s = scale / max(1, n), n = fan_in, fan_out or their mean.

        "truncated_normal"     normal of std sqrt(s) / 0.8796.. cut at +-2 of that std, so that the variance is s; ends
        closed
        "untruncated_normal"   normal of std sqrt(s)
        "uniform"              uniform on [-sqrt(3 s), sqrt(3 s))

    Args:
        scale: finite, > 0.
        mode: "fan_in", "fan_out" or "fan_avg".
        distribution: one of the three above, in any case; "normal" means "truncated_normal", as in Keras.
        seed: None, an integer in 0 .. 2^64 - 1, a Key or a SeedGenerator, as in RandomInitializer.
        input_axes, output_axes: the axes whose lengths multiply to fan_in and fan_out, both or none (`gpuinit.fans`).

    Raises:
        TypeError, ValueError: an argument is wrong. When called, ValueError: the dtype is not floating or complex, or
            cannot represent the interval; numpy.exceptions.AxisError (a ValueError): the shape has no such axis.

    The fans are those of the whole logical tensor. In a complex dtype each part has variance s / 2.

    Source: Glorot and Bengio (2010), eq. 16; He et al. (2015), eq. 10; LeCun et al. (1998), eq. 16.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Any = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        self.scale = finite(scale, "scale")
        if self.scale <= 0:
            raise ValueError(f"scale={scale!r}: it must be > 0")
        self.mode = choice(mode, "mode", ("fan_in", "fan_out", "fan_avg"))
        name = distribution.lower() if isinstance(distribution, str) else distribution
        name = "truncated_normal" if name == "normal" else name
        self.distribution_name = choice(name, "distribution", ("truncated_normal", "untruncated_normal", "uniform"))
        self.input_axes = axes(input_axes, "input_axes")
        self.output_axes = axes(output_axes, "output_axes")
        super().__init__(seed)

    def distribution(self, shape: tuple[int, ...]) -> distributions.Distribution:
        fan_in, fan_out = compute_fans(shape, self.input_axes, self.output_axes)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        if self.distribution_name == "uniform":
            limit = math.sqrt(3.0 * variance)
            return distributions.Uniform(-limit, limit, shared_variance=True)
        if self.distribution_name == "untruncated_normal":
            return distributions.Normal(0.0, math.sqrt(variance))
        return distributions.TruncatedNormal(0.0, math.sqrt(variance) / _TRUNCATED_STD)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "scale": self.scale,
            "mode": self.mode,
            "distribution": self.distribution_name,
            "input_axes": self.input_axes,
            "output_axes": self.output_axes,
        }


class _Preset(VarianceScaling):
    """VarianceScaling with a fixed scale, mode and distribution; `seed`, `input_axes` and `output_axes` as there."""

    preset: ClassVar[tuple[float, str, str]]

    def __init__(
        self, seed: Any = None, input_axes: Sequence[int] | None = None, output_axes: Sequence[int] | None = None
    ) -> None:
        super().__init__(*self.preset, seed, input_axes, output_axes)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {name: config[name] for name in ("seed", "input_axes", "output_axes")}


class GlorotNormal(_Preset):
    """Truncated normal of variance 2 / (fan_in + fan_out) (Glorot and Bengio, 2010, eq. 12); "Xavier normal"."""

    preset = (1.0, "fan_avg", "truncated_normal")


class GlorotUniform(_Preset):
    """Uniform on [-sqrt(6 / (fan_in + fan_out)), that) (Glorot and Bengio, 2010, eq. 16); "Xavier uniform"."""

    preset = (1.0, "fan_avg", "uniform")


class HeNormal(_Preset):
    """Truncated normal of variance 2 / fan_in, for ReLU (He et al., 2015, eq. 10); "Kaiming normal"."""

    preset = (2.0, "fan_in", "truncated_normal")


class HeUniform(_Preset):
    """Uniform on [-sqrt(6 / fan_in), that), for ReLU (He et al., 2015, eq. 10); "Kaiming uniform"."""

    preset = (2.0, "fan_in", "uniform")


class LecunNormal(_Preset):
    """Truncated normal of variance 1 / fan_in, for SELU (LeCun et al., 1998, eq. 16; Klambauer et al., 2017)."""

    preset = (1.0, "fan_in", "truncated_normal")


class LecunUniform(_Preset):
    """Uniform on [-sqrt(3 / fan_in), that) (LeCun et al., 1998, eq. 16)."""

    preset = (1.0, "fan_in", "uniform")
