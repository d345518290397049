"""How orthogonal a matrix is: a report on any array, gpuinit's or not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuinit import arrays
from gpuinit.arguments import checked_batch_axes, finite, normalized_axes
from gpuinit.stack import Stack

__all__ = ["OrthogonalityReport", "orthogonality"]

Array = np.ndarray[Any, Any]
_RUN = 2**18


@dataclass(frozen=True, slots=True)
class OrthogonalityReport:
    """What `orthogonality` found.

    `defect` is max |Q*Q - I| of Q = matrix / gain on its short side, the worst of all matrices; `smallest` and `largest`
    are the extreme singular values of the matrices as they are, gain included. Without elements they are 0, |gain|, |gain|.
    """

    rows: int
    columns: int
    count: int
    gain: float
    defect: float
    smallest: float
    largest: float

    def __str__(self) -> str:
        what = (
            f"{self.rows} x {self.columns} matrix"
            if self.count == 1
            else f"{self.count} matrices of {self.rows} x {self.columns}"
        )
        return (
            f"{what}, gain {self.gain:.6g}: max |Q'Q - I| = {self.defect:.2e}, "
            f"singular values {self.smallest:.8g} .. {self.largest:.8g}"
        )


def orthogonality(matrix: Any, gain: float = 1.0, batch_axes: int | Sequence[int] | None = None) -> OrthogonalityReport:
    """How far a matrix, or each of a stack of matrices, is from `gain` times an orthogonal (complex: unitary) one.

    defect = max |Q*Q - I|, Q = matrix / gain, or QQ* where there are more columns than rows: computed in float64.

    Args:
        matrix: an array of at least 2 axes beside the batch axes: NumPy's, CuPy's, a framework's tensor, nested lists. The
            last axis that is no batch axis counts its columns, those before it together its rows, as in Orthogonal.
        gain: finite real number other than 0.
        batch_axes: None, or the axis or axes that count the matrices, as in Orthogonal.

    Returns:
        An OrthogonalityReport, which prints in one line. A singular value is the root of an eigenvalue of Q*Q, so values
        below about 1e-8 of the largest one are not resolved. Besides a copy of the array the work takes k^2 float64 (complex:
        complex128) elements a few times, k the short side, and a run of some MiB.

    Raises:
        TypeError, ValueError: an argument is wrong; `matrix` holds nan or an infinity, or has fewer axes.
        numpy.exceptions.AxisError (a ValueError and an IndexError): no such batch axis.
    """
    number = finite(gain, "gain")
    if number == 0:
        raise ValueError(f"gain={gain!r}: it must not be 0, the matrix is divided by it")
    asked = checked_batch_axes(batch_axes)
    array = arrays.to_numpy(matrix, "matrix")
    if array.ndim < 2:
        raise ValueError(f"matrix has shape {array.shape}: it must have at least 2 axes")
    stack = Stack(array.shape, normalized_axes(array.shape, asked))
    defect, smallest, largest = 0.0, math.inf, 0.0
    for each in _matrices(array, stack):
        gram = _gram(each, number)
        values = np.linalg.eigvalsh(gram)
        gram[np.diag_indices(len(gram))] -= 1
        defect = max(defect, float(np.abs(gram).max()))
        smallest, largest = min(smallest, float(values[0])), max(largest, float(values[-1]))
    if largest == 0 and smallest == math.inf:
        smallest = largest = 1.0
    roots = (abs(number) * math.sqrt(max(value, 0.0)) for value in (smallest, largest))
    return OrthogonalityReport(stack.rows, stack.columns, stack.count, number, defect, *roots)


def _matrices(array: Array, stack: Stack) -> Iterator[Array]:
    """Each matrix that has elements, on its tall side."""
    if array.size == 0:
        return
    grouped = array.transpose(stack.order)
    for place in np.ndindex(grouped.shape[: len(stack.batch)]):
        each = grouped[place].reshape(stack.rows, stack.columns)
        yield each.T if stack.wide else each


def _gram(tall: Array, gain: float) -> Array:
    """Q*Q of Q = tall / gain, in float64 or complex128, by runs of rows."""
    kind = np.complex128 if tall.dtype.kind == "c" else np.float64
    columns = tall.shape[1]
    gram = np.zeros((columns, columns), kind)
    step = max(1, _RUN // columns)
    for start in range(0, len(tall), step):
        run = tall[start : start + step].astype(kind) / gain
        if not np.isfinite(run).all():
            raise ValueError("matrix holds nan, an infinity, or a value that the gain takes beyond float64: it must be finite")
        gram += run.conj().T @ run
    return gram
