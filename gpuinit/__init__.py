"""gpuinit: neural-network weight initialization where a value belongs to an element, not to a thread."""

import importlib
from typing import Any

from gpuinit import exact
from gpuinit.backends import DeviceError, default_device
from gpuinit.backends.threads import get_num_threads, set_num_threads
from gpuinit.dtypes import default_dtype, set_default_dtype
from gpuinit.initializers import (
    STFT,
    Constant,
    DeltaOrthogonal,
    Dirac,
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
    QuantileInitializer,
    RandomInitializer,
    RandomNormal,
    RandomUniform,
    Sparse,
    TruncatedNormal,
    VarianceScaling,
    Zeros,
    deserialize,
    get,
    quantile,
    serialize,
)
from gpuinit.key import Key, SeedGenerator
from gpuinit.measure import OrthogonalityReport, orthogonality
from gpuinit.table import Shard, Table
from gpuinit.tracing.errors import QuantileError
from gpuinit.version import __version__

__all__ = [
    "STFT",
    "Constant",
    "DeltaOrthogonal",
    "DeviceError",
    "Dirac",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "Initializer",
    "Key",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "OrthogonalityReport",
    "QuantileError",
    "QuantileInitializer",
    "RandomInitializer",
    "RandomNormal",
    "RandomUniform",
    "SeedGenerator",
    "Shard",
    "Sparse",
    "Table",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "__version__",
    "default_device",
    "default_dtype",
    "deserialize",
    "exact",
    "get",
    "get_num_threads",
    "orthogonality",
    "quantile",
    "serialize",
    "set_default_dtype",
    "set_num_threads",
]


def __getattr__(name: str) -> Any:
    """`gpuinit.gallery`, loaded when it is first asked for."""
    if name == "gallery":
        return importlib.import_module("gpuinit.gallery")
    raise AttributeError(f"module 'gpuinit' has no attribute {name!r}")
