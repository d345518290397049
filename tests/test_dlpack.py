"""Arrays of other owners in host memory, filled by DLPack; results handed over in every dtype; memory lent by its address."""

from __future__ import annotations

import ctypes
import random
from typing import Any

import numpy as np
import pytest
from conftest import POISON, poisoned, same_bits

import gpuinit
from gpuinit import dtypes
from gpuinit.backends import dlpack
from gpuinit.interop import Export, lent

INIT = gpuinit.RandomNormal(0.0, 0.05, seed=7)
SHAPE = (9, 14)
TYPES = (*dtypes.RANDOM, "int8", "uint16", "int64", "bool")


class Owner:
    """An array that gives itself away by DLPack alone, as another library's does."""

    def __init__(self, array: Any, device: tuple[int, int] = (1, 0), versioned: bool = True) -> None:
        self.array, self.device, self.versioned = array, device, versioned

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device

    def __dlpack__(self, **asked: Any) -> Any:
        if asked and not self.versioned:
            raise TypeError("__dlpack__() got an unexpected keyword argument")
        return Export(self.array).__dlpack__(**asked)


def made(dtype: str, shape: tuple[int, ...] = SHAPE) -> tuple[gpuinit.Initializer, np.ndarray[Any, Any]]:
    """An initializer for the dtype, and what it makes."""
    init = INIT if dtypes.is_random(dtypes.canonical(dtype)) else gpuinit.Identity(1)
    return init, init(shape, dtype)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("versioned", [True, False])
def test_any_owners_memory_is_filled_where_it_lies(dtype: str, versioned: bool) -> None:
    init, expected = made(dtype)
    memory = poisoned(SHAPE, expected.dtype)
    out = Owner(memory, versioned=versioned)
    assert init.fill(out) is out
    assert same_bits(memory, expected)


@pytest.mark.parametrize("dtype", TYPES)
def test_strides_and_what_lies_between(dtype: str) -> None:
    init, expected = made(dtype)
    memory = poisoned((2 * SHAPE[1], SHAPE[0] + 3), expected.dtype)
    init.fill(Owner(memory[::2, 2:-1].T))
    assert same_bits(memory[::2, 2:-1].T.copy(), expected)
    memory[::2, 2:-1].view(np.uint8)[...] = POISON
    assert (memory.view(np.uint8) == POISON).all()


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0, 2), (1, 1)])
def test_odd_shapes(shape: tuple[int, ...]) -> None:
    memory = poisoned(shape, np.float32)
    INIT.fill(Owner(memory))
    assert same_bits(memory, INIT(shape))


def test_parts_of_a_tensor() -> None:
    memory = poisoned((3, 5), np.float32)
    INIT.fill(Owner(memory), shape=SHAPE, block=(slice(2, 5), slice(7, 12)))
    assert same_bits(memory, INIT(SHAPE)[2:5, 7:12].copy())


def test_a_table_is_written_into_it() -> None:
    table = gpuinit.Table(SHAPE, INIT)
    memory = poisoned(SHAPE, np.float32)
    table.into(Owner(memory))
    assert same_bits(memory, INIT(SHAPE))


def test_pinned_memory_is_the_hosts() -> None:
    memory = poisoned(SHAPE, np.float32)
    INIT.fill(Owner(memory, device=(3, 0)))
    assert same_bits(memory, INIT(SHAPE))


