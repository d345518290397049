"""One large sample of the standard normal law in float32, in one pass: small shifts, and tails that few values reach."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

import gpuinit
from gpuinit.battery import statistic
from gpuinit.battery.laws import Law
from gpuinit.battery.statistic import Statistic
from gpuinit.battery.suite import Suite, Test
from gpuinit.battery.trial import Trial

__all__ = ["MANY", "Totals"]

_CHUNK = 2**20
_LAW = Law(True, 0.0, 1.0)
_DTYPE = np.dtype(np.float32)
BEYOND = (3.0, 4.0, 5.0)


@dataclass(frozen=True, slots=True)
class Totals:
    """What is kept of the sample: how many, the sums of values and squares, how many are positive, and how many lie beyond."""

    size: int
    sum: float
    squares: float
    positive: int
    beyond: dict[float, int]

    def mean(self) -> Statistic:
        """The mean of all."""
        return statistic.mean(self.sum / self.size, self.size, _LAW.moments(1, _DTYPE))

    def variance(self) -> Statistic:
        """The mean of the squares."""
        return statistic.mean(self.squares / self.size, self.size, _LAW.moments(2, _DTYPE))

    def sign(self) -> Statistic:
        """How many are positive."""
        return statistic.count(self.positive, self.size, 0.5)

    def tail(self, bound: float) -> Statistic:
        """How many lie beyond +-bound."""
        share = 2 * float(_LAW.cdf(np.array(-bound)))
        note = f"{self.beyond[bound]} beyond +-{bound:g}, {self.size * share:.4g} expected"
        return statistic.count(self.beyond[bound], self.size, share, note)


def _samples(trial: Trial) -> Iterator[tuple[str, Totals]]:
    size = trial.effort.many
    init = gpuinit.RandomNormal(0.0, 1.0, seed=trial.key("many"))
    total, squares, positive, beyond = 0.0, 0.0, 0, dict.fromkeys(BEYOND, 0)
    shape = (size // _CHUNK or 1, min(size, _CHUNK))
    for row in range(shape[0]):
        x = trial.draw(init, shape, "float32", block=(slice(row, row + 1),)).reshape(-1)
        wide = x.astype(np.float64)
        total += float(wide.sum())
        squares += float(np.dot(wide, wide))
        positive += int(np.count_nonzero(x > 0))
        far = np.abs(x[np.abs(x) > BEYOND[0]])
        for bound in BEYOND:
            beyond[bound] += int(np.count_nonzero(far > bound))
    yield f"normal(0, 1) float32, {size:,} values", Totals(size, total, squares, positive, beyond)


MANY = Suite(
    "many values",
    _samples,
    (
        Test("mean of many", "a location off by 0.001 standard deviations (from 2^26 values on)", Totals.mean),
        Test("variance of many", "a scale off by 0.0008 of itself (from 2^26 values on)", Totals.variance),
        Test("sign", "a sign that is no fair coin, by 0.0005 (from 2^26 values on)", Totals.sign),
        *(
            Test(f"beyond {bound:g} std", f"a tail cut or thinned at {bound:g} standard deviations", lambda t, b=bound: t.tail(b))  # type: ignore[misc]
            for bound in BEYOND
        ),
    ),
)
