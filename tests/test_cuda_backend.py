"""The CUDA backend behind the public calls: devices, arrays of other owners, errors. "cuda" is `HostDriver`'s."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import gpuinit
from gpuinit import backends, dtypes
from gpuinit.backends.cuda import arrays, devices, probe
from gpuinit.hashing import element_hash

cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
from host.driver import POISON, on_host  # noqa: E402

INIT = gpuinit.RandomNormal(0.0, 0.05, seed=7)


def status(**found: Any) -> probe.Status:
    return probe.Status(**{"usable": True, "devices": (probe.Device(0, "A", 90, 1, 1), probe.Device(1, "B", 61, 1, 1)), **found})


def test_the_default_device_is_the_gpu_if_there_is_one(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert gpuinit.default_device() == "cuda:0"
    assert isinstance(INIT((3,)), cupy.ndarray)
    monkeypatch.setenv("GPUINIT_DEVICE", "cpu")
    assert gpuinit.default_device() == "cpu" and isinstance(INIT((3,)), np.ndarray)
    monkeypatch.setattr(probe, "status", lambda: status(usable=False, problem="There is no driver."))
    monkeypatch.delenv("GPUINIT_DEVICE")
    assert gpuinit.default_device() == "cpu" and isinstance(INIT((3,)), np.ndarray)


def test_a_device_that_cannot_be_used_is_named_with_the_reason(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "status", status)
    with pytest.raises(
        gpuinit.DeviceError, match="device='cuda:2' cannot be used: this machine has 2 GPUs, 'cuda:0' to 'cuda:1'"
    ):
        INIT((3,), device="cuda:2")
    with pytest.raises(gpuinit.DeviceError, match="device='cuda:1' cannot be used: .*compute capability 6.1"):
        INIT((3,), device="cuda:1")
    monkeypatch.setattr(probe, "status", lambda: status(usable=False, problem="There is no driver.", remedy="Install one."))
    monkeypatch.setenv("GPUINIT_DEVICE", "cuda")
    with pytest.raises(gpuinit.DeviceError, match=r"GPUINIT_DEVICE='cuda' cannot be used: There is no driver. Install one.$"):
        INIT((3,))


def test_an_array_has_shape_dtype_and_alignment(gpu: Any) -> None:
    for name in (*dtypes.RANDOM, "int8", "bool"):
        made = gpuinit.Ones()((3, 5), name, device="cuda")
        assert isinstance(made, cupy.ndarray) and made.shape == (3, 5) and made.dtype == dtypes.canonical(name)
        assert made.flags.c_contiguous and made.data.ptr % 64 == 0


def test_a_whole_tensor_is_one_allocation_and_one_launch(gpu: Any) -> None:
    made: list[tuple[int, ...]] = []
    allocate = gpu.empty
    gpu.empty = lambda shape, dtype: made.append(shape) or allocate(shape, dtype)
    INIT((1000, 130), "float32", device="cuda")
    assert made == [(1000, 130)] and len(gpu.launched) == 1
    assert gpu.entered, "work is put on the chosen device"
    INIT((10**9, 130), "float32", device="cuda", block=(slice(10**8, 10**8 + 50),))  # contiguous rows: a dense fill with a start
    assert len(gpu.launched) == 2 and str(gpu.launched[1].kernel).startswith("dense_fill")


def test_out_of_memory_says_how_much_and_leaves_nothing(gpu: Any) -> None:
    gpu.room = 10_000
    with pytest.raises(
        MemoryError, match=r"shape=\(1000, 130\) of float32 takes 520000 bytes on cuda:0, where 1000 of 2000 bytes are"
    ):
        INIT((1000, 130), "float32", device="cuda")
    with pytest.raises(MemoryError, match="takes 36893488147419103232 bytes"):
        INIT((2**63,), "float32", device="cuda")
    assert gpu.launched == []


class Interface:
    """Another owner's array, by the CUDA array interface."""

    def __init__(self, array: Any, **changes: Any) -> None:
        self.kept = array
        memory = on_host(array)
        self.__cuda_array_interface__ = {
            "shape": array.shape,
            "strides": memory.strides,
            "typestr": array.dtype.str,
            "data": (array.data.ptr, False),
            "version": 3,
            "stream": None,
            **changes,
        }


