"""How many inputs and outputs a unit of a weight tensor has."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from gpuinit.key import integer
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
        input_axes, output_axes: axes of `shape`, negative ones counting from the end, none twice in one argument. When
            both are given, the fans are the products over those axes alone, with no receptive field; one alone is
            ignored, as in Keras.

    Returns:
        (fan_in, fan_out), integers >= 0: a dimension of 0 makes a fan 0.

    Raises:
        TypeError, ValueError: `shape` is not a shape, an axis is named twice in one argument, or a fan is beyond what a
        float holds (shapes with a dimension of 0 alone).
        numpy.exceptions.AxisError (a ValueError and an IndexError): no such axis.

    Source: He et al. (2015), sec. 2.2, for the fans of a convolution; Keras 3.15, `compute_fans`, for the axes.
    """
    dims = checked_shape(shape)
    if input_axes is not None and output_axes is not None:
        fans = _product(dims, input_axes, "input_axes"), _product(dims, output_axes, "output_axes")
    elif len(dims) < 2:
        fans = (math.prod(dims),) * 2
    else:
        field = math.prod(dims[:-2])
        fans = dims[-2] * field, dims[-1] * field
    if max(fans) > sys.float_info.max:
        raise ValueError(f"shape={dims} has a fan beyond what a float holds")  # and no elements, or there would be 2^63
    return fans


def _product(dims: tuple[int, ...], axes: Sequence[int], name: str) -> int:
    given = [integer(axis, f"{name}: axis") for axis in axes]
    for axis in given:
        if not -len(dims) <= axis < len(dims):
            raise np.exceptions.AxisError(f"{name}={given}: shape={dims} has no axis {axis}")
    distinct = {axis % len(dims) for axis in given}
    if len(distinct) < len(given):
        raise ValueError(f"{name}={given} names an axis of shape={dims} twice: each may stand there once")
    return math.prod(dims[axis] for axis in distinct)
