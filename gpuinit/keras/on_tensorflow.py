"""Keras on TensorFlow: a tensor handed over by DLPack; in a graph, a captured one, or an operation that makes it."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

import gpuinit
from gpuinit.interop import Export
from gpuinit.keras.request import Request

__all__ = ["tensor"]


def tensor(request: Request) -> tf.Tensor:
    """A new tensor on TensorFlow's device.

    In a `tf.function` it is made once, when the function is traced, and captured; where a SeedGenerator's state is known only
    when the graph runs, an operation makes it then, on the CPU.
    """
    state = request.next_state()
    if state is not None and tf.is_symbolic_tensor(state):
        made = tf.numpy_function(request.array, [state], tf.as_dtype(request.dtype))
        made.set_shape(request.output_shape)
        return made
    with tf.init_scope():
        return _eager(request, state)


def _eager(request: Request, state: Any) -> tf.Tensor:
    place = tf.DeviceSpec.from_string(tf.zeros(()).device)
    on_gpu = place.device_type == "GPU" and gpuinit.default_device() != "cpu"
    array: Any = request.array(state, device=f"cuda:{place.device_index}" if on_gpu else "cpu")
    if array.dtype.name in ("float8_e4m3fn", "float8_e5m2"):  # TensorFlow's DLPack does not know them
        return tf.convert_to_tensor(array if isinstance(array, np.ndarray) else array.get())
    made = tf.experimental.dlpack.from_dlpack(Export(array).__dlpack__())
    return tf.identity(made) if place.device_type == "GPU" and not on_gpu else made
