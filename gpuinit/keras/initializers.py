"""Keras' initializer classes, each a subclass of Keras' own of the same name, with gpuinit's values.

Arguments, defaults and attributes are Keras'. What a call returns says `gpuinit.keras.DropIn`; laws and sources are those of the
core's classes of the same names.
"""

from __future__ import annotations

import functools
from typing import Any

import keras
import numpy as np

import gpuinit
from gpuinit.keras.drop_in import DropIn, drop_in

__all__ = [
    "STFT",
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
]

Initializer = keras.initializers.Initializer
"""Keras' own base class, which every class here has."""


@drop_in
class Zeros(DropIn, keras.initializers.Zeros):
    """Every element is 0, in any dtype."""

    core = gpuinit.Zeros


@drop_in
class Ones(DropIn, keras.initializers.Ones):
    """Every element is 1 (True in bool), in any dtype."""

    core = gpuinit.Ones


@drop_in
class Constant(DropIn, keras.initializers.Constant):
    """Every element is `value`, or the tensor is the array `value` broadcast to its shape, as in `gpuinit.Constant`."""

    core, reads = gpuinit.Constant, ("value",)


@drop_in
class Identity(DropIn, keras.initializers.Identity):
    """`gain` times the identity matrix, at the top left of a matrix that is not square; its config keeps `gain`."""

    core, reads = functools.partial(gpuinit.Identity, placement="corner"), ("gain",)

    def get_config(self) -> dict[str, Any]:
        """The constructor's argument, which Keras' own config lacks."""
        return {"gain": self.gain}


@drop_in
class RandomNormal(DropIn, keras.initializers.RandomNormal):
    """Normal of mean `mean` and standard deviation `stddev`, as in `gpuinit.RandomNormal`."""

    core, reads = gpuinit.RandomNormal, ("mean", "stddev")


@drop_in
class RandomUniform(DropIn, keras.initializers.RandomUniform):
    """Uniform on [minval, maxval), as in `gpuinit.RandomUniform`: maxval is never drawn, in any dtype."""

    core, reads = gpuinit.RandomUniform, ("minval", "maxval")


@drop_in
class TruncatedNormal(DropIn, keras.initializers.TruncatedNormal):
    """Normal(mean, stddev) conditioned on [mean - 2 stddev, mean + 2 stddev], as in `gpuinit.TruncatedNormal`."""

    core, reads = gpuinit.TruncatedNormal, ("mean", "stddev")


@drop_in
class VarianceScaling(DropIn, keras.initializers.VarianceScaling):
    """Zero mean and variance scale / max(1, n), n = fan_in, fan_out or their mean, as in `gpuinit.VarianceScaling`."""

    core, reads = gpuinit.VarianceScaling, ("scale", "mode", "distribution", "input_axes", "output_axes")


@drop_in
class GlorotNormal(VarianceScaling, keras.initializers.GlorotNormal):
    """Truncated normal of variance 2 / (fan_in + fan_out) (Glorot and Bengio, 2010)."""


@drop_in
class GlorotUniform(VarianceScaling, keras.initializers.GlorotUniform):
    """Uniform of variance 2 / (fan_in + fan_out) (Glorot and Bengio, 2010)."""


@drop_in
class HeNormal(VarianceScaling, keras.initializers.HeNormal):
    """Truncated normal of variance 2 / fan_in (He et al., 2015)."""


@drop_in
class HeUniform(VarianceScaling, keras.initializers.HeUniform):
    """Uniform of variance 2 / fan_in (He et al., 2015)."""


@drop_in
class LecunNormal(VarianceScaling, keras.initializers.LecunNormal):
    """Truncated normal of variance 1 / fan_in (LeCun et al., 1998)."""


@drop_in
class LecunUniform(VarianceScaling, keras.initializers.LecunUniform):
    """Uniform of variance 1 / fan_in (LeCun et al., 1998)."""


@drop_in
class Orthogonal(DropIn, keras.initializers.Orthogonal):
    """`gain` times a Haar-distributed orthogonal matrix of prod(shape[:-1]) rows, as in `gpuinit.Orthogonal`."""

    core, reads = gpuinit.Orthogonal, ("gain",)


@drop_in
class STFT(DropIn, keras.initializers.STFT):
    """A convolution kernel of one side of the short-time Fourier transform, as in `gpuinit.STFT`."""

    core, reads = gpuinit.STFT, ("side", "window", "scaling", "periodic")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; an array `window` in the form that `from_config` reads."""
        config = super().get_config()
        named = config["window"] is None or isinstance(config["window"], str)
        window = config["window"] if named else keras.saving.serialize_keras_object(np.asarray(config["window"]))
        return {**config, "window": window}
