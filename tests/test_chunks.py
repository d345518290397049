"""Chunks of a tensor in host memory have the whole's bits and keep them as long as promised, by the CPU and by a GPU's streams.

"cuda" is the backend over `HostDriver`, whose streams work early, late or in a random order; so what a stream or the host has to
wait for is shown by taking the waiting away.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import POISON
from initializer_table import ALL, FLOATS, INTEGERS, Row

import gpuinit
from gpuinit import backends, dtypes
from gpuinit.backends import cpu
from gpuinit.backends.cuda import staging
from gpuinit.region import Region
from gpuinit.structures import Structure

PACES = ["early", "late", *range(4)]
"""When the stand-in's streams work; a number seeds a random order."""

NORMAL = gpuinit.RandomNormal(0.0, 0.05, seed=7)


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU's buffers hold poison first, so that what is not written shows."""
    monkeypatch.setattr(cpu, "pages", lambda nbytes: np.full(nbytes, POISON, np.uint8))


@pytest.fixture(params=["cpu", *PACES])
def device(request: pytest.FixtureRequest, poisoned: None) -> str:
    """Each device, a GPU at each pace."""
    if request.param == "cpu":
        return "cpu"
    at_pace(request.getfixturevalue("gpu"), request.param)
    return "cuda"


def at_pace(gpu: Any, pace: str | int) -> None:
    gpu.streams.finish()
    gpu.streams.pace = random.Random(pace) if isinstance(pace, int) else pace


def chunks(init: gpuinit.Initializer, shape: Any, dtype: str, device: str, regions: Iterable[Region], most: int) -> Iterator[Any]:
    kind = dtypes.canonical(dtype)
    law = init.law(shape, kind)
    key = None if isinstance(law, Structure) and not law.random else init.key_source()
    return backends.select(device).chunks(law, key, kind, regions, most)


def read(given: Iterator[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
    """Every array as it was when it was given, which it still is when the next one has been given, and the last at the end."""
    found: list[np.ndarray[Any, Any]] = []
    before = None
    for chunk in given:
        assert before is None or before.tobytes() == found[-1].tobytes(), f"array {len(found) - 1} did not last"
        assert chunk.flags.c_contiguous and chunk.flags.aligned
        found.append(chunk.copy())
        before = chunk
    assert before is None or before.tobytes() == found[-1].tobytes(), "the last array did not outlive the end"
    return found


def boxes(shape: tuple[int, ...], step: int) -> list[Region]:
    """Blocks of rows that are the tensor together, the last one smaller; then odd ones, and rows by id."""
    rows = [Region.of(shape, (slice(start, min(start + step, shape[0])),)) for start in range(0, shape[0], step)]
    odd = [slice(length // 3, length - length // 4) for length in shape]
    others = [{"block": tuple(odd)}, {"block": (slice(2, 2),)}, {"rows": [shape[0] - 1, 0, 0, 2]}, {}]
    return [*rows, *(Region.of(shape, **each) for each in others)]


def whole(init: gpuinit.Initializer, shape: Any, dtype: str, device: str) -> np.ndarray[Any, Any]:
    """The tensor by a call, on the host."""
    made = init(shape, dtype, device=device)
    if device == "cpu":
        return np.asarray(made)
    from host.driver import on_host

    backend: Any = backends.select("cuda")
    backend._driver.synchronize()
    return on_host(made).copy()


def check(init: gpuinit.Initializer, shape: Any, dtype: str, device: str, regions: list[Region]) -> None:
    expected = whole(init, shape, dtype, device)
    most = max((region.size for region in regions), default=0) * expected.itemsize
    found = read(chunks(init, shape, dtype, device, iter(regions), most))
    assert len(found) == len(regions)
    for number, (chunk, region) in enumerate(zip(found, regions, strict=True)):
        part = expected[region.slices]
        assert chunk.shape == part.shape and chunk.dtype == part.dtype, number
        assert chunk.tobytes() == part.tobytes(), number


# the bits


LAWS = [*ALL, Row("Orthogonal", {"seed": 15}, "", (150, 131))]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("row", LAWS, ids=lambda row: f"{row.name}-{len(row.shape)}-{row.shape[0]}")
def test_every_kind_of_law(row: Row, dtype: str, device: str) -> None:
    init = row.make()
    check(init, row.shape, dtype, device, boxes(init.output_shape(row.shape), 70 if row.shape[0] > 100 else 5))


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS])
def test_every_dtype(dtype: str, device: str) -> None:
    shape, array = (23, 9), (np.arange(23 * 9).reshape(23, 9) % 2).astype(np.int64)
    constants = [gpuinit.Ones(), gpuinit.Identity(), gpuinit.Constant(array)]
    for init in [*constants, *([NORMAL, gpuinit.RandomUniform(seed=3)] if dtype in FLOATS else [])]:
        check(init, shape, dtype, device, boxes(shape, 4))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000, 1001])
