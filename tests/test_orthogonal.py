"""Orthogonal matrices: as defined, orthogonal to rounding, Haar in law, the same sample in every way to compute it."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from scipy.linalg import get_lapack_funcs

import gpuinit
from gpuinit import Key, dtypes
from gpuinit.backends import orthogonal

TOLERANCE = {"float32": 1e-6, "complex64": 2e-6, "float64": 4e-15, "complex128": 4e-15}
METHODS = ["auto", "qr", "svd"]


def normal(shape: tuple[int, int], dtype: np.dtype[Any], key: Key) -> Any:
    """A standard normal matrix from NumPy's own generator."""
    parts = np.random.default_rng(key.seed).standard_normal((*shape, 2))
    return parts.view(np.complex128)[..., 0].astype(dtype) if dtype.kind == "c" else parts[..., 0].astype(dtype)


def by_definition(matrix: Any) -> Any:
    """H_1 H_2 .. H_k E diag(-signs) in double precision, one reflector after the other."""
    size, count = matrix.shape
    matrix = matrix.astype(np.result_type(matrix.dtype, np.float64))
    product = np.eye(size, count, dtype=matrix.dtype)
    signs = np.diagonal(matrix) / np.abs(np.diagonal(matrix))
    for column in reversed(range(count)):
        vector = np.zeros(size, matrix.dtype)
        vector[column:] = matrix[column:, column]
        vector[column] += signs[column] * np.linalg.norm(vector)
        product -= np.outer(vector, 2 / np.vdot(vector, vector).real * (vector.conj() @ product))
    return product * -signs


def defect(matrix: Any) -> float:
    """max |Q*Q - I| of the tall side."""
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    tall = tall.astype(np.result_type(tall.dtype, np.float64))
    return float(np.abs(tall.conj().T @ tall - np.eye(tall.shape[1])).max(initial=0))


@pytest.mark.parametrize("panel", [1, 40])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (5, 5), (66, 65), (129, 64), (130, 130), (700, 40), (2000, 3)])
def test_panels_of_any_width_apply_the_reflectors_of_the_contract(shape: tuple[int, int], dtype: str, panel: int) -> None:
    matrix = normal(shape, np.dtype(dtype), Key(sum(shape)))
    made = matrix.copy()
    assert orthogonal._reflect(made, 1.0, panel) is made
    assert made.dtype == dtype
    assert np.abs(made - by_definition(matrix)).max() < TOLERANCE[dtype]
    assert defect(made) < TOLERANCE[dtype]


def by_lapack(matrix: Any) -> Any:
    """The same product by LAPACK's orgqr, which applies one reflector after the other inside its panels."""
    diagonal, lengths = np.diagonal(matrix).copy(), orthogonal._lengths(matrix)
    signs = np.sign(diagonal)
    vectors = np.asfortranarray(matrix / (diagonal + signs * lengths))
    generate = get_lapack_funcs("orgqr", (vectors,))
    return generate(vectors, 1 + np.abs(diagonal) / lengths)[0] * -signs


@pytest.mark.parametrize("shape", [(1030, 1030), (2**16, 32), (4096, 256), (900, 300), (2000, 513)])
def test_the_way_does_not_show(shape: tuple[int, int]) -> None:
    """LAPACK's product of the same reflectors agrees; a neighbouring sample is far away."""
    matrix = normal(shape, np.dtype(np.float32), Key(1))
    wanted = by_lapack(matrix)
    made = orthogonal.orthogonalize(matrix, 1.0, 1.0, "auto")
    assert np.abs(made - wanted).max() < 1e-5
    assert np.abs(made[:, ::-1] - wanted).max() > 0.01
    assert defect(made) < 1e-6


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("shape", "dtype", "most"),
    [((4096, 4096), "float32", 2e-6), ((65536, 256), "float32", 2e-6), ((2048, 2048), "float64", 1e-13)],
)
def test_large_matrices(shape: tuple[int, int], dtype: str, most: float) -> None:
    assert gpuinit.orthogonality(gpuinit.Orthogonal(seed=3)(shape, dtype)).defect < most


