"""Launches every kernel once or more, at small sizes, for compute-sanitizer: python -m gpu.every_kernel [few].

Memory comes from CUDA itself, not from a pool, so that a checker knows where each array ends.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

import gpuinit
from gpu.rig import Rig, Stated
from gpuinit import Key, dtypes
from gpuinit.backends import DeviceError
from gpuinit.distributions import Distribution, Normal, TruncatedNormal, Uniform
from gpuinit.hashing import element_hash
from gpuinit.kernels import cuda_source

__all__ = ["expected", "run"]

KEY = Key(3, 2**40)
SIZE = 5003
LAWS: list[Distribution] = [
    Uniform(-1.0, 2.0),
    Normal(0.5, 2.0),
    TruncatedNormal(0.0, 0.05),
    TruncatedNormal(0.1, 1.0, -1.0, 3.0),
    Uniform(0.3, 0.7),
    TruncatedNormal(0.0, 1.0, -5.0, 5.0),
]
"""Each quantile is among the first four."""
STORAGE = list(cuda_source.STORAGE)
PATTERNS = ["uint8", "bfloat16", "float32", "float64"]


def run(rig: Any, few: bool = False) -> None:
    """Every kernel; with `few` one dtype of each width and one law of each quantile."""
    storage = STORAGE[::2] if few else STORAGE
    for law in LAWS[:4] if few else LAWS:
        for dtype in storage:
            _draw(rig, Stated(law, KEY), dtypes.canonical(dtype))
    for dtype in PATTERNS[1::2] if few else PATTERNS:
        _structures(rig, dtype)
    for dtype in storage:
        _computed(rig, dtype)
        _orthogonal(rig, dtype)


def expected() -> set[Any]:
    """The kernels that a full run launches: all of Numba's, and of the dense ones each quantile and storage, shifted and not."""
    found: set[Any] = {_name(kernel) for kernel in cuda_source.dense_kernels()}
    plain = {struct: name for names in (cuda_source.QUANTILES, cuda_source.STORAGE) for name, struct in names.items()}
    for kind in ("none", "int32", "int64"):
        found |= {("fill", plain[kernel[0]], plain[kernel[1]], kind) for kernel in found if kernel[0] in plain}
        found |= {(name, size, kind) for name in ("copy", "diagonal", "clear") for size in "1248"}
        found |= {("fourier", side, storage, kind) for side in ("real", "imag") for storage in cuda_source.STORAGE}
    found.add(("limits",))
    found |= {(name, real) for name in ("squares", "heads", "apply", "panel") for real in ("float32", "float64")}
    found |= {("finish", storage) for storage in STORAGE}
    return found | {(name, size) for name in ("constant", "hash") for size in "1248"} | {("rows", "int32"), ("rows", "int64")}


def names(launched: Any) -> set[Any]:
    """What `expected` calls the launches."""
    return {_name(launch.kernel) for launch in launched}


def _name(kernel: Any) -> Any:
    if isinstance(kernel, tuple):
        return kernel
    quantile, storage, _, shifted, _ = kernel.removeprefix("dense_fill<").removesuffix(">").split(", ")
    return quantile, storage, shifted


def _ids(rig: Any) -> Iterator[Any]:
    for kind in (np.int32, np.int64):
        yield rig.put(np.array([49, 0, 7, 7], kind))
        yield rig.put(np.array([49, 0, 7, 7], kind).repeat(2))[::2]


def _draw(rig: Any, init: Any, dtype: Any) -> None:
    for start in (0, 1):
        init.fill(rig.empty(SIZE, dtype), shape=(10**6,), block=(slice(start, start + SIZE),))
        init.fill(rig.empty(SIZE + 1, dtype)[1:], shape=(10**6,), block=(slice(start, start + SIZE),))
    out = rig.empty((50, 33), dtype)
    init.fill(out, shape=(50, 40), block=(slice(None), slice(3, 36)))
    init.fill(rig.empty((33, 50), dtype).T[::2], shape=(50, 40), block=(slice(0, 25), slice(3, 36)))
    for ids in _ids(rig):
        init((50, 33), dtype, device="cuda", rows=ids)
    element_hash(out)
    element_hash(out[:, ::2], 5)


def _structures(rig: Any, dtype: str) -> None:
    table = np.arange(50 * 33).reshape(50, 33) % 100
    for init in (gpuinit.Ones(), gpuinit.Constant(table), gpuinit.Constant(table[:, :1]), gpuinit.Identity()):
        init((50, 33), dtype, device="cuda")
        init((50, 33), dtype, device="cuda", block=(slice(3, 47), slice(5, 33)))
        init.fill(rig.empty((33, 50), dtype).T, shape=(50, 33))
        for ids in _ids(rig):
            init((50, 33), dtype, device="cuda", rows=ids)
    gpuinit.Ones().fill(rig.empty(SIZE + 1, dtype)[1:])
    element_hash(rig.empty((3, SIZE), dtype))


def _computed(rig: Any, dtype: str) -> None:
    kernels = [(gpuinit.STFT(side), (50, 1, 33)) for side in ("real", "imag")]
    for init, shape in [(gpuinit.Sparse(0.3, seed=KEY), (50, 33)), *kernels]:
        init(shape, dtype, device="cuda")
        init(shape, dtype, device="cuda", block=(slice(3, 47),))
        init.fill(rig.empty(shape[::-1], dtype).T, shape=shape)
        for ids in _ids(rig):
            init(shape, dtype, device="cuda", rows=ids)


def _orthogonal(rig: Any, dtype: str) -> None:
    """Large ones of more than one panel where cuBLAS is there."""
    for shape in ((7, 30, 20), (7, 20, 30)):
        init = gpuinit.Orthogonal(seed=1, batch_axes=0)
        init(shape, dtype, device="cuda")
        init(shape, dtype, device="cuda", block=(slice(2, 5), slice(3, 11)))
        init.fill(rig.empty(shape[::-1], dtype).T, shape=shape)
    with contextlib.suppress(DeviceError):
        for shape in ((600, 300), (300, 600)):
            gpuinit.Orthogonal(seed=1)(shape, dtype, device="cuda")


if __name__ == "__main__":
    this = Rig()
    this.cupy.cuda.set_allocator(None)
    run(this, "few" in sys.argv)
    this.synchronize()
    print("every kernel ran")