def test_odd_sizes(size: int, device: str) -> None:
    shape = (3003,)
    check(
        NORMAL, shape, "float16", device, [Region.of(shape, (slice(i, min(i + size, 3003)),)) for i in range(5, 2000, size)][:9]
    )


def test_one_region_none_and_empty_ones(device: str) -> None:
    for shape, regions in [
        ((), [Region.of(())]),
        ((40, 3), [Region.of((40, 3))]),
        ((40, 3), []),
        ((0, 3), [Region.of((0, 3))] * 3),
        ((40, 3), [Region.of((40, 3), (slice(5, 5),)), Region.of((40, 3)), Region.of((40, 3), (slice(5, 5),))]),
    ]:
        check(NORMAL, shape, "float32", device, regions)


def test_far_into_a_tensor_beyond_memory(device: str) -> None:
    shape = (2**40, 64)
    regions = [Region.of(shape, (slice(start, start + 10),)) for start in range(2**39 - 25, 2**39 + 25, 10)]
    found = read(chunks(NORMAL, shape, "float32", device, regions, 2560))
    expected = NORMAL(shape, "float32", device="cpu", block=(slice(2**39 - 25, 2**39 + 25),))
    assert np.concatenate(found).tobytes() == expected.tobytes()


@pytest.mark.parametrize("init", [NORMAL, gpuinit.Identity()])
def test_ids_on_the_gpu(gpu: Any, init: gpuinit.Initializer) -> None:
    """Ids that the caller's stream has still to write, and that nobody holds but the region."""
    shape, ids = (1000, 7), [np.random.default_rng(turn).integers(0, 1000, 60) for turn in range(6)]

    def regions() -> Iterator[Region]:
        return (Region(shape, (0, 0), (60, 7), gpu.view(gpu.upload(some).view(np.int64), "rows")) for some in ids)

    for pace in [*PACES, *range(4, 40)]:
        at_pace(gpu, pace)
        found = read(chunks(init, shape, "float32", "cuda", regions(), 60 * 7 * 4))
        for some, chunk in zip(ids, found, strict=True):
            assert chunk.tobytes() == init(shape, "float32", device="cpu", rows=some).tobytes(), pace


# memory


def rows_of(count: int, size: int = 100) -> list[Region]:
    return [Region.of((size * count,), (slice(size * turn, size * (turn + 1)),)) for turn in range(count)]


def nothing_left(gpu: Any) -> bool:
    """No memory, no stream, and no work on a stream of ours."""
    return (gpu.held, gpu.held_pinned, gpu.streams.alive) == (0, 0, {0})


