"""Keras' initializer classes once each, with arguments that are not the defaults; tensors of Keras' backend as arrays."""

from __future__ import annotations

import contextlib
import os
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import gpuinit
import gpuinit.keras as ours
from gpuinit import dtypes
from gpuinit.backends import dlpack

BACKEND = keras.backend.backend()


class Row(NamedTuple):
    """One class: arguments, those that the core's class of that name takes instead, the keys of its config in Keras' order."""

    name: str
    arguments: dict[str, Any]
    keys: str
    shape: tuple[int, ...] = (12, 9)
    core: dict[str, Any] | None = None

    @property
    def random(self) -> bool:
        return "seed" in self.arguments

    @property
    def without_axes(self) -> Row:
        """The row whose fans are found from the shape."""
        return self._replace(arguments={name: value for name, value in self.arguments.items() if not name.endswith("_axes")})

    def make(self, **more: Any) -> Any:
        """Ours."""
        return getattr(ours, self.name)(**{**self.arguments, **more})

    def theirs(self, **more: Any) -> Any:
        """Keras' own."""
        return getattr(keras.initializers, self.name)(**{**self.arguments, **more})

    def expected(self, dtype: Any = "float32", shape: tuple[int, ...] | None = None, **more: Any) -> np.ndarray[Any, Any]:
        """What the core makes."""
        core = getattr(gpuinit, self.name)(**{**self.arguments, **(self.core or {}), **more})
        made: np.ndarray[Any, Any] = core(self.shape if shape is None else shape, dtype, device="cpu")
        return made


AXES = {"input_axes": [1], "output_axes": [0]}
PRESETS = ("GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform")
TABLE = [
    Row("Zeros", {}, ""),
    Row("Ones", {}, ""),
    Row("Constant", {"value": 3.0}, "value"),
    Row("Identity", {"gain": 2.0}, "", core={"placement": "corner"}),
    Row(
        "STFT",
        {"side": "imag", "window": "hamming", "scaling": "spectrum", "periodic": True},
        "side window periodic scaling",
        (12, 3, 9),
    ),
    Row("RandomNormal", {"mean": 1.0, "stddev": 0.5, "seed": 1}, "seed mean stddev"),
    Row("RandomUniform", {"minval": -1.0, "maxval": 3.0, "seed": 2}, "seed minval maxval"),
    Row("TruncatedNormal", {"mean": -1.0, "stddev": 0.5, "seed": 3}, "seed mean stddev"),
    Row(
        "VarianceScaling",
        {"scale": 3.0, "mode": "fan_out", "distribution": "untruncated_normal", "seed": 4},
        "seed scale mode distribution input_axes output_axes",
    ),
    *(Row(name, {"seed": seed, **AXES}, "seed input_axes output_axes") for seed, name in enumerate(PRESETS, 5)),
    Row("Orthogonal", {"gain": 0.5, "seed": 11}, "seed gain"),
]
RANDOM = [row for row in TABLE if row.random]
FLOATS = ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float32", "float64", "complex64", "complex128"]
INTEGERS = ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
SUBSTITUTES = {
    "torch": {"uint16": "int32", "uint32": "int64"},
    "jax": {"float64": "float32", "complex128": "complex64", "int64": "int32", "uint64": "uint32"},
}
"""Dtypes for which Keras' own initializers give another one on a backend: there is none of that name, or it is switched off."""


def name_of(row: Row) -> str:
    return row.name


def snake_name(row: Row) -> str:
    """The name such as "he_normal" that `keras.initializers` offers a class under."""
    theirs = getattr(keras.initializers, row.name)
    return next(name for name, value in vars(keras.initializers).items() if value is theirs and name.islower())


def dtype_here(dtype: str) -> str:
    """The dtype of the tensor that Keras' backend gives for a dtype."""
    return SUBSTITUTES.get(BACKEND, {}).get(dtype, dtype)


def array(tensor: Any) -> np.ndarray[Any, Any]:
    """A tensor's elements, every bit of them, in any dtype."""
    if isinstance(tensor, keras.Variable):
        tensor = tensor.value
    if BACKEND == "tensorflow":
        return np.asarray(tensor.numpy())
    if BACKEND != "torch":
        return np.asarray(tensor)
    tensor = tensor.detach()
    return dlpack.borrowed(
        tensor.data_ptr(),
        tuple(tensor.shape),
        tuple(step * tensor.element_size() for step in tensor.stride()),
        dtypes.canonical(tensor.dtype),
        tensor,
    )


def address(tensor: Any) -> int:
    """Where a tensor's first element lies."""
    if BACKEND == "torch":
        return int(tensor.data_ptr())
    if BACKEND == "jax":
        return int(tensor.unsafe_buffer_pointer())
    if BACKEND == "numpy":
        return int(tensor.ctypes.data)
    import tensorflow as tf

    return dlpack.describe(tf.experimental.dlpack.to_dlpack(tensor), "tensor").address


def is_backends(tensor: Any) -> bool:
    """Whether it is a tensor of Keras' backend."""
    return bool(keras.ops.is_tensor(tensor))


@contextlib.contextmanager
def floatx(name: str) -> Any:
    """Keras' default dtype, for a while."""
    before = keras.config.floatx()
    keras.config.set_floatx(name)
    try:
        yield
    finally:
        keras.config.set_floatx(before)
