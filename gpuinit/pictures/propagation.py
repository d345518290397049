"""How strong the signal and its gradient are at each layer of a deep stack of dense layers, before any training.

A layer is y = x W, x the activation f of the y before it. For square layers of independent weights of variance v = c / width and
mean 0, the mean square of y follows E y'^2 = c E f(y)^2 (He et al., 2015, eq. 7): with ReLU it is c / 2 times what it was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuinit import registry
from gpuinit.initializers import Initializer, RandomNormal
from gpuinit.key import Key, integer
from gpuinit.table import Table

__all__ = ["ACTIVATIONS", "NAMES", "Signal", "propagate"]

Array = np.ndarray[Any, Any]
Function = Callable[[Array], Array]

_ALONE = 2**18
"""Multiplications up to which OpenBLAS, which NumPy's wheels have, uses one thread."""

_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772

ACTIVATIONS: dict[str, tuple[Function, Function]] = {
    "relu": (lambda y: np.maximum(y, 0.0), lambda y: (y > 0).astype(np.float64)),
    "tanh": (np.tanh, lambda y: 1 - np.tanh(y) ** 2),
    "selu": (
        lambda y: _SELU_SCALE * np.where(y > 0, y, _SELU_ALPHA * np.expm1(np.minimum(y, 0.0))),
        lambda y: _SELU_SCALE * np.where(y > 0, 1.0, _SELU_ALPHA * np.exp(np.minimum(y, 0.0))),
    ),
}
"""Functions by name, each with its derivative; SELU's constants are Klambauer et al.'s (2017)."""


NAMES = {"relu": "ReLU", "tanh": "tanh", "selu": "SELU"}
"""How they are written."""


@dataclass(frozen=True)
class Signal:
    """Mean squares at layers 1 .. depth over inputs and the `width` units: of y, and of the gradient with respect to y.

    The inputs are standard normal, and so is the gradient at the last layer.
    """

    forward: Array
    backward: Array
    width: int


def propagate(
    init: Any, activation: str = "relu", *, depth: int = 50, width: int = 256, inputs: int = 64, seed: int | Key = 0
) -> Signal:
    """Send standard normal inputs through a stack of dense layers and a standard normal gradient back, in double precision.

    Args:
        init: what makes the weights of each layer: an initializer's name, class, config or instance.
        activation: "relu", "tanh" or "selu".
        depth, width, inputs: layers, units of each, inputs; integers >= 1.
        seed: an integer in 0 .. 2^64 - 1 or a Key; layer n draws from it with n folded in, whatever seed `init` has.

    Returns:
        A Signal; what overflows is inf or nan.

    Raises:
        TypeError, ValueError: an argument is wrong, or the initializer cannot make a matrix of width x width.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation={activation!r}: it must be {' or '.join(ACTIVATIONS)}")
    for name, value in (("depth", depth), ("width", width), ("inputs", inputs)):
        if integer(value, name) < 1:
            raise ValueError(f"{name}={value}: it must be an integer >= 1")
    initializer = registry.get(init)
    if not isinstance(initializer, Initializer):
        raise TypeError(f"init={init!r} must be an initializer's name, class, instance or config")
    key = seed if isinstance(seed, Key) else Key(seed)
    function, derivative = ACTIVATIONS[activation]
    with np.errstate(over="ignore", invalid="ignore"):
        weights = [_weights(initializer, width, key.fold_in(number)) for number in range(1, depth + 1)]
        y = RandomNormal(0.0, 1.0, seed=key.fold_in("inputs"))((inputs, width), "float32").astype(np.float64)
        y = _product(y, weights[0])
        layers = [y]
        for matrix in weights[1:]:
            y = _product(function(y), matrix)
            layers.append(y)
        gradient = RandomNormal(0.0, 1.0, seed=key.fold_in("gradient"))((inputs, width), "float32").astype(np.float64)
        gradients = [gradient]
        for matrix, y in zip(reversed(weights[1:]), reversed(layers[:-1]), strict=True):
            gradient = _product(gradient, matrix.T) * derivative(y)
            gradients.append(gradient)
        return Signal(_mean_squares(layers), _mean_squares(reversed(gradients)), width)


def _weights(initializer: Initializer, width: int, key: Key) -> Array:
    made = Table((width, width), initializer, "float32", seed=key).make("cpu")
    if made.shape != (width, width):
        raise ValueError(f"init={initializer!r} makes a tensor of shape {made.shape}, and a layer needs {width} x {width}")
    return np.asarray(made, np.float64)


def _product(x: Array, matrix: Array) -> Array:
    """x @ matrix, a few rows at a time: so small a product BLAS makes on one thread, which is faster than to wait for others."""
    step = max(1, _ALONE // matrix.size)
    return np.concatenate([x[start : start + step] @ matrix for start in range(0, len(x), step)])


def _mean_squares(arrays: Any) -> Array:
    return np.array([float(np.mean(each * each)) for each in arrays])
