"""The least and greatest words, and those in the middle: what no sample reaches is looked up.

A word of 32 zeros comes once in 2^32 values; run backwards, Philox tells which element has it. There the normal law goes to its
last value, 6.34 standard deviations out, the interval's ends are met, and rounding could leave it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuinit import dtypes
from gpuinit.battery import statistic
from gpuinit.battery.backwards import place_of
from gpuinit.battery.laws import Law, neighbours
from gpuinit.battery.statistic import Statistic
from gpuinit.battery.subjects import SUBJECTS
from gpuinit.battery.suite import Suite, Test
from gpuinit.battery.trial import Trial

__all__ = ["EXTREMES", "Extremes"]

Array = np.ndarray[Any, Any]
_ALL = 2**32 - 1
_HALF = 2**31
_ULPS = 6
"""The quantile's promise is 4 units in the last place; SciPy's may be off by two."""
_PLACES = {
    32: [(0, _HALF - 1, _HALF, _ALL)],
    64: [(0, 0, _ALL, _HALF - 1), (0, _HALF, _ALL, _ALL)],
}
"""Words of counters that hold the extreme words of each width, a word of 64 bits as its lower and upper half."""


@dataclass(frozen=True, slots=True, eq=False)
class Extremes:
    """The values at the four extreme words, ascending, with their law.

    `half`: half a word's probability, which is what lies beyond the outermost words, and between the middle ones and 1/2.
    """

    found: Array
    law: Law
    dtype: np.dtype[Any]
    half: float

    def bounds(self) -> Statistic:
        """Whether they are inside the interval, its open end left out."""
        least, greatest = self.law.ends(self.dtype)
        outside = (self.found < least) | (self.found > greatest) | ~np.isfinite(self.found)
        ends = f"{self.found[0]:.9g} .. {self.found[-1]:.9g} in [{least:.9g}, {greatest:.9g}]"
        return statistic.exact(not outside.any(), float(outside.sum()), ends)

    def values(self) -> Statistic | None:
        """How far they are from the exact quantiles, in parts of what is promised; of one-sided intervals only bounds are."""
        law = self.law
        if law.normal and law.lower != -law.upper:
            return None
        unit = 2.0**-52 if dtypes.computed_in(self.dtype) == np.float64 else 2.0**-23
        away = self._wanted()
        wanted = np.clip(law.location + away, *law.ends(self.dtype))
        down, up = neighbours(self.found, self.dtype)
        error = np.abs(self.found - wanted)
        grid = 0.0 if law.normal else law.scale * (law.upper - law.lower)
        rounding = np.maximum(up - self.found, self.found - down) / 2
        allowed = unit * (_ULPS * np.abs(away) + np.abs(wanted) + grid) + rounding
        note = ", ".join(f"{x:.7g}" for x in self.found)
        return statistic.exact(bool((error <= allowed).all()), float((error / allowed).max()), note)

    def _wanted(self) -> Array:
        """The exact quantiles, less the law's location."""
        law, half = self.law, self.half
        if not law.normal:
            return law.scale * (law.lower + (law.upper - law.lower) * np.array([half, 0.5 - half, 0.5 + half, 1 - half]))
        from scipy import special

        before = special.ndtr(law.lower)
        mass = 1 - 2 * before
        outer, inner = -special.ndtri(before + half * mass), half * mass * math.sqrt(2 * math.pi)
        return law.scale * np.array([-outer, -inner, inner, outer])


def _samples(trial: Trial) -> Iterator[tuple[str, Extremes]]:
    for subject in SUBJECTS:
        for dtype in dtypes.RANDOM:
            kind = dtypes.canonical(dtype)
            real = dtypes.component(kind)
            bits = 8 * dtypes.computed_in(real).itemsize
            per_counter = 128 // bits * real.itemsize // kind.itemsize  # elements
            found: list[Array] = []
            for number, words in enumerate(_PLACES[bits]):
                key, counter = place_of(words, trial.key("extremes", str(number)).stream)
                shape, block = (2**61, per_counter), (slice(counter, counter + 1),)
                made = trial.draw(subject.make(key, kind.kind == "c"), shape, dtype, block=block)
                found.append(made.reshape(-1).view(real).astype(np.float64))
            law = subject.part((2**61, per_counter), kind.kind == "c")
            yield f"{subject.name} {dtype}", Extremes(np.sort(np.concatenate(found)), law, real, 2.0 ** -(bits + 1))


EXTREMES = Suite(
    "extreme words",
    _samples,
    (
        Test("bounds at extreme words", "an interval left by rounding, or its open end reached: certain", Extremes.bounds),
        Test(
            "values at extreme words",
            "a tail cut anywhere, a value at 0 that is off, other words than Philox's: certain",
            Extremes.values,
        ),
    ),
)
