"""How fast is an initializer in Keras, beside Keras' own? `KERAS_BACKEND=torch python -m benchmarks.keras_peers`.

A new (8192, 8192) float32 tensor of Keras' backend a call, page faults included, in interleaved pairs with all processors on both
sides. Printed are ratios, Keras' time divided by ours: the median of the pairs, the least and the greatest.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from typing import Any

import keras

import gpuinit.keras as ours
from benchmarks.pairs import machine, seconds

CASES: dict[str, dict[str, Any]] = {
    "TruncatedNormal": {"mean": 0.0, "stddev": 0.02},
    "HeNormal": {},
    "GlorotUniform": {},
    "RandomNormal": {"mean": 0.0, "stddev": 0.02},
}


def made(initializer: Any, shape: tuple[int, int]) -> Callable[[], None]:
    """A call that ends when the tensor is there: JAX returns before."""

    def make() -> None:
        tensor = initializer(shape, dtype="float32")
        if keras.backend.backend() == "jax":
            tensor.block_until_ready()

    return make


def pairs(name: str, shape: tuple[int, int], count: int) -> list[float]:
    """Keras' time divided by ours, of each pair; the first pair, in which code is compiled and loaded, is left out."""
    mine = made(getattr(ours, name)(seed=1, **CASES[name]), shape)
    theirs = made(getattr(keras.initializers, name)(seed=1, **CASES[name]), shape)
    return [seconds(theirs) / seconds(mine) for _ in range(count + 1)][1:]


def main() -> None:
    """Print a line a case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--side", type=int, default=8192, help="rows and columns of the matrix")
    parser.add_argument("--pairs", type=int, default=7, help="how many pairs a case")
    parser.add_argument("cases", nargs="*", default=list(CASES), metavar="case", help=f"of {', '.join(CASES)}; all by default")
    given = parser.parse_args()
    print(f"Keras {keras.__version__} on {keras.backend.backend()}, ({given.side}, {given.side}) float32; {machine()}")
    for name in given.cases:
        ratios = pairs(name, (given.side, given.side), given.pairs)
        print(f"{name:16} Keras' time / ours: {statistics.median(ratios):6.2f}  ({min(ratios):.2f} .. {max(ratios):.2f})")


if __name__ == "__main__":
    main()
