"""When a table may grow: its old rows keep their bits only if what they are drawn from does not depend on the row count."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuinit.arrays import rounded
from gpuinit.initializers import Initializer
from gpuinit.key import integer, shown
from gpuinit.region import checked_shape
from gpuinit.sampler import Sampler
from gpuinit.structures import Constant, Fourier, Haar

__all__ = ["grown_law"]


def grown_law(initializer: Initializer, law: Any, shape: tuple[int, ...], rows: Any, dtype: np.dtype[Any]) -> Any:
    """The law of the tensor of `rows` rows whose first shape[0] have the bits that `law`, of the logical `shape`, gives them.

    Raises:
        TypeError, ValueError: there is none; the message says why.
    """
    kind, old = type(initializer).__name__, initializer.output_shape(shape)
    if not shape or old[:1] != shape[:1]:
        raise ValueError(f"grow: {kind} makes a tensor of shape {old}, which has no rows to add")
    rows = integer(rows, "rows")
    if rows < shape[0]:
        raise ValueError(f"rows={shown(rows)} are fewer than the {shape[0]} that the table has; a table only grows")
    logical = checked_shape((rows, *shape[1:]))
    start = f"rows={rows}: the table cannot grow from {shape[0]} rows"
    try:
        grown = initializer.law(logical, dtype)
    except ValueError as error:
        raise ValueError(f"{start}: {error}") from error
    new = initializer.output_shape(logical)
    if new != (rows, *old[1:]):
        raise ValueError(f"{start}: {kind} then makes a tensor of shape {new}")
    if rows == shape[0] or 0 in old or _same_rows(law, grown, old, dtype):
        return grown
    if isinstance(law, Sampler):
        why = "draws from a distribution that depends on the number of rows, as fan_in does"
        remedy = "take one that does not, such as RandomNormal, or VarianceScaling with mode='fan_out'"
    else:
        why = "makes rows that depend on how many there are"
        remedy = "make the table with the final number of rows"
    raise ValueError(f"{start}, as those would change: {kind} {why}; {remedy}")


def _same_rows(old: Any, new: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    """Whether two laws of one initializer, the second for more rows, give the rows of the first, of `shape`, the same bits."""
    if type(old) is not type(new):
        return False
    if isinstance(old, Sampler):
        same = np.array_equal(old.reals, new.reals) and np.array_equal(old.integers, new.integers)
        return same and bool(old.quantile == new.quantile)
    if isinstance(old, Constant):
        return old.value is new.value or _same_values(old.value, new.value, shape, dtype)
    if isinstance(old, Fourier):
        return bool(old.side == new.side) and old.window.tobytes() == new.window[: shape[0]].tobytes()
    if isinstance(old, Haar):  # a stack that grows by matrices
        return bool(old == new) and 0 in old.batch
    return bool(old.divisible and old == new)


def _same_values(old: Any, new: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    """Whether two constants give the rows of a tensor of `shape` the same bits."""
    first, second = rounded(old, dtype), rounded(new, dtype)
    if second.ndim == len(shape) and len(second) > 1:
        second = second[: shape[0]]
    first, second = np.broadcast_arrays(first, second)
    return first.shape == second.shape and first.tobytes() == second.tobytes()
