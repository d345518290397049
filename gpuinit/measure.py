"""How far a matrix is from an orthogonal one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuinit.arguments import checked_batch_axes, finite, normalized_axes
from gpuinit.arrays import to_numpy
from gpuinit.stack import Stack

__all__ = ["OrthogonalityReport", "orthogonality"]

Array = np.ndarray[Any, Any]
_ELEMENTS = 2**20
"""About so many elements are held in double precision at a time."""
_SPREAD = 1e-6
"""Eigenvalues of A*A that lie within this ratio give singular values to 8 digits at least."""
_FEW = 256
"""Up to so many columns the small singular values are computed with care."""


@dataclass(frozen=True, slots=True)
class OrthogonalityReport:
    """What `orthogonality` found: `count` matrices of `rows` x `columns`, and the worst of each figure among them.

    `defect` is max |Q'Q - I| (wide: |QQ' - I|), of Q = matrix / gain; `smallest` and `largest` are the extreme singular values
    of the matrix itself. Of matrices without elements the defect is 0, and there are no singular values: both are nan.
    """

    rows: int
    columns: int
    count: int
    defect: float
    smallest: float
    largest: float

    def __str__(self) -> str:
        many = f"{self.count} matrices of " if self.count != 1 else ""
        product = "QQ'" if self.columns > self.rows else "Q'Q"
        values = f"singular values {self.smallest:.9g} .. {self.largest:.9g}"
        return f"{many}{self.rows} x {self.columns}: max |{product} - I| = {self.defect:.2g}, {values}"


def orthogonality(matrix: Any, gain: float = 1.0, batch_axes: Any = None) -> OrthogonalityReport:
    """Measure how far `matrix` is from `gain` times an orthogonal (complex: unitary) one: max |Q'Q - I| of Q = matrix / gain.

    Rows are measured in place of columns where those are fewer.

    Args:
        matrix: numbers with at least two axes: a NumPy, ml_dtypes or CuPy array, a PyTorch tensor, or nested lists. The last
            axis is its columns, the others together are its rows.
        gain: finite real number other than 0.
        batch_axes: axes that count matrices, as in `Orthogonal`; the worst of each figure over all of them is reported.

    Returns:
        An OrthogonalityReport. All arithmetic is in double precision: the defect is within a few 1e-15 of the true one for
        a matrix near orthogonal. Singular values down to a thousandth of the largest are correct to 8 digits (near orthogonal:
        12). A smaller one is within 1e-13 of the largest where the short side is at most 256, and within 1e-6 of it beyond.

    Raises:
        TypeError: an argument is not made of numbers. ValueError: fewer than 2 axes are left for a matrix, the matrix has a nan
            or an infinity, or gain is 0, nan or infinite. numpy.exceptions.AxisError (a ValueError): no such batch axis.

    Memory: a few times 8 MB or the square of the short side in double precision, whichever is more. The array is read where it
    lies; one on a GPU, or one whose strides no stack of matrices has, is copied in its own dtype.
    """
    gain, axes = finite(gain, "gain"), checked_batch_axes(batch_axes)
    if gain == 0:
        raise ValueError(f"gain={gain!r}: it must not be 0")
    array = to_numpy(matrix, "matrix", copy=False)
    if array.ndim < 2:
        raise ValueError(f"matrix has shape {array.shape}: it must have at least 2 axes")
    stack = Stack(array.shape, normalized_axes(array.shape, axes))
    found = (stack.rows, stack.columns, stack.count)
    if array.size == 0:
        return OrthogonalityReport(*found, 0.0, math.nan, math.nan)
    tall = array.transpose(stack.order).reshape(stack.count, stack.rows, stack.columns)
    if stack.wide:
        tall = tall.swapaxes(1, 2)
    some = max(1, _ELEMENTS // math.prod(stack.tall))
    parts = [tall[start : start + some] for start in range(0, stack.count, some)]
    scale = _scale(parts)
    figures = [_figures(part, scale, gain) for part in parts]
    defects, smallest, largest = zip(*figures, strict=True)
    return OrthogonalityReport(*found, max(defects), min(smallest), max(largest))


def _figures(tall: Array, scale: float, gain: float) -> tuple[float, float, float]:
    """The worst defect and the extreme singular values of some matrices, at least as tall as wide."""
    columns = tall.shape[2]
    gram = np.zeros((len(tall), columns, columns), _double(tall))
    for run in _runs(tall):
        run /= scale
        gram += run.conj().swapaxes(1, 2) @ run
    squares = np.linalg.eigvalsh(gram)
    values = np.sqrt(np.maximum(squares, 0))
    spread = squares[:, 0] < _SPREAD * squares[:, -1]
    if columns <= _FEW and spread.any():
        values[spread] = np.linalg.svd(_triangle(tall[spread], scale), compute_uv=False)
    ratio = min(scale / abs(gain), np.finfo(np.float64).max)
    sizes, each = np.abs(gram), np.arange(columns)
    with np.errstate(over="ignore"):
        sizes *= ratio
        sizes *= ratio
    sizes[:, each, each] -= 1  # the diagonal of A*A is real and not negative
    return float(np.abs(sizes, out=sizes).max()), scale * float(values.min()), scale * float(values.max())


def _triangle(tall: Array, scale: float) -> Array:
    """The factors R of the matrices, divided by `scale`: as small as A*A, with the singular values of A."""
    factor: Array = np.zeros((len(tall), 0, tall.shape[2]), _double(tall))
    for run in _runs(tall):
        run /= scale
        factor = np.asarray(np.linalg.qr(np.concatenate([factor, run], axis=1), mode="r"))
    return factor


def _runs(tall: Array) -> Iterator[Array]:
    """The matrices in double precision, some rows at a time, each run a new array in C order."""
    columns = tall.shape[2]
    step = max(columns, _ELEMENTS // columns)
    for start in range(0, tall.shape[1], step):
        yield tall[:, start : start + step].astype(_double(tall), order="C")


def _double(array: Array) -> type[Any]:
    return np.complex128 if array.dtype.kind == "c" else np.float64


def _scale(parts: list[Array]) -> float:
    """A power of two near the largest magnitude: what is divided by it can be squared.

    Raises:
        ValueError: an element is nan or infinite.
    """
    largest = 0.0
    for run in (run for part in parts for run in _runs(part)):
        most = float(np.abs(run.view(np.float64)).max())
        if not math.isfinite(most):
            raise ValueError(f"matrix has an element {most}: all must be finite")
        largest = max(largest, most)
    return 2.0 ** min(max(math.frexp(largest)[1], -1000), 1000)
