"""gpuinit: neural-network weight initialization where a value belongs to an element, not to a thread."""

from gpuinit.backends import DeviceError, default_device
from gpuinit.backends.threads import get_num_threads, set_num_threads
from gpuinit.dtypes import default_dtype, set_default_dtype
from gpuinit.initializers import (
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
    RandomInitializer,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
    Zeros,
    deserialize,
    get,
    serialize,
)
from gpuinit.key import Key, SeedGenerator
from gpuinit.orthogonality import OrthogonalityReport, orthogonality
from gpuinit.version import __version__

__all__ = [
    "STFT",
    "Constant",
    "DeviceError",
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
    "RandomInitializer",
    "RandomNormal",
    "RandomUniform",
    "SeedGenerator",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "__version__",
    "default_device",
    "default_dtype",
    "deserialize",
    "get",
    "get_num_threads",
    "orthogonality",
    "serialize",
    "set_default_dtype",
    "set_num_threads",
]
