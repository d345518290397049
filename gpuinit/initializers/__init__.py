"""The initializers, and `get`, `serialize` and `deserialize`."""

from gpuinit.initializers.base import Initializer, RandomInitializer
from gpuinit.initializers.constant import Constant, Identity, Ones, Zeros
from gpuinit.initializers.convolution import DeltaOrthogonal, Dirac
from gpuinit.initializers.orthogonal import Orthogonal
from gpuinit.initializers.quantile import QuantileInitializer, quantile
from gpuinit.initializers.random import RandomNormal, RandomUniform, TruncatedNormal
from gpuinit.initializers.sparse import Sparse
from gpuinit.initializers.stft import STFT
from gpuinit.initializers.variance_scaling import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    VarianceScaling,
)

# isort: split
from gpuinit.registry import deserialize, get, serialize

__all__ = [
    "STFT",
    "Constant",
    "DeltaOrthogonal",
    "Dirac",
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
    "QuantileInitializer",
    "RandomInitializer",
    "RandomNormal",
    "RandomUniform",
    "Sparse",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "deserialize",
    "get",
    "quantile",
    "serialize",
]
