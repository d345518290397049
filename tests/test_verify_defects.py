"""`gpuinit verify` finds planted defects of words, parts and matrices, each by the test that is there for it.

A defect is planted in the engine's own code, in NumPy's way, and the suites that matter are run, with the samples of a quick run
unless more are named. Without a defect the same suites find nothing. Seeds are fixed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted import COMPILED, found
from scipy import special

from gpuinit import battery
from gpuinit.backends import reflectors, specification, stacks
from gpuinit.battery import avalanche, birthdays, bits, dependence, extremes, marginal, orthogonal, streams, words
from gpuinit.battery.subjects import SUBJECTS
from gpuinit.kernels import philox
from gpuinit.key import Key
from gpuinit.region import Region

Array = np.ndarray[Any, Any]
Patch = pytest.MonkeyPatch
# Words.

Words = Callable[[Key, Array, int], Array]


def of_words(monkeypatch: Patch, change: Callable[[Words, Key, Array, int], Array]) -> None:
    """NumPy's way draws other words: change(words, key, index, bits)."""
    monkeypatch.setattr(specification, "words", functools.partial(change, specification.words))


def unsigned(bits: int) -> type[np.unsignedinteger[Any]]:
    return np.uint32 if bits == 32 else np.uint64


def shared_by_parts(draw: Words, key: Key, index: Array, bits: int) -> Array:
    return draw(key, index & ~np.uint64(1), bits)


def seed_is_an_offset(draw: Words, key: Key, index: Array, bits: int) -> Array:
    return draw(Key(0, key.stream), index + np.uint64(key.seed), bits)


def stream_is_an_offset(draw: Words, key: Key, index: Array, bits: int) -> Array:
    return draw(Key(key.seed), (index + np.uint64(key.stream * 4 % 2**64)) % np.uint64(2**63), bits)


def seed_mirrors(draw: Words, key: Key, index: Array, bits: int) -> Array:
    word = draw(Key(key.seed & ~1, key.stream), index, bits)
    return word ^ unsigned(bits)(2 ** (bits - 1)) if key.seed & 1 else word


def antithetic(draw: Words, key: Key, index: Array, bits: int) -> Array:
    word = draw(key, index & ~np.uint64(1), bits)
    return np.where(index & np.uint64(1) == 1, word ^ unsigned(bits)(2 ** (bits - 1)), word)


def one_size(draw: Words, key: Key, index: Array, bits: int) -> Array:
    """Every second value has the size of the one before, and a sign of its own."""
    top = unsigned(bits)(2 ** (bits - 1))
    return (draw(key, index & ~np.uint64(1), bits) & ~top) | (draw(key, index, bits) & top)


def tent(draw: Words, key: Key, index: Array, bits: int) -> Array:
    """Every second u is |2 u - 1| of the one before: uniform, and uncorrelated with it."""
    word = draw(key, index & ~np.uint64(1), bits).astype(np.float64) * 2.0**-bits
    u = np.where(index & np.uint64(1) == 1, np.abs(2 * word - 1), word)
    return np.minimum(u * 2.0**bits, 2.0**bits * (1 - 2.0**-53) - 1).astype(unsigned(bits))


COLUMNS = 128
"""Of the tensors in which NumPy's way is searched for dependence."""


def rows_overlap(draw: Words, key: Key, index: Array, bits: int) -> Array:
    row, column = np.divmod(index, np.uint64(COLUMNS))
    return draw(key, row * np.uint64(4) + column, bits)


def columns_overlap(draw: Words, key: Key, index: Array, bits: int) -> Array:
    row, column = np.divmod(index, np.uint64(COLUMNS))
    return draw(key, (row + np.uint64(4) * column) % np.uint64(2**40), bits)


def short_period(draw: Words, key: Key, index: Array, bits: int) -> Array:
    return draw(key, index % np.uint64(2**13), bits)


def lattice(draw: Words, key: Key, index: Array, bits: int) -> Array:
    """A Weyl sequence, which a linear congruence is too."""
    return (index * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(64 - bits)).astype(unsigned(bits))


def even(draw: Words, key: Key, index: Array, bits: int) -> Array:
    """Words in the order of reversed bits: more evenly spread than any random ones."""
    reversed_bits = np.zeros(len(index), np.uint64)
    for bit in range(bits):
        reversed_bits |= (index >> np.uint64(bit) & np.uint64(1)) << np.uint64(bits - 1 - bit)
    return reversed_bits.astype(unsigned(bits))


def stuck(draw: Words, key: Key, index: Array, bits: int) -> Array:
    return draw(key, index, bits) | unsigned(bits)(2 ** (bits - 9))


