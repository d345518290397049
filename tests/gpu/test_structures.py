"""What is not drawn element by element: constants, arrays, identities, Fourier kernels; the CPU's bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from initializer_table import FLOATS, INTEGERS

import gpuinit
from gpu.rig import Rig, same, strided, untouched_around

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
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_stft(side: str, dtype: str, gpu: Rig) -> None:
    init, shape = gpuinit.STFT(side=side), (16, 1, 9)
    for part in ({}, {"rows": [3, 15, 3]}, {"block": (slice(2, 9), slice(None), slice(1, 5))}):
        assert same(gpu, init(shape, dtype, device="cuda", **part), init(shape, dtype, device="cpu", **part)), part


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
