"""Stacks of orthogonal matrices: the bits of the page by NumPy and compiled, batch axes anywhere, parts, bad input."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import numpy as np
import pytest
from conftest import poisoned, same_bits
from reimplementation import PRECISION

import gpuinit
from gpuinit import Key
from gpuinit.backends import compiled, cpu, reflectors
from gpuinit.kernels.cpu_orthogonal import compiled_reflect

SIZES = [(1, 1), (2, 1), (2, 2), (5, 3), (17, 16), (33, 17), (64, 64), (65, 63), (130, 64), (513, 2), (1100, 3)]


def reflected(reflect: Any, matrices: Any, gain: float = -3.0) -> Any:
    made = matrices.copy()
    reflect(made, made.dtype.type(gain), made.dtype.type(abs(gain)))
    return made


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", SIZES)
def test_numpy_and_compiled_code_give_the_same_bits(size: tuple[int, int], dtype: str) -> None:
    """Over poison above the diagonal, which is not read; a sum in another order would differ in some last bit."""
    matrices = np.random.default_rng(sum(size)).standard_normal((3, *size)).astype(dtype)
    made = reflected(compiled_reflect(dtype), matrices)
    spoiled = matrices.copy()
    rows, columns = np.triu_indices(size[1], 1)
    spoiled[:, rows, columns] = np.nan
    assert same_bits(reflected(reflectors.reflect, spoiled), made)
    assert same_bits(reflected(compiled_reflect(dtype), spoiled), made)
    assert gpuinit.orthogonality(made, -3.0, 0).defect < (2e-6 if dtype == "float32" else 1e-14)
    if size[1] > 32:
        other = np.linalg.qr(matrices)
        fixed = other[0] * np.sign(np.diagonal(other[1], axis1=1, axis2=2))[:, None, :]
        assert fixed.shape == made.shape  # the same law, another sample: nothing like it
        assert np.abs(made / -3.0 - fixed).max() > 0.01


def by_the_page(matrix: Any, gain: float) -> list[list[float]]:
    """docs/stream.md, section 10, in exact rational arithmetic rounded once an operation; float32 or float64."""
    f, wide = PRECISION[8 * matrix.dtype.itemsize], PRECISION[64]
    n, k = matrix.shape
    g = [[float(x) for x in row] for row in matrix]
    reflectors = []
    for j in range(k):
        total = 0.0
        for first in range(0, n, 512):
            run = 0.0
            for r in range(max(first, j), min(first + 512, n)):
                run = wide.fma(g[r][j], g[r][j], run)
            total = wide.add(total, run)
        x = g[j][j]
        sign = 1.0 if x >= 0 else -1.0
        head = f.add(x, sign * f.of(wide.square_root(total)))
        tau = f.of(wide.divide(2.0, wide.fma(head, head, wide.fma(-x, x, total))))
        reflectors.append((sign, tau, {j: head, **{r: g[r][j] for r in range(j + 1, n)}}))
    made = [[0.0] * k for _ in range(n)]
    for c in range(k):
        q = [0.0] * n
        q[c] = 1.0
        for j in range(c, -1, -1):
            _, tau, v = reflectors[j]
            a = [0.0] * 4
            for r in range(j, n):
                a[(r - j) % 4] = f.fma(v[r], q[r], a[(r - j) % 4])
            t = f.multiply(tau, f.add(f.add(a[0], a[1]), f.add(a[2], a[3])))
            for r in range(j, n):
                q[r] = f.fma(-t, v[r], q[r])
        for r in range(n):
            value = f.multiply(q[r], f.of(-reflectors[c][0] * gain))
            made[r][c] = min(max(value, -abs(gain)), abs(gain))
    return made


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (18, 17), (515, 2)])
def test_the_page_says_enough(size: tuple[int, int], dtype: str) -> None:
    made = gpuinit.Orthogonal(1.5, seed=4, batch_axes=0)((2, *size), dtype)
    normal = gpuinit.RandomNormal(0, 1, seed=4)((2, *size), dtype)
    for each in range(2):
        assert made[each].tolist() == by_the_page(normal[each], 1.5)


PLACES: list[tuple[Any, tuple[int, ...]]] = [
    *((0, (6, 20, 7)), (1, (20, 6, 7)), (-1, (20, 7, 6)), ([0, 2], (3, 20, 2, 7)), ([2, 1], (20, 3, 2, 7))),
    *((0, (6, 7, 20)), (-2, (7, 6, 20)), ([-1, 0], (3, 7, 20, 2)), ((1,), (4, 6, 5, 7)), ([], (20, 7))),
]


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float8_e5m2", "complex64"])
@pytest.mark.parametrize(("axes", "shape"), PLACES)
def test_batch_axes_anywhere(axes: Any, shape: tuple[int, ...], dtype: str) -> None:
    """The matrices are those of batch_axes=0, in the ascending order of the axes; parts and strided outputs equal the whole."""
    initializer = gpuinit.Orthogonal(2.0, seed=11, batch_axes=axes)
    whole = initializer(shape, dtype)
    listed = [axes] if isinstance(axes, int) else list(axes)
    order = sorted(axis % len(shape) for axis in listed)
    grouped = np.moveaxis(whole, order, range(len(order)))
    inner = grouped.shape[len(order) :]
    flat = gpuinit.Orthogonal(2.0, seed=11, batch_axes=0)((grouped.size // int(np.prod(inner)), *inner), dtype)
    if order:
        assert same_bits(np.ascontiguousarray(grouped).reshape(flat.shape), flat)
    block = tuple(slice(1, length) for length in shape)
    assert same_bits(initializer(shape, dtype, block=block), np.ascontiguousarray(whole[block]))
    rows, rest = [2, 0, 2, 1], (slice(None), *block[1:])
    assert same_bits(initializer(shape, dtype, rows=rows, block=rest), np.ascontiguousarray(whole[rows][rest]))
    out = poisoned(shape[::-1], whole.dtype).T[::-1]
    assert same_bits(np.ascontiguousarray(initializer.fill(out)), whole)


@pytest.mark.parametrize("size", [(40, 30), (30, 40), (3, 3), (128, 128)])
def test_the_first_matrix_is_the_unbatched_one_within_rounding(size: tuple[int, int]) -> None:
    first = gpuinit.Orthogonal(seed=3, batch_axes=0)((2, *size))
    assert np.abs(first[0] - gpuinit.Orthogonal(seed=3)(size)).max() < 2e-6
    assert np.abs(first[1] - first[0]).max() > 0.1


@pytest.mark.parametrize("method", ["auto", "qr", "svd"])
@pytest.mark.parametrize(("shape", "dtype"), [((3, 140, 130), "float32"), ((4, 9, 5), "complex128"), ((2, 700, 120), "float64")])
def test_other_stacks_are_made_one_by_one(shape: tuple[int, ...], dtype: str, method: str) -> None:
    """Large, complex, or by another method: the matrices of their elements of the stream, which are those of the whole."""
    initializer = gpuinit.Orthogonal(seed=5, method=method, batch_axes=0)
    whole = initializer(shape, dtype)
    assert gpuinit.orthogonality(whole, batch_axes=0).defect < (4e-6 if dtype == "float32" else 1e-13)
    assert np.abs(initializer(shape, dtype, rows=[1])[0] - whole[1]).max() < 1e-5
    assert np.abs(gpuinit.Orthogonal(seed=5, method=method)(shape[1:], dtype) - whole[0]).max() < 1e-5


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("way", ["compiled", "NumPy"])
def test_threads_and_ways_do_not_show(way: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """2^17 + 64 matrices are three pieces of work; compiled code takes them whole, NumPy a part."""
    initializer, shape = gpuinit.Orthogonal(seed=6, batch_axes=0), (2**17 + 64, 3, 3)
    monkeypatch.setattr(cpu.BACKEND, "_drawn", 2**40)
    whole = initializer(shape)
    monkeypatch.setattr(compiled, "usable", lambda: way == "compiled")
    before = gpuinit.get_num_threads()
    gpuinit.set_num_threads(threads)
    try:
        made = initializer(shape, block=(slice(58_200, 116_700),))
    finally:
        gpuinit.set_num_threads(before)
    assert same_bits(made, whole[58_200:116_700])


def test_a_stack_larger_than_any_memory() -> None:
    initializer = gpuinit.Orthogonal(seed=7, batch_axes=0)
    for count in (10**9, 2**57):
        rows = initializer((count, 8, 8), rows=[count - 1, 0, 2**29])
        assert same_bits(rows[0:1], initializer((count, 8, 8), block=(slice(count - 1, count),)))
        assert same_bits(rows[1], initializer((1, 8, 8))[0])
        assert gpuinit.orthogonality(rows, batch_axes=0).defect < 1e-6
        assert np.abs(rows[0] - rows[1]).max() > 0.1
    inside = gpuinit.Orthogonal(seed=7, batch_axes=1)((8, 2**57, 8), block=(slice(0, 8), slice(2**29, 2**29 + 1)))
    assert same_bits(np.ascontiguousarray(inside[:, 0]), rows[2])


@pytest.mark.parametrize("shape", [(0, 4, 3), (3, 0, 3), (3, 4, 0)])
def test_empty_stacks(shape: tuple[int, ...]) -> None:
    assert gpuinit.Orthogonal(seed=1, batch_axes=0)(shape).shape == shape


def test_peak_memory_is_the_tensor_and_a_few_mebibytes() -> None:
    initializer = gpuinit.Orthogonal(seed=1, batch_axes=0)
    initializer((64, 64, 64))
    for batch_axes, shape, dtype in ((0, (2048, 64, 64), "float32"), (1, (64, 2048, 64), "bfloat16")):
        tracemalloc.start()
        made = gpuinit.Orthogonal(seed=1, batch_axes=batch_axes)(shape, dtype)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < made.nbytes + gpuinit.get_num_threads() * (2**20 if dtype == "float32" else 8 * 2**20)


def test_config() -> None:
    """Keras' keys unless batch_axes is given; then it survives clone, serialize and JSON."""
    assert "batch_axes" not in gpuinit.Orthogonal(seed=1).get_config()
    for axes in (0, -1, [0, 2], (1,), np.int64(1), np.array([0, 1])):
        initializer = gpuinit.Orthogonal(seed=Key(1, 2), batch_axes=axes)
        stored = json.loads(json.dumps(gpuinit.serialize(initializer)))
        for again in (initializer.clone(), gpuinit.deserialize(stored)):
            assert again.get_config() == initializer.get_config()
            assert same_bits(again((5, 4, 3, 2)), initializer((5, 4, 3, 2)))


