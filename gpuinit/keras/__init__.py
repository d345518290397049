"""gpuinit in Keras 3: Keras' initializer classes with gpuinit's values, on every backend of Keras."""

from gpuinit.keras.drop_in import DropIn
from gpuinit.keras.initializers import (
    STFT,
    Constant,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Identity,
    Initializer,
    LecunNormal,
    LecunUniform,
    Ones,
    Orthogonal,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
    Zeros,
)
from gpuinit.keras.installation import install, uninstall
from gpuinit.keras.registry import deserialize, get, serialize

__all__ = [
    "STFT",
    "Constant",
    "DropIn",
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
    "deserialize",
    "get",
    "install",
    "serialize",
    "uninstall",
]
