"""The hash is the documented one, adds over any partition and sees one flipped bit; the statistics are NumPy's."""

from __future__ import annotations

import math
from itertools import pairwise

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuinit.hashing import Digest, element_hash

DTYPES = [
    *("bool", "int8", "uint16", "int32", "int64", "float16", "float32", "float64", "complex64", "complex128"),
    *(ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2),
]
MASK = 2**64 - 1
GOLDEN_FLOAT32 = 0xD89F053803A10A41
GOLDEN_COMPLEX = 0x16310E73AD8164DE


def mix(index: int, bits: int) -> int:
    """The definition, in Python integers."""
    x = (index * 0x9E3779B97F4A7C15 + bits * 0xD6E8FEB86659FD93) & MASK
    x ^= x >> 32
    x = x * 0xD6E8FEB86659FD93 & MASK
    x ^= x >> 32
    x = x * 0xD6E8FEB86659FD93 & MASK
    return x ^ (x >> 32)


def by_definition(array: np.ndarray, start: int) -> int:
    flat = np.ascontiguousarray(array).reshape(-1)
    size = flat.itemsize
    if flat.dtype.kind == "c":
        start, size = 2 * start, size // 2
    raw = flat.tobytes()
    words = (int.from_bytes(raw[i : i + size], "little") for i in range(0, len(raw), size))
    return sum(mix(start + j, word) for j, word in enumerate(words)) & MASK


def random_array(dtype: object, size: int, seed: int = 1) -> np.ndarray:
    generator = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return generator.integers(0, 2, size).astype(bool)
    if kind.kind in "iu":
        return generator.integers(0, 100, size).astype(kind)
    if kind.kind == "c":
        return (generator.normal(size=size) + 1j * generator.normal(size=size)).astype(kind)
    return generator.normal(size=size).astype(kind)


def test_golden() -> None:
    """Frozen: files and logs hold these numbers."""
    assert element_hash(np.zeros(0, np.float32)) == 0
    assert element_hash(np.zeros(1, np.float32)) == 0  # mix(0, 0)
    assert element_hash(np.ones(1, np.float32)) == mix(0, 0x3F800000)
    assert element_hash(np.arange(5, dtype=np.float32)) == GOLDEN_FLOAT32
    assert element_hash(np.arange(5, dtype=np.complex128) * 1j, start=2**62 + 3) == GOLDEN_COMPLEX


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("start", [0, 1, 2**32 - 2, 2**34 + 5, 2**63 - 7, 2**64 - 3])
def test_follows_the_definition(dtype: object, start: int) -> None:
    array = random_array(dtype, 37)
    assert element_hash(array, start) == by_definition(array, start)


@pytest.mark.parametrize("size", [0, 1, 8191, 8192, 8193, 20001])
def test_sizes_around_the_chunk(size: int) -> None:
    array = random_array(np.float32, size)
    assert element_hash(array, 5) == by_definition(array, 5)


@given(size=st.integers(0, 300), cuts=st.lists(st.integers(0, 300), max_size=5), dtype=st.sampled_from(DTYPES))
@settings(max_examples=60, deadline=None)
def test_adds_over_any_partition_in_any_order(size: int, cuts: list[int], dtype: object) -> None:
    array = random_array(dtype, size)
    edges = [0, *sorted(min(cut, size) for cut in cuts), size]
    parts = list(pairwise(edges))
    total = sum(element_hash(array[a:b], 11 + a) for a, b in reversed(parts)) & MASK
    assert total == element_hash(array, 11)


def test_strides_and_shapes_do_not_matter_but_order_does() -> None:
    base = random_array(np.float32, 120 * 700).reshape(120, 700)
    assert element_hash(base) == element_hash(base.reshape(-1))
    for view in (base.T, base[::-1], base[::3, 5::7], base[:, :33], np.asfortranarray(base)):
        assert element_hash(view) == element_hash(np.ascontiguousarray(view))
    assert element_hash(base.T) != element_hash(base)
    assert element_hash(np.float32(3.5).reshape(())) == element_hash(np.array([3.5], np.float32))


def test_sees_one_flipped_bit_a_swap_and_a_shift() -> None:
    array = random_array(np.float32, 1000)
    whole = element_hash(array)
    for bit in range(32):
        other = array.copy()
        other.view(np.uint32)[500] ^= np.uint32(1 << bit)
        assert element_hash(other) != whole
    swapped = array.copy()
    swapped[[3, 4]] = swapped[[4, 3]]
    assert element_hash(swapped) != whole
    assert element_hash(array, 1) != whole
    assert element_hash(np.array([-0.0], np.float32)) != element_hash(np.array([0.0], np.float32))


def test_a_million_hashes_of_single_elements_do_not_collide() -> None:
    """With 64 bits a collision among 2^20 has probability 3e-8; a hash that loses 30 bits would show about 30 here."""
    index = np.arange(1 << 10, dtype=np.int64)
    seen = {mix(int(i), int(b)) for i in index for b in index}
    assert len(seen) == 1 << 20


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_digest_is_numpys_statistics(dtype: object) -> None:
    array = random_array(dtype, 70001)
    digest = Digest()
    for begin in (40000, 0):  # out of order
        digest.update(array[begin : begin + 40000].reshape(-1, 1), begin)
    wide = array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
    assert digest.hash == element_hash(array)
    assert digest.count == array.size
    assert digest.mean == pytest.approx(wide.mean(), rel=1e-9, abs=1e-12)
    assert digest.std == pytest.approx(wide.std(), rel=1e-9)
    if array.dtype.kind == "c":
        assert math.isnan(digest.min) and math.isnan(digest.max)
    else:
        assert (digest.min, digest.max) == (wide.min(), wide.max())


def test_digest_keeps_its_accuracy_far_from_zero() -> None:
    """The sum of squares would leave nothing of a standard deviation of 1e-3 at 1e6; rejects E[x^2] - E[x]^2."""
    array = 1e6 + 1e-3 * np.random.default_rng(3).normal(size=100_000)
    digest = Digest()
    digest.update(array)
    assert digest.std == pytest.approx(array.std(), rel=1e-9)
    assert math.sqrt(max(np.square(array).mean() - array.mean() ** 2, 0)) != pytest.approx(array.std(), rel=1e-2)


def test_digest_of_nothing_of_constants_and_of_nan() -> None:
    digest = Digest()
    digest.update(np.zeros((0, 4), np.float32))
    assert (digest.hash, digest.count, digest.mean, digest.std, digest.min, digest.max) == (
        0,
        0,
        0.0,
        0.0,
        math.inf,
        -math.inf,
    )
    digest.update(np.full(100_000, 0.1, np.float32))
    assert digest.mean == digest.min == digest.max == float(np.float32(0.1)) and digest.std == 0.0
    digest.update(np.array([np.nan], np.float32), 100_000)
    digest.update(np.array([1.0], np.float32), 100_001)
    assert math.isnan(digest.mean) and math.isnan(digest.std) and math.isnan(digest.min) and math.isnan(digest.max)