def copied_bit(draw: Words, key: Key, index: Array, bits: int) -> Array:
    """The second bit of a word is the first one of the counter before."""
    second, before = unsigned(bits)(2 ** (bits - 2)), draw(key, index - np.uint64(128 // bits), bits)
    return (draw(key, index, bits) & ~second) | (before >> unsigned(bits)(1) & second)


def more_ones(draw: Words, key: Key, index: Array, bits: int) -> Array:
    word, others = draw(key, index, bits), [draw(Key(key.seed, n), index, bits) for n in range(4)]
    return word | functools.reduce(np.bitwise_and, others)


WORD_DEFECTS: list[tuple[Any, battery.Suite, str]] = [
    (shared_by_parts, dependence.COMPLEX_PARTS, "real and imaginary parts"),
    (one_size, dependence.COMPLEX_PARTS, "sizes of the parts"),
    (seed_is_an_offset, streams.STREAMS, "neighbouring seeds"),
    (stream_is_an_offset, streams.STREAMS, "neighbouring seeds"),
    (seed_mirrors, streams.STREAMS, "neighbouring seeds, squares"),
    (antithetic, dependence.DEPENDENCE, "lag correlation"),
    (one_size, dependence.DEPENDENCE, "lag correlation of squares"),
    (tent, dependence.DEPENDENCE, "pairs of neighbours"),
    (rows_overlap, dependence.DEPENDENCE, "neighbouring rows"),
    (columns_overlap, dependence.DEPENDENCE, "neighbouring columns"),
    (short_period, dependence.DEPENDENCE, "means of columns"),
    (lattice, birthdays.BIRTHDAYS, "birthday spacings"),
    (stuck, words.WORDS, "each bit"),
    (copied_bit, words.WORDS, "bit pairs"),
    (more_ones, words.WORDS, "ones"),
    (more_ones, words.WORDS, "bytes"),
]


@pytest.mark.parametrize(("change", "suite", "name"), WORD_DEFECTS, ids=lambda value: getattr(value, "__name__", ""))
def test_words(change: Any, suite: battery.Suite, name: str, monkeypatch: Patch) -> None:
    of_words(monkeypatch, change)
    assert name in found(suite)


@pytest.mark.parametrize("suite", battery.SUITES, ids=lambda suite: suite.name)
def test_without_a_defect_nothing_is_found(suite: battery.Suite) -> None:
    assert found(suite) == {}


@pytest.mark.parametrize("rounds", [4, 5, 6])
def test_fewer_rounds_of_philox(rounds: int, monkeypatch: Patch) -> None:
    """6 rounds fail as TestU01's Crush finds (Salmon et al., 2011); the avalanche of 7 is whole."""
    monkeypatch.setattr(philox, "ROUNDS", rounds)
    assert "avalanche" in found(avalanche.AVALANCHE)


def test_rounds_that_no_statistic_shows(monkeypatch: Patch) -> None:
    """7 to 9 rounds are good generators; only what is exact tells them from the contract's."""
    monkeypatch.setattr(philox, "ROUNDS", 9)
    assert found(avalanche.AVALANCHE) == {}
    assert set(found(extremes.EXTREMES)) == {"values at extreme words"}
    assert set(found(bits.VECTORS)) == {"golden vectors"}


def test_values_too_evenly_spread(monkeypatch: Patch) -> None:
    """The reason names the evenness."""
    of_words(monkeypatch, even)
    monkeypatch.setattr(marginal, "SUBJECTS", SUBJECTS[:1])
    reasons = found(marginal.MARGINAL)
    assert reasons["histogram"].startswith("too regular")
    assert reasons["Kolmogorov-Smirnov"].startswith("too regular")


def test_names_are_ignored(monkeypatch: Patch) -> None:
    monkeypatch.setattr(Key, "fold_in", lambda self, data: self)
    reasons = found(streams.STREAMS)
    assert {"streams of names", "streams of names, squares"} <= set(reasons)


# Parts.


def test_row_index_transposed(monkeypatch: Patch) -> None:
    """Rows by id are looked up as if the tensor's first axis were its last."""
    strides = Region.strides

    def transposed(self: Region) -> tuple[int, ...]:
        if self.rows is None:
            return strides(self)
        return Region.of(self.logical[::-1]).strides()[::-1]

    monkeypatch.setattr(Region, "strides", transposed)
    assert "parts equal the whole" in found(bits.BITS)


def test_shard_begins_at_zero(monkeypatch: Patch) -> None:
    indices = Region.indices
    everywhere = {"logical", "counts", "rows"}

    def from_zero(self: Region, start: int, stop: int) -> Array:
        kept = {name: getattr(self, name) for name in everywhere}
        return indices(Region(starts=(0,) * len(self.starts), **kept), start, stop)

    monkeypatch.setattr(Region, "indices", from_zero)
    assert "parts equal the whole" in found(bits.BITS)


def test_a_way_that_rounds_otherwise() -> None:
    """One bit of one element of the tensor of 67 x 9 x 31."""

    def last_bit(values: Array, law: Any) -> None:
        if values.dtype == np.float64 and values.size > 1000:
            values.reshape(-1).view(np.uint64)[-1] ^= np.uint64(1)

    assert "same bits as NumPy" in found(bits.BITS, way=COMPILED, alter=last_bit)


# Orthogonal matrices.


def test_no_sign_fix_of_the_haar_law(monkeypatch: Patch) -> None:
    """Columns keep the signs that the reflectors leave, as LAPACK's QR does."""
    reflect = reflectors.reflect

    def unsigned_columns(matrices: Array, gain: Any, bound: Any) -> None:
        signs = np.where(np.einsum("bii->bi", matrices) >= 0, -1, 1).astype(matrices.dtype)
        reflect(matrices, gain, bound)
        matrices *= signs[:, None, :]

    monkeypatch.setattr(reflectors, "reflect", unsigned_columns)
    names = set(found(orthogonal.ORTHOGONAL))
    assert {"sign of the first entry", "entries", "trace"} <= names
    assert "Gram matrix" not in names


def test_no_sign_fix_of_the_method_qr(monkeypatch: Patch) -> None:
    """The default is right, and the method "qr" leaves the signs to LAPACK."""
    right = stacks.orthogonalize

    def lapack(normal: Array, gain: float, bound: float, method: str) -> Array:
        return np.linalg.qr(normal)[0] * gain if method == "qr" else right(normal, gain, bound, method)

    monkeypatch.setattr(stacks, "orthogonalize", lapack)
    names = found(orthogonal.ORTHOGONAL)
    assert {"sign of the first entry", "entries", "trace"} <= set(names) and "Gram matrix" not in names


def test_matrices_of_uniform_numbers(monkeypatch: Patch) -> None:
    """Orthogonal and of either sign, and yet the first column is no uniform point of the sphere."""
    reflect = reflectors.reflect

    def of_uniform(matrices: Array, gain: Any, bound: Any) -> None:
        matrices[...] = 2 * special.ndtr(matrices) - 1
        reflect(matrices, gain, bound)

    monkeypatch.setattr(reflectors, "reflect", of_uniform)
    assert "first column" in found(orthogonal.ORTHOGONAL)


def test_real_signs_in_place_of_phases(monkeypatch: Patch) -> None:
    def lapack(normal: Array, gain: float, bound: float, method: str) -> Array:
        return np.asarray(np.linalg.qr(normal)[0] * gain)

    monkeypatch.setattr(stacks, "orthogonalize", lapack)
    assert {"complex trace", "sign of the first entry"} <= set(found(orthogonal.ORTHOGONAL))


def repeated(values: Array, law: Any) -> None:
    if values.ndim == 3:
        values[1::2] = values[::2]


def stretched(values: Array, law: Any) -> None:
    if values.dtype == np.float32:
        values *= np.float32(1.00001)


def crowded(values: Array, law: Any) -> None:
    """Symmetric matrices with the eigenvalues 1 and -1 alone."""
    if values.ndim == 3 and values.dtype.kind == "f":
        wide = values.astype(np.float64)
        half = np.concatenate([np.ones(values.shape[1] // 2), -np.ones(values.shape[1] // 2)])
        values[...] = wide @ (half[:, None] * wide.swapaxes(1, 2))


@pytest.mark.parametrize(("name", "alter"), [
    ("neighbours of a stack", repeated),
    ("Gram matrix", stretched),
    ("trace of the square", crowded),
])  # fmt: skip
def test_other_matrices(name: str, alter: Any) -> None:
    assert name in found(orthogonal.ORTHOGONAL, alter=alter)


def test_means_of_rows() -> None:
    def shifts(values: Array, law: Any) -> None:
        if values.ndim == 2:
            values += (np.arange(len(values)) % 2 * 0.4 - 0.2).astype(values.dtype)[:, None]

    assert "means of rows" in found(dependence.DEPENDENCE, alter=shifts)


@pytest.mark.parametrize("name", battery.names())
def test_every_test_of_the_battery_has_a_defect(name: str) -> None:
    """Its name stands in quotes in one of the files that plant defects."""
    files = [Path(__file__), *Path(__file__).parent.glob("test_verify_defects_*.py")]
    assert any(f'"{name}"' in path.read_text(encoding="utf-8") for path in files)
