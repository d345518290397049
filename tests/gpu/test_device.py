"""Launch geometries, streams, threads, memory, several GPUs, and errors."""

from __future__ import annotations

import gc
import threading
from typing import Any

import numpy as np
import pytest

import gpuinit
from gpu.rig import POISON, Rig, cpu_hashes, same
from gpuinit.backends.cuda import dense, geometry
from gpuinit.hashing import element_hash

pytestmark = pytest.mark.gpu

INITIALIZERS = [
    gpuinit.RandomUniform(-1.0, 1.0, seed=31),
    gpuinit.RandomNormal(0.0, 1.0, seed=32),
    gpuinit.TruncatedNormal(0.0, 1.0, seed=33),
    gpuinit.TruncatedNormal(0.0, 1.0, lower=-1.0, upper=3.0, seed=34),
]


@pytest.mark.parametrize("processors", [1, 7, 1000])
@pytest.mark.parametrize(("tiles", "blocks", "most"), [(1, 1, 2**30), (3, 2, 2**30), (16, 16, 1031), (1000, 64, 77)])
def test_any_geometry(processors: int, tiles: int, blocks: int, most: int, gpu: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu.backend, "_processors", processors)
    monkeypatch.setattr(dense, "TILES_PER_BLOCK", tiles)
    monkeypatch.setattr(dense, "BLOCKS_PER_PROCESSOR", blocks)
    monkeypatch.setattr(dense, "MOST_VECTORS", most)
    monkeypatch.setattr(geometry, "BLOCKS_PER_PROCESSOR", blocks)
    for init in INITIALIZERS:
        for dtype in ("float32", "bfloat16", "float8_e5m2", "float64"):
            size = 300_007
            part = (slice(5, size),)
            assert same(gpu, init((size,), dtype, device="cuda", block=part), init((size,), dtype, device="cpu", block=part))
        columns = (slice(None), slice(3, 50))
        made = init((3001, 61), device="cuda", block=columns)
        assert same(gpu, made, init((3001, 61), device="cpu", block=columns))
        assert element_hash(made) == element_hash(gpu.host(made))


# Streams and threads


def test_two_streams_at_once(gpu: Rig) -> None:
    """Eight fills in flight on each of two streams, in turns."""
    size = gpu.size(2**25 + 5, 5000)
    streams = [gpu.stream(), gpu.stream()]
    outs = [gpu.empty(size, dtype) for _ in range(8) for dtype in ("float32", "bfloat16")]
    gpu.synchronize()
    for number, out in enumerate(outs):
        with streams[number % 2]:
            INITIALIZERS[number % 4].fill(out)
    for stream in streams:
        stream.synchronize()
    for number, out in enumerate(outs):
        init, dtype = INITIALIZERS[number % 4], np.dtype(out.dtype)

        def on_cpu(start: int, stop: int, init: Any = init, dtype: Any = dtype) -> Any:
            return init((size,), dtype, device="cpu", block=(slice(start, stop),))

        assert element_hash(out) == sum(cpu_hashes(on_cpu, size).values()) % 2**64, number


