"""Initializers that draw nothing: one value everywhere, an array, or the identity matrix."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuinit import arrays, structures
from gpuinit.arguments import choice, finite
from gpuinit.initializers.base import Initializer

__all__ = ["Constant", "Identity", "Ones", "Zeros"]


class Zeros(Initializer):
    """Every element is 0, in any dtype."""

    def distribution(self, shape: tuple[int, ...]) -> structures.Constant:
        return structures.Constant(0)


class Ones(Initializer):
    """Every element is 1 (True in bool), in any dtype."""

    def distribution(self, shape: tuple[int, ...]) -> structures.Constant:
        return structures.Constant(1)


class Constant(Initializer):
    """Every element is `value`, or the tensor is the array `value` broadcast to its shape.

    Args:
        value: a number, infinities and nan included, or an array, list or any framework's tensor of numbers (copied).

    Raises:
        TypeError: `value` is not made of numbers. When called, ValueError: it does not broadcast to the shape, or the
            dtype cannot hold it (complex in a real dtype, nan or out of range in an integer one, a finite value that
            would become infinite).

    Values are rounded once, to nearest even; into an integer dtype toward zero. `value` is kept as a number or a
    read-only array.
    """

    def __init__(self, value: Any = 0.0) -> None:
        if type(value) not in (bool, int, float, complex):
            value = arrays.to_numpy(value, "value")
            value = value if value.ndim else value.item()
        self.value = value

    def distribution(self, shape: tuple[int, ...]) -> structures.Constant:
        if isinstance(self.value, np.ndarray):
            _check_broadcast(self.value.shape, shape)
        return structures.Constant(self.value)

    def get_config(self) -> dict[str, Any]:
        return {"value": arrays.encode(self.value)}


class Identity(Initializer):
    """`gain` times the identity matrix: a diagonal of min(rows, columns) elements, zero elsewhere.

    Args:
        gain: finite real number.
        placement: where the identity lies in a matrix that is not square: "center", moved along the longer axis by half
            the difference (rounded down), or "corner", at the top left as in Keras.

    Raises:
        TypeError, ValueError: an argument is wrong. When called, ValueError: the shape is not 2-D.
    """

    def __init__(self, gain: float = 1.0, placement: str = "center") -> None:
        self.gain = finite(gain, "gain")
        self.placement = choice(placement, "placement", ("center", "corner"))

    def distribution(self, shape: tuple[int, ...]) -> structures.Diagonal:
        if len(shape) != 2:
            raise ValueError(f"shape={shape} has {len(shape)} axes: Identity makes matrices, which have 2")
        if self.placement == "corner":
            return structures.Diagonal(self.gain, 0, 0)
        length = min(shape)
        return structures.Diagonal(self.gain, (shape[0] - length) // 2, (shape[1] - length) // 2)

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain} if self.placement == "center" else {"gain": self.gain, "placement": self.placement}


def _check_broadcast(given: tuple[int, ...], shape: tuple[int, ...]) -> None:
    tail = shape[len(shape) - len(given) :] if len(given) <= len(shape) else None
    if tail is None or any(n not in (1, wanted) for n, wanted in zip(given, tail, strict=True)):
        raise ValueError(f"value has shape {given}, which does not broadcast to shape={shape}")
