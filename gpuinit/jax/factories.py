"""The other initializers of jax.nn.initializers: constants, fixed distributions, orthogonal matrices and kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

import gpuinit
from gpuinit.arguments import at_least
from gpuinit.jax.keyed import KeyedInitializer
from gpuinit.key import integer

__all__ = ["constant", "delta_orthogonal", "normal", "ones", "orthogonal", "truncated_normal", "uniform", "zeros"]

zeros = KeyedInitializer(gpuinit.Zeros())
"""`zeros(key, shape, dtype)`: every element is 0; the key is not looked at."""
ones = KeyedInitializer(gpuinit.Ones())
"""`ones(key, shape, dtype)`: every element is 1; the key is not looked at."""


def constant(value: Any, dtype: Any = None) -> KeyedInitializer:
    """Every element is `value`, or the tensor is the array `value` broadcast to its shape; the key is not looked at.

    Args:
        value: a number or an array of numbers.
        dtype: the element type of calls that name none; None means JAX's default float.

    Raises:
        TypeError: `value` is not made of numbers. When called, ValueError: it does not broadcast, or the dtype cannot hold it.
    """
    return KeyedInitializer(gpuinit.Constant(value), dtype)


def uniform(scale: float = 1e-2, dtype: Any = None) -> KeyedInitializer:
    """Uniform on [0, scale); bit-equal to gpuinit.RandomUniform(0, scale).

    Args:
        scale: finite, >= 0; 0 makes zeros.
        dtype: the element type of calls that name none; None means JAX's default float.

    Raises:
        TypeError, ValueError: `scale` is wrong. When called, ValueError: the dtype is not floating or complex.

    `scale` is never drawn, in any dtype. In a complex dtype, which JAX refuses, each part is uniform on the interval.
    """
    return KeyedInitializer(gpuinit.RandomUniform(0.0, at_least(0, scale, "scale")), dtype)


def normal(stddev: float = 1e-2, dtype: Any = None) -> KeyedInitializer:
    """Normal with mean 0; bit-equal to gpuinit.RandomNormal(0, stddev).

    Args:
        stddev: finite, >= 0; 0 makes zeros.
        dtype: the element type of calls that name none; None means JAX's default float.

    Raises:
        TypeError, ValueError: `stddev` is wrong. When called, ValueError: the dtype is not floating or complex.

    In a complex dtype each part has std stddev / sqrt 2, as in JAX.
    """
    return KeyedInitializer(gpuinit.RandomNormal(0.0, stddev), dtype)


def truncated_normal(stddev: float = 1e-2, dtype: Any = None, lower: float = -2.0, upper: float = 2.0) -> KeyedInitializer:
    """Normal(0, stddev) conditioned on [lower stddev, upper stddev]; bit-equal to gpuinit.TruncatedNormal(0, stddev).

    Args:
        stddev: finite, >= 0: the standard deviation before truncation (at +-2 the values' own is 0.8796 of it).
        dtype: the element type of calls that name none; None means JAX's default float.
        lower, upper: the interval's ends in standard deviations, lower <= upper, -inf and inf included.

    Raises:
        TypeError, ValueError: an argument is wrong. When called, ValueError: the dtype is not floating or complex.

    In a complex dtype, which JAX refuses, each part is truncated at its own stddev / sqrt 2.
    """
    return KeyedInitializer(gpuinit.TruncatedNormal(0.0, stddev, lower=lower, upper=upper), dtype)


def orthogonal(scale: float = 1.0, column_axis: int = -1, dtype: Any = None) -> KeyedInitializer:
    """`scale` times a Haar-distributed matrix of shape[column_axis] columns, its rows the other axes; gpuinit.Orthogonal(scale).

    Args:
        scale: finite real number.
        column_axis: the axis of the columns, negative ones counting from the end.
        dtype: the element type of calls that name none; None means JAX's default float.

    Raises:
        TypeError, ValueError: an argument is wrong. When called, ValueError: the shape has fewer than 2 axes, the dtype is not
            floating or complex, or cannot hold +-scale.
        numpy.exceptions.AxisError (a ValueError and an IndexError): the shape has no such axis.

    Columns are orthonormal where there are at least as many rows, else the rows. It is a product of reflectors drawn from the
    key, not JAX's QR; the law is the same. `out_sharding`, which JAX does not implement, works: the whole is made and cut.
    """
    return KeyedInitializer(gpuinit.Orthogonal(scale), dtype, integer(column_axis, "column_axis"))


def delta_orthogonal(scale: float = 1.0, column_axis: int = -1, dtype: Any = None) -> KeyedInitializer:
    """A convolution kernel whose middle tap is `scale` times a matrix with orthonormal rows; gpuinit.DeltaOrthogonal(scale).

    Args:
        scale: finite real number.
        column_axis: an axis of the matrix (in, out): -2, -1, 0 or 1. The law is the same for each, and so are the bits.
        dtype: the element type of calls that name none; None means JAX's default float.

    Raises:
        TypeError, ValueError: an argument is wrong. When called, ValueError: the shape has not 3 to 5 axes, (sizes.., in, out),
            or in > out, or the dtype is not floating or complex.

    Source: Xiao et al. (2018); jax.nn.initializers.delta_orthogonal.
    """
    if not -2 <= integer(column_axis, "column_axis") < 2:
        raise np.exceptions.AxisError(f"column_axis={column_axis}: the matrix has 2 axes, and no such one")
    return KeyedInitializer(_DeltaOrthogonal(scale), dtype)


class _DeltaOrthogonal(gpuinit.DeltaOrthogonal):
    """The shapes that JAX takes."""

    def distribution(self, shape: tuple[int, ...]) -> Any:
        if not 3 <= len(shape) <= 5:
            raise ValueError(f"shape={shape} has {len(shape)} axes: delta_orthogonal needs 3, 4 or 5, (spatial sizes.., in, out)")
        return super().distribution(shape)
