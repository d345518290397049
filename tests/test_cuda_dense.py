"""The CUDA C++ kernels, compiled for the host and launched by the production launcher, give the specification's bits.

Each test writes over poison with poison around it, so that an element not written, or one too many, shows.
"""

from __future__ import annotations

import ctypes
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import DTYPES, LAWS
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuinit import dtypes
from gpuinit.backends import specification
from gpuinit.backends.cuda import dense
from gpuinit.distributions import Distribution, Normal, TruncatedNormal, Uniform
from gpuinit.kernels import cuda_source
from gpuinit.kernels.philox import constants
from gpuinit.kernels.primitives import fma
from gpuinit.key import Key

pytest.importorskip("cupy", reason="CuPy is not installed")
from host import machine

pytestmark = pytest.mark.skipif(machine.compiler() is None, reason="there is no C++ compiler (g++)")

KEY = Key(0x123456789ABCDEF0, 0xFEDCBA9876543210)
POISON = 0xCA
EDGES = [0, 2**31, 2**32, 2**33, 2**34, 3 * 2**34, 2**40, 2**62]


def filled(law: Distribution, dtype: Any, start: int, count: int, offset: int, processors: int = 3) -> np.ndarray[Any, Any]:
    """Elements start .. start + count - 1 by the host-run kernels, written `offset` bytes behind a 16-byte boundary."""
    sampler = law.sampler(dtype)
    parts = dtype.itemsize // dtypes.component(dtype).itemsize
    memory = np.full(count * dtype.itemsize + 128, POISON, np.uint8)
    begin = 32 - memory.ctypes.data % 16 + offset
    end = begin + count * dtype.itemsize
    for launch in dense.launches(sampler, KEY, start * parts, count * parts, memory.ctypes.data + begin, processors):
        machine.run(launch)
    assert (memory[:begin] == POISON).all() and (memory[end:] == POISON).all(), "written outside the range"
    return memory[begin:end]


def expected(law: Distribution, dtype: Any, start: int, count: int) -> np.ndarray[Any, Any]:
    parts = dtype.itemsize // dtypes.component(dtype).itemsize
    index = np.arange(start * parts, (start + count) * parts, dtype=np.uint64)
    return specification.values(law.sampler(dtype), KEY, index).view(np.uint8)


def drawable(law: Distribution, dtype: Any) -> bool:
    try:
        return dense.covers(law.sampler(dtype))
    except ValueError:  # the dtype cannot hold the interval
        return False


CASES = [(law, dtype) for law in LAWS for dtype in DTYPES if drawable(law, dtype)]


