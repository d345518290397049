"""The kernels of orthogonal matrices as a GPU gets them: operations counted in PTX, and their steps in Numba's simulator."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpuinit.kernels import narrow

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)


KERNELS = [
    *((name, real) for name in ("squares", "heads", "apply", "panel") for real in ("float32", "float64")),
    *(("finish", storage) for storage in narrow.STORAGE),
]


@functools.cache
def ptx_of(*kernel: str, architecture: int = 90) -> str:
    from gpuinit.kernels import cuda_build, cuda_kernels

    image, ptx = cuda_build.compile_numba(cuda_kernels.kernel(*kernel), cuda_kernels.signature(*kernel), architecture)
    assert image.startswith(b"\x7fELF") and f".target sm_{architecture}" in ptx
    assert kernel[0] in cuda_build.entry(image) == cuda_build.entry(ptx.encode())
    assert ptx.count(".param .") == len(cuda_kernels.signature(*kernel).args)
    return ptx


@pytest.mark.parametrize("kernel", KERNELS, ids="-".join)
def test_kernels_compile_to_sound_code(kernel: tuple[str, ...]) -> None:
    """A cubin with one entry; in the PTX nothing local, nothing called, nothing flushed or approximated."""
    ptx = ptx_of(*kernel)
    assert not [word for word in (".local", "call", ".ftz", "approx") if word in ptx]


def counted(ptx: str) -> dict[str, int]:
    """Floating operations by name and type, without those that are not there."""
    found = re.findall(
        r"^\s*(fma|mul|add|sub|div|sqrt|rsqrt|rcp|cvt)(?:\.(\w+))?\.(f32|f64)(?:\.(f32|f64))?\b", ptx, re.MULTILINE
    )
    names = [".".join(filter(None, each)) for each in found]
    return {name: names.count(name) for name in set(names)}


@pytest.mark.parametrize("real", ["float32", "float64"])
def test_products_stay_apart_from_sums(real: str) -> None:
    """Numba's compiler contracts a product that feeds a sum: then a product would be missing here, and a sum.

    In `apply` a reflector takes one product and three sums besides its fused ones, in `heads` one product (v'v / 2) and sums
    over runs, in `finish` one product. A compiler may write a loop twice or more, all operations alike.
    """
    kind = "f32" if real == "float32" else "f64"
    apply = counted(ptx_of("apply", real))
    products, sums = (sum(apply.get(f"{name}{rounding}.{kind}", 0) for rounding in ("", ".rn")) for name in ("mul", "add"))
    assert products in (1, 2, 4) and sums == 3 * products, apply
    assert apply[f"fma.rn.{kind}"] >= 8 * products and set(apply) <= {f"{name}.{kind}" for name in ("mul", "add", "fma.rn")}, (
        apply
    )
    heads = counted(ptx_of("heads", real))
    assert heads.get("mul.f64") == heads["div.rn.f64"] and heads["fma.rn.f64"] == 2 * heads["div.rn.f64"], heads
    assert heads["sqrt.rn.f64"] >= 1 and not [name for name in heads if name.startswith(("rsqrt", "rcp"))]
    assert real == "float64" or (heads["cvt.rn.f32.f64"] >= 3 and "fma.rn.f32" not in heads and "mul.f32" not in heads)
    squares = counted(ptx_of("squares", real))
    assert set(squares) <= {"fma.rn.f64", "cvt.f64.f32"}, squares
    finish = counted(ptx_of("finish", real))
    assert finish.get(f"mul.{kind}") == 1 and not [name for name in finish if name.startswith(("fma", "add", "sub"))]


@pytest.mark.parametrize("storage", ["bfloat16", "float16", "float8_e4m3fn", "float8_e5m2"])
def test_rounding_does_not_meet_the_product(storage: str) -> None:
    """A sum of subnormals (`narrow`) follows the clamp: not contracted with the product before it."""
    finish = counted(ptx_of("finish", storage))
    assert finish["mul.f32"] == 1 and "fma.rn.f32" not in finish, finish


def test_the_count_finds_a_contraction() -> None:
    """Rejected: a product that feeds a sum bare."""
    from numba import types

    from gpuinit.kernels import cuda_build, cuda_kernels
    from gpuinit.kernels.memory import load, store

    cuda_kernels.parts("copy", "4", "none")  # teaches Numba to load and to store
    like = np.float32(0)

    def bare(source: Any, out: Any) -> None:
        x = load(source, like)
        store(out, x * x + load(out, like))

    _, ptx = cuda_build.compile_numba(bare, types.void(types.uint64, types.uint64), 90)
    assert counted(ptx) == {"fma.rn.f32": 1}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture(architecture: int) -> None:
    for kernel in (("heads", "float32"), ("apply", "float32"), ("finish", "float16")):
        ptx_of(*kernel, architecture=architecture)


SIMULATED = """
import sys, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, {tests!r})
import numpy as np
from numba import cuda
from orthogonal_definition import orthogonal, reflectors
from gpuinit import dtypes
from gpuinit.backends.cuda import orthogonal as launchers
from gpuinit.kernels import cuda_kernels
from gpuinit.key import Key
from gpuinit.stack import Stack
np.seterr(all="ignore")
assert "simulator" in cuda.jit.__module__, cuda.jit.__module__