def test_bad_owners() -> None:
    memory = poisoned(SHAPE, np.float32)
    memory.flags.writeable = False
    with pytest.raises(ValueError, match="out is read-only"):
        INIT.fill(Owner(memory))
    with pytest.raises(TypeError, match="out is a list: it must be a NumPy or CuPy array, a tensor with __dlpack__"):
        INIT.fill([1.0])
    with pytest.raises(TypeError, match="out is a Owner"):
        INIT.fill(Owner(poisoned(SHAPE, np.float32), device=(7, 0)))  # Vulkan's memory

    class Refuses(Owner):
        def __dlpack__(self, **asked: Any) -> Any:
            raise BufferError("it requires a gradient")

    with pytest.raises(ValueError, match="out is a Refuses that cannot be handed over by DLPack: it requires a gradient"):
        INIT.fill(Refuses(poisoned(SHAPE, np.float32)))
    memory = poisoned(SHAPE, np.float32)
    with pytest.raises(ValueError, match="out overlaps itself"):
        INIT.fill(Owner(np.lib.stride_tricks.as_strided(memory, SHAPE, (4, 4))))
    jax_array = type("ArrayImpl", (Owner,), {"__module__": "jaxlib._jax"})
    with pytest.raises(TypeError, match=r"immutable: make a new one by an initializer of gpuinit\.jax"):
        INIT.fill(jax_array(memory))
    integers = poisoned(SHAPE, np.int32)
    with pytest.raises(ValueError, match="dtype=int32: RandomNormal draws random numbers"):
        INIT.fill(Owner(integers))
    assert (memory.view(np.uint8) == POISON).all() and (integers.view(np.uint8) == POISON).all()


def test_unknown_types_are_named() -> None:
    capsule = np.zeros(3, np.float32).__dlpack__()
    pointer = ctypes.pythonapi.PyCapsule_GetPointer(capsule, b"dltensor")
    ctypes.c_uint8.from_address(pointer + 20).value = 17  # float4
    with pytest.raises(ValueError, match="out: DLPack type code 17 of 32 bits is not a dtype that gpuinit knows"):
        dlpack.describe(capsule, "out")


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("asked", [{}, {"max_version": (1, 0)}])
def test_exports_are_the_same_memory_in_every_dtype(dtype: str, asked: dict[str, Any]) -> None:
    _, array = made(dtype)
    found = dlpack.describe(Export(array).__dlpack__(**asked), "array")
    assert (found.address, found.shape, found.dtype) == (array.ctypes.data, SHAPE, array.dtype)
    assert Export(array).__dlpack_device__() == (1, 0)
    view = dlpack.host_view(Export(array), "array")
    assert view.ctypes.data == array.ctypes.data and same_bits(view, array)


def test_an_export_keeps_its_memory() -> None:
    view = dlpack.host_view(Export(INIT((1000, 130), "bfloat16")), "array")
    noise = [np.full(130_000, 7, np.uint16) for _ in range(20)]
    assert same_bits(view, INIT((1000, 130), "bfloat16")) and len(noise) == 20


def test_lent_memory_of_the_host() -> None:
    memory = poisoned((20, 15), np.float32)
    out = lent(memory[1:, 2:].ctypes.data, (9, 6), (120, 8), np.dtype(np.float32), keep=memory)
    INIT.fill(out)
    assert same_bits(memory[1::2, 2::2][:9, :6].copy(), INIT((9, 6)))


@pytest.mark.parametrize("seed", range(40))
def test_lent_memory_of_a_gpu_is_ordered_by_streams(gpu: Any, seed: int) -> None:
    """A fill comes after what the owner's stream was given before, and before what it is given later; the host waits for neither.

    Without either wait some seed gives other bits.
    """
    from host.driver import at, on_host

    held = gpu.empty((1000, 8), np.dtype(np.float32))
    theirs = gpu.new_stream()
    out = lent(held.data.ptr, held.shape, (32, 4), held.dtype, gpu=0, stream=theirs, keep=held)
    read: list[bytes] = []
    gpu.streams.pace = random.Random(seed)
    synchronized = gpu.synchronized
    gpu.streams.put(lambda: at(held.data.ptr, held.nbytes).fill(1), theirs)
    INIT.fill(out)
    gpu.streams.put(lambda: read.append(on_host(held).tobytes()), theirs)
    assert gpu.synchronized == synchronized
    gpu.streams.finish()
    assert read == [INIT((1000, 8), device="cpu").tobytes()]


def test_dlpack_s_tensor_is_laid_out_as_in_its_header() -> None:
    assert ctypes.sizeof(dlpack._Tensor) == 48
    assert [getattr(dlpack._Tensor, name).offset for name, _ in dlpack._Tensor._fields_] == [0, 8, 12, 16, 20, 21, 22, 24, 32, 40]
    assert dlpack._Versioned.tensor.offset == 32
