"""Orthogonal matrices made on the GPU: the bits of the definition in small ones of a stack, others the CPU's but for rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from orthogonal_definition import defined

import gpuinit
from gpu.rig import Rig, same, strided, untouched_around
from gpuinit.backends import DeviceError
from gpuinit.backends.cuda import orthogonal

pytestmark = pytest.mark.gpu

STACKS: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((3, 7, 5), (0,)),
    ((3, 5, 7), (0,)),
    ((4, 3, 6), (1,)),
    ((2, 3, 4, 5), (0, 2)),
    ((5, 1, 1), (0,)),
    ((2, 600, 3), (0,)),
    ((40, 16, 16), (0,)),
]
NARROW = {"bfloat16": 2**-8, "float16": 2**-11, "float8_e4m3fn": 2**-4, "float8_e5m2": 2**-3}
WITHIN = {"float32": 1e-5, "float64": 1e-12, **NARROW}
SHAPES = [(1, 1), (64, 64), (300, 20), (20, 300), (257, 256), (256, 513), (700, 600), (3, 3, 8, 16)]


@pytest.fixture(autouse=True)
def cublas(gpu: Rig) -> None:
    try:
        with gpu.backend._driver.products(np.dtype(np.float32)):
            pass
    except DeviceError as error:
        pytest.skip(str(error))


def far(gpu: Rig, made: Any, wanted: Any) -> float:
    """The greatest difference."""
    found = gpu.host(made)
    assert found.shape == wanted.shape and found.dtype == wanted.dtype
    return float(np.abs(found.astype(np.float64) - wanted.astype(np.float64)).max())


@pytest.mark.parametrize(("shape", "batch"), STACKS)
@pytest.mark.parametrize("dtype", WITHIN)
def test_small_matrices_have_the_bits_of_their_definition(shape: Any, batch: Any, dtype: str, gpu: Rig) -> None:
    wanted = defined(shape, batch, -1.5, 7, dtype)
    init = gpuinit.Orthogonal(-1.5, seed=7, batch_axes=batch)
    assert same(gpu, init(shape, dtype, device="cuda"), np.ascontiguousarray(wanted))
    out, held = strided(gpu, shape, wanted.dtype)
    init.fill(out)
    assert same(gpu, out, wanted) and untouched_around(gpu, out, held)
    part = (slice(1, 2), slice(1, 3)) if shape[0] > 1 and shape[1] > 2 else (slice(None),)
    assert same(gpu, init(shape, dtype, device="cuda", block=part), np.ascontiguousarray(wanted[part]))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", WITHIN)
def test_large_matrices_are_the_cpu_s_within_rounding(shape: tuple[int, ...], dtype: str, gpu: Rig) -> None:
    """In narrow types a value at a rounding's edge may fall to either side."""
    init = gpuinit.Orthogonal(0.5, seed=5)
    wanted = init(shape, dtype, device="cpu")
    made = init(shape, dtype, device="cuda")
    assert far(gpu, made, wanted) <= WITHIN[dtype]
    out, held = strided(gpu, shape, wanted.dtype)
    init.fill(out)
    assert same(gpu, out, gpu.host(made)) and untouched_around(gpu, out, held)
    if shape[0] > 2:
        assert same(gpu, init(shape, dtype, device="cuda", rows=[2, 0, 2]), gpu.host(made)[[2, 0, 2]])


@pytest.mark.parametrize("shape", [(4096, 4096), (65536, 256)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_errors_of_large_matrices(shape: tuple[int, int], dtype: str, gpu: Rig) -> None:
    """max |Q'Q - I|, with Q'Q in float64, and the distance from the CPU's matrix."""
    dims = (gpu.size(shape[0], shape[0] // 8), gpu.size(shape[1], shape[1] // 8))
    init = gpuinit.Orthogonal(seed=8)
    made = init(dims, dtype, device="cuda")
    assert far(gpu, made, init(dims, dtype, device="cpu")) <= WITHIN[dtype]
    found = gpu.host(made).astype(np.float64)
    assert np.abs(found.T @ found - np.eye(dims[1])).max() <= {"float32": 2e-6, "float64": 1e-13}[dtype]


def test_tf32_is_not_used(gpu: Rig) -> None:
    """Whatever the handle is set to: TF32's products would be wrong by 1e-3."""
    gpu.needs_hardware("cuBLAS")
    library, handle = gpu.cupy.cuda.cublas, gpu.cupy.cuda.device.get_cublas_handle()
    before = library.getMathMode(handle)
    init, allow_tf32 = gpuinit.Orthogonal(seed=8), 3
    plain = gpu.host(init((1000, 900), device="cuda"))
    library.setMathMode(handle, allow_tf32)
    try:
        assert same(gpu, init((1000, 900), device="cuda"), plain)
        assert library.getMathMode(handle) == allow_tf32
    finally:
        library.setMathMode(handle, before)


@pytest.mark.parametrize("shape", [(4096, 2048), (2048, 4096)])
def test_memory(shape: tuple[int, int], gpu: Rig) -> None:
    """At most the matrix, another of its size, and panels; for a wide one a third. cuBLAS' own workspace is not CuPy's."""
    gpu.needs_hardware("CuPy's pool")
    pool = gpu.cupy.get_default_memory_pool()
    gpuinit.Orthogonal(seed=1)((300, 200), device="cuda")
    pool.free_all_blocks()
    made = gpuinit.Orthogonal(seed=1)(shape, device="cuda")
    matrices = 3 if shape[0] >= shape[1] else 4
    assert pool.total_bytes() - made.nbytes < (matrices - 1) * made.nbytes + 8 * orthogonal.PANEL**2 + 2**22


def test_another_stream(gpu: Rig) -> None:
    """The products are on the current stream, as the kernels are."""
    init = gpuinit.Orthogonal(seed=3)
    wanted = gpu.host(init((600, 500), device="cuda"))
    stream = gpu.stream()
    with stream:
        made = init((600, 500), device="cuda")
    stream.synchronize()
    assert same(gpu, made, wanted)
