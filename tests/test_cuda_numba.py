"""The Numba CUDA kernels as their own compiler has them: in its simulator, and as PTX with its operations counted."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpuinit
from gpuinit.kernels import quantiles
from gpuinit.kernels.philox import constants, philox, philox32

cuda = pytest.importorskip("numba.cuda", reason="numba-cuda is not installed")
pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

KERNELS = [
    *(
        ("fill", quantile, storage, ids)
        for quantile, storage, ids in (
            ("unit", "float32", "none"),
            ("unit", "bfloat16", "int64"),
            ("symmetric", "float32", "int32"),
            ("symmetric", "float16", "none"),
            ("symmetric", "float64", "none"),
            ("interval", "float32", "none"),
            ("interval", "float64", "int64"),
        )
    ),
    ("constant", "1"),
    ("constant", "8"),
    ("copy", "2", "int32"),
    ("copy", "8", "none"),
    ("diagonal", "4", "int64"),
    ("hash", "2"),
    ("rows", "int32"),
    ("limits",),
    ("clear", "4", "none"),
    ("clear", "8", "int32"),
    ("fourier", "real", "float64", "none"),
    ("fourier", "imag", "float32", "int64"),
    ("fourier", "real", "bfloat16", "none"),
    ("fourier", "imag", "float8_e4m3fn", "int32"),
]
ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)


def compiled(kernel: tuple[str, ...], architecture: int) -> tuple[bytes, str]:
    from gpuinit.kernels import cuda_build, cuda_kernels

    return cuda_build.compile_numba(cuda_kernels.kernel(*kernel), cuda_kernels.signature(*kernel), architecture)


@pytest.mark.parametrize("kernel", KERNELS, ids="-".join)
def test_kernels_compile_to_sound_code(kernel: tuple[str, ...]) -> None:
    """A cubin with one entry; in the PTX nothing local, nothing called, nothing flushed; vector stores where values are drawn."""
    from gpuinit.kernels import cuda_build, cuda_kernels

    image, ptx = compiled(kernel, 90)
    assert image.startswith(b"\x7fELF") and kernel[0] in cuda_build.entry(image) == cuda_build.entry(ptx.encode())
    assert ".local" not in ptx and "call" not in ptx and ".ftz" not in ptx and "approx" not in ptx
    assert ptx.count(".param .") == len(cuda_kernels.signature(*kernel).args)
    if kernel[0] == "fill":
        width = {"float64": "v2.b64|v2.u64|v2.f64", "float32": "v4.b32|v4.u32|v4.f32"}.get(kernel[2], "v4.b16|v4.u16")
        assert re.search(rf"st\.global\.({width.replace('.', chr(92) + '.')})", ptx), "values are not stored together"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_kernels_compile_for_every_architecture(architecture: int) -> None:
    for kernel in (
        ("fill", "symmetric", "bfloat16", "int64"),
        ("hash", "4"),
        ("diagonal", "2", "int32"),
        ("limits",),
        ("clear", "2", "int64"),
        ("fourier", "imag", "float16", "none"),
    ):
        image, ptx = compiled(kernel, architecture)
        assert image.startswith(b"\x7fELF") and f".target sm_{architecture}" in ptx


def branching(u: Any, a: Any, b: Any) -> Any:
    """A product that reaches a sum through a selection, where a compiler may bring the two together."""
    x = u * b if u < a else 0.0
    return x + 1.0


def test_what_users_write_compiles_to_sound_code_for_every_architecture() -> None:
    """Nothing local, called, flushed or approximate; each product by an instruction that is not contracted, no fma too many."""
    from gpuinit.initializers.quantile import quantile
    from gpuinit.user_quantile import compiled as quantile_of

    laplace = quantile_of(gpuinit.gallery.laplace.quantile_function)
    for architecture in ARCHITECTURES:
        for storage in ("bfloat16", "float64"):
            _, ptx = compiled(("fill", laplace, storage, "none"), architecture)
            assert f".target sm_{architecture}" in ptx
            assert ".local" not in ptx and "call" not in ptx and ".ftz" not in ptx and "approx" not in ptx
    kernel = ("fill", quantile_of(quantile(branching, package="tests").quantile_function), "float32", "none")
    _, ptx = compiled(kernel, 90)
    found = {name: len(re.findall(rf"\b{name}(?:\.rn)?\.f32\b", ptx)) for name in ("fma", "mul", "add")}
    times, rest = divmod(found["fma"], 4)  # scale and location of four values
    assert rest == 0 and times in (1, 2) and found["add"] == 4 * times and found["mul"] == 8 * times, found
    assert not re.search(r"\bmul\.f32\b", ptx)


def operations(quantile: str, wide: bool) -> tuple[int, int, int]:
    """The fused, the plain products and the sums of one value, central and tail, counted in the source itself."""
    depth_of, central, tail = quantiles.QUANTILES[quantile, 64 if wide else 32]
    real, word = (np.float64, np.uint64) if wide else (np.float32, np.uint32)
    counts = {"fma": 0, "mul": 0, "add": 0}

    class Traced(np.ndarray[Any, Any]):
        def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
            name = {"multiply": "mul", "add": "add", "subtract": "add"}.get(ufunc.__name__)
            plain = [np.asarray(value) for value in inputs]
            if name and all(value.dtype.kind == "f" for value in plain):
                counts[name] += 1
            return np.asarray(getattr(ufunc, method)(*plain, **keywords)).view(Traced)

    def fused(a: Any, b: Any, c: Any) -> Any:
        counts["fma"] += 1
        return np.asarray(np.asarray(a) * np.asarray(b) + np.asarray(c), real).view(Traced)

    def horner(coefficients: Any, x: Any) -> Any:
        counts["fma"] += len(coefficients) - 1
        return np.full_like(x, coefficients[0])

    patched = {"fma": fused, "polynomial": horner}
    before = {name: getattr(quantiles, name) for name in patched}
    try:
        for name, function in patched.items():
            setattr(quantiles, name, function)
        c, k = tuple(map(real, (1e-10, 0.5, 0.5, 0.5, 0.5, 6.25, 0.7))), tuple(map(word, (5, 0, 7)))
        some = np.array([3], word).view(Traced)
        with np.errstate(all="ignore"):
            depth = depth_of(some, c, k)
            central(some, depth, c, k)
            tail(some, depth, c, k)
    finally:
        for name, function in before.items():
            setattr(quantiles, name, function)
    return counts["fma"], counts["mul"], counts["add"]


@pytest.mark.parametrize("kernel", [kernel for kernel in KERNELS if kernel[0] == "fill"], ids="-".join)
def test_ptx_has_the_source_s_fused_operations_and_no_other(kernel: tuple[str, ...]) -> None:
    """Numba's compiler contracts a product that feeds a sum, and cannot be told not to: the source must leave it none.

    A contraction would show as an fma too many, a product and a sum too few.
    """
    _, ptx = compiled(kernel, 90)
    wide = kernel[2] == "float64"
    lanes, kind = (2, "f64") if wide else (4, "f32")
    found = {name: len(re.findall(rf"\b{name}(?:\.rn)?\.{kind}\b", ptx)) for name in ("fma", "mul", "add", "sub")}
    fma, mul, add = (lanes * count for count in operations(kernel[1], wide))
    fma += lanes  # scale and location
    fma -= {"symmetric": 2 * lanes}.get(kernel[1], 0)  # x, which depth, central and tail each name
    add -= lanes if kernel[1] == "symmetric" and not wide else 0  # depth - 0
    sums = found["add"] + found["sub"]
    if kernel[2] == "float16":  # rounding to subnormals adds the anchor
        add += lanes
    if kernel[1] == "interval" or wide:  # what two parts compute alike is computed once
        assert found["fma"] <= fma and found["mul"] <= mul and sums <= add, (found, (fma, mul, add))
        assert found["mul"] > 0 and sums > lanes
    else:
        times, rest = divmod(found["fma"], fma)  # the compiler may write the loop once for each way to store
        assert rest == 0 and times in (1, 2), (found, fma)
        assert found["mul"] in ({0} if mul == 0 else {times * mul, times * mul // 2}) and sums == times * add, (found, mul, add)


@pytest.mark.parametrize("kernel", [kernel for kernel in KERNELS if kernel[0] == "fourier"], ids="-".join)
def test_ptx_has_the_cosine_s_operations_and_no_other(kernel: tuple[str, ...]) -> None:
    """Counted in kernels/trigonometry.py. Rejects a contracted product of the window, or a branch that doubles the work.

    Fused: 5 of the angle, 10 of the sine, 11 of the cosine, one of them common to both. Products: 1, 3 and 2, one common, and the
    window's. Sums: 1 of the sine, 2 of the cosine, and the sign.
    """
    _, ptx = compiled(kernel, 90)
    found = {name: len(re.findall(rf"\b{name}(?:\.rn)?\.f64\b", ptx)) for name in ("fma", "mul", "add", "sub", "div")}
    assert (found["fma"], found["mul"], found["add"] + found["sub"], found["div"]) == (25, 6, 4, 2)


def test_philox_in_32_bit_words_is_philox() -> None:
    rng = np.random.default_rng(7)
    counters = rng.integers(0, 2**32, (4, 1000), np.uint64)
    key = rng.integers(0, 2**32, 2, np.uint64)
    wide = philox(*counters, *key)
    narrow = philox32(*counters.astype(np.uint32), *(np.full(1000, word, np.uint32) for word in key))
    for a, b in zip(wide, narrow, strict=True):
        assert b.dtype == np.uint32 and (a == b).all()


def test_the_first_rounds_constants_finish_philox() -> None:
    """philox.cuh's way in Python: two rounds by four constants, eight by their keys."""
    rng = np.random.default_rng(8)
    for _ in range(50):
        low, high, *rest = (int(word) for word in rng.integers(0, 2**32, 6, np.uint64))
        stream, seed = rest[1] << 32 | rest[0], rest[3] << 32 | rest[2]
        first, keys = constants(seed, stream, high)
        start = low * 0xD2511F53
        second = (start >> 32 ^ first[0]) * 0xCD9E8D57
        c0, c1, c2, c3 = second >> 32 ^ first[1], second % 2**32, start % 2**32 ^ first[2], first[3]
        for turn in range(8):
            p0, p1 = c0 * 0xD2511F53, c2 * 0xCD9E8D57
            c0, c1, c2, c3 = p1 >> 32 ^ c1 ^ keys[2 * turn], p1 % 2**32, p0 >> 32 ^ c3 ^ keys[2 * turn + 1], p0 % 2**32
        wanted = philox(*(np.uint64(word) for word in (low, high, *rest)))
        assert (c0, c1, c2, c3) == tuple(map(int, wanted))


