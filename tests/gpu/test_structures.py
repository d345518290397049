"""What is not drawn element by element: constants, arrays, diagonals, taps, orthogonal and sparse matrices, Fourier kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from initializer_table import FLOATS, INTEGERS

import gpuinit
from gpu.rig import Rig, same, strided, untouched_around
from gpuinit.backends.cuda import sparse

pytestmark = pytest.mark.gpu

SHAPE = (50, 40)
PARTS: list[dict[str, Any]] = [
    {},
    {"block": (slice(3, 30), slice(5, 17))},
    {"block": (slice(7, 7),)},
    {"rows": [4, 4, 39, 49, 0]},
    {"rows": np.array([4, 4, 39, 49, 0], np.int32), "block": (slice(None), slice(3, 9))},
]
TABLE = (np.arange(50 * 40).reshape(SHAPE) % 13).astype(np.int64)
STRUCTURES: dict[str, tuple[gpuinit.Initializer, list[str]]] = {
    "zeros": (gpuinit.Zeros(), [*FLOATS, *INTEGERS]),
    "ones": (gpuinit.Ones(), [*FLOATS, *INTEGERS]),
    "constant": (gpuinit.Constant(2.5), FLOATS),
    "integer": (gpuinit.Constant(7), [*FLOATS, *INTEGERS[1:]]),
    "complex constant": (gpuinit.Constant(1.5 - 0.25j), ["complex64", "complex128"]),
    "array": (gpuinit.Constant(TABLE), [*FLOATS, *INTEGERS[1:]]),
    "one row": (gpuinit.Constant(TABLE[3] / 16), FLOATS),
    "one column": (gpuinit.Constant(TABLE[:, :1] / 16), FLOATS),
    "identity": (gpuinit.Identity(2.0), FLOATS),
    "identity of integers": (gpuinit.Identity(), INTEGERS),
    "identity in the corner": (gpuinit.Identity(0.5, placement="corner"), FLOATS),
    "orthogonal by the CPU": (gpuinit.Orthogonal(gain=0.5, seed=11, method="qr"), FLOATS),
    "sparse": (gpuinit.Sparse(0.7, 0.5, seed=11), FLOATS),
    "all zero": (gpuinit.Sparse(1.0, seed=11), FLOATS),
}
EVERY = [pytest.param(init, dtype, id=f"{name}-{dtype}") for name, (init, dtypes) in STRUCTURES.items() for dtype in dtypes]


@pytest.mark.parametrize(("init", "dtype"), EVERY)
def test_structures(init: gpuinit.Initializer, dtype: str, gpu: Rig) -> None:
    for part in PARTS:
        expected = init(SHAPE, dtype, device="cpu", **part)
        assert same(gpu, init(SHAPE, dtype, device="cuda", **part), expected), part
        out, held = strided(gpu, expected.shape, expected.dtype)
        init.fill(out, shape=SHAPE, **part)
        assert same(gpu, out, expected), part
        assert untouched_around(gpu, out, held), part


@pytest.mark.parametrize(("init", "dtype"), EVERY)
def test_ids_on_the_gpu(init: gpuinit.Initializer, dtype: str, gpu: Rig) -> None:
    ids = np.array([4, 4, 39, 49, 0])
    for kind in ("int32", "int64"):
        for block in (None, (slice(None), slice(3, 9))):
            expected = init(SHAPE, dtype, device="cpu", rows=ids, block=block)
            given = gpu.put(np.repeat(ids, 3).astype(kind))[1::3]
            assert same(gpu, init(SHAPE, dtype, device="cuda", rows=given, block=block), expected), (kind, block)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float8_e4m3fn", "float64", "complex64", "int16", "uint8"])
def test_constants_at_every_alignment(dtype: str, gpu: Rig) -> None:
    """Words of eight bytes between single elements at the edges."""
    init = gpuinit.Constant(3)
    for length in (1, 2, 7, 8, 9, 31, 4099):
        for place in range(9):
            held = gpu.empty(length + 20, dtype)
            out = held[place : place + length]
            init.fill(out)
            assert same(gpu, out, init((length,), dtype, device="cpu")), (length, place)
            assert untouched_around(gpu, out, held), (length, place)


@pytest.mark.parametrize("side", ["real", "imag"])
@pytest.mark.parametrize("dtype", [*FLOATS, "int16"])
def test_stft(side: str, dtype: str, gpu: Rig) -> None:
    """Cosines computed there; rejects a contraction that NVVM or ptxas made of them."""
    init, shape = gpuinit.STFT(side=side), (gpu.size(400, 40), 1, gpu.size(257, 33))
    parts = ({}, {"rows": [3, 15, 3]}, {"rows": gpu.put(np.array([39, 0]))}, {"block": (slice(2, 9), slice(None), slice(1, 5))})
    for part in parts:
        given = {**part, "rows": gpu.host(part["rows"])} if "rows" in part and not isinstance(part["rows"], list) else part
        expected = init(shape, dtype, device="cpu", **given)
        assert same(gpu, init(shape, dtype, device="cuda", **part), expected), part
        out, held = strided(gpu, expected.shape, expected.dtype)
        init.fill(out, shape=shape, **part)
        assert same(gpu, out, expected) and untouched_around(gpu, out, held), part


TAPS: list[tuple[gpuinit.Initializer, tuple[int, ...], list[str]]] = [
    (gpuinit.DeltaOrthogonal(0.5, seed=3), (4, 3, 8, 12), FLOATS),
    (gpuinit.Dirac(4, 2.0), (12, 5, 4, 3), [*FLOATS, "int16"]),
    (gpuinit.Dirac(4, 2.0, "keras"), (4, 3, 5, 12), [*FLOATS, "int16"]),
]


@pytest.mark.parametrize("ids", ["int32", "int64"])
@pytest.mark.parametrize(("init", "shape", "dtype"), [(init, shape, dtype) for init, shape, kinds in TAPS for dtype in kinds])
def test_taps(init: gpuinit.Initializer, shape: tuple[int, ...], dtype: str, ids: str, gpu: Rig) -> None:
    """Rows that meet the tap repeatedly, and some that miss it. The matrix of DeltaOrthogonal is Orthogonal's on the same GPU."""
    rows = np.array([1, 3, 1, 2, 0], ids)
    whole = init(shape, dtype, device="cpu")
    if isinstance(init, gpuinit.DeltaOrthogonal):
        whole[1, 1] = gpu.host(gpuinit.Orthogonal(init.gain, init.seed)(shape[2:], dtype, device="cuda"))
    for part in ({}, {"rows": rows}, {"block": (slice(1, 3), slice(0, 2), slice(1, 4))}, {"block": (slice(0, 1),)}):
        expected = np.ascontiguousarray(whole[rows if "rows" in part else part.get("block", ...)])
        given = {"rows": gpu.put(rows)} if "rows" in part else part
        assert same(gpu, init(shape, dtype, device="cuda", **given), expected), part
        out, held = strided(gpu, expected.shape, expected.dtype)
        init.fill(out, shape=shape, **given)
        assert same(gpu, out, expected) and untouched_around(gpu, out, held), part


