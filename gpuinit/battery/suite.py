"""What a test of the battery is, and what it gives: small frozen values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from gpuinit.battery.statistic import Statistic
from gpuinit.battery.trial import Trial

__all__ = ["Outcome", "Suite", "Test"]


@dataclass(frozen=True, slots=True)
class Test:
    """One question that is asked of a suite's samples.

    Attributes:
        name: of a few words, unique in the battery.
        catches: the defects that it is there for, and how small a one.
        run: run(sample) gives the statistic; None where the question makes no sense of this sample.
    """

    __test__ = False  # no class of pytest's
    name: str
    catches: str
    run: Callable[[Any], Statistic | None]


@dataclass(frozen=True, slots=True)
class Suite:
    """Tests that look at the same samples, so that each sample is drawn once.

    Attributes:
        samples: samples(trial) gives each sample with a name that says what it is of.
    """

    name: str
    samples: Callable[[Trial], Iterator[tuple[str, Any]]]
    tests: tuple[Test, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one test found in one sample of one way."""

    way: str
    suite: str
    test: Test
    sample: str
    statistic: Statistic
