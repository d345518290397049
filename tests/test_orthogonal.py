"""Orthogonal matrices: as defined, orthogonal to rounding, Haar in law, the same sample in every way to compute it."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest

import gpuinit
from gpuinit import Key, dtypes
from gpuinit.backends import orthogonal
from gpuinit.backends.orthogonal import haar

TOLERANCE = {"float32": 1e-6, "complex64": 1e-6, "float64": 4e-15, "complex128": 4e-15}
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


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (5, 5), (66, 65), (129, 64), (130, 130), (700, 40), (2000, 3)])
def test_both_ways_apply_the_reflectors_of_the_contract(shape: tuple[int, int], dtype: str) -> None:
    matrix = normal(shape, np.dtype(dtype), Key(sum(shape)))
    wanted = by_definition(matrix)
    for apply in (orthogonal._apply_lapack, orthogonal._apply_blocked):
        made = apply(matrix.copy(), 1.0)
        assert made.dtype == dtype
        assert np.abs(made - wanted).max() < TOLERANCE[dtype]
        assert defect(made) < TOLERANCE[dtype]


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


@pytest.mark.parametrize("shape", [(2**16, 32), (4096, 256), (900, 300)])
def test_the_way_does_not_show(shape: tuple[int, int]) -> None:
    matrix = normal(shape, np.dtype(np.float32), Key(1))
    made = haar(shape, np.dtype(np.float32), 1.0, "auto", Key(1), normal)
    tall = shape[0] >= orthogonal._TALL * shape[1]
    apply = orthogonal._apply_blocked if tall else orthogonal._apply_lapack
    assert (made == apply(matrix.copy(), 1.0)).all()
    other = orthogonal._apply_lapack if tall else orthogonal._apply_blocked
    assert np.abs(made - other(matrix, 1.0)).max() < 1e-6
    assert defect(made) < 5e-7


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


def signs_not_fixed(matrix: Any) -> Any:
    """The common mistake: Q of a QR factorization as LAPACK leaves it."""
    return np.linalg.qr(matrix)[0]


def standardized(sample: Any, mean: float) -> float:
    """How many standard errors a sample's mean lies from the expected one."""
    return float(abs(np.mean(sample) - mean) / (np.std(sample) / math.sqrt(len(sample))))


@pytest.mark.parametrize("method", [*METHODS, "signs not fixed"])
def test_haar_in_the_real_case(method: str) -> None:
    """E Q00 = 0, E tr Q = 0, E (tr Q)^2 = 1, P(det > 0) = 1/2 within 5 standard errors: Q without the sign fix fails
    (its Q00 is always negative), and so does the reflectors' product without its signs."""
    size, count, single = 4, 600, np.dtype(np.float64)
    if method == "signs not fixed":
        sample = np.array([signs_not_fixed(normal((size, size), single, Key(seed))) for seed in range(count)])
    else:
        sample = np.array([haar((size, size), single, 1.0, method, Key(seed), normal) for seed in range(count)])
    trace = np.trace(sample, axis1=1, axis2=2)
    found = [
        standardized(sample[:, 0, 0], 0),
        standardized(sample[:, 3, 3], 0),
        standardized(sample[:, 0, 0] ** 2, 1 / size),
        standardized(trace, 0),
        standardized(trace**2, 1),
    ]
    if method == "signs not fixed":
        assert found[0] > 20
    else:
        assert max(found) < 5
        assert standardized(np.linalg.det(sample) > 0, 0.5) < 5


@pytest.mark.parametrize("method", METHODS)
def test_haar_in_the_complex_case(method: str) -> None:
    """E U00 = 0 and E U00^2 = 0: rejects real signs in place of phases, which leave a real diagonal."""
    kind = np.dtype(np.complex128)
    sample = np.array([haar((3, 3), kind, 1.0, method, Key(seed), normal) for seed in range(600)])
    for i in range(3):
        entry = sample[:, i, i]
        for part in (entry.real, entry.imag, (entry**2).real, (entry**2).imag):
            assert standardized(part, 0) < 5
        assert standardized(np.abs(entry) ** 2, 1 / 3) < 5


def test_the_stream_gives_haar_too() -> None:
    sample = np.array([gpuinit.Orthogonal(seed=seed)((3, 2)) for seed in range(600)])
    assert standardized(sample[:, 0, 0], 0) < 5
    assert standardized(sample[:, 1, 1], 0) < 5
    assert standardized(sample[:, 0, 0] ** 2, 1 / 3) < 5


@pytest.mark.parametrize("shape", [(700, 700), (20000, 25), (2**16, 32)])
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize("method", ["auto", "qr"])
def test_peak_memory_is_three_matrices(shape: tuple[int, int], dtype: str, method: str) -> None:
    initializer = gpuinit.Orthogonal(seed=1, method=method)
    initializer((65, 65), dtype)
    initializer((2**16, 33), dtype)
    tracemalloc.start()
    matrix = initializer(shape, dtype)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * matrix.nbytes + 2**20
