"""What must be equal bit for bit: golden vectors, parts and wholes, one way and another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import gpuinit
from gpuinit import verification
from gpuinit.battery import statistic
from gpuinit.battery.statistic import Statistic
from gpuinit.battery.suite import Suite, Test
from gpuinit.battery.trial import Trial
from gpuinit.hashing import element_hash
from gpuinit.initializers import Initializer

__all__ = ["BITS", "VECTORS", "Tensor"]

Array = np.ndarray[Any, Any]
_SHAPE = (67, 9, 31)
_BLOCKS = 6


def _vectors(trial: Trial) -> Iterator[tuple[str, Trial]]:
    yield f"{verification.total()} vectors", trial


def _golden(trial: Trial) -> Statistic:
    results = verification.check(trial.backend, trial.effort.vectors)
    wrong = [name for name, right in results if not right]
    note = f"{len(results) - len(wrong)} of {len(results)} right" + (f"; wrong: {wrong[0]}" if wrong else "")
    return statistic.exact(not wrong and bool(results), len(wrong), note)


VECTORS = Suite(
    "golden vectors",
    _vectors,
    (Test("golden vectors", "any bit of the stream contract that changed: certain", _golden),),
)


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A tensor of an initializer in a dtype by a way, whole."""

    trial: Trial
    init: Initializer
    dtype: str
    whole: Array

    def part(self, **which: Any) -> Array:
        """A part made without the rest."""
        return self.trial.draw(self.init, _SHAPE, self.dtype, **which)


def _tensors(trial: Trial) -> Iterator[tuple[str, Tensor]]:
    key = trial.key("parts")
    cases: list[tuple[Initializer, str]] = [
        (gpuinit.RandomUniform(-1.0, 1.0, key), "float32"),
        (gpuinit.RandomUniform(-1.0, 1.0, key), "float64"),
        (gpuinit.HeNormal(key), "bfloat16"),
        (gpuinit.RandomNormal(0.0, 1.0, key), "float32"),
        (gpuinit.RandomNormal(0.0, 1.0, key), "complex64"),
        (gpuinit.TruncatedNormal(0.0, 1.0, key, -1.0, 3.0), "float16"),
        (gpuinit.Orthogonal(1.0, key, batch_axes=0), "float32"),
    ]
    for init, dtype in cases:
        yield f"{type(init).__name__} {dtype}", Tensor(trial, init, dtype, trial.draw(init, _SHAPE, dtype))


def _parts(tensor: Tensor) -> Statistic:
    """Blocks at random places, and rows of blocks by ids in any order, some of them twice."""
    generator, wrong = tensor.trial.generator("parts", tensor.dtype), 0
    for number in range(_BLOCKS):
        block = tuple(slice(*sorted(map(int, generator.choice(length + 1, 2, replace=False)))) for length in _SHAPE)
        made, expected = tensor.part(block=block), tensor.whole[block]
        if number % 2:
            rows = generator.integers(0, _SHAPE[0], 40)
            inner = (slice(None), *block[1:])
            made, expected = tensor.part(block=inner, rows=rows), tensor.whole[inner][rows]
        wrong += made.tobytes() != np.ascontiguousarray(expected).tobytes()
    return statistic.exact(wrong == 0, wrong, f"{_BLOCKS - wrong} of {_BLOCKS} parts equal")


def _as_numpy(tensor: Tensor) -> Statistic | None:
    """The hash of the tensor by the specification in NumPy, with the same key."""
    if tensor.trial.way == NUMPY:
        return None
    trial = tensor.trial
    other = Trial(NUMPY, verification.cpu_ways()[NUMPY], trial.seed, trial.effort)
    same = element_hash(tensor.whole) == element_hash(other.draw(tensor.init, _SHAPE, tensor.dtype))
    return statistic.exact(same, float(not same))


NUMPY = "cpu, NumPy"
BITS = Suite(
    "parts and wholes",
    _tensors,
    (
        Test("parts equal the whole", "a row index transposed, a shard that begins elsewhere, a lost row: certain", _parts),
        Test("same bits as NumPy", "a way that rounds or indexes otherwise than the specification: certain", _as_numpy),
    ),
)
