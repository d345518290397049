"""Sparse matrices: the zeros are where docs/stream.md says, the rest is RandomNormal's, in any part and any way."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
import reimplementation
from conftest import DTYPES, poisoned, same_bits
from scipy import stats

import gpuinit
from gpuinit import Key
from gpuinit.backends import cpu, sparse, threads
from gpuinit.region import Region
from gpuinit.structures import Sparse

KEY = Key(0x123456789ABCDEF0, 2**63 + 5)
LIMIT = 5.0
"""Standard errors; passed by a right implementation with probability 1 - 5.7e-7 for each statistic."""


def mask(init: gpuinit.Sparse, shape: tuple[int, int]) -> Any:
    """Where the matrix is zero; float64 normals are never zero by themselves (an element in 2^53)."""
    return init(shape, "float64") == 0


# What is zero


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (10, 4), (33, 5), (100, 3), (0, 3), (3, 0)])
@pytest.mark.parametrize("sparsity", [0.0, 1e-9, 0.1, 1 / 3, 0.5, 0.7, 0.99, 1.0])
def test_each_column_has_ceil_zeros(shape: tuple[int, int], sparsity: float) -> None:
    made = mask(gpuinit.Sparse(sparsity, seed=KEY), shape)
    assert made.shape == shape
    assert (made.sum(axis=0) == math.ceil(sparsity * shape[0])).all()


@pytest.mark.parametrize("rows", [1, 3, 10, 30, 49, 1000])
@pytest.mark.parametrize("sparsity", [0.1, 0.3, 0.7, 0.9])
def test_as_many_zeros_as_torch(rows: int, sparsity: float) -> None:
    """0.7 x 10 is 7 and 0.1 x 30 is 3, rounded to float64; rejects a product in other arithmetic."""
    torch = pytest.importorskip("torch")
    wanted = (torch.nn.init.sparse_(torch.empty(rows, 2, dtype=torch.float64), sparsity) == 0).sum(0)
    assert mask(gpuinit.Sparse(sparsity, seed=1), (rows, 2)).sum(axis=0).tolist() == wanted.tolist()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_others_are_random_normal_s(dtype: Any) -> None:
    """Bit for bit; a complex element is zero as a whole, and zeros are +0."""
    shape = (90, 31)
    chosen = mask(gpuinit.Sparse(0.3, 0.5, seed=KEY), shape)
    wanted = gpuinit.RandomNormal(0.0, 0.5, seed=KEY)(shape, dtype)
    wanted[chosen] = 0
    assert same_bits(gpuinit.Sparse(0.3, 0.5, seed=KEY)(shape, dtype), wanted)


def by_page(key: Key, shape: tuple[int, int], zeros: int) -> Any:
    """Section 10 of docs/stream.md, from the page alone."""
    rows, columns = shape
    folded = reimplementation.fold((key.seed, key.stream), 1, b"sparse")
    chosen = np.zeros(shape, bool)
    for c in range(columns):
        pairs = sorted((reimplementation.word(folded, r * columns + c, 64) >> 11, r) for r in range(rows))
        chosen[[r for _, r in pairs[:zeros]], c] = True
    return chosen


@pytest.mark.parametrize("key", [Key(1), KEY])
def test_the_choice_is_the_page_s(key: Key) -> None:
    assert (mask(gpuinit.Sparse(0.3, seed=key), (50, 9)) == by_page(key, (50, 9), 15)).all()


# Any part, any way


PARTS: list[dict[str, Any]] = [
    {"block": (slice(100, 233), slice(5, 41))},
    {"block": (slice(0, 0),)},
    {"block": (slice(None), slice(7, 8))},
    {"rows": [299, 0, 7, 7, 150]},
    {"rows": [7], "block": (slice(None), slice(2, 3))},
    {"rows": []},
]


@pytest.mark.parametrize("chunk", [1, 301, 2**21])
def test_parts_and_chunks(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    init, shape = gpuinit.Sparse(0.4, seed=KEY), (300, 43)
    whole = init(shape)
    monkeypatch.setattr(sparse, "CHUNK", chunk)
    assert same_bits(init(shape), whole)
    for part in PARTS:
        rows = part.get("rows", slice(None))
        block = part.get("block", (slice(None),))
        wanted = whole[rows][(slice(None), *block[1:])] if "rows" in part else whole[block]
        assert same_bits(init(shape, **part), np.ascontiguousarray(wanted))
        out = poisoned((2 * wanted.shape[1] + 1, wanted.shape[0]), np.float32)
        init.fill(out.T[:, 1::2], shape=shape, **part)
        assert same_bits(np.ascontiguousarray(out.T[:, 1::2]), np.ascontiguousarray(wanted))
        assert (out[::2].view(np.uint8) == 0xCA).all()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_threads_and_both_ways_of_the_cpu(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    init, shape, before = gpuinit.Sparse(0.9, seed=KEY), (1200, 1100), threads.get_num_threads()
    monkeypatch.setattr(cpu.BACKEND, "_drawn", 2 * cpu.BREAK_EVEN)
    try:
        gpuinit.set_num_threads(count)
        compiled = init(shape)
    finally:
        gpuinit.set_num_threads(before)
    assert ((compiled == 0).sum(axis=0) == 1080).all()
    monkeypatch.setattr(cpu.BACKEND, "_drawn", -(2**60))
    assert same_bits(init(shape, block=(slice(600, 610),)), compiled[600:610])


def coarse(step: int) -> Any:
    """The CPU's fill, but for uniforms, which are rounded down to multiples of 1 / step: many are alike."""

    def fill(out: Any, sampler: Any, region: Region, key: Key) -> None:
        cpu.BACKEND.fill(out, sampler, region, key)
        if sampler.quantile == "unit":
            out[...] = np.floor(out * step) / step

    return fill


