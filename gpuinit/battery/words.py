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

__all__ = ["AVALANCHE", "BIRTHDAYS", "WORDS", "Flips", "bits_of", "shown_bits"]

Array = np.ndarray[Any, Any]
_UNIT = {24: "float32", 53: "float64"}
_BIRTHDAYS = 2**14
_DAYS = 40
"""2^14 birthdays in a year of 2^40 days: spacings that occur twice are Poisson of mean 2^(3 14 - 2 - 40) = 1."""


def shown_bits(trial: Trial, key: Any, bits: int, shape: tuple[int, ...], *, block: Any = None, rows: Any = None) -> Array:
    """The upper 24 bits of words of 32, or 53 of 64, as uint64: a uniform value on [0, 1) is these times 2^-bits."""
    init = gpuinit.RandomUniform(0.0, 1.0, seed=key)
    made = trial.draw(init, shape, _UNIT[bits], block=block, rows=rows)
    return (made.astype(np.float64) * 2.0**bits).astype(np.uint64)


def bits_of(numbers: Array, bits: int) -> Array:
    """The bits of each number in an axis of their own, highest first, as uint8."""
    aligned = (numbers << np.uint64(64 - bits)).astype(">u8")
    return np.unpackbits(aligned.view(np.uint8).reshape(*numbers.shape, 8), axis=-1)[..., :bits]


# Frequencies.


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
        Test("ones", "more ones than zeros, by 3 / sqrt(bits)", _ones),
        Test("each bit", "a bit that is stuck, unfair, or follows that of the word before", _places),
        Test("bytes", "bytes of unequal frequency, by 10 sqrt(256 / bytes)", _bytes),
        Test("bit pairs", "two bits of neighbouring counters that go together, by 7 / sqrt(counters)", _bit_pairs),
    ),
)


# Birthday spacings (Marsaglia, 1985; sizes after L'Ecuyer and Simard, 2001).


def _birthdays(trial: Trial) -> Iterator[tuple[str, Array]]:
    for name, drop in (("upper bits", 53 - _DAYS), ("lower bits", 0)):
        shape = (trial.effort.birthdays, _BIRTHDAYS)
        days = shown_bits(trial, trial.key("birthdays", name), 53, shape)
        yield name, (days >> np.uint64(drop)) & np.uint64(2**_DAYS - 1)


def _repeated_spacings(days: Array) -> Statistic:
    spacings = np.sort(np.diff(np.sort(days, axis=1), axis=1), axis=1)
    repeated = int((spacings[:, 1:] == spacings[:, :-1]).sum())
    expected = len(days) * float(_BIRTHDAYS) ** 3 / 2.0 ** (_DAYS + 2)
    return statistic.poisson(repeated, expected, f"{repeated} repeated, {expected:g} expected")


BIRTHDAYS = Suite(
    "birthday spacings",
    _birthdays,
    (Test("birthday spacings", "words on a lattice, as of a congruential generator or a short counter", _repeated_spacings),),
)


# The avalanche: what one bit of the counter or of the key changes (Webster and Tavares, 1985).


@dataclass(frozen=True, slots=True, eq=False)
class Flips:
    """How often each shown output bit changed, a row for each input bit that was flipped, and in how many counters."""

    share: Array
    counters: int

    def worst(self) -> Statistic:
        z = (2 * self.share - 1) * np.sqrt(self.counters)
        row, column = np.unravel_index(np.abs(z).argmax(), z.shape)
        return statistic.largest(z, f"input bit {row}, output bit {column}: flips {self.share[row, column]:.3f}")


def _avalanche(trial: Trial) -> Iterator[tuple[str, Flips]]:
    counters = np.arange(trial.effort.counters, dtype=np.uint64)
    shape, key = (2**61, 2), trial.key("avalanche")

    def bits(key: Any, ids: Array) -> Array:
        return bits_of(shown_bits(trial, key, 53, shape, rows=ids.astype(np.int64)), 53).reshape(len(ids), -1)

    def share(first: Array, second: Array) -> Array:
        return np.asarray((first ^ second).mean(axis=0))

    found = []
    for bit in np.arange(61, dtype=np.uint64):
        low = counters & ((np.uint64(1) << bit) - np.uint64(1))
        clear = (counters >> bit << (bit + np.uint64(1))) | low  # consecutive, the bit left out
        found.append(share(bits(key, clear), bits(key, clear | np.uint64(1) << bit)))
    yield "the element's index", Flips(np.array(found), len(counters))
    plain = bits(key, counters)
    for name in ("stream", "seed"):
        others = (
            type(key)(**{"seed": key.seed, "stream": key.stream, name: getattr(key, name) ^ (1 << bit)}) for bit in range(64)
        )
        yield f"the {name}", Flips(np.array([share(plain, bits(other, counters)) for other in others]), len(counters))


AVALANCHE = Suite(
    "avalanche",
    _avalanche,
    (
        Test(
            "avalanche",
            "fewer rounds of Philox than 7: one flipped input bit must change each output bit half the time",
            Flips.worst,
        ),
    ),
)
