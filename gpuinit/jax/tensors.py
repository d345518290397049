"""Tensors before they are made: initializer, shape and dtype, checked once, of which any block is made on any device."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gpuinit
from gpuinit import dtypes
from gpuinit.region import checked_shape
from gpuinit.structures import Constant, Structure

__all__ = ["Block", "Tensor", "canonical_dtype"]

Block = tuple[tuple[int, int], ...]
"""Where a box begins and ends along each axis."""


@dataclass(frozen=True)
class Tensor:
    """What an initializer makes of a shape in a dtype, its last axis put at `column_axis`; it has no key and no elements.

    Attributes:
        asked: the shape that was asked for. shape: that of the tensor, another one for STFT alone.
        dtype: as gpuinit knows it.
        column_axis: where the last axis of what the initializer makes stands, not negative.
        law: the constants of its distribution, or its structure.
    """

    initializer: gpuinit.Initializer
    asked: tuple[int, ...]
    dtype: np.dtype[Any]
    column_axis: int
    law: Any = field(compare=False, repr=False)

    @classmethod
    def of(cls, initializer: gpuinit.Initializer, shape: Any, dtype: Any, column_axis: int = -1) -> Tensor:
        """The tensor; TypeError or ValueError where the initializer refuses the shape or the dtype."""
        dims = checked_shape(shape)
        if column_axis != -1 and not -len(dims) <= column_axis < len(dims):
            raise np.exceptions.AxisError(f"column_axis={column_axis}: shape={dims} has no such axis")
        place = column_axis % len(dims) if dims else 0
        law = initializer.law(_columns_last(dims, place), dtype)
        return cls(initializer, dims, dtype, place, law)

    @property
    def shape(self) -> tuple[int, ...]:
        """Its dimensions."""
        return self._in_place(self.initializer.output_shape(_columns_last(self.asked, self.column_axis)))

    @property
    def random(self) -> bool:
        """Whether it needs a key."""
        return not isinstance(self.law, Structure) or self.law.random

    @property
    def divisible(self) -> bool:
        """Whether a block is made without making the whole."""
        return bool(getattr(self.law, "divisible", True))

    @property
    def scalar(self) -> np.ndarray[Any, Any] | None:
        """The one value, of shape (), that every element has; None where they may differ."""
        if not isinstance(self.law, Constant) or np.ndim(self.law.value) > 0:
            return None
        value: np.ndarray[Any, Any] = self.initializer((), self.dtype, device="cpu")
        return value

    def make(self, key: gpuinit.Key | None, block: Block | None, device: str) -> Any:
        """A block of it, all of it for None, as a C-contiguous array of NumPy or CuPy; its bits are those of the whole."""
        table = gpuinit.Table(_columns_last(self.asked, self.column_axis), self.initializer, self.dtype, seed=key)
        if block is None:
            made = table.make(device)
        else:
            slices = _columns_last(tuple(slice(*ends) for ends in block), self.column_axis)
            made = gpuinit.Shard(table, slices).make(device)
        order = self._in_place(tuple(range(made.ndim)))
        return made if order == tuple(range(made.ndim)) else made.transpose(order).copy()

    def _in_place(self, axes: tuple[Any, ...]) -> tuple[Any, ...]:
        """An entry an axis of the initializer's own tensor, in the order of this one."""
        return (*axes[: self.column_axis], *axes[-1:], *axes[self.column_axis : -1])


def _columns_last(axes: tuple[Any, ...], place: int) -> tuple[Any, ...]:
    """An entry an axis, that of axis `place` moved to the end: the order of the initializer's own tensor."""
    return (*axes[:place], *axes[place + 1 :], *axes[place : place + 1])


def canonical_dtype(dtype: Any) -> np.dtype[Any]:
    """The element type that JAX makes of `dtype`: None is its default float, 64-bit types are halved where x64 is off.

    Raises:
        ValueError: gpuinit makes no such type. As in JAX, a UserWarning says when another type than asked for is made.
    """
    if dtype is None or any(dtype is kind for kind in (bool, int, float, complex)):
        default: np.dtype[Any] = np.dtype(jnp.result_type(float if dtype is None else dtype))
        return default
    wanted = dtypes.canonical(dtype)
    found: np.dtype[Any] = np.dtype(jax.dtypes.canonicalize_dtype(wanted))
    if found != wanted:
        warnings.warn(
            f"dtype={wanted.name}: JAX's 64-bit types are off, {found.name} is made; jax.config.update('jax_enable_x64', True)",
            UserWarning,
            stacklevel=4,
        )
    return found
