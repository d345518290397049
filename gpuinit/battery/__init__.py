"""Verification of quality: what anyone can run on their own machine, and what each test would catch.

run(trials("...")) asks every question of every way, `judge` says what of the answers is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

from gpuinit.battery import statistic
from gpuinit.battery.avalanche import AVALANCHE
from gpuinit.battery.birthdays import BIRTHDAYS
from gpuinit.battery.bits import BITS, VECTORS
from gpuinit.battery.dependence import COMPLEX_PARTS, DEPENDENCE
from gpuinit.battery.extremes import EXTREMES
from gpuinit.battery.fans import FANS
from gpuinit.battery.judging import RATE, TOGETHER, Verdict, judge, together
from gpuinit.battery.many import MANY
from gpuinit.battery.marginal import MARGINAL
from gpuinit.battery.orthogonal import ORTHOGONAL
from gpuinit.battery.statistic import Statistic
from gpuinit.battery.streams import STREAMS
from gpuinit.battery.suite import Outcome, Suite, Test
from gpuinit.battery.trial import Trial, trials
from gpuinit.battery.words import WORDS

__all__ = [
    "RATE",
    "SUITES",
    "TOGETHER",
    "Outcome",
    "Statistic",
    "Suite",
    "Test",
    "Trial",
    "Verdict",
    "judge",
    "names",
    "run",
    "together",
    "trials",
]

SUITES: tuple[Suite, ...] = (
    VECTORS,
    BITS,
    EXTREMES,
    MARGINAL,
    MANY,
    FANS,
    DEPENDENCE,
    COMPLEX_PARTS,
    STREAMS,
    WORDS,
    BIRTHDAYS,
    AVALANCHE,
    ORTHOGONAL,
)
"""All that is asked, in the order of a run."""


def names() -> list[str]:
    """The tests' names, in the order of a run."""
    return [*(test.name for suite in SUITES for test in suite.tests), TOGETHER.name]


def run(
    trials: Sequence[Trial],
    only: Sequence[str] = (),
    progress: Callable[[str, str, str], None] | None = None,
    suites: Sequence[Suite] = SUITES,
) -> Iterator[Outcome]:
    """Ask the questions of each way, and give what is found as it is found.

    Args:
        trials: the ways, as `trials` gives them.
        only: names of tests or patterns of them (`*` stands for anything); none means all.
        progress: called with the names of the way, the suite and the sample before a sample is looked at.

    Raises:
        ValueError: a pattern of `only` fits no test.

    What a way raises is an outcome too: its first test of that suite is wrong, and the error's text is its note.
    """
    for pattern in only:
        if not any(fnmatchcase(name, pattern) for name in names()):
            raise ValueError(f"only={pattern!r} fits no test: they are {', '.join(names())}")
    for trial in trials:
        mine: list[Outcome] = []
        for suite in suites:
            wanted = [test for test in suite.tests if _is_wanted(test, only)]
            if wanted:
                for outcome in _outcomes(trial, suite, wanted, progress):
                    mine.append(outcome)
                    yield outcome
        whole = together(mine) if _is_wanted(TOGETHER, only) else None
        if whole is not None:
            yield Outcome(trial.way, "all", TOGETHER, "all samples", whole)


def _is_wanted(test: Test, only: Sequence[str]) -> bool:
    return not only or any(fnmatchcase(test.name, pattern) for pattern in only)


def _outcomes(
    trial: Trial, suite: Suite, tests: Sequence[Test], progress: Callable[[str, str, str], None] | None
) -> Iterator[Outcome]:
    samples = suite.samples(trial)
    name = ""
    try:
        if progress is not None:
            progress(trial.way, suite.name, "")
        for name, sample in samples:
            if progress is not None:
                progress(trial.way, suite.name, name)
            for test in tests:
                found: Any = test.run(sample)
                if found is not None:
                    yield Outcome(trial.way, suite.name, test, name, found)
    except Exception as error:  # a GPU that fails is a finding; the other ways are still looked at
        said = " ".join(str(error).split()) or type(error).__name__
        yield Outcome(trial.way, suite.name, tests[0], name or suite.name, statistic.exact(False, note=f"raised {said}"))
