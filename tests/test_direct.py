"""Writing past the page cache: the bytes are those of a usual write, whatever part of them the system takes so."""

from __future__ import annotations

import errno
import fcntl
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

import gpuinit
from gpuinit.backends.layout import pages
from gpuinit.tables import check, contents, direct, pipeline, plan_tensor, write
from gpuinit.tables.direct import PAGE

DATA = np.random.default_rng(5).integers(0, 256, 9 * PAGE + 77, np.uint8)


def aligned(size: int, off: int = 0) -> np.ndarray[Any, Any]:
    """The first bytes of DATA, `off` bytes behind the beginning of a page of memory."""
    memory = pages(size + off)[off : off + size]
    memory[:] = DATA[:size]
    return memory


@pytest.fixture
def usable(tmp_path: Path) -> None:
    with open(tmp_path / "probe", "wb", buffering=0) as file:
        if not direct.write(file.fileno(), aligned(PAGE), 0):
            pytest.skip("this file system does not write past the page cache")


@pytest.mark.parametrize(
    ("size", "memory", "offset", "expected"),
    [
        (2 * PAGE, 0, 0, 2 * PAGE),
        (2 * PAGE + 77, 0, 3 * PAGE, 2 * PAGE),
        (PAGE - 1, 0, 0, 0),
        (0, 0, 0, 0),
        (PAGE, 0, 64, 0),
        (PAGE, 64, 0, 0),
    ],
)
def test_what_is_whole_pages_is_written(size: int, memory: int, offset: int, expected: int, usable: None, tmp_path: Path) -> None:
    """Rejects a write that the system would refuse, and one that stays in the mode, in which others' writes would fail."""
    with open(tmp_path / "f", "wb+", buffering=0) as file:
        flags = fcntl.fcntl(file.fileno(), fcntl.F_GETFL)
        assert direct.write(file.fileno(), aligned(size, memory), offset) == expected
        assert fcntl.fcntl(file.fileno(), fcntl.F_GETFL) == flags
        assert os.pread(file.fileno(), expected, offset) == DATA[:expected].tobytes()


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EFAULT, errno.EOPNOTSUPP])
@pytest.mark.parametrize("call", ["fcntl", "pwrite"])
def test_what_is_refused_is_written_as_usual(number: int, call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that has no such mode says so at one of two calls."""
    real = fcntl.fcntl

    def refusing(descriptor: int, *given: Any) -> Any:
        if call == "pwrite" or (given[:1] == (fcntl.F_SETFL,) and given[1] & os.O_DIRECT):
            raise OSError(number, os.strerror(number))
        return real(descriptor, *given)

    monkeypatch.setattr(*((direct.os, "pwrite") if call == "pwrite" else (direct.fcntl, "fcntl")), refusing)
    with open(tmp_path / "f", "wb", buffering=0) as file:
        assert direct.write(file.fileno(), aligned(2 * PAGE), 0) == 0


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EFBIG])
def test_other_errors_are_not_hidden(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*given: Any) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(direct.os, "pwrite", failing)
    with open(tmp_path / "f", "wb", buffering=0) as file, pytest.raises(OSError, match=os.strerror(number)):
        direct.write(file.fileno(), aligned(PAGE), 0)


def test_short_writes_are_gone_on_with(usable: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One page at a time, then a part of one: that ends it, as the next would not begin at a page."""
    real, sizes = os.pwrite, iter([PAGE, 2 * PAGE, 512])

    def short(descriptor: int, data: Any, offset: int) -> int:
        return real(descriptor, data[: next(sizes)], offset)

    monkeypatch.setattr(direct.os, "pwrite", short)
    with open(tmp_path / "f", "wb+", buffering=0) as file:
        assert direct.write(file.fileno(), aligned(8 * PAGE), 0) == 3 * PAGE + 512
        assert os.pread(file.fileno(), 9 * PAGE, 0) == DATA[: 3 * PAGE + 512].tobytes()


@pytest.mark.parametrize(("suffix", "dtype"), [("npy", "float32"), ("safetensors", "bfloat16"), ("safetensors", "float8_e5m2")])
@pytest.mark.parametrize("shape", [(3000, 7), (257, 512), (5, 3, 1111), (1, 70001)], ids=str)
def test_files_written_so_are_the_same(
    suffix: str, dtype: str, shape: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Odd rows and sizes, in blocks of a few pages; elements begin at a page; the libraries read them."""
    monkeypatch.setattr(contents, "DIRECT_FROM", 1)
    monkeypatch.setattr(pipeline, "CHUNK_BYTES", 5 * PAGE)
    path = tmp_path / f"w.{suffix}"
    write(plan_tensor(shape, path, init="random_normal", dtype=dtype, seed=3))
    whole = gpuinit.RandomNormal(seed=3)(shape, dtype)
    assert path.read_bytes()[PAGE:] == whole.tobytes() and check(path).equal
    if suffix == "npy":
        assert np.load(path).tobytes() == whole.tobytes()
    elif dtype == "bfloat16":
        with safe_open(path, framework="numpy") as file:
            assert file.get_tensor("weight").tobytes() == whole.tobytes()


def test_small_files_have_short_headers(tmp_path: Path) -> None:
    write(plan_tensor((3, 4), tmp_path / "w.npy", seed=3))
    assert (tmp_path / "w.npy").stat().st_size == 128 + 48


@settings(deadline=None)
@given(
    shape=st.lists(st.integers(1, 30), max_size=4).map(tuple),
    most=st.integers(1, 5000),
    unit=st.sampled_from([1, 4, 8, 512, 1024]),
)
def test_blocks_are_whole_pages_where_they_can_be(shape: tuple[int, ...], most: int, unit: int) -> None:
    """At most `most` elements; a multiple of `unit` but for an axis' last, wherever a multiple fits."""
    grid = contents.grid(shape, most, unit)
    blocks = list(contents.blocks(shape, grid))
    assert all(block.size <= most for block in blocks)
    assert [block.start for block in blocks] == np.cumsum([0, *(block.size for block in blocks)])[:-1].tolist()
    assert sum(block.size for block in blocks) == math.prod(shape)
    axis = next((k for k, (length, step) in enumerate(zip(shape, grid, strict=True)) if 1 < step < length), None)
    inner = 0 if axis is None else math.prod(shape[axis + 1 :])
    if axis is not None and most // inner >= unit // math.gcd(unit, inner):
        assert grid[axis] * inner % unit == 0
