"""How many inputs and outputs a unit of a weight tensor has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gpuinit.region import checked_shape

__all__ = ["compute_fans"]


def compute_fans(
    shape: Any, input_axes: Sequence[int] | None = None, output_axes: Sequence[int] | None = None
) -> tuple[int, int]:
    """fan_in and fan_out of a weight tensor.

        ()  ->  (1, 1)        (n,)  ->  (n, n)        (a, b)  ->  (a, b)
        (r1, .., rm, a, b)  ->  (a R, b R)  with the receptive field R = r1 .. rm (a convolution kernel)

    Args:
        shape: the whole logical tensor's dimensions, integers >= 0; never those of a shard.
        input_axes, output_axes: axes of `shape`, negative ones counting from the end. When both are given, the fans are
            the products over those axes alone, with no receptive field; one alone is ignored, as in Keras.

    Returns:
        (fan_in, fan_out), integers >= 0: a dimension of 0 makes a fan 0.

    Raises:
        TypeError, ValueError: `shape` is not a shape. numpy.exceptions.AxisError (a ValueError and an IndexError): no
        such axis.

    Source: He et al. (2015), sec. 2.2, for the fans of a convolution; Keras 3.15, `compute_fans`, for the axes.
    """
    dims = checked_shape(shape)
    if input_axes is not None and output_axes is not None:
        return _product(dims, input_axes, "input_axes"), _product(dims, output_axes, "output_axes")
    if len(dims) < 2:
        fan = math.prod(dims)
        return fan, fan
    field = math.prod(dims[:-2])
    return dims[-2] * field, dims[-1] * field


def _product(dims: tuple[int, ...], axes: Sequence[int], name: str) -> int:
    for axis in axes:
        if not -len(dims) <= axis < len(dims):
            raise np.exceptions.AxisError(f"{name}={list(axes)}: shape={dims} has no axis {axis}")
    return math.prod(dims[axis] for axis in axes)
