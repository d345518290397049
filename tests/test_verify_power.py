"""How small a defect `gpuinit verify` finds: the table of docs/verification.md, each line by simulation.

A line names a test, how many values it looks at and how large a defect is. Of 40 samples of NumPy's generator with that defect at
least 24 have a p-value below the threshold of a whole run, 3e-10; of as many with a third of it at most 4 have. (A test without
power, or with a p-value that is small for everything, fails one of the two.) The same numbers stand in the tests' `catches`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from gpuinit import battery
from gpuinit.battery import avalanche, dependence, many, orthogonal, streams, words
from gpuinit.battery.laws import Law
from gpuinit.battery.marginal import MARGINAL, values_of
from gpuinit.battery.suite import Suite

Array = np.ndarray[Any, Any]
Generator = np.random.Generator
THRESHOLD = 3e-10
SAMPLES = 40
TABLE = (Path(__file__).parent.parent / "docs" / "verification.md").read_text(encoding="utf-8")


class Line(NamedTuple):
    """Test, values, the defect's size as a formula of n and as a number, a sample with a defect of that size."""

    name: str
    size: int
    effect: float
    formula: str
    sample: Callable[[Generator, int, float], Any]


def normal(generator: Generator, x: Array) -> Any:
    return values_of(x, Law(True, 0.0, 1.0), generator)


def uniform(generator: Generator, x: Array) -> Any:
    return values_of(x, Law(False, 0.0, 1.0, 0.0, 1.0), generator)


def tail(generator: Generator, size: int, effect: float) -> Any:
    """Every value beyond 3 standard deviations is repeated by a share of those nearer the middle."""
    x = generator.standard_normal(size)
    chosen = generator.random(size) < effect * 0.0027
    x[chosen] = np.sign(x[chosen]) * (3 + generator.exponential(0.3, int(chosen.sum())))
    return normal(generator, x)


def dent(generator: Generator, size: int, effect: float) -> Any:
    """One part in 256 gives up a share of its values to all."""
    x = generator.random(size)
    moved = (x < 1 / 256) & (generator.random(size) < effect)
    x[moved] = generator.random(int(moved.sum()))
    return uniform(generator, x)


def totals(generator: Generator, size: int, mean: float = 0.0, scale: float = 0.0, sign: float = 0.0) -> many.Totals:
    """Sums over so many values, drawn from the laws of the sums, which are normal at that size."""
    noise = generator.standard_normal(2) * math.sqrt(size)
    positive = int(generator.binomial(size, 0.5 + sign))
    return many.Totals(size, noise[0] + mean * size, (size + math.sqrt(2) * noise[1]) * (1 + scale) ** 2, positive, {})


def carried(generator: Generator, size: int, effect: float) -> Array:
    """A row, each value of which carries on a share of the one before."""
    x = generator.standard_normal(size)
    x[1:] = effect * x[:-1] + math.sqrt(1 - effect**2) * x[1:]
    return x.reshape(-1, 256)


def related(generator: Generator, size: int, effect: float) -> streams.Pair:
    x, y = generator.standard_normal((2, size))
    return streams.Pair("names", x, effect * x + math.sqrt(1 - effect**2) * y)


def parts(generator: Generator, size: int, effect: float) -> dependence.Parts:
    x, y = generator.standard_normal((2, size))
    return dependence.Parts(x, effect * x + math.sqrt(1 - effect**2) * y)