def test_the_current_stream_is_used(gpu: Rig) -> None:
    """A fill waits behind its own stream's work, waits for no other stream's, and a call does not wait at all."""
    gpu.needs_hardware("streams run side by side")
    cuda, init = gpu.cupy.cuda, INITIALIZERS[1]
    slow = gpu.empty(min(2**33, gpu.free_bytes() // 2), "uint8")
    expected = init((5000,), device="cpu")
    first, second = gpu.empty(5000, "float32"), gpu.empty(5000, "float32")
    busy, free, reader = gpu.stream(), gpu.stream(), gpu.stream()
    for out in (first, second):  # kernels are loaded now, and the way down is there
        init.fill(out)
    gpu.synchronize()
    assert same_on(reader, first, expected) and same_on(reader, second, expected)
    first, second = gpu.empty(5000, "float32"), gpu.empty(5000, "float32")
    ended = cuda.Event(disable_timing=True)
    gpu.synchronize()
    for _ in range(200):  # half a second or so
        cuda.runtime.memsetAsync(slow.data.ptr, 1, slow.nbytes, busy.ptr)
    with busy:
        init.fill(first)
    ended.record(busy)
    with free:
        init.fill(second)
    free.synchronize()
    assert same_on(reader, second, expected)
    before = first.get(stream=reader)
    assert not ended.done, "the slow work has ended too soon to show anything"
    assert (before.view(np.uint8) == POISON).all(), "the fill did not wait behind its stream's work"
    busy.synchronize()
    assert same_on(reader, first, expected)


def same_on(stream: Any, array: Any, expected: np.ndarray[Any, Any]) -> bool:
    return bool(array.get(stream=stream).tobytes() == expected.tobytes())


def test_ids_are_read_behind_their_streams_work(gpu: Rig) -> None:
    """Ids that the current stream has still to write are looked at after that."""
    gpu.needs_hardware("streams run side by side")
    cuda, init, stream = gpu.cupy.cuda, INITIALIZERS[0], gpu.stream()
    slow = gpu.empty(min(2**32, gpu.free_bytes() // 2), "uint8")
    ids, source = gpu.put(np.array([10**9, -1, 3])), gpu.put(np.array([7, 3, 999]))
    init((1000, 33), rows=source, device="cuda")
    gpu.synchronize()
    with stream:
        for _ in range(50):
            cuda.runtime.memsetAsync(slow.data.ptr, 1, slow.nbytes, stream.ptr)
        cuda.runtime.memcpyAsync(ids.data.ptr, source.data.ptr, ids.nbytes, cuda.runtime.memcpyDeviceToDevice, stream.ptr)
        made = init((1000, 33), rows=ids, device="cuda")
    stream.synchronize()
    assert same(gpu, made, init((1000, 33), rows=[7, 3, 999], device="cpu"))


def test_several_threads(gpu: Rig) -> None:
    """Each thread has a current stream of its own."""
    size, found, errors = gpu.size(2**22 + 3, 3000), {}, []

    def work(number: int) -> None:
        try:
            with gpu.stream() as stream:
                for _ in range(5):
                    made = INITIALIZERS[number % 4]((size,), "bfloat16", device="cuda")
                    stream and stream.synchronize()
                found[number] = element_hash(made)
        except Exception as error:  # shown by the test
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(gpu.size(8, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    for number, hashed in found.items():
        assert hashed == element_hash(INITIALIZERS[number % 4]((size,), "bfloat16", device="cpu"))


# Memory and devices


def test_memory_comes_from_cupys_pool(gpu: Rig) -> None:
    gpu.needs_hardware("CuPy's pool")
    before = gpu.used_bytes()
    made = INITIALIZERS[0]((1000, 1000), device="cuda")
    assert 4_000_000 <= gpu.used_bytes() - before < 4_001_024
    del made
    assert gpu.used_bytes() == before


@pytest.mark.parametrize("whole_process", [False, True])
def test_memory_comes_from_the_users_allocator(whole_process: bool, gpu: Rig) -> None:
    gpu.needs_hardware("CuPy's allocators")
    cuda, asked, before = gpu.cupy.cuda, [], gpu.used_bytes()
    own = cuda.MemoryPool()

    def counting(nbytes: int) -> Any:
        asked.append(nbytes)
        return own.malloc(nbytes)

    if whole_process:
        usual = cuda.get_allocator()
        cuda.set_allocator(counting)
        try:
            made = INITIALIZERS[0]((1000, 1000), device="cuda", rows=gpu.put(np.arange(500)))
        finally:
            cuda.set_allocator(usual)
    else:
        with cuda.using_allocator(counting):
            made = INITIALIZERS[0]((1000, 1000), device="cuda", rows=gpu.put(np.arange(500)))
    assert max(asked) == 2_000_000
    assert own.used_bytes() >= 2_000_000
    assert gpu.used_bytes() == before
    assert same(gpu, made, INITIALIZERS[0]((1000, 1000), device="cpu", rows=np.arange(500)))


def test_the_second_gpu(gpu: Rig) -> None:
    if gpu.device_count() < 2:
        pytest.skip(f"needs two GPUs, and there is {gpu.device_count()}")
    init = INITIALIZERS[1]
    expected = init((1000, 130), device="cpu")
    made = init((1000, 130), device="cuda:1")
    assert made.device.id == 1 and gpu.cupy.cuda.runtime.getDevice() == 0
    with gpu.cupy.cuda.Device(1):
        assert same(gpu, made, expected)
        inside = init((1000, 130), device="cuda")
        out = gpu.cupy.ndarray((1000, 130), np.float32)
        ids = gpu.put(np.array([3, 7]))
    assert inside.device.id == 1
    init.fill(out)
    assert element_hash(out) == element_hash(expected)
    with pytest.raises(ValueError, match="rows lies on cuda:1, and the tensor on cuda:0"):
        init((1000, 130), device="cuda:0", rows=ids)


def test_a_device_that_is_not_there(gpu: Rig) -> None:
    number = gpu.device_count()
    with pytest.raises(gpuinit.backends.DeviceError, match=f"cuda:{number}"):
        INITIALIZERS[0]((3,), device=f"cuda:{number}")


# Errors


def test_out_of_memory(gpu: Rig) -> None:
    """The message has the bytes asked for and free; nothing stays behind, and the GPU goes on."""
    before, size = gpu.used_bytes(), gpu.too_many() // 4
    for initializer in (INITIALIZERS[0], gpuinit.Ones(), gpuinit.Identity()):
        shape = (size,) if initializer is not INITIALIZERS[0] else (size // 2, 2)
        shape = (size // 1024, 1024) if isinstance(initializer, gpuinit.Identity) else shape
        asked = 4 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        with pytest.raises(MemoryError, match=rf"{asked} bytes on cuda:0, where \d+ of \d+ bytes are free"):
            initializer(shape, device="cuda")
        gc.collect()
        assert gpu.used_bytes() == before
    with pytest.raises(MemoryError, match="bytes"):
        INITIALIZERS[0]((2**62,), device="cuda")
    assert gpu.used_bytes() == before
    assert same(gpu, INITIALIZERS[0]((99,), device="cuda"), INITIALIZERS[0]((99,), device="cpu"))


def test_out_of_memory_without_a_pool(gpu: Rig) -> None:
    """CuPy's raw allocator says it in another way."""
    gpu.needs_hardware("CuPy's allocators")
    size = gpu.too_many() // 4
    with gpu.cupy.cuda.using_allocator(None), pytest.raises(MemoryError, match=rf"{4 * size} bytes on cuda:0"):
        INITIALIZERS[0]((size,), device="cuda")


@pytest.mark.parametrize("kind", ["int32", "int64"])
def test_bad_ids_on_the_gpu(kind: str, gpu: Rig) -> None:
    """The first bad id is named, among many and among strided ones; nothing is written."""
    init, many = INITIALIZERS[0], np.zeros(100_000, kind)
    out, before = gpu.empty((many.size, 3), "float32"), gpu.used_bytes()
    for place, wrong in ((0, -1), (99_999, 1000), (54_321, np.iinfo(kind).min), (77, np.iinfo(kind).max)):
        ids = many.copy()
        ids[place], ids[place + 1 :: 1000] = wrong, 1001
        for given in (gpu.put(ids), gpu.put(np.repeat(ids, 2))[::2]):
            with pytest.raises(IndexError, match=rf"^rows\[{place}\]={wrong} is not a row of a tensor with 1000 rows"):
                init.fill(out, shape=(1000, 3), rows=given)
        del given
        gc.collect()
        assert gpu.used_bytes() == before
    assert (gpu.host(out).view(np.uint8) == POISON).all()


def test_ids_of_the_wrong_kind(gpu: Rig) -> None:
    init = INITIALIZERS[0]
    for array, error in (
        (np.zeros(3, np.float32), TypeError),
        (np.zeros(3, np.uint64), TypeError),
        (np.zeros((2, 2)), ValueError),
    ):
        with pytest.raises(error, match="rows"):
            init((1000, 3), device="cuda", rows=gpu.put(array))
    with pytest.raises(IndexError, match="no row ids"):
        init((0, 3), device="cuda", rows=gpu.put(np.zeros(3, np.int64)))
    with pytest.raises(TypeError, match="copy the ids to the host"):
        init((1000, 3), device="cpu", rows=gpu.put(np.zeros(3, np.int64)))


def test_outputs_that_cannot_be_filled(gpu: Rig) -> None:
    init = INITIALIZERS[0]
    with pytest.raises(ValueError, match="overlaps itself"):
        init.fill(gpu.cupy.lib.stride_tricks.as_strided(gpu.empty(9, "float32"), (5, 5), (4, 4)))
    with pytest.raises(ValueError, match="shape"):
        init.fill(gpu.empty((3, 4), "float32"), shape=(3, 5))
    with pytest.raises(ValueError, match="int32"):
        init.fill(gpu.empty((3, 4), "int32"))
