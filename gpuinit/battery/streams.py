"""Whether two streams tell of each other: keys that differ as little as keys of a model's parameters do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import gpuinit
from gpuinit.battery import statistic
from gpuinit.battery.dependence import centered_squares
from gpuinit.battery.statistic import Statistic
from gpuinit.battery.suite import Suite, Test
from gpuinit.battery.trial import Trial
from gpuinit.key import Key

__all__ = ["STREAMS", "Pair"]

Array = np.ndarray[Any, Any]
_SHIFTS = range(-8, 9)

PAIRS: dict[str, Callable[[Key], Key]] = {
    "names": lambda key: key.fold_in("bias"),
    "draws": lambda key: key.draw(1),
    "seeds s, s + 1": lambda key: Key((key.seed + 1) % 2**64, key.stream),
    "streams t, t + 1": lambda key: Key(key.seed, (key.stream + 1) % 2**64),
    "seed and stream swapped": lambda key: Key(key.stream, key.seed),
    "seeds one high bit apart": lambda key: Key(key.seed ^ 2**63, key.stream),
}
"""What the second stream's key is to the first's."""


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """Equally many standard normal values of two streams."""

    relation: str
    first: Array
    second: Array


def _samples(trial: Trial) -> Iterator[tuple[str, Pair]]:
    size = trial.effort.pairs
    for relation, other in PAIRS.items():
        key = trial.key("streams", relation)
        keys = (key.fold_in("kernel") if relation == "names" else key, other(key))
        made = [trial.draw(gpuinit.RandomNormal(0.0, 1.0, seed=each), (size,), "float32").astype(np.float64) for each in keys]
        yield relation, Pair(relation, *made)


def _test(relations: tuple[str, ...], of: Callable[[Array], Array]) -> Callable[[Pair], Statistic | None]:
    def run(pair: Pair) -> Statistic | None:
        if pair.relation not in relations:
            return None
        z = statistic.correlations(of(pair.first), of(pair.second), _SHIFTS)
        return statistic.squares(z, f"largest at shift {_SHIFTS[int(np.abs(z).argmax())]}")

    return run


_NAMES, _SEEDS = ("names", "draws"), tuple(relation for relation in PAIRS if relation not in ("names", "draws"))
STREAMS = Suite(
    "independence of streams",
    _samples,
    (
        Test("streams of names", "fold_in or draws that give equal, mirrored or overlapping streams", _test(_NAMES, lambda x: x)),
        Test("streams of names, squares", "the same, signs apart", _test(_NAMES, centered_squares)),
        Test("neighbouring seeds", "a seed or stream that moves the counter, up to 8 places", _test(_SEEDS, lambda x: x)),
        Test("neighbouring seeds, squares", "the same, signs apart", _test(_SEEDS, centered_squares)),
    ),
)
