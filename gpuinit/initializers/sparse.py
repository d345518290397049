"""Normal matrices with a fixed number of zeros in every column."""

from __future__ import annotations

import math
from typing import Any

from gpuinit import structures
from gpuinit.arguments import at_least
from gpuinit.initializers.base import RandomInitializer

__all__ = ["Sparse"]


class Sparse(RandomInitializer):
    """A matrix whose every column has ceil(sparsity rows) zeros at rows chosen uniformly; the rest is Normal(0, stddev^2).

    Args:
        sparsity: the fraction of zeros, in [0, 1]; its product with the rows is rounded to float64 before the ceiling.
        stddev: finite, >= 0, in the unit of the values.
        seed: None, an integer in 0 .. 2^64 - 1, a Key or a SeedGenerator, as in RandomInitializer.

    Raises:
        TypeError, ValueError: an argument is wrong. When called, ValueError: the shape is not 2-D, the dtype is not
            floating or complex, or its finite range does not hold +-6.34 stddev (float64: 9.2).

    The elements that are not chosen are those of RandomNormal(0, stddev, seed); a float8 may hold some of them as 0, too.
    The choices of different columns are independent of each other and of the values. Bit-equal for any block, rows, number
    of threads and device. A part of the matrix needs the choice in all rows of its columns, which is made for some columns at
    a time, with less than 64 MiB of temporaries up to 2^22 rows; beyond, with 16 bytes a row.

    Source: Martens (2010), "Deep learning via Hessian-free optimization", sec. 5; torch.nn.init.sparse_.
    """

    def __init__(self, sparsity: float, stddev: float = 0.01, seed: Any = None) -> None:
        self.sparsity = at_least(0, sparsity, "sparsity")
        if self.sparsity > 1:
            raise ValueError(f"sparsity={sparsity!r}: it must be a fraction of zeros in [0, 1]")
        self.stddev = at_least(0, stddev, "stddev")
        super().__init__(seed)

    def distribution(self, shape: tuple[int, ...]) -> structures.Sparse:
        if len(shape) != 2:
            raise ValueError(f"shape={shape} has {len(shape)} axes: Sparse makes matrices, which have 2")
        return structures.Sparse(self.stddev, min(math.ceil(self.sparsity * shape[0]), shape[0]))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "sparsity": self.sparsity, "stddev": self.stddev}