@pytest.mark.parametrize(("dtype", "most"), [("float32", 2e-6), ("float64", 1e-13)])
def test_panels_keep_the_accuracy(dtype: str, most: float) -> None:
    """Five panels; a panel's triangle with the diagonal of the rounded V'V in place of the lengths' would have 8e-6."""
    assert gpuinit.orthogonality(gpuinit.Orthogonal(seed=3)((1100, 1050), dtype)).defect < most


CONTRACT = [
    *(((7, 3), "float32"), ((3, 7), "float32"), ((6, 6), "float32"), ((90, 20), "float32"), ((20, 90), "float32")),
    *(((70, 65), "float32"), ((2, 3, 4), "float32"), ((2, 2, 9), "float32"), ((5, 1), "float32"), ((1, 1), "float32")),
    *(((7, 3), "float64"), ((3, 7), "float64"), ((40, 40), "float64"), ((3, 4, 5), "float64")),
    *(((7, 3), "complex64"), ((3, 7), "complex128"), ((5, 5), "complex128"), ((2, 3, 9), "complex64")),
    *(((7, 3), "bfloat16"), ((3, 7), "float16"), ((6, 6), "bfloat16"), ((6, 2), "float8_e4m3fn")),
]
WITHIN = {"float64": 1e-12, "complex128": 1e-12, "bfloat16": 2**-9, "float16": 2**-11 + 1e-5, "float8_e4m3fn": 2**-5}


def by_contract(shape: tuple[int, ...], dtype: str, gaussian: Any) -> Any:
    """Section 10 of docs/stream.md: the reflectors of gaussian(n, k, dtype), wide matrices transposed, in that shape."""
    rows, columns = math.prod(shape[:-1]), shape[-1]
    drawn_in = dtype if dtype in TOLERANCE else "float32"
    matrix = by_definition(gaussian(max(rows, columns), min(rows, columns), drawn_in))
    return (matrix if rows >= columns else matrix.T).reshape(shape)


def distance(shape: tuple[int, ...], dtype: str, gaussian: Any) -> float:
    made = gpuinit.Orthogonal(seed=11)(shape, dtype)
    assert made.dtype.name == dtype
    made = made.astype(np.result_type(made.dtype, np.float64) if made.dtype.kind == "c" else np.float64)
    return float(np.abs(made - by_contract(shape, dtype, gaussian)).max())


@pytest.mark.parametrize(("shape", "dtype"), CONTRACT)
def test_the_contract(shape: tuple[int, ...], dtype: str) -> None:
    """The public call makes what RandomNormal of the same seed gives by the loop of reflectors."""
    source = gpuinit.RandomNormal(0, 1, seed=11)
    assert distance(shape, dtype, lambda n, k, kind: source((n, k), kind)) < WITHIN.get(dtype, 1e-5)


@pytest.mark.parametrize(("shape", "dtype"), [case for case in CONTRACT if min(case[0]) > 1])
def test_the_contract_rejects_other_samples(shape: tuple[int, ...], dtype: str) -> None:
    """A folded or drawn key, a Gaussian read in the other order, another row order of a wide matrix: far from the tensor."""
    source, seed = gpuinit.RandomNormal(0, 1, seed=11), Key(11)
    wrong = {
        "folded key": lambda n, k, kind: gpuinit.RandomNormal(0, 1, seed=seed.fold_in("orthogonal"))((n, k), kind),
        "next draw": lambda n, k, kind: gpuinit.RandomNormal(0, 1, seed=seed.draw(1))((n, k), kind),
        "transposed": lambda n, k, kind: source((k, n), kind).T,
        "rows reversed": lambda n, k, kind: source((n, k), kind)[::-1],
    }
    for name, gaussian in wrong.items():
        assert distance(shape, dtype, gaussian) > 0.1, name


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("rows", [0, 1, 2, 3, 40])
@pytest.mark.parametrize("columns", [0, 1, 2, 3, 30])
def test_orthogonal(rows: int, columns: int, dtype: str, method: str) -> None:
    initializer = gpuinit.Orthogonal(seed=rows * 50 + columns, method=method)
    matrix = initializer((rows, columns), dtype)
    assert matrix.shape == (rows, columns)
    assert matrix.dtype == dtype
    assert defect(matrix) < 2 * TOLERANCE[dtype]
    if rows != columns:
        assert (initializer((columns, rows), dtype) == matrix.T).all()  # a wide one is the transpose of the tall one


