"""The report on orthogonality: its figures against NumPy's, what it takes, what it refuses, what memory it needs."""

from __future__ import annotations

import tracemalloc
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import gpuinit


def expected(matrix: Any, gain: float) -> tuple[float, float, float]:
    """Defect and extreme singular values by the whole Gram matrix and NumPy's SVD."""
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    tall = tall.astype(np.complex128 if tall.dtype.kind == "c" else np.float64)
    values = np.linalg.svd(tall, compute_uv=False)
    return float(np.abs((tall / gain).conj().T @ (tall / gain) - np.eye(tall.shape[1])).max()), values.min(), values.max()


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", ml_dtypes.bfloat16, np.float16, np.int8])
@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (3, 7), (2, 3, 5), (5000, 90)])
def test_figures(shape: tuple[int, ...], dtype: Any) -> None:
    """Of a matrix far from orthogonal too."""
    matrix = (np.random.default_rng(3).standard_normal(shape) * 3).astype(dtype)
    report = gpuinit.orthogonality(matrix, gain=-2.0)
    flat = matrix.reshape(-1, shape[-1])
    defect, smallest, largest = expected(flat, -2.0)
    assert (report.rows, report.columns, report.count, report.gain) == (*flat.shape, 1, -2.0)
    assert np.allclose((report.defect, report.smallest, report.largest), (defect, smallest, largest), rtol=1e-9, atol=1e-6)


def test_the_worst_of_a_batch() -> None:
    """One wrong matrix among good ones, wherever the batch axis is."""
    good = gpuinit.Orthogonal(seed=1, batch_axes=0)((6, 9, 4), "float64")
    assert gpuinit.orthogonality(good, batch_axes=0).defect < 1e-14
    good[3] *= 1.5
    for axis, matrices in ((0, good), (1, good.swapaxes(0, 1)), (-1, np.moveaxis(good, 0, 2))):
        report = gpuinit.orthogonality(matrices, batch_axes=axis)
        assert (report.count, report.rows, report.columns) == (6, 9, 4)
        assert abs(report.defect - 1.25) < 1e-12
        assert (round(report.smallest, 12), round(report.largest, 12)) == (1.0, 1.5)


def test_lists_and_text() -> None:
    report = gpuinit.orthogonality([[0, 2], [-2, 0]], gain=2)
    assert str(report) == "2 x 2 matrix, gain 2: max |Q'Q - I| = 0.00e+00, singular values 2 .. 2"
    assert "3 matrices of 2 x 5" in str(gpuinit.orthogonality(np.zeros((3, 2, 5)), batch_axes=0))
    with pytest.raises(AttributeError):
        report.defect = 0.0  # type: ignore[misc]


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_nothing(shape: tuple[int, int]) -> None:
    report = gpuinit.orthogonality(np.zeros(shape), gain=-2)
    assert (report.defect, report.smallest, report.largest) == (0, 2, 2)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"matrix": [1.0, 2.0]}, ValueError, r"matrix has shape \(2,\): it must have at least 2 axes"),
        ({"matrix": np.eye(3), "batch_axes": 0}, ValueError, "leaves 1 axes"),
        ({"matrix": np.eye(3), "batch_axes": 5}, np.exceptions.AxisError, "has no axis 5"),
        ({"matrix": np.eye(3), "batch_axes": "a"}, TypeError, "batch_axes='a'"),
        ({"matrix": np.eye(3), "gain": 0.0}, ValueError, "gain=0.0: it must not be 0"),
        ({"matrix": np.eye(3), "gain": np.nan}, ValueError, "gain=nan"),
        ({"matrix": np.eye(3), "gain": "1"}, TypeError, "gain='1'"),
        ({"matrix": [[1.0, np.nan], [0.0, 1.0]]}, ValueError, "matrix holds nan"),
        ({"matrix": [[1.0, 0.0], [-np.inf, 1.0]]}, ValueError, "an infinity"),
        ({"matrix": [["a", "b"]]}, TypeError, "matrix"),
    ],
)
def test_bad_input(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        gpuinit.orthogonality(**arguments)


def test_memory() -> None:
    """A copy of the array, runs and Gram matrices; a float64 copy would take twice the array more."""
    matrix = np.zeros((2**18, 32), np.float32)
    np.fill_diagonal(matrix, 1)
    tracemalloc.start()
    assert gpuinit.orthogonality(matrix).defect == 0
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < matrix.nbytes + 2**23