def test_arrays_of_other_owners_by_the_cuda_array_interface(gpu: Any) -> None:
    whole = gpu.empty((20, 30), np.dtype(np.float32))
    part = whole[2:, ::3]
    wanted = INIT(part.shape, "float32", device="cpu")
    other = Interface(part, stream=77)
    assert INIT.fill(other) is other
    assert on_host(part).tobytes() == wanted.tobytes() and gpu.waited == [77] and gpu.synchronized == 1
    assert (on_host(whole)[:2].view(np.uint8) == POISON).all()
    whole = gpu.empty((4, 5), np.dtype(np.float64))
    INIT.fill(Interface(whole, strides=None))
    assert on_host(whole).tobytes() == INIT((4, 5), "float64", device="cpu").tobytes()
    assert element_hash(Interface(whole)) == element_hash(on_host(whole))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"data": (4096, True)}, ValueError, "out is read-only"),
        ({"typestr": "<M8[s]"}, ValueError, "out: dtype=.* is not known"),
        ({"strides": (4, 4)}, ValueError, "out overlaps itself"),
        ({"data": (4098, False)}, ValueError, "out lies at address 4098 .*multiples of its elements' 4 bytes"),
        ({"mask": 1}, ValueError, "out has a mask"),
        ({"shape": (4, 6), "strides": None}, ValueError, None),
    ],
)
def test_arrays_that_cannot_be_filled(gpu: Any, changes: dict[str, Any], error: type[Exception], message: str | None) -> None:
    array = gpu.empty((4, 5), np.dtype(np.float32))
    if message is None:
        with pytest.raises(error, match=r"out has shape \(4, 6\), and the part to fill has shape \(4, 5\)"):
            INIT.fill(Interface(array, **changes), shape=(4, 5))
    else:
        with pytest.raises(error, match=message):
            INIT.fill(Interface(array, **changes))
    assert gpu.launched == [] and (on_host(array).view(np.uint8) == POISON).all()


class Exported:
    """A CPU array that says by DLPack that it lies on a GPU: what its capsule holds is then read by address."""

    def __init__(self, array: Any) -> None:
        self.array, self.streams = array, []

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0

    def __dlpack__(self, stream: Any = None) -> Any:
        self.streams.append(stream)
        return self.array.__dlpack__()


def test_arrays_of_other_owners_by_dlpack(gpu: Any) -> None:
    memory = np.full((6, 40), 7, np.float32)
    other = Exported(memory[1:5, 3:33:2])
    INIT.fill(other)
    assert memory[1:5, 3:33:2].tobytes() == INIT((4, 15), "float32", device="cpu").tobytes()
    assert (memory[0] == 7).all() and (memory[:, ::2] == 7).all()
    assert set(other.streams) == {1}, "the legacy default stream's name in DLPack"
    assert gpu.synchronized == 1, "its owner does not know of our stream"


def test_torch_tensors_hand_over_every_dtype(gpu: Any) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed (make setup-bench)")
    for name in ("float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "complex64", "int64", "bool"):
        tensor = torch.zeros((5, 6), dtype=getattr(torch, name)).t()
        init = gpuinit.Ones() if name in ("int64", "bool") else INIT
        init.fill(Exported(tensor))
        wanted = init((6, 5), name, device="cpu")
        plain = tensor.contiguous().view(torch.uint8) if name not in ("complex64", "bool") else tensor.contiguous()
        assert plain.numpy().tobytes() == wanted.tobytes(), name


def test_owners_that_refuse_and_those_that_cannot_be_written(gpu: Any) -> None:
    class Refuses(Exported):
        def __dlpack__(self, stream: Any = None) -> Any:
            raise BufferError("it requires a gradient")

    with pytest.raises(ValueError, match="out cannot be handed over by DLPack: it requires a gradient"):
        INIT.fill(Refuses(np.zeros(3)))
    immutable = type("Array", (Exported,), {"__module__": "jaxlib._jax"})
    with pytest.raises(TypeError, match=r"out is a JAX array, which is immutable: make a new one by .*jax\.dlpack\.from_dlpack"):
        INIT.fill(immutable(np.zeros(3, np.float32)))


def test_an_array_on_a_gpu_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "status", lambda: status(usable=False, problem="There is no NVRTC."))
    with pytest.raises(gpuinit.DeviceError, match="out lies on a GPU that gpuinit cannot use: There is no NVRTC."):
        INIT.fill(Exported(np.zeros(3)))