@pytest.mark.parametrize("method", METHODS)
def test_more_axes_are_flattened_but_the_last(method: str) -> None:
    initializer = gpuinit.Orthogonal(2.0, seed=5, method=method)
    flat = initializer((24, 5))
    assert (initializer((2, 3, 4, 5)) == flat.reshape(2, 3, 4, 5)).all()
    assert (initializer((2, 2, 30)) == initializer((4, 30)).reshape(2, 2, 30)).all()
    assert defect(flat / 2) < 1e-6


def test_parts_equal_the_whole() -> None:
    initializer = gpuinit.Orthogonal(seed=6)
    whole = initializer((6, 5, 7))
    assert (initializer((6, 5, 7), rows=[5, 0, 5], block=(slice(None), slice(1, 3))) == whole[[5, 0, 5], 1:3]).all()
    out = np.zeros((7, 5, 6), np.float32).T
    assert (initializer.fill(out[:, ::-1]) == whole).all()


@pytest.mark.parametrize("gain", [0.0, 0.5, -3.0, 448.0])
@pytest.mark.parametrize("dtype", dtypes.RANDOM)
def test_gain_bounds_every_value(gain: float, dtype: str) -> None:
    for shape in [(1, 1), (30, 1), (3, 3), (40, 30)]:
        matrix = gpuinit.Orthogonal(gain, seed=7)(shape, dtype)
        parts = matrix.view(dtypes.component(matrix.dtype)).astype(np.float64)
        assert np.abs(parts).max() <= abs(gain)
        assert matrix.dtype.name == dtype
        if dtype in ("bfloat16", "float16", "float8_e4m3fn", "float8_e5m2"):  # rounded once from float32
            assert (matrix == gpuinit.Orthogonal(gain, seed=7)(shape).astype(matrix.dtype)).all()


def test_methods_are_other_samples() -> None:
    first, second, third = (gpuinit.Orthogonal(seed=8, method=method)((5, 4)) for method in METHODS)
    assert np.abs(first - second).max() > 0.1 < np.abs(first - third).max()
    assert np.abs(second - third).max() > 0.1


@pytest.mark.parametrize("shape", [(), (3,)])
def test_two_axes_at_least(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="Orthogonal needs at least 2"):
        gpuinit.Orthogonal()(shape)


def test_a_gain_that_the_dtype_cannot_hold() -> None:
    with pytest.raises(ValueError, match="float16 cannot hold gain=100000"):
        gpuinit.Orthogonal(1e5)((2, 2), "float16")


@pytest.mark.parametrize("shape", [(700, 700), (1030, 1030), (20000, 25), (2**16, 32), (25, 20000)])
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize("method", ["auto", "qr"])
def test_peak_memory_is_three_matrices(shape: tuple[int, int], dtype: str, method: str) -> None:
    """Two where the reflectors are applied in the tensor itself: it and a copy of one panel."""
    initializer = gpuinit.Orthogonal(seed=1, method=method)
    initializer((65, 65), dtype)
    initializer((2**16, 33), dtype)
    tracemalloc.start()
    matrix = initializer(shape, dtype)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    in_place = method == "auto" and shape[0] >= shape[1] and shape[1] < orthogonal.NARROW_PANEL
    assert peak < (2 if in_place else 3) * matrix.nbytes + 2**20