def biased_bits(generator: Generator, size: int, effect: float) -> words.Words:
    """`size` bits in words of 24."""
    return words.Words((generator.random((size // 24, 24)) < 0.5 + effect).astype(np.uint8), 4)


def linked_bits(generator: Generator, size: int, effect: float) -> words.Words:
    """The second bit of each counter's first word agrees with the first one more often than not, by a correlation of `effect`."""
    bits = generator.integers(0, 2, (2 * size, 96), np.uint8)
    same = generator.random(2 * size) < effect
    bits[same, 1] = bits[same, 0]
    return words.Words(bits.reshape(-1, 24), 4)


def flips(generator: Generator, size: int, effect: float) -> avalanche.Flips:
    """One output bit of 106 flips too often for one input bit of 64."""
    chances = np.full((64, 106), 0.5)
    chances[17, 3] += effect
    return avalanche.Flips(generator.binomial(size, chances) / size, size)


def haar(generator: Generator, size: int, effect: float) -> orthogonal.Matrices:
    """First entries that are positive too often; only their signs are looked at."""
    q = np.ones((size, 2, 2))
    q[:, 0, 0] = np.where(generator.random(size) < 0.5 + effect, 1.0, -1.0)
    return orthogonal.Matrices(q, "float64")


def gaussian(mean: float = 0.0, scale: float = 1.0) -> Callable[[Generator, int, float], Any]:
    def sample(generator: Generator, size: int, effect: float) -> Any:
        return normal(generator, generator.standard_normal(size) * (1 + scale * effect) + mean * effect)

    return sample


N, M = 2**16, 2**26
LINES = [
    Line("mean", N, 7 / math.sqrt(N), "7 / sqrt(n)", gaussian(mean=1.0, scale=0.0)),
    Line("variance", N, 5 / math.sqrt(N), "5 / sqrt(n)", gaussian(mean=0.0, scale=1.0)),
    Line("Kolmogorov-Smirnov", N, 4 / math.sqrt(N), "4 / sqrt(n)", gaussian(mean=math.sqrt(2 * math.pi), scale=0.0)),
    Line("Anderson-Darling", N, 8.5 / math.sqrt(N), "8.5 / sqrt(n)", gaussian(mean=1.0, scale=0.0)),
    Line("histogram", N, 14 * math.sqrt(256 / N), "14 sqrt(256 / n)", dent),
    Line("histogram of the tails", N, 0.8, "0.8", tail),
    Line("mean of many", M, 0.001, "0.001", lambda g, n, e: totals(g, n, mean=e)),
    Line("variance of many", M, 0.0008, "0.0008", lambda g, n, e: totals(g, n, scale=e)),
    Line("sign", M, 0.0005, "0.0005", lambda g, n, e: totals(g, n, sign=e)),
    Line("lag correlation", N, 8 / math.sqrt(N), "8 / sqrt(n)", carried),
    Line("streams of names", N, 9 / math.sqrt(N), "9 / sqrt(n)", related),
    Line("real and imaginary parts", N, 8.5 / math.sqrt(N), "8.5 / sqrt(n)", parts),
    Line("ones", 24 * N, 3.5 / math.sqrt(24 * N), "3.5 / sqrt(n)", biased_bits),
    Line("bit pairs", N // 8, 8.5 / math.sqrt(N // 8), "8.5 / sqrt(n)", linked_bits),
    Line("avalanche", 2048, 4 / math.sqrt(2048), "4 / sqrt(n)", flips),
    Line("sign of the first entry", 4000, 3.5 / math.sqrt(4000), "3.5 / sqrt(n)", haar),
]


def p_values(line: Line, effect: float) -> Array:
    suites: tuple[Suite, ...] = battery.SUITES
    [test] = [test for suite in suites for test in suite.tests if test.name == line.name]
    found = []
    for seed in range(SAMPLES):
        statistic = test.run(line.sample(np.random.default_rng([seed, line.size]), line.size, effect))
        assert statistic is not None and statistic.p is not None
        found.append(statistic.p)
    return np.array(found)


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.name)
def test_the_table_of_powers(line: Line) -> None:
    assert (p_values(line, line.effect) < THRESHOLD).sum() >= 24
    assert (p_values(line, line.effect / 3) < THRESHOLD).sum() <= 4


def test_docs_have_the_same_table() -> None:
    """Every line: name, values, formula, number."""
    section = TABLE.partition("\n## How small a defect\n")[2].partition("\n## ")[0]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in re.findall(r"^\|.*\|$", section, re.MULTILINE)]
    rows = [row for row in cells if len(row) == len(cells[0])][2:]
    shown = [(name, int(size.split()[0].replace(",", "")), formula, float(number)) for name, size, _, formula, number in rows]
    assert shown == [(line.name, line.size, line.formula, float(f"{line.effect:.2g}")) for line in LINES]


def test_what_the_tests_say_of_themselves_is_in_the_table() -> None:
    """A formula in `catches` is that of the line, where both have one."""
    said = {test.name: test.catches for suite in battery.SUITES for test in suite.tests}
    assert MARGINAL.tests[0].name == LINES[0].name
    for line in LINES:
        for formula in re.findall(r"[\d.]+ (?:/ sqrt|sqrt)\([^)]*\)", said[line.name]):
            stated = re.sub(r"\((\w+|256 / \w+)\)", lambda found: "(256 / n)" if "256" in found[1] else "(n)", formula)
            assert stated == line.formula, line.name
