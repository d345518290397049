"""The avalanche: what one bit of the index, of the stream or of the seed changes (Webster and Tavares, 1985)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gpuinit.battery import statistic
from gpuinit.battery.statistic import Statistic
from gpuinit.battery.suite import Suite, Test
from gpuinit.battery.trial import Trial
from gpuinit.battery.words import bits_of, shown_bits
from gpuinit.key import Key

__all__ = ["AVALANCHE", "Flips"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Flips:
    """How often each shown output bit changed, a row for each input bit that was flipped, and in how many counters."""

    share: Array
    counters: int

    def worst(self) -> Statistic:
        """The share that is furthest from one half."""
        z = (2 * self.share - 1) * np.sqrt(self.counters)
        row, column = np.unravel_index(np.abs(z).argmax(), z.shape)
        return statistic.largest(z, f"input bit {row}, output bit {column}: flips {self.share[row, column]:.3f}")


def _avalanche(trial: Trial) -> Iterator[tuple[str, Flips]]:
    counters = np.arange(trial.effort.counters, dtype=np.uint64)
    shape, key = (2**61, 2), trial.key("avalanche")

    def bits(key: Key, ids: Array) -> Array:
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
        others = (replace(key, **{name: getattr(key, name) ^ 1 << bit}) for bit in range(64))
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