def test_what_says_that_it_lies_on_a_gpu() -> None:
    class Interfaced:
        __cuda_array_interface__ = None

    class Broken:
        def __dlpack_device__(self) -> Any:
            raise RuntimeError

    on_cpu = [np.zeros(3), np.float32(1), [1], 3, None, "x", Broken(), np.zeros(2, ml_dtypes.bfloat16)]
    assert not any(map(arrays.is_on_gpu, on_cpu))
    assert all(map(arrays.is_on_gpu, (Interfaced(), Exported(np.zeros(1)))))


def test_contiguity_as_numpy_has_it() -> None:
    for array in (
        np.zeros((3, 4)),
        np.zeros((3, 4)).T,
        np.zeros((3, 4))[:, :2],
        np.zeros((1, 4, 1))[:, ::1],
        np.zeros((0, 3))[:, ::2],
    ):
        described = arrays.DeviceArray(0, array.shape, array.strides, array.dtype, 0)
        assert described.c_contiguous == array.flags.c_contiguous
        if array.flags.c_contiguous and array.size and 1 not in array.shape:
            assert arrays.packed(array.shape, array.itemsize) == array.strides


def test_a_seed_generator_is_not_drawn_from_when_a_fill_is_refused(gpu: Any) -> None:
    generator = gpuinit.SeedGenerator(3)
    init = gpuinit.RandomNormal(seed=generator)
    gpu.room = 10
    before = generator.get_config()
    with pytest.raises(MemoryError):
        init((1000,), device="cuda")
    with pytest.raises(ValueError, match="read-only"):
        init.fill(Interface(gpu.empty((1,), np.dtype(np.float32)), data=(4096, True)))
    assert generator.get_config() == before


def test_files_made_on_the_gpu_are_those_of_the_cpu(gpu: Any, tmp_path: Any) -> None:
    from gpuinit.cli import main

    for device in ("cpu", "cuda"):
        out = tmp_path / f"{device}.npy"
        assert (
            main(["create", "--shape", "3000,70", "--init", "he_normal", "--seed", "5", "--device", device, "--out", str(out)])
            == 0
        )
    assert (tmp_path / "cpu.npy").read_bytes() == (tmp_path / "cuda.npy").read_bytes()
    assert len(gpu.launched) > 0


def test_a_child_process_gets_a_backend_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    class Fake:
        def current(self) -> int:
            return 0

        def processors(self, number: int) -> int:
            return 1

    monkeypatch.setattr(devices, "_driver", lambda process: made.append(process) or Fake())
    import os

    first = devices.backend(0)
    monkeypatch.setattr(os, "getpid", lambda: 12345678)
    assert devices.backend(0) is not first and made[-1] == 12345678
    assert backends.select("cpu") is backends.select("cpu")


def test_the_driver_s_own_allocation_takes_every_dtype() -> None:
    """The real one, with an allocator that gives the host's memory: CuPy refuses float8 where it allocates by itself."""
    from gpuinit.backends.cuda.driver import Driver

    kept: list[Any] = []

    def allocate(nbytes: int) -> Any:
        kept.append(np.empty(nbytes + 64, np.uint8))
        held = cupy.cuda.UnownedMemory(kept[-1].ctypes.data, nbytes, kept[-1], 0)
        return cupy.cuda.MemoryPointer(held, 0)

    with cupy.cuda.using_allocator(allocate):
        for name in (*dtypes.RANDOM, "int8", "bool", "uint64"):
            kind = dtypes.canonical(name)
            for shape in ((3, 5), (), (0, 4)):
                made = Driver().empty(shape, kind)
                assert made.dtype == kind and made.shape == shape and made.nbytes == int(np.prod(shape)) * kind.itemsize


@pytest.mark.parametrize("name", ["array", "rows"])
def test_what_is_not_aligned_is_refused_before_a_gpu_sees_it(gpu: Any, name: str) -> None:
    """A GPU that reads at such an address takes CUDA from the whole process."""
    memory = gpu.upload(np.zeros(80, np.uint8))
    crooked = memory[1:65].view(np.int64)
    with pytest.raises(ValueError, match=f"{name} lies at address .* multiples of its elements' 8 bytes"):
        element_hash(crooked) if name == "array" else INIT((9, 3), rows=crooked)
    assert gpu.launched == []
