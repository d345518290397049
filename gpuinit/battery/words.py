"""The words themselves, as the uniform law shows them: 24 of 32 bits in float32, 53 of 64 in float64."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import gpuinit
from gpuinit.battery import statistic
from gpuinit.battery.statistic import Statistic
from gpuinit.battery.suite import Suite, Test
from gpuinit.battery.trial import Trial

__all__ = ["WORDS", "Words", "bits_of", "shown_bits"]

Array = np.ndarray[Any, Any]
_UNIT = {24: "float32", 53: "float64"}


def shown_bits(trial: Trial, key: Any, bits: int, shape: tuple[int, ...], *, block: Any = None, rows: Any = None) -> Array:
    """The upper 24 bits of words of 32, or 53 of 64, as uint64: a uniform value on [0, 1) is these times 2^-bits."""
    init = gpuinit.RandomUniform(0.0, 1.0, seed=key)
    made = trial.draw(init, shape, _UNIT[bits], block=block, rows=rows)
    return (made.astype(np.float64) * 2.0**bits).astype(np.uint64)


def bits_of(numbers: Array, bits: int) -> Array:
    """The bits of each number in an axis of their own, highest first, as uint8."""
    aligned = (numbers << np.uint64(64 - bits)).astype(">u8")
    return np.unpackbits(aligned.view(np.uint8).reshape(*numbers.shape, 8), axis=-1)[..., :bits]


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """Bits of consecutive words, a word a row, as 0 and 1; as many words as a counter has."""

    bits: Array
    per_counter: int


def _words(trial: Trial) -> Iterator[tuple[str, Words]]:
    for bits, per_counter in ((24, 4), (53, 2)):
        name = f"{bits} of {128 // per_counter} bits"
        numbers = shown_bits(trial, trial.key("words", name), bits, (trial.effort.words,))
        yield name, Words(bits_of(numbers, bits), per_counter)


def _ones(sample: Words) -> Statistic:
    return statistic.count(int(sample.bits.sum(dtype=np.int64)), sample.bits.size, 0.5)


def _places(sample: Words) -> Statistic:
    """Ones in each place, and changes from a word to the next in each place."""
    changes = sample.bits[1:] ^ sample.bits[:-1]
    z = [(2 * each.sum(axis=0, dtype=np.int64) - len(each)) / np.sqrt(len(each)) for each in (sample.bits, changes)]
    return statistic.squares(np.concatenate(z), f"largest at bit {int(np.abs(np.maximum(*np.abs(z))).argmax())} from the top")


def _bytes(sample: Words) -> Statistic:
    whole = sample.bits.shape[1] // 8 * 8
    counts = np.bincount(np.packbits(sample.bits[:, :whole], axis=1).reshape(-1), minlength=256)
    return statistic.chi_square(counts, np.full(256, counts.sum() / 256))


def _bit_pairs(sample: Words) -> Statistic:
    """Every two bits of two consecutive counters: how often they agree, as a correlation."""
    width = 2 * sample.per_counter * sample.bits.shape[1]
    signs = (2.0 * sample.bits.reshape(-1, width) - 1).astype(np.float32)
    z = (signs.T @ signs / np.float32(np.sqrt(len(signs))))[np.triu_indices(width, 1)]
    return statistic.largest(z.astype(np.float64), f"of {len(z):,} pairs")


WORDS = Suite(
    "words",
    _words,
    (
        Test("ones", "more ones than zeros, by 3.5 / sqrt(bits)", _ones),
        Test("each bit", "a bit that is stuck, unfair, or follows that of the word before", _places),
        Test("bytes", "bytes of unequal frequency, by 14 sqrt(256 / bytes)", _bytes),
        Test("bit pairs", "two bits of neighbouring counters that go together, by 8.5 / sqrt(counters)", _bit_pairs),
    ),
)
