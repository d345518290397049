"""Hundreds of p-values judged together, so that a right engine is accused once in a stated number of seeds.

Every p-value, and every `regular` one, is a hypothesis of its own; Holm's procedure (1979) rejects some of them with a chance of
at most `rate` that any is rejected wrongly, however they depend on each other. Tests without chance must be right, all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gpuinit.battery import statistic
from gpuinit.battery.statistic import Statistic
from gpuinit.battery.suite import Outcome, Test

__all__ = ["RATE", "TOGETHER", "Verdict", "judge", "together"]

RATE = 1e-6
"""The chance that a right engine is accused of anything, of one run with one seed."""
TOGETHER = Test("p-values together", "samples that are each too good, or each a little off", lambda found: None)
"""The test of the p-values of all samples of a way; `together` is what it does."""
_FOR_ALL = "histogram"
"""The test whose p-values, one a sample, are independent."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a run.

    Attributes:
        wrong: the outcomes that are not as they should be, each with the reason. hypotheses: how many p-values were judged.
        threshold: the p-value below which the least of them is rejected, rate / hypotheses.
    """

    wrong: tuple[tuple[Outcome, str], ...]
    hypotheses: int
    threshold: float
    rate: float

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.wrong


def judge(outcomes: Sequence[Outcome], rate: float = RATE) -> Verdict:
    """Reject p-values by Holm's procedure at the family-wise `rate`, 0 < rate < 1, and all that is certainly wrong."""
    found: list[tuple[float, Outcome, str]] = []
    wrong = [(outcome, outcome.statistic.note) for outcome in outcomes if outcome.statistic.right is False]
    for outcome in outcomes:
        for p, what in ((outcome.statistic.p, "p = {:.2g}"), (outcome.statistic.regular, "too regular: chance {:.2g}")):
            if p is not None:
                found.append((p if p == p else 0.0, outcome, what))
    found.sort(key=lambda each: each[0])
    for number, (p, outcome, what) in enumerate(found):
        if p > rate / (len(found) - number):
            break
        wrong.append((outcome, what.format(p)))
    return Verdict(tuple(wrong), len(found), rate / max(1, len(found)), rate)


def together(outcomes: Sequence[Outcome]) -> Statistic | None:
    """Whether the p-values of independent samples of one way are uniform: neither too bad nor too good in all."""
    p = [outcome.statistic.p for outcome in outcomes if outcome.test.name == _FOR_ALL and outcome.statistic.p is not None]
    return statistic.kolmogorov(np.sort(np.array(p))) if p else None
