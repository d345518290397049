"""Chunks of a tensor in host memory, made and copied on two streams: bits, how long they last, other streams, memory, errors."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest
from initializer_table import ELEMENTWISE, FLOATS

import gpuinit
from gpu.rig import Rig, cpu_hashes
from gpuinit import dtypes
from gpuinit.hashing import Digest
from gpuinit.region import Region
from gpuinit.structures import Structure

pytestmark = pytest.mark.gpu

NORMAL = gpuinit.RandomNormal(0.0, 0.02, seed=51)
SHAPE = (501, 96)
TABLE = (np.arange(501 * 96).reshape(SHAPE) % 13).astype(np.int64)
LAWS: dict[str, tuple[gpuinit.Initializer, list[str]]] = {
    "constant": (gpuinit.Ones(), [*FLOATS, "bool", "int16"]),
    "array": (gpuinit.Constant(TABLE), [*FLOATS, "int8", "int64"]),
    "identity": (gpuinit.Identity(2.0), [*FLOATS, "int32"]),
    "orthogonal by the CPU": (gpuinit.Orthogonal(0.5, seed=11, method="qr"), ["float32", "bfloat16", "complex64"]),
    "sparse": (gpuinit.Sparse(0.7, 0.5, seed=11), FLOATS),
    **{row.name: (row.make(), FLOATS) for row in ELEMENTWISE[:4]},
}


def chunks(
    gpu: Rig, init: gpuinit.Initializer, shape: Any, dtype: str, regions: Iterable[Region], most: int
) -> Iterator[np.ndarray[Any, Any]]:
    kind = dtypes.canonical(dtype)
    law = init.law(shape, kind)
    key = None if isinstance(law, Structure) and not law.random else init.key_source()
    given: Iterator[np.ndarray[Any, Any]] = gpu.backend.chunks(law, key, kind, regions, most)
    return given


def rows(shape: tuple[int, ...], step: int) -> list[Region]:
    return [Region.of(shape, (slice(start, min(start + step, shape[0])),)) for start in range(0, shape[0], step)]


def bits(given: Iterator[np.ndarray[Any, Any]]) -> list[bytes]:
    """Every array's bytes when the next one has been given, the last one's at the end."""
    found, before = [], None
    for chunk in given:
        if before is not None:
            found.append(before.tobytes())
        before = chunk
    return found if before is None else [*found, before.tobytes()]


@pytest.mark.parametrize(
    ("init", "dtype"), [pytest.param(init, kind, id=f"{name}-{kind}") for name, (init, kinds) in LAWS.items() for kind in kinds]
)
def test_every_kind_of_law(init: gpuinit.Initializer, dtype: str, gpu: Rig) -> None:
    box = Region.of(SHAPE, (slice(3, 400), slice(5, 41)))
    regions = [*rows(SHAPE, 37), box, Region.of(SHAPE, (slice(9, 9),)), Region.of(SHAPE, rows=[500, 0, 0, 7]), Region.of(SHAPE)]
    whole = init(SHAPE, dtype, device="cpu")
    found = bits(chunks(gpu, init, SHAPE, dtype, regions, whole.nbytes))
    assert found == [whole[region.slices].tobytes() for region in regions]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_large_table(dtype: str, gpu: Rig) -> None:
    """A GiB and odd sizes, by each chunk's hash: rejects a copy that overtakes a fill, and a buffer that is used too early."""
    size, step = gpu.size(2**30 // dtypes.canonical(dtype).itemsize + 12345, 40_007), gpu.size(2**22 + 3, 5001)
    regions, found = rows((size,), step), {}
    given = chunks(gpu, NORMAL, (size,), dtype, iter(regions), step * dtypes.canonical(dtype).itemsize)
    for region, chunk in zip(regions, given, strict=True):
        digest = Digest()
        digest.update(chunk, region.starts[0])
        found[f"{region.starts[0]} .. {region.starts[0] + chunk.size - 1}"] = digest.hash
    assert found == cpu_hashes(lambda i, j: NORMAL((size,), dtype, device="cpu", block=(slice(i, j),)), size, step)


def test_behind_the_callers_stream(gpu: Rig) -> None:
    """Ids that the caller's stream has still to write are read after that, and nobody but the region holds them."""
    gpu.needs_hardware("streams run side by side")
    cuda, stream, shape = gpu.cupy.cuda, gpu.stream(), (1000, 64)
    slow = gpu.empty(min(2**32, gpu.free_bytes() // 2), "uint8")
    ids = [np.random.default_rng(turn).integers(0, 1000, 5000) for turn in range(6)]
    sources = [gpu.put(some) for some in ids]
    bits(
        chunks(
            gpu, NORMAL, shape, "float32", [Region(shape, (0, 0), (5000, 64), gpu.backend.checked_rows(sources[0], 1000))], 2**21
        )
    )
    gpu.synchronize()

    def regions() -> Iterator[Region]:
        for source in sources:
            for _ in range(20):
                cuda.runtime.memsetAsync(slow.data.ptr, 1, slow.nbytes, stream.ptr)
            held = gpu.cupy.ndarray(source.shape, np.int64)
            cuda.runtime.memcpyAsync(held.data.ptr, source.data.ptr, held.nbytes, cuda.runtime.memcpyDeviceToDevice, stream.ptr)
            yield Region(shape, (0, 0), (5000, 64), gpu.backend._driver.view(held, "rows"))

    with stream:
        found = bits(chunks(gpu, NORMAL, shape, "float32", regions(), 2**21))
    assert found == [NORMAL(shape, device="cpu", rows=some).tobytes() for some in ids]


def test_used_by_the_callers_work_before(gpu: Rig) -> None:
    """Memory that the pool lends while work of the caller's stream still writes it: that work comes first."""
    gpu.needs_hardware("CuPy's pool")
    size, stream = 2**24, gpu.stream()
    expected = NORMAL((2 * size,), device="cpu")
    bits(chunks(gpu, NORMAL, (2 * size,), "float32", rows((2 * size,), size), 4 * size))
    gpu.synchronize()
    with stream:
        given_back = [gpu.cupy.ndarray((size,), np.float32) for _ in range(2)]
        for _ in range(500):
            for array in given_back:
                gpu.cupy.cuda.runtime.memsetAsync(array.data.ptr, 1, array.nbytes, stream.ptr)
        del given_back, array
        assert (
            b"".join(bits(chunks(gpu, NORMAL, (2 * size,), "float32", rows((2 * size,), size), 4 * size))) == expected.tobytes()
        )


@pytest.mark.parametrize("allocator", ["pool", "none", "asynchronous"])
def test_allocators(allocator: str, gpu: Rig) -> None:
    """CuPy's other allocators, with a law that allocates besides."""
    gpu.needs_hardware("CuPy's allocators")
    cuda, init = gpu.cupy.cuda, gpuinit.Sparse(0.7, seed=5)
    if allocator == "asynchronous" and not cuda.runtime.deviceGetAttribute(cuda.runtime.cudaDevAttrMemoryPoolsSupported, 0):
        pytest.skip("this GPU has no asynchronous allocator")
    chosen = {"pool": lambda: cuda.MemoryPool().malloc, "none": lambda: None, "asynchronous": lambda: cuda.malloc_async}[
        allocator
    ]()
    shape = (3000, 50)
    with cuda.using_allocator(chosen):
        found = bits(chunks(gpu, init, shape, "float32", rows(shape, 200), 40_000))
    assert b"".join(found) == init(shape, device="cpu").tobytes()


@pytest.mark.parametrize("ends", ["exhausted", "closed", "an error"])
def test_nothing_stays(ends: str, gpu: Rig) -> None:
    """Neither in CuPy's pool nor, but for arrays that are held, in that of pinned memory; what was begun is waited for."""
    shape, before = (1000, 300), gpu.used_bytes()
    init = gpuinit.Sparse(0.7, seed=5)  # its temporaries are given back too
    expected = init(shape, device="cpu")

    def regions() -> Iterator[Region]:
        yield from rows(shape, 100)[:4]
        if ends == "an error":
            raise ZeroDivisionError
        yield from rows(shape, 100)[4:]

    given: Any = chunks(gpu, init, shape, "float32", regions(), 120_000)
    first = next(given)
    if not gpu.rehearsal:
        assert gpu.used_bytes() >= before + 240_000
    if ends == "closed":
        given.close()
    elif ends == "exhausted":
        assert len(list(given)) == 9
    else:
        next(given), next(given)
        with pytest.raises(ZeroDivisionError):
            next(given)
    if ends == "closed":
        assert first.tobytes() == expected[:100].tobytes()
    del first, given
    gc.collect()
    assert gpu.used_bytes() == before
    assert b"".join(bits(chunks(gpu, init, shape, "float32", rows(shape, 100), 120_000))) == expected.tobytes()


def test_out_of_memory(gpu: Rig) -> None:
    before, size = gpu.used_bytes(), gpu.too_many()
    with pytest.raises(MemoryError, match=rf"^chunks of {size} bytes take {2 * size} bytes on cuda:0, where \d+ of \d+ bytes"):
        next(chunks(gpu, NORMAL, SHAPE, "float32", rows(SHAPE, 10), size))
    assert gpu.used_bytes() == before
    assert len(bits(chunks(gpu, NORMAL, SHAPE, "float32", rows(SHAPE, 10), 3840))) == 51