def run(launch):
    cuda.jit(cuda_kernels.kernel(*launch.kernel))[(2, 1), (2, 2)](*launch.arguments)

checked = 0

class Simulated:
    def current(self):
        return 0

    def launch(self, launch):
        run(launch)

launchers.draw = lambda *arguments: None  # the normal matrices are NumPy's
for real, name, shape, gain in (
    ("float32", "float32", (2, 7, 3), -1.5), ("float64", "float64", (2, 3, 5), 0.5), ("float32", "float16", (1, 6, 4), 1.0),
):
    normal = np.random.default_rng(3).standard_normal((shape[0], max(shape[1:]), min(shape[1:]))).astype(real)
    stack, dtype = Stack(shape, (0,)), dtypes.canonical(name)
    job = launchers._Job(Simulated(), 1, dtype, np.dtype(real), gain, stack, Key(1))
    work, made, out = normal.copy(), np.full_like(normal, 7), np.full(shape, 7, dtype)
    sums, numbers = np.full((shape[0], job.runs, min(shape[1:])), 7.0), np.full((3, shape[0], min(shape[1:])), 7, real)
    which = np.arange(shape[0], dtype=np.uint64)
    launchers._reflectors(job, work.ctypes.data, sums.ctypes.data, numbers.ctypes.data, which)
    for number, matrix in enumerate(normal):
        vectors, taus, signs = reflectors(matrix)
        assert np.tril(work[number]).tobytes() == vectors.tobytes()
        assert numbers[0, number].tobytes() == taus.tobytes() and (numbers[2, number] == -signs * np.dtype(real).type(gain)).all()
        assert np.allclose(numbers[1, number] * taus, 1)
    run(launchers._launch(job, "apply", job.real, stack.tall[1], shape[0], work.ctypes.data, *stack.tall, shape[0],
                          numbers.ctypes.data, made.ctypes.data))
    run(launchers._finish(job, made.ctypes.data, numbers[2].ctypes.data, out.ctypes.data, shape[0]))
    wanted = np.array([orthogonal(matrix, gain, dtype) for matrix in normal])
    assert out.tobytes() == np.ascontiguousarray(wanted.transpose(0, 2, 1) if stack.wide else wanted).tobytes(), name
    checked += 1
matrix = np.arange(1, 31, dtype=np.float32).reshape(6, 5)
left, panel = matrix.copy(), np.full((4, 2), 7, np.float32)
run(launchers._launch(job, "panel", np.dtype(np.float32), 2, 6, left.ctypes.data, 6, 5, 2, 2, panel.ctypes.data))
assert (panel == np.tril(matrix[2:, 2:4])).all() and (left[:, 2:4] == np.eye(6)[:, 2:4]).all()
assert (np.delete(left, (2, 3), 1) == np.delete(matrix, (2, 3), 1)).all()
print(checked + 1)
"""


def test_the_simulator_gives_the_definition_s_bits() -> None:
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    code = SIMULATED.format(tests=str(Path(__file__).parent))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["4"]