SIMULATED = """
import sys, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, {tests!r})
import numpy as np
from numba import cuda
import gpuinit
from gpuinit import dtypes
from gpuinit.backends import specification
from gpuinit.backends.cuda import parts
from gpuinit.backends.layout import layout
from gpuinit.kernels import cuda_kernels
from gpuinit.region import Region
np.seterr(all="ignore")
assert "simulator" in cuda.jit.__module__, cuda.jit.__module__

def run(launch):
    cuda.jit(cuda_kernels.kernel(*launch.kernel))[launch.grid, launch.block](*launch.arguments)

key, checked = gpuinit.Key(5, 2**40), 0
uniform, normal = gpuinit.RandomUniform(-1.0, 2.0), gpuinit.RandomNormal(0.5, 2.0)
laws = [uniform, normal, gpuinit.TruncatedNormal(0.1, 1.0, lower=-1.0, upper=3.0)] * 2
laws += [gpuinit.gallery.laplace(1.0, 0.5), gpuinit.gallery.log_normal(), gpuinit.gallery.cauchy(scale=2.0)]
names = ("float32", "bfloat16", "float64", "complex64", "float32", "float16", "bfloat16", "float64", "float32")
for init, name, rows in zip(laws, names, (None, [3, 1], None) * 3):
    dtype = dtypes.canonical(name)
    sampler = init.law((2**33, 7), dtype)
    parts_of = dtype.itemsize // dtypes.component(dtype).itemsize
    block = (slice(None), slice(1, 6)) if rows else (slice(2**33 - 3, 2**33), slice(1, 6))
    region = Region.of((2**33, 7), block, rows)
    out, want = np.full(region.counts, 7, dtype), np.zeros(region.counts, dtype)
    ids = None if rows is None else region.rows
    strides = out.strides if parts_of == 1 else (*out.strides, dtype.itemsize // 2)
    where = layout(region.components(parts_of), strides)
    place = 0 if ids is None else ids.ctypes.data
    for launch in parts.fills(sampler, key, where, out.ctypes.data, parts.ids_of(ids), place, 1):
        run(launch._replace(grid=(1, 2)))
    specification.fill(want, sampler, region, key)
    assert out.tobytes() == want.tobytes(), (init, name)
    checked += 1
out = np.full((5, 6), 9, np.uint16)
for launch in parts.constants(layout(Region.of((5, 3)), (12, 4)), out.ctypes.data, b"ab", b"ab", 1):
    run(launch)
assert (out[:, ::2] == 0x6261).all() and (out[:, 1::2] == 9).all()
launch, count = parts.row_checks(np.array([0, 3, 9, 1], np.int64).ctypes.data, 8, 4, 9, "int64", 1)
ids, places = np.array([0, 3, 9, 1], np.int64), np.zeros(count, np.uint64)
launch, count = parts.row_checks(ids.ctypes.data, 8, 4, 9, "int64", 1)
run(launch._replace(arguments=(*launch.arguments, np.uint64(places.ctypes.data))))
assert places.min() == 2
width, limits = 5, np.full((2, 5), 7, np.uint64)
for ids in (None, np.array([3, 0, 8, 3], np.int64)):
    uniform = np.floor(np.random.default_rng(1).random((9, width)) * 4) / 4
    run(parts.limits(uniform.ctypes.data, 9, width, 3, limits.ctypes.data, 1))
    order = np.argsort(uniform, axis=0, kind="stable")[:3]
    wanted = np.ones((9, width), np.float32)
    np.put_along_axis(wanted, order, 0, axis=0)
    picked = wanted[2:8] if ids is None else wanted[ids]
    out = np.ones((len(picked), 2 * width), np.float32)
    numbers = (out.ctypes.data, uniform.ctypes.data, limits.ctypes.data, 2 if ids is None else 0, len(picked), width)
    place = 0 if ids is None else ids.ctypes.data
    run(parts.clears(*numbers, (8 * width, 8), 4, parts.ids_of(ids), place, 1))
    assert (out[:, ::2] == picked).all() and (out[:, 1::2] == 1).all()
    checked += 1
window = np.arange(-2.0, 3.0)
for side, name, ids in (("real", "float64", None), ("imag", "bfloat16", np.array([4, 1, 1], np.int32))):
    init = gpuinit.STFT(side, window, None)
    wanted = init((5, 1, 8), name, **({{"rows": ids}} if ids is not None else {{}}), device="cpu")
    out = np.empty(wanted.shape, wanted.dtype)
    numbers = (out.ctypes.data, window.ctypes.data, (0, len(out)), (0, 8), 7, (out.strides[0], out.strides[2]))
    run(parts.fouriers(*numbers, (side, name), parts.ids_of(ids), 0 if ids is None else ids.ctypes.data, 1))
    assert out.tobytes() == wanted.tobytes(), (side, name)
    checked += 1
out, wanted = np.zeros((13, 4), np.uint32), np.zeros((13, 4), np.uint32)
for row in range(1, 13):
    if (row - 1) % 5 < 3:
        wanted[row, (row - 1) % 5 + 1] = 9
run(parts.diagonals(out.ctypes.data, -1, 13, 5, 3, 3, 4, 1, (16, 4), b"\\x09\\0\\0\\0", "none", 0, 1))
assert (out == wanted).all(), out
print(checked)
"""


def test_the_simulator_gives_the_specification_s_bits() -> None:
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    code = SIMULATED.format(tests=str(Path(__file__).parent))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["13"]
