"""The report on a matrix: right for matrices that are known, for what NumPy's SVD finds, for stacks, and in little memory."""

from __future__ import annotations

import math
import tracemalloc
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import gpuinit
from gpuinit import measure


def rotation(angle: float) -> Any:
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


@pytest.mark.parametrize(
    ("matrix", "gain", "defect", "smallest", "largest"),
    [
        (np.eye(3), 1.0, 0.0, 1.0, 1.0),
        (np.eye(3), 2.0, 0.75, 1.0, 1.0),
        (-3 * np.eye(4), -3.0, 0.0, 3.0, 3.0),
        (np.eye(5, 3, dtype=np.int8), 1.0, 0.0, 1.0, 1.0),
        (np.eye(3, 5), 1.0, 0.0, 1.0, 1.0),
        (2 * rotation(0.3), 2.0, 0.0, 2.0, 2.0),
        ([[1.0, 1.0], [0.0, 0.0]], 1.0, 1.0, 0.0, math.sqrt(2)),
        ([[3.0, 0.0], [0.0, 1e-9]], 1.0, 8.0, 1e-9, 3.0),
        (np.zeros((4, 2)), 1.0, 1.0, 0.0, 0.0),
        (1j * np.eye(3), 1.0, 0.0, 1.0, 1.0),
        (1e200 * np.eye(2), 1e200, 0.0, 1e200, 1e200),
        ([[0.6], [0.8]], 1.0, 0.0, 1.0, 1.0),
        ([[1, 1], [1, 1j]], math.sqrt(2), math.sqrt(0.5), math.sqrt(2 - math.sqrt(2)), math.sqrt(2 + math.sqrt(2))),
        (np.diag([1e308, 1e-308]), 1.0, math.inf, 0.0, 1e308),
        (np.diag([1e308 + 1e308j, 1]), 1e-300, math.inf, 1.0, math.sqrt(2) * 1e308),
        (np.diag([1e-320, 1e-320]), 1e300, 1.0, 1e-320, 1e-320),
    ],
)
def test_matrices_that_are_known(matrix: Any, gain: float, defect: float, smallest: float, largest: float) -> None:
    found = gpuinit.orthogonality(matrix, gain)
    assert found.defect == pytest.approx(defect, abs=1e-15)
    assert found.smallest == pytest.approx(smallest, rel=1e-10, abs=1e-15)
    assert found.largest == pytest.approx(largest, rel=1e-10)
    assert (found.rows, found.columns, found.count) == (*np.shape(matrix), 1)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "float16"])
@pytest.mark.parametrize("shape", [(40, 30), (30, 40), (7, 7), (5000, 3), (3, 5, 8)])
def test_against_numpys_svd(shape: tuple[int, ...], dtype: str) -> None:
    matrix = gpuinit.RandomNormal(0.0, 1.0, seed=3)(shape, dtype)
    flat = matrix.reshape(-1, shape[-1]).astype(np.complex128 if matrix.dtype.kind == "c" else np.float64)
    values = np.linalg.svd(flat, compute_uv=False)
    tall = flat if flat.shape[0] >= flat.shape[1] else flat.T
    found = gpuinit.orthogonality(matrix, 2.0)
    assert found.smallest == pytest.approx(values.min(), rel=1e-10)
    assert found.largest == pytest.approx(values.max(), rel=1e-10)
    wanted = np.abs(tall.conj().T @ tall / 4 - np.eye(tall.shape[1])).max()
    assert found.defect == pytest.approx(wanted, rel=1e-12)


def test_a_stack_is_judged_by_its_worst_matrix() -> None:
    stack = gpuinit.Orthogonal(0.5, seed=1, batch_axes=1)((6, 70, 4), "float64")
    assert gpuinit.orthogonality(stack, 0.5, batch_axes=1).defect < 1e-14
    stack[2, 33, 1] += 0.25
    found, alone = gpuinit.orthogonality(stack, 0.5, batch_axes=[-2]), gpuinit.orthogonality(stack[:, 33], 0.5)
    assert (found.rows, found.columns, found.count) == (6, 4, 70)
    assert (found.defect, found.largest) == (pytest.approx(alone.defect), pytest.approx(alone.largest))
    assert found.defect > 0.1
    assert "70 matrices of 6 x 4: max |Q'Q - I| = " in str(found)
    assert str(alone).startswith("6 x 4: max |Q'Q - I|") and "QQ'" in str(gpuinit.orthogonality(np.eye(2, 3)))