@pytest.mark.parametrize(("law", "dtype"), CASES, ids=str)
def test_every_law_and_dtype_has_the_specification_s_bits(law: Distribution, dtype: Any) -> None:
    """Odd sizes, every alignment, starts on both sides of where the counter's upper word changes."""
    size = dtypes.component(dtype).itemsize
    for turn, (edge, count) in enumerate((edge, count) for edge in EDGES for count in (1, 7, 1000, 5003)):
        start = max(0, edge - (count // 2 if turn % 3 else 0))
        offset = turn * size % 16
        assert (filled(law, dtype, start, count, offset) == expected(law, dtype, start, count)).all(), (start, count, offset)


@settings(max_examples=150, deadline=None)
@given(
    case=st.sampled_from(CASES),
    edge=st.sampled_from(EDGES),
    before=st.integers(0, 3000),
    count=st.integers(0, 6000),
    place=st.integers(0, 15),
    processors=st.sampled_from([1, 2, 132, 10_000]),
)
def test_any_range_at_any_address(
    case: tuple[Distribution, Any], edge: int, before: int, count: int, place: int, processors: int
) -> None:
    law, dtype = case
    start, offset = max(0, edge - before), place * dtypes.component(dtype).itemsize % 16
    assert (filled(law, dtype, start, count, offset, processors) == expected(law, dtype, start, count)).all()


@pytest.mark.parametrize("dtype", [d for d in DTYPES if d.name in ("float32", "bfloat16", "float64", "complex64")], ids=str)
def test_the_geometry_does_not_matter(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    law, start, count = Normal(0.5, 2.0), 2**34 - 20_001, 40_003
    want = expected(law, dtype, start, count)
    for tiles, blocks, most in ((1, 1, 2**30), (3, 1, 2**30), (10**6, 1, 2**30), (16, 16, 1), (16, 16, 700), (1, 10**6, 4099)):
        monkeypatch.setattr(dense, "TILES_PER_BLOCK", tiles)
        monkeypatch.setattr(dense, "BLOCKS_PER_PROCESSOR", blocks)
        monkeypatch.setattr(dense, "MOST_VECTORS", most)
        if most == 1:  # as many launches as vectors: a shorter range
            assert (filled(law, dtype, start, 999, 8) == want[: 999 * dtype.itemsize]).all()
        else:
            assert (filled(law, dtype, start, count, 8, 1) == want).all(), (tiles, blocks, most)


def test_a_large_fill_is_cut_where_the_upper_word_changes() -> None:
    sampler = Normal(0.0, 1.0).sampler(np.dtype(np.float32))
    launches = list(dense.launches(sampler, KEY, 2**33, 2**34 + 5, 4096, 132))
    rounds = [launch.arguments[0]["first_rounds"].tolist() for launch in launches]
    assert rounds == [constants(KEY.seed, KEY.stream, high)[0] for high in (0, 0, 1, 1, 1)]
    sizes = [int(launch.arguments[0]["size"]) - int(launch.arguments[0]["head"]) for launch in launches]
    assert sum(sizes) == 2**34 + 5 and max(sizes) <= dense.MOST_VECTORS * 4
    places = [int(launch.arguments[0]["out"]) + 4 * int(launch.arguments[0]["head"]) for launch in launches]
    assert places == [4096 + 4 * sum(sizes[:n]) for n in range(len(sizes))]
    for launch in launches:
        assert int(launch.arguments[0]["vectors"]) < 2**31 and launch.grid[0] < 2**31 and launch.block == (128, 1)
    assert list(dense.launches(sampler, KEY, 5, 0, 4096, 132)) == []


def test_every_word_s_tail_is_reached() -> None:
    """The rare branch is taken for every place of a vector: a wrong tail, or one that misses a place, would show."""
    law, dtype, count = Normal(0.0, 1.0), np.dtype(np.float32), 300_000
    values = filled(law, dtype, 0, count, 0).view(dtype)
    deep = np.flatnonzero(np.abs(values) > 3.5)
    assert set(deep % 16) == set(range(16))
    assert (values.view(np.uint8) == expected(law, dtype, 0, count)).all()


@pytest.mark.parametrize(
    ("law", "dtype", "bounds"),
    [
        (Uniform(0.0, 1.0), "float32", "NONE"),
        (Uniform(0.3, 0.6), "float32", "GENERAL"),
        (Uniform(-0.05, 0.05), "float32", "SYMMETRIC"),
        (Uniform(-0.05, 0.05), "bfloat16", "SYMMETRIC"),
        (Uniform(-1.0, 1.0), "bfloat16", "GENERAL"),
        (Normal(0.5, 3.0), "float32", "NONE"),
        (Normal(0.5, 3.0), "float16", "NONE"),
        (TruncatedNormal(0.0, 1.0), "float32", "SYMMETRIC"),
        (TruncatedNormal(0.1, 1.0), "complex64", "GENERAL"),
        (Uniform(0.5, 0.5), "float32", "NONE"),
    ],
    ids=str,
)
def test_values_are_bounded_no_more_than_they_must(law: Distribution, dtype: str, bounds: str) -> None:
    sampler = law.sampler(dtypes.canonical(dtype))
    assert str(next(dense.launches(sampler, KEY, 0, 64, 4096, 1)).kernel).split(", ")[2] == bounds
    if bounds == "NONE" and isinstance(law, Uniform):  # the greatest word of all stays inside
        drawn = fma(np.float32(2**24 - 1), sampler.reals[0], sampler.reals[1])
        assert sampler.reals[3] <= drawn <= sampler.reals[4]
    if bounds == "SYMMETRIC":
        assert sampler.reals[4] == -sampler.reals[3] > 0


def test_a_zero_bound_of_tiny_values_goes_another_way() -> None:
    """GPU and stream differ in which zero a clamp keeps; only laws that can draw -0 beside a bound of 0 are affected."""
    tiny = TruncatedNormal(0.0, 1e-30, -math.inf, 0.0).sampler(np.dtype(np.float32))
    assert not dense.covers(tiny)
    assert dense.covers(TruncatedNormal(0.0, 1.0, 0.0, math.inf).sampler(np.dtype(np.float32)))


def test_the_host_s_table_of_kernels_is_the_production_list() -> None:
    host = machine.built()
    host.kernel_name.restype = ctypes.c_char_p
    assert [host.kernel_name(n).decode() for n in range(host.kernels())] == cuda_source.dense_kernels()


SANITIZED = """
import sys
sys.path.insert(0, {tests!r})
import numpy as np
from host import machine
from conftest import DTYPES, LAWS
from gpuinit import dtypes
from gpuinit.backends import specification
from gpuinit.backends.cuda import dense
from gpuinit.kernels import cuda_source
from gpuinit.key import Key
libc = machine.ctypes.CDLL(None)
libc.malloc.restype = machine.ctypes.c_void_p
libc.malloc.argtypes = [machine.ctypes.c_size_t]
libc.free.argtypes = [machine.ctypes.c_void_p]
key, checked = Key(5, 2**63), 0
for dtype in DTYPES:
    real = dtypes.component(dtype)
    if cuda_source.STORAGE[real.name] not in machine.SANITIZED_STORAGES:
        continue
    for law in LAWS:
        try:
            sampler = law.sampler(dtype)
        except ValueError:
            continue
        if not dense.covers(sampler):
            continue
        for start, count, skip in ((0, 1, 0), (2**34 - 3, 70, 1), (3 * 2**34 + 1, 4001, 3), (2**62, 2051, 2)):
            skip = skip * real.itemsize % 16
            nbytes = count * real.itemsize
            memory = libc.malloc(skip + nbytes)  # the sanitizer watches both ends of it
            for launch in dense.launches(sampler, key, start, count, memory + skip, 2):
                if {long}:
                    launch.arguments[0]["size"] += 1
                machine.run(launch, *machine.SANITIZE)
            got = np.frombuffer(machine.ctypes.string_at(memory + skip, nbytes), np.uint8)
            want = specification.values(sampler, key, np.arange(start, start + count, dtype=np.uint64)).view(np.uint8)
            assert (got == want).all()
            libc.free(memory)
            checked += 1
print(checked)
"""


def sanitized(long: bool) -> subprocess.CompletedProcess[str]:
    found = [
        subprocess.run([str(machine.compiler()), f"-print-file-name=lib{name}.so"], capture_output=True, text=True).stdout.strip()
        for name in ("asan", "ubsan")
    ]
    if not all(os.path.isabs(path) for path in found):
        pytest.skip("the compiler has no address sanitizer")
    environment = {**os.environ, "LD_PRELOAD": " ".join(found), "ASAN_OPTIONS": "detect_leaks=0"}
    code = SANITIZED.format(tests=str(Path(__file__).parent), long=long)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=300)


def test_the_sanitizers_find_nothing() -> None:
    done = sanitized(long=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout) > 150


def test_the_sanitizers_would_find_an_overrun() -> None:
    done = sanitized(long=True)
    assert done.returncode != 0 and "heap-buffer-overflow" in done.stderr
