"""How the tests of `gpuinit verify` plant a defect and ask which test of the battery reports it.

What counts as found is what a whole run would find: the p-value lies below the threshold of a whole run (3e-10), not below that
of the suites that are run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from gpuinit import battery
from gpuinit.battery.trial import QUICK_NUMPY, Effort, Trial
from gpuinit.verification import cpu_ways

Array = np.ndarray[Any, Any]
WHOLE = 3460
"""p-values of a whole run on the CPU; tests/test_verify.py counts them."""
NUMPY, COMPILED = "cpu, NumPy", "cpu, compiled"
LARGER = Effort(2**17, 2**19, 2**17, 2**9, 2**17, 8, 2000, 400, 5.0)
"""Sixteen times the values that NumPy's way draws in a quick run: as many as compiled code draws there, and twice as many."""


def found(suite: battery.Suite, effort: Effort = QUICK_NUMPY, way: str = NUMPY, alter: Any = None) -> dict[str, str]:
    """The tests of a suite that a whole run would report, each with the reason of its first outcome."""
    backend = cpu_ways()[way] if alter is None else Altered(cpu_ways()[way], alter)
    outcomes = list(battery.run([Trial(way, backend, 0, effort)], suites=[suite]))
    judged = sum((o.statistic.p is not None) + (o.statistic.regular is not None) for o in outcomes)
    verdict = battery.judge(outcomes, battery.RATE * max(1, judged) / WHOLE)
    return {outcome.test.name: reason for outcome, reason in reversed(verdict.wrong)}


class Altered:
    """A way whose values are changed after they were made: alter(values, law)."""

    def __init__(self, way: Any, alter: Callable[[Array, Any], Any]) -> None:
        self.way, self.alter, self.device = way, alter, way.device
        self.checked_rows, self.empty, self.fill = way.checked_rows, way.empty, way.fill

    def chunks(self, law: Any, *arguments: Any) -> Iterator[Array]:
        for made in self.way.chunks(law, *arguments):
            self.alter(made, law)
            yield made