def test_sparse_matrices_in_chunks(gpu: Rig) -> None:
    """More uniforms than are held at once, columns beyond a block of threads, and a part of them."""
    init = gpuinit.Sparse(0.9, seed=5)
    shape = (gpu.size(5000, 300), gpu.size(2000, 150))
    rehearsed = sparse.CHUNK if not gpu.rehearsal else 2**13
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sparse, "CHUNK", rehearsed)
        for part in ({}, {"rows": [7, 299, 7]}, {"block": (slice(100, 300), slice(33, 140))}):
            assert same(gpu, init(shape, device="cuda", **part), init(shape, device="cpu", **part)), part


def test_large_constants(gpu: Rig) -> None:
    """More than 2^32 bytes, and more elements than one turn of the grid."""
    size = gpu.size(2**32 + 12345, 2**20 + 5)
    if gpu.free_bytes() < 2**30 + size:
        pytest.skip("needs 5 GiB of the GPU's memory")
    held = gpu.empty(size, "float8_e4m3fn")
    gpuinit.Ones().fill(held[3:])
    ends = [slice(0, 100), slice(size // 2 - 50, size // 2 + 50), slice(size - 100, size)]
    one = gpuinit.Ones()((1,), "float8_e4m3fn", device="cpu").view(np.uint8)[0]
    for part, first in zip(ends, (3, 0, 0), strict=True):
        assert (gpu.host(held[part]).view(np.uint8)[first:] == one).all()
    assert (gpu.host(held[:3]).view(np.uint8) == 0xCA).all()