def test_a_matrix_that_is_not_orthogonal_enough_is_seen() -> None:
    """Rounding to bfloat16 takes 2^-9 of an element, which the report must show, and float32's 1e-7."""
    exact = gpuinit.Orthogonal(seed=2)((300, 200))
    assert 1e-8 < gpuinit.orthogonality(exact).defect < 1e-6
    assert 1e-4 < gpuinit.orthogonality(exact.astype(ml_dtypes.bfloat16)).defect < 1e-2


def test_tensors_of_others() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    assert gpuinit.orthogonality(torch.eye(5, requires_grad=True)).defect == 0
    assert gpuinit.orthogonality(torch.eye(5, dtype=torch.bfloat16)).defect == 0


def test_no_elements() -> None:
    for shape in ((0, 3), (3, 0), (0, 0)):
        found = gpuinit.orthogonality(np.zeros(shape))
        assert found.defect == 0 and math.isnan(found.smallest) and math.isnan(found.largest)
    assert gpuinit.orthogonality(np.zeros((0, 3, 3)), batch_axes=0).count == 0


def test_memory_is_bounded() -> None:
    """No double copy of a tall matrix, and no copy at all of a NumPy array."""
    matrix = gpuinit.Orthogonal(seed=1)((2**17, 64))
    before = matrix.copy()
    gpuinit.orthogonality(matrix[:100])
    tracemalloc.start()
    gpuinit.orthogonality(matrix)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < matrix.nbytes
    assert matrix.flags.writeable and (matrix == before).all()


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (([1.0, 2.0],), ValueError, r"matrix has shape \(2,\): it must have at least 2 axes"),
        (([[1.0, math.nan], [0.0, 1.0]],), ValueError, "nan: all must be finite"),
        (([[1.0, math.inf], [0.0, 1.0]],), ValueError, "inf: all must be finite"),
        ((np.eye(2), 0.0), ValueError, "gain=0.0: it must not be 0"),
        ((np.eye(2), math.nan), ValueError, "gain=nan"),
        ((np.eye(2), "1"), TypeError, "gain='1'"),
        ((np.eye(2), 1.0, 0), ValueError, "batch_axes=0 leaves 1 axes"),
        ((np.zeros((2, 2, 2)), 1.0, 3), ValueError, "has no axis 3"),
        ((np.zeros((2, 2, 2, 2)), 1.0, (0, 0)), ValueError, "twice"),
        ((["ab", "cd"],), TypeError, "must be made of numbers"),
        (([[1.0], [1.0, 2.0]],), ValueError, "not a rectangular array"),
    ],
)
def test_bad_input(arguments: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        gpuinit.orthogonality(*arguments)


def with_values(values: Any, rows: int, dtype: str = "float64") -> Any:
    """A matrix of these singular values."""
    generator = np.random.default_rng(len(values))

    def unitary(size: int, count: int) -> Any:
        parts = generator.standard_normal((2, size, count))
        return np.linalg.qr(parts[0] + 1j * parts[1] if dtype == "complex128" else parts[0])[0]

    return unitary(rows, len(values)) * np.array(values) @ unitary(len(values), len(values)).conj().T


ACCURACY = [
    *(((2, 40), "float64"), ((2, 40), "complex128"), ((64, 64), "float64"), ((64, 64), "complex128")),
    *(((100, 10_600), "float64"), ((300, 300), "float64")),
]


@pytest.mark.parametrize(("size", "dtype"), ACCURACY)
@pytest.mark.parametrize("least", [0.999, 2e-3, 1e-9, 0])
def test_the_accuracy_that_is_stated(size: tuple[int, int], dtype: str, least: float) -> None:
    """Of the smallest singular value, from 3 times `least` to 3: 8 digits down to a thousandth of the largest (12 near
    orthogonal), then 1e-13 of the largest up to 256 columns, 1e-6 beyond."""
    short, rows = size
    values = [*np.linspace(3, 3 * max(least, 0.5), short - 1), 3 * least]
    report = gpuinit.orthogonality(with_values(values, rows, dtype))
    assert abs(report.largest - 3) < 1e-12
    bound = 1e-12 if least > 0.9 else 1e-8 * least if least > 1e-3 else 1e-13 if short <= 256 else 1e-6
    assert abs(report.smallest - 3 * least) < 3 * bound


def test_eigenvalues_alone_would_not_do(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = with_values([1, 1, 1e-9], 30)
    assert abs(gpuinit.orthogonality(matrix).smallest - 1e-9) < 1e-13
    monkeypatch.setattr(measure, "_FEW", 0)
    assert abs(gpuinit.orthogonality(matrix).smallest - 1e-9) > 1e-13


def test_the_defect_is_that_of_exact_arithmetic() -> None:
    """Within 1e-15 of fractions; computed in the float32 of the matrix it is off by more than 1e-9."""
    matrix = gpuinit.Orthogonal(seed=1)((40, 7))
    exact = [[Fraction(float(x)) for x in row] for row in matrix]
    gram = [[sum(row[i] * row[j] for row in exact) - (i == j) for j in range(7)] for i in range(7)]
    worst = float(max(abs(x) for row in gram for x in row))
    assert abs(gpuinit.orthogonality(matrix).defect - worst) < 1e-15
    single = float(np.abs(matrix.T @ matrix - np.eye(7, dtype=np.float32)).max())
    assert abs(single - worst) > 1e-9


@pytest.mark.parametrize("elements", [1, 7, 100, 2**20])
@pytest.mark.parametrize("axes", [0, -1, (0, 2), [3, 1]])
def test_a_stack_in_any_pieces(monkeypatch: pytest.MonkeyPatch, elements: int, axes: Any) -> None:
    """Each figure is the worst of the reports on the matrices one by one, however many are looked at together."""
    monkeypatch.setattr(measure, "_ELEMENTS", elements)
    tensor = np.random.default_rng(1).standard_normal((5, 2, 3, 4))
    counted = sorted(axis % 4 for axis in np.atleast_1d(axes))
    first = np.moveaxis(tensor, counted, range(len(counted)))
    each = [gpuinit.orthogonality(first[place], 1.5) for place in np.ndindex(first.shape[: len(counted)])]
    report = gpuinit.orthogonality(tensor, 1.5, axes)
    assert (report.rows, report.columns, report.count) == (each[0].rows, each[0].columns, len(each))
    assert report.defect == pytest.approx(max(one.defect for one in each), rel=1e-13)
    assert report.largest == pytest.approx(max(one.largest for one in each), rel=1e-13)
    assert report.smallest == pytest.approx(min(one.smallest for one in each), rel=1e-8)


def test_one_bad_matrix_of_many_is_found() -> None:
    stack = np.tile(np.eye(16, dtype=np.float32), (5000, 1, 1))  # more than are looked at together
    stack[4321, 3, 2] = 0.25
    report = gpuinit.orthogonality(stack, batch_axes=0)
    assert report.defect == 0.25
    assert report.smallest < 0.9 < 1.1 < report.largest


@pytest.mark.parametrize("shape", [(40, 70_000), (2**15, 300), (20_000, 12, 12)])
def test_memory_does_not_grow_with_the_matrix(shape: tuple[int, ...]) -> None:
    """Less than 5 times 8 MB; in double precision wide, tall and stacked matrices of this size take up to 79 MB, and normal
    ones are those whose small singular values cost most."""
    matrix = gpuinit.RandomNormal(seed=1)(shape)
    axes = 0 if len(shape) > 2 else None
    gpuinit.orthogonality(np.zeros((2,) * len(shape)), batch_axes=axes)
    tracemalloc.start()
    gpuinit.orthogonality(matrix, batch_axes=axes)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6
