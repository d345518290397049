"""When a table may grow: its old rows keep their bits only if what they are drawn from does not depend on the row count."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuinit.initializers import Initializer
from gpuinit.sampler import Sampler
from gpuinit.structures import Constant

__all__ = ["grown_law"]


def grown_law(initializer: Initializer, law: Any, shape: tuple[int, ...], rows: int, dtype: np.dtype[Any]) -> Any:
    """The law of the tensor of `rows` rows whose first shape[0] have the bits that `law` gives them.

    Raises:
        ValueError: there is none; the message says why.
    """
    start = f"rows={rows}: the table cannot grow from {shape[0]} rows"
    try:
        grown = initializer.law((rows, *shape[1:]), dtype)
    except ValueError as error:
        raise ValueError(f"{start}: {error}") from error
    if _same_rows(law, grown):
        return grown
    kind = type(initializer).__name__
    if isinstance(law, Sampler):
        why = "draws from a distribution that depends on the number of rows, as fan_in does"
        remedy = "take one that does not, such as RandomNormal, or VarianceScaling with mode='fan_out'"
    else:
        why = "makes rows that depend on how many there are"
        remedy = "make the table with the final number of rows"
    raise ValueError(f"{start}, as those would change: {kind} {why}; {remedy}")


def _same_rows(old: Any, new: Any) -> bool:
    """Whether two laws of one initializer, the second for more rows, give the rows of the first the same values."""
    if isinstance(old, Sampler) and isinstance(new, Sampler):
        same = np.array_equal(old.reals, new.reals) and np.array_equal(old.integers, new.integers)
        return same and old.quantile == new.quantile
    if isinstance(old, Constant):  # one number, or an array that fits both shapes: then it is the same in every row
        return isinstance(new, Constant)
    return bool(old.divisible and old == new)