@pytest.mark.parametrize("step", [1, 2, 7, 40])
@pytest.mark.parametrize("zeros", [1, 13, 20, 39, 40])
@pytest.mark.parametrize("chunk", [1, 90, 2**21])
def test_among_equals_the_smaller_rows_are_zero(step: int, zeros: int, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rejects a threshold that takes all or none of the equals: it has another number of zeros."""
    monkeypatch.setattr(sparse, "CHUNK", chunk)
    shape, structure = (40, 6), Sparse(1.0, zeros)
    uniform = np.empty(shape)
    coarse(step)(uniform, sparse.UNIT.sampler(uniform.dtype), Region.of(shape), structure.mask_key(KEY))
    wanted = np.zeros(shape, bool)
    order = np.argsort(uniform, axis=0, kind="stable")
    np.put_along_axis(wanted, order[:zeros], True, axis=0)
    for block, rows in [(None, None), ((slice(3, 30), slice(2, 5)), None), (None, np.array([39, 0, 0, 5]))]:
        region = Region.of(shape, block, rows)
        out = poisoned(region.counts, np.float64)
        sparse.write(out, structure, region, KEY, coarse(step))
        assert ((out == 0) == wanted[region.slices]).all()


def test_memory() -> None:
    """Less than 64 MiB beside the tensor, also where a column has more rows than a chunk has elements."""
    for shape, block in [((3000, 3000), None), ((2**22, 2), None), ((2**22, 3), (slice(0, 7),))]:
        init = gpuinit.Sparse(0.5, seed=1)
        region = Region.of(shape, block)
        out = np.empty(region.counts, np.float32)
        tracemalloc.start()
        init.fill(out, shape=shape, block=block)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 64 * 2**20, (shape, peak)


def test_only_matrices() -> None:
    for shape in [(), (3,), (3, 4, 5)]:
        with pytest.raises(ValueError, match="Sparse makes matrices, which have 2"):
            gpuinit.Sparse(0.5)(shape)
    with pytest.raises(ValueError, match="float16 cannot represent"):
        gpuinit.Sparse(0.5, 1e5)((2, 2), "float16")


# Statistics

ROWS, COLUMNS, ZEROS = 40, 20_000, 13
CHOSEN = mask(gpuinit.Sparse(ZEROS / ROWS - 1e-9, seed=2026), (ROWS, COLUMNS))


def worst_row(chosen: Any) -> float:
    """The largest of the rows' scores: a row is zero in each column with probability zeros / rows. 40 statistics."""
    p = ZEROS / ROWS
    return float(np.abs((chosen.sum(axis=1) - COLUMNS * p) / math.sqrt(COLUMNS * p * (1 - p))).max())


def overlap(a: Any, b: Any) -> float:
    """The score of how many zeros pairs of columns share: hypergeometric for independent ones."""
    law = stats.hypergeom(ROWS, ZEROS, ZEROS)
    return float(((a & b).sum() - a.shape[1] * law.mean()) / math.sqrt(a.shape[1] * law.var()))


def kept(chosen: Any, x: Any) -> float:
    """The worse of two scores of the values that are kept: their mean is 0, and that of their sizes sqrt(2 / pi)."""
    left = x[~chosen]
    size = (np.abs(left).mean() - math.sqrt(2 / math.pi)) / math.sqrt((1 - 2 / math.pi) / left.size)
    return float(max(abs(left.mean() * math.sqrt(left.size)), abs(size)))


def test_every_row_is_as_likely_to_be_zero() -> None:
    """Rejects the naive shuffle, which swaps each row with any."""
    assert (CHOSEN.sum(axis=0) == ZEROS).all()
    assert worst_row(CHOSEN) < LIMIT
    rng = np.random.default_rng(1)
    order = np.tile(np.arange(ROWS)[:, None], COLUMNS)
    each = np.arange(COLUMNS)
    for row in range(ROWS):
        other = rng.integers(0, ROWS, COLUMNS)
        order[row], order[other, each] = order[other, each], order[row].copy()
    naive = np.zeros_like(CHOSEN)
    np.put_along_axis(naive, order[:ZEROS], True, axis=0)
    assert worst_row(naive) > 2 * LIMIT


def test_columns_are_chosen_independently() -> None:
    """Neighbours, and those a power of two apart. Rejects uniforms of 32-bit lanes shared by two columns in sixteen."""
    for distance in (1, 2, 4, 1024):
        assert abs(overlap(CHOSEN[:, distance:], CHOSEN[:, :-distance])) < LIMIT
    shared = CHOSEN.copy()
    shared[:, 1::16] = shared[:, ::16]
    assert overlap(shared[:, 1:], shared[:, :-1]) > 2 * LIMIT


def test_the_choice_does_not_look_at_the_values() -> None:
    """Rejects a mask made by thresholding the words that the values come from, and one by the values' sizes."""
    x = gpuinit.RandomNormal(0.0, 1.0, seed=2026)((ROWS, COLUMNS), "float64")
    assert kept(CHOSEN, x) < LIMIT
    for drawn in (x, -x, np.abs(x)):
        wrong = drawn <= np.partition(drawn, ZEROS - 1, axis=0)[ZEROS - 1]
        assert (wrong.sum(axis=0) == ZEROS).all() and kept(wrong, x) > 2 * LIMIT