@pytest.mark.parametrize(
    ("axes", "shape", "error", "message"),
    [
        (2, (3, 4), np.exceptions.AxisError, r"batch_axes=2: shape=\(3, 4\) has no axis 2"),
        (-4, (3, 4, 5), np.exceptions.AxisError, "has no axis -4"),
        ([0, -3], (3, 4, 5), ValueError, r"batch_axes=\[0, -3\] names an axis of shape=\(3, 4, 5\) twice"),
        (0, (3, 4), ValueError, r"batch_axes=0 leaves 1 axes of shape=\(3, 4\): a matrix needs at least 2"),
        ([0, 1], (3, 4, 5), ValueError, "leaves 1 axes"),
    ],
)
def test_wrong_axes(axes: Any, shape: tuple[int, ...], error: type[Exception], message: str) -> None:
    out = poisoned(shape, np.float32)
    before = out.tobytes()
    with pytest.raises(error, match=message):
        gpuinit.Orthogonal(batch_axes=axes).fill(out)
    assert out.tobytes() == before


@pytest.mark.parametrize("axes", ["0", 1.0, True, [0.5], [True], b"0"])
def test_axes_that_are_none(axes: Any) -> None:
    with pytest.raises(TypeError, match="batch_axes"):
        gpuinit.Orthogonal(batch_axes=axes)


@pytest.mark.parametrize("gain", [np.nan, np.inf, -np.inf])
def test_gains_that_are_not_finite(gain: float) -> None:
    with pytest.raises(ValueError, match="gain="):
        gpuinit.Orthogonal(gain)