def test_buffers_are_allocated_once_when_the_first_region_is_asked_for(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    on_gpu, pinned, pages = (counted(monkeypatch, *each) for each in ((gpu, "empty"), (gpu, "pinned"), (cpu, "pages")))
    given = {device: chunks(NORMAL, (2000,), "float32", device, rows_of(20), 400) for device in ("cuda", "cpu")}
    assert on_gpu == pinned == pages == []
    for device in given:
        assert len(list(given[device])) == 20
    assert on_gpu == [(400,)] * 2 and pinned == [400] * 3 and pages == [400] * 2
    assert nothing_left(gpu)


def counted(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[Any]:
    asked: list[Any] = []
    real = getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda first, *more: asked.append(first) or real(first, *more))
    return asked


def test_the_cpus_buffers_are_pages_of_their_own() -> None:
    given = chunks(NORMAL, (2000,), "float32", "cpu", rows_of(4), 5000)
    places = [chunk.ctypes.data for chunk in given]
    assert places[0] == places[2] != places[1] == places[3] and all(place % 4096 == 0 for place in places)
    with pytest.raises(MemoryError, match=f"a chunk takes {2**62} bytes, which cannot be allocated here"):
        next(chunks(NORMAL, (2000,), "float32", "cpu", rows_of(4), 2**62))


@pytest.mark.parametrize("pace", PACES)
@pytest.mark.parametrize("taken", [0, 1, 2, 3, 5])
def test_closed_early(gpu: Any, pace: str | int, taken: int) -> None:
    at_pace(gpu, pace)
    given: Any = chunks(NORMAL, (500,), "float32", "cuda", rows_of(5), 400)
    arrays = [next(given) for _ in range(taken)]
    given.close()
    assert (gpu.held, gpu.streams.alive) == (0, {0})
    for number, array in list(enumerate(arrays))[-2:]:
        assert array.tobytes() == NORMAL((500,), "float32", device="cpu", block=rows_of(5)[number].slices).tobytes()
    del arrays, given
    if taken:
        del array
    assert nothing_left(gpu)


def test_dropped_without_closing(gpu: Any) -> None:
    at_pace(gpu, "late")
    given = chunks(NORMAL, (500,), "float32", "cuda", rows_of(5), 400)
    next(given)
    del given
    assert nothing_left(gpu)


TOO_LARGE = r"most=400: a region of shape \(500,\) in float32 takes 2000 bytes; it must be the bytes of the largest region"


def collect(given: Iterator[Any], found: list[bytes]) -> None:
    for chunk in given:
        found.append(chunk.tobytes())


@pytest.mark.parametrize("pace", PACES)
@pytest.mark.parametrize("fails", ["regions", "fill", "copy", "too large"])
def test_an_error_in_the_middle(gpu: Any, pace: str | int, fails: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what comes out; all work is waited for, and nothing stays."""
    at_pace(gpu, pace)

    def regions() -> Iterator[Region]:
        yield from rows_of(5)[:3]
        if fails == "regions":
            raise ZeroDivisionError
        if fails == "too large":
            yield Region.of((500,))
        monkeypatch.setattr(gpu, "launch" if fails == "fill" else "copy_to_pinned", lambda *arguments: 1 // 0)
        yield rows_of(5)[3]

    found: list[bytes] = []
    error, message = (ValueError, TOO_LARGE) if fails == "too large" else (ZeroDivisionError, None)
    with pytest.raises(error, match=message) as caught:
        collect(chunks(NORMAL, (500,), "float32", "cuda", regions(), 400), found)
    assert b"".join(found) == NORMAL((500,), "float32", device="cpu")[:200].tobytes()
    assert (gpu.held, gpu.streams.alive) == (0, {0}), "although the error, with its frames, is still there"
    del caught
    gc.collect()
    assert nothing_left(gpu)


def test_an_error_on_the_cpu() -> None:
    found: list[bytes] = []
    with pytest.raises(ValueError, match=TOO_LARGE):
        collect(chunks(NORMAL, (500,), "float32", "cpu", [*rows_of(5)[:3], Region.of((500,))], 400), found)
    assert len(found) == 3


def test_out_of_memory_says_how_much_and_leaves_nothing(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def second(shape: tuple[int, ...], dtype: Any, real: Any = gpu.empty) -> Any:
        if gpu.held:
            raise MemoryError
        return real(shape, dtype)

    with monkeypatch.context() as patch:
        patch.setattr(gpu, "empty", second)
        with pytest.raises(
            MemoryError, match="^chunks of 400 bytes take 800 bytes on cuda:0, where 1000 of 2000 bytes are free$"
        ):
            next(chunks(NORMAL, (500,), "float32", "cuda", rows_of(5), 400))
        assert nothing_left(gpu)
    gpu.room_pinned = 399
    with pytest.raises(
        MemoryError, match="^chunks of 400 bytes take 1200 bytes of pinned memory, which cannot be allocated here$"
    ):
        next(chunks(NORMAL, (500,), "float32", "cuda", rows_of(5), 400))
    assert nothing_left(gpu) and gpu.launched == []


# the order of things


def test_the_next_is_begun_and_not_waited_for(gpu: Any) -> None:
    """When a region is given, the next one's kernel is launched and none of its work done; the one after it is not launched."""
    at_pace(gpu, "late")
    given = chunks(NORMAL, (500,), "float32", "cuda", rows_of(5), 400)
    for number in range(5):
        chunk = next(given)
        assert len(gpu.launched) == min(number + 2, 5)
        on_ours = gpu.streams.pending_on(1) + gpu.streams.pending_on(2)
        if number:  # before, the next one's stream has still to wait for the caller's too
            assert on_ours == (2 if number < 4 else 0), "the fill and the copy of the next region"
        assert gpu.streams.current == 0 and chunk.size == 100


def test_the_callers_stream_goes_on(gpu: Any) -> None:
    """Fills wait for what the caller's stream was given before; the host and the caller's stream wait for nothing more."""
    at_pace(gpu, "late")
    done: list[int] = []
    with gpu.using(gpu.new_stream()):
        gpu.streams.put(lambda: done.append(1))
        given = chunks(NORMAL, (500,), "float32", "cuda", rows_of(5), 400)
        next(given)
        assert done == [1]
        gpu.streams.put(lambda: done.append(2))
        for _ in given:
            assert done == [1]


def missed(gpu: Any, laws: tuple[gpuinit.Initializer, ...] = (NORMAL,)) -> bool:
    """Whether at some pace a chunk is not the whole's part, or does not last, or the stand-in refuses something."""
    failed = []
    for pace in [*PACES, *range(4, 30)]:
        at_pace(gpu, pace)
        for init in laws:
            try:
                given = read(chunks(init, (700,), "float32", "cuda", rows_of(7), 400))
                right = np.concatenate(given).tobytes() == init((700,), "float32", device="cpu").tobytes()
            except AssertionError:
                right = False
            failed.append(not right)
        gpu.streams.pace = "late"  # what is left of a broken run is not run into the next
        gpu.streams.forget()
    return any(failed)


def without_waiting(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging._Stage, "ended", lambda self, turn, region, host: host)


def with_two_pinned_buffers(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "PINNED", 2)


def with_one_device_buffer(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(self: Any, most: int, real: Any = staging._Stage.open) -> None:
        real(self, most)
        self._device[1] = self._device[0]

    monkeypatch.setattr(staging._Stage, "open", opened)


def with_the_copy_on_the_callers_stream(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def copy(*arguments: Any, real: Any = gpu.copy_to_pinned) -> None:
        with gpu.using(0):
            real(*arguments)

    monkeypatch.setattr(gpu, "copy_to_pinned", copy)


def with_the_fill_on_the_callers_stream(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def launch(*arguments: Any, real: Any = gpu.launch) -> None:
        with gpu.using(0):
            real(*arguments)

    monkeypatch.setattr(gpu, "launch", launch)


def without_waiting_for_the_callers_stream(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "wait_for", lambda stream: None)


def without_a_fault(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pass


@pytest.mark.parametrize(
    "fault",
    [
        without_waiting,
        with_two_pinned_buffers,
        with_one_device_buffer,
        with_the_copy_on_the_callers_stream,
        with_the_fill_on_the_callers_stream,
        without_waiting_for_the_callers_stream,
        without_a_fault,
    ],
)
def test_every_wait_and_every_buffer_is_needed(fault: Callable[..., None], gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fault(gpu, monkeypatch)
    assert missed(gpu) == (fault is not without_a_fault)


def test_waiting_before_memory_is_freed_is_needed(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed while a copy is going on: without the wait its stream ends first, which the stand-in refuses."""
    at_pace(gpu, "late")
    given: Any = chunks(NORMAL, (500,), "float32", "cuda", rows_of(5), 400)
    next(given)
    with monkeypatch.context() as patch:
        patch.setattr(staging._Stage, "_wait", lambda self, stream: None)
        with pytest.raises(AssertionError, match="is ended before its work is done"):
            given.close()
    gpu.streams.forget()


# the driver


def test_the_drivers_own_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real one's: pinned memory is held by the array's views, and copies go to the current stream."""
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
    from gpuinit.backends.cuda.driver import Driver

    freed, copied, released = [], [], []

    class Memory:
        def __init__(self, nbytes: int) -> None:
            self.held = np.empty(nbytes, np.uint8)
            self.ptr, self.size = self.held.ctypes.data, nbytes

        def __del__(self) -> None:
            freed.append(self.size)

    before = [cupy.get_default_pinned_memory_pool().malloc]
    cupy.cuda.set_pinned_memory_allocator(lambda nbytes: cupy.cuda.PinnedMemoryPointer(Memory(nbytes), 0))
    try:
        driver = Driver()
        whole, none = driver.pinned(24), driver.pinned(0)
        assert whole.dtype == np.uint8 and whole.size == 24 and none.size == 0 and freed == []
        del none
        assert freed.pop() == 1
    finally:
        cupy.cuda.set_pinned_memory_allocator(*before)
    part = whole[4:20].view(np.float32).reshape(2, 2)
    part[...] = 1.5
    assert whole[4:20].tobytes() == np.full(4, 1.5, np.float32).tobytes()
    place = part.ctypes.data
    runtime = SimpleNamespace(memcpyAsync=lambda *each: copied.append(each), memcpyDeviceToHost=2)
    cuda = SimpleNamespace(runtime=runtime, get_current_stream=lambda: SimpleNamespace(ptr=77))
    pool = SimpleNamespace(free_all_blocks=released.append)
    monkeypatch.setattr(driver, "_cupy", SimpleNamespace(cuda=cuda, get_default_memory_pool=lambda: pool))
    driver.copy_to_pinned(4096, part)
    assert copied == [(place, 4096, 16, 2, 77)]
    driver.end_stream("a stream")
    assert released == ["a stream"]
    del whole
    assert freed == []
    del part
    assert freed == [24]
