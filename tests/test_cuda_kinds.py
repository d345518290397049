"""Taps, sparse matrices and Fourier kernels on the device of tests/host have the CPU's bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuinit
from gpuinit.backends.cuda import sparse
from gpuinit.backends.cuda.draw import draw
from gpuinit.region import Region

pytest.importorskip("cupy", reason="CuPy is not installed")
from host.driver import at, on_host
from test_cuda_parts import ids_on_gpu, same, strided, untouched

SHAPES: list[tuple[gpuinit.Initializer, tuple[int, ...], list[dict[str, Any]]]] = [
    (gpuinit.DeltaOrthogonal(0.5, seed=3), (3, 4, 5), [{"rows": [0, 1, 1, 2, 1]}, {"block": (slice(2, 3),)}]),
    (
        gpuinit.DeltaOrthogonal(seed=3),
        (4, 3, 6, 6),
        [{"rows": [1, 1]}, {"block": (slice(0, 3), slice(1, 2), slice(2, 5), slice(1, 6))}],
    ),
    (gpuinit.DeltaOrthogonal(seed=3), (2, 0, 4, 5), []),
    (gpuinit.Dirac(), (7, 5, 3), [{"rows": [6, 4, 4, 0], "block": (slice(None), slice(1, 5))}, {"block": (slice(2, 6),)}]),
    (gpuinit.Dirac(3, 2.0), (9, 2, 2, 3), [{"rows": [3, 4, 8, 4]}, {"block": (slice(4, 8), slice(1, 2), slice(1, 2))}]),
    (
        gpuinit.Dirac(4, 2.0, "keras"),
        (3, 4, 5, 3, 8),
        [{"rows": [1, 0, 1]}, {"block": (*(slice(0, 3),) * 3, slice(1, 3), slice(1, 7))}],
    ),
    (gpuinit.Dirac(4), (0, 2, 3), []),
]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64", "complex64", "complex128", "int8"])
@pytest.mark.parametrize("ids", [None, np.int32, np.int64])
def test_taps(gpu: Any, dtype: str, ids: Any) -> None:
    """The matrix of DeltaOrthogonal is Orthogonal's on the same device."""
    for init, shape, parts in SHAPES:
        if dtype == "int8" and isinstance(init, gpuinit.DeltaOrthogonal):
            continue
        whole = init(shape, dtype, device="cpu")
        if isinstance(init, gpuinit.DeltaOrthogonal) and whole.size:
            centre = tuple((size - 1) // 2 for size in shape[:-2])
            matrix = gpuinit.Orthogonal(init.gain, init.seed)(shape[-2:], dtype, device="cuda")
            whole[centre] = on_host(matrix)
        for part in ({}, *parts):
            block = part.get("block", (slice(None),))
            wanted = np.ascontiguousarray(whole[(part["rows"], *block[1:])] if "rows" in part else whole[block])
            given = {**part, "rows": ids_on_gpu(gpu, part["rows"], ids)} if ids and "rows" in part else part
            assert same(init(shape, dtype, device="cuda", **given), wanted), (init, part)
            out, around = strided(gpu, wanted.shape, wanted.dtype)
            init.fill(out, shape=shape, **given)
            assert same(out, wanted) and untouched(around, wanted.shape), (init, part)


SPARSE: list[tuple[tuple[int, int], dict[str, Any]]] = [
    ((50, 40), {}),
    ((50, 40), {"block": (slice(3, 30), slice(5, 17))}),
    ((50, 40), {"rows": [4, 4, 39, 0]}),
    ((50, 40), {"rows": [7, 49], "block": (slice(None), slice(3, 9))}),
    ((1, 1), {}),
    ((1, 9), {}),
    ((33, 1), {}),
    ((0, 3), {}),
    ((3, 0), {}),
]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float8_e5m2", "complex128"])
@pytest.mark.parametrize("sparsity", [0.0, 0.01, 0.3, 0.99, 1.0])
def test_sparse_matrices(gpu: Any, dtype: str, sparsity: float, monkeypatch: pytest.MonkeyPatch) -> None:
    init = gpuinit.Sparse(sparsity, seed=5)
    for chunk in (1, 170, 2**22):
        monkeypatch.setattr(sparse, "CHUNK", chunk)
        for shape, part in SPARSE:
            wanted = init(shape, dtype, device="cpu", **part)
            assert same(init(shape, dtype, device="cuda", **part), wanted), (shape, part)
            out, around = strided(gpu, wanted.shape, wanted.dtype)
            init.fill(out, shape=shape, **part)
            assert same(out, wanted) and untouched(around, wanted.shape), (shape, part)


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "bfloat16", "float16", "float8_e4m3fn", "float8_e5m2", "complex64", "complex128", "int8"]
)
@pytest.mark.parametrize("side", ["real", "imag"])
def test_fourier_kernels(gpu: Any, dtype: str, side: str) -> None:
    for window in ("hann", None, np.arange(-8.0, 24.0)):
        init, shape = gpuinit.STFT(side, window, None), (32, 3, 34)
        for part in (
            {},
            {"block": (slice(3, 17), slice(None), slice(5, 33))},
            {"rows": [31, 0, 0, 7]},
            {"rows": [4], "block": (slice(None), slice(0, 1), slice(1, 2))},
        ):
            wanted = init(shape, dtype, device="cpu", **part)
            assert same(init(shape, dtype, device="cuda", **part), wanted), part
            out, around = strided(gpu, wanted.shape, wanted.dtype)
            init.fill(out, shape=shape, **part)
            assert same(out, wanted) and untouched(around, wanted.shape), part


@pytest.mark.parametrize("step", [1, 4, 16])
def test_among_equals_the_smaller_rows_are_zero(gpu: Any, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Uniforms rounded down to multiples of 1 / step, a power of two: many are alike. Rejects a limit without a row."""
    shape, drawn = (40, 6), []

    def coarse(driver: Any, processors: int, out: Any, sampler: Any, region: Region, key: Any) -> None:
        draw(driver, processors, out, sampler, region, key)
        if sampler.quantile == "unit":
            held = at(out.address, 8 * out.size).view(np.float64).reshape(out.shape)
            held[...] = np.floor(held * step) / step
            drawn.append(held.copy())

    monkeypatch.setattr(sparse, "draw", coarse)
    for zeros in (1, 13, 20, 39, 40):
        made = gpuinit.Sparse(zeros / 40, seed=5)(shape, "float64", device="cuda")
        found = on_host(made) == 0
        wanted = np.zeros(shape, bool)
        np.put_along_axis(wanted, np.argsort(drawn.pop(), axis=0, kind="stable")[:zeros], True, axis=0)
        assert (found == wanted).all()
