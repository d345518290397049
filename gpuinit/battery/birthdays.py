"""Birthday spacings (Marsaglia, 1985; sizes after L'Ecuyer and Simard, 2001): the distances between words, in order of size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from gpuinit.battery import statistic
from gpuinit.battery.statistic import Statistic
from gpuinit.battery.suite import Suite, Test
from gpuinit.battery.trial import Trial
from gpuinit.battery.words import shown_bits

__all__ = ["BIRTHDAYS"]

Array = np.ndarray[Any, Any]
_BIRTHDAYS = 2**14
_DAYS = 40
"""2^14 birthdays in a year of 2^40 days: spacings that occur twice are Poisson of mean 2^(3 14 - 2 - 40) = 1."""


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
