"""Whether the values of one tensor tell of each other: neighbours, rows, columns, parts of a complex number."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import gpuinit
from gpuinit.battery import statistic
from gpuinit.battery.laws import Law
from gpuinit.battery.statistic import Statistic
from gpuinit.battery.suite import Suite, Test
from gpuinit.battery.trial import Trial

__all__ = ["COMPLEX_PARTS", "DEPENDENCE", "Parts", "centered_squares"]

Array = np.ndarray[Any, Any]
_NORMAL = Law(True, 0.0, 1.0)
_CELLS = 16
_SHIFTS = range(-8, 9)
_PART_SHIFTS = range(-4, 5)


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """Real and imaginary parts of a sample, each of mean 0 and variance 1."""

    real: Array
    imaginary: Array


def _tensors(trial: Trial) -> Iterator[tuple[str, Array]]:
    """Values by their place in the law, so that a narrow dtype's are standard normal too."""
    from scipy import special

    size = trial.effort.pairs
    columns = 2 ** (int(math.log2(size)) // 2)
    for dtype in ("float32", "float64", "bfloat16"):
        name = f"normal(0, 1) {dtype}, {size // columns} x {columns}"
        init = gpuinit.RandomNormal(0.0, 1.0, seed=trial.key(name))
        made = trial.draw(init, (size // columns, columns), dtype)
        places = _NORMAL.probabilities(made.reshape(-1).astype(np.float64), made.dtype, trial.generator(name))
        yield name, special.ndtri(places).reshape(made.shape)


def _complex(trial: Trial) -> Iterator[tuple[str, Parts]]:
    for dtype in ("complex64", "complex128"):
        name = f"normal(0, 1) {dtype}"
        init = gpuinit.RandomNormal(0.0, math.sqrt(2.0), seed=trial.key(name))
        made = trial.draw(init, (trial.effort.pairs // 2,), dtype).astype(np.complex128)
        yield name, Parts(made.real.copy(), made.imag.copy())


def centered_squares(x: Array) -> Array:
    """(x^2 - 1) / sqrt 2, of mean 0 and variance 1 where x is standard normal."""
    return np.asarray((np.square(x) - 1) / math.sqrt(2.0))


def _of_squares(test: Callable[[Array], Statistic]) -> Callable[[Array], Statistic]:
    return lambda x: test(centered_squares(x))


def _lags(x: Array) -> Statistic:
    """Correlation with the value 1 .. 8, 64 and a row's length later."""
    flat, found = x.reshape(-1), {}
    for lag in (*range(1, 9), 64, x.shape[1]):
        found[lag] = float(np.dot(flat[:-lag], flat[lag:])) / math.sqrt(flat.size - lag)
    return statistic.squares(np.array(list(found.values())), f"largest at lag {max(found, key=lambda lag: abs(found[lag]))}")


def _pairs(x: Array) -> Statistic:
    """Pairs that do not overlap, in 16 x 16 cells of equal probability."""
    from scipy import special

    edges = special.ndtri(np.arange(1, _CELLS) / _CELLS)
    cell = np.searchsorted(edges, x.reshape(-1))
    counts = np.bincount(cell[0::2] * _CELLS + cell[1::2], minlength=_CELLS**2)
    return statistic.chi_square(counts, np.full(_CELLS**2, len(cell) // 2 / _CELLS**2))


def _neighbours(x: Array) -> Statistic:
    """Each row against the next, at shifts of -8 .. 8 places."""
    z = statistic.correlations(x[:-1].reshape(-1), x[1:].reshape(-1), _SHIFTS)
    return statistic.squares(z, f"largest at shift {_SHIFTS[int(np.abs(z).argmax())]}")


def _means(x: Array) -> Statistic:
    """The means of rows, in standard errors."""
    return statistic.squares(x.sum(axis=1) / math.sqrt(x.shape[1]))


def _columns(test: Callable[[Array], Statistic]) -> Callable[[Array], Statistic]:
    return lambda x: test(np.ascontiguousarray(x.T))


def _parts(of: Callable[[Array], Array]) -> Callable[[Parts], Statistic]:
    def run(sample: Parts) -> Statistic:
        z = statistic.correlations(of(sample.real), of(sample.imaginary), _PART_SHIFTS)
        return statistic.squares(z, f"largest at shift {_PART_SHIFTS[int(np.abs(z).argmax())]}")

    return run


DEPENDENCE = Suite(
    "independence in a tensor",
    _tensors,
    (
        Test("lag correlation", "values that carry on from earlier ones: a correlation of 8 / sqrt(n) at any lag", _lags),
        Test("lag correlation of squares", "sizes that carry on, signs apart, as recycled or mirrored words", _of_squares(_lags)),
        Test("pairs of neighbours", "any other dependence of an element on the one before, as max or mod of two", _pairs),
        Test("neighbouring rows", "rows that overlap, up to 8 places apart", _neighbours),
        Test("neighbouring columns", "columns that overlap, up to 8 places apart", _columns(_neighbours)),
        Test("means of rows", "rows that each have a shift of their own", _means),
        Test("means of columns", "columns that each have a shift of their own, as a narrow counter's", _columns(_means)),
    ),
)
COMPLEX_PARTS = Suite(
    "independence of complex parts",
    _complex,
    (
        Test("real and imaginary parts", "a word that serves both parts, or the next element's", _parts(lambda x: x)),
        Test("sizes of the parts", "parts of one radius or of one size, signs apart", _parts(centered_squares)),
    ),
)
