"""What an initializer means for a tensor in PyTorch's layout, (out, in, *kernel), where Keras has (*kernel, in, out).

fan_in is in times the kernel's size, fan_out is out times it, as in torch.nn.init; an orthogonal kernel is a matrix of out rows.
An initializer that was given axes, or a layout of its own, keeps them.
"""

from __future__ import annotations

import copy
import math

from gpuinit.initializers import DeltaOrthogonal, Initializer, Orthogonal, VarianceScaling

__all__ = ["laid_out"]


def laid_out(initializer: Initializer, shape: tuple[int, ...]) -> tuple[Initializer, tuple[int, ...]]:
    """An initializer for PyTorch's layout, which draws from the same keys, and the shape to draw.

    That shape is the tensor's own, or the matrix whose elements in C order are those of an orthogonal kernel.
    """
    if len(shape) < 2:
        return initializer, shape
    if isinstance(initializer, VarianceScaling) and (initializer.input_axes is None or initializer.output_axes is None):
        turned = copy.copy(initializer)
        turned.input_axes = list(range(1, len(shape)))
        turned.output_axes = [0, *range(2, len(shape))]
        return turned, shape
    if isinstance(initializer, DeltaOrthogonal) and initializer.layout == "keras":
        turned_kernel = copy.copy(initializer)
        turned_kernel.layout = "torch"
        return turned_kernel, shape
    if isinstance(initializer, Orthogonal) and initializer.batch_axes is None:
        return initializer, (shape[0], math.prod(shape[1:]))
    return initializer, shape
