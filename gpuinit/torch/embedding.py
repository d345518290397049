"""`init_fn`: how an embedding table, or a shard of one, is initialized, as a value that configurations carry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from gpuinit import Key
from gpuinit.initializers import Initializer, RandomInitializer
from gpuinit.region import Region, checked_shape
from gpuinit.torch.filling import planned
from gpuinit.torch.initialize import initializer_of
from gpuinit.torch.placement import is_dtensor
from gpuinit.torch.seeds import base_key, has_own_seed

__all__ = ["InitFn", "init_fn"]


@dataclass(frozen=True, eq=False)
class InitFn:
    """What `init_fn` returns: called with a tensor, it fills that in place and returns it. It can be pickled.

    Attributes:
        initializer, key: what is made, and what it is drawn from; None if nothing is.
        shape: the whole table's; None means that of the tensor it is called with.
        block, rows: the part of it that the tensor is, a slice an axis, or row ids.
    """

    initializer: Initializer
    key: Key | None
    shape: tuple[int, ...] | None
    block: tuple[slice, ...] | None
    rows: Any

    def __call__(self, tensor: torch.Tensor) -> torch.Tensor:
        """Fill the tensor with the table, or with its part of it, and return it; TypeError or ValueError where `init_` does."""
        part = self.rows is not None or self.block is not None
        if part and is_dtensor(tensor):
            raise ValueError("tensor is a DTensor, which knows its place in the whole: leave out rows= and block=")
        plan = planned(tensor, self.initializer, shape=self.shape, block=self.block, rows=self.rows)
        if self.shape is not None and tuple(tensor.shape) != self._counts():
            wanted = f"the part of {self.shape} has {self._counts()}" if part else f"the table {self.shape}: of a shard say rows="
            raise ValueError(f"tensor has shape {tuple(tensor.shape)}, and {wanted}")
        return plan.write(self.key)

    def _counts(self) -> tuple[int, ...]:
        """The shape of the part; `shape` is not None."""
        assert self.shape is not None
        if self.rows is not None:
            return len(self.rows), *self.shape[1:]
        return self.shape if self.block is None else tuple(part.stop - part.start for part in self.block)


def init_fn(
    initializer: Any,
    *,
    seed: int | Key | None = None,
    name: str | None = None,
    shape: Any = None,
    rows: Any = None,
    block: Any = None,
) -> InitFn:
    """A function of one tensor that fills it in place, as TorchRec's `EmbeddingConfig(init_fn=...)` wants it.

    It draws the table of `gpuinit.Table(shape, initializer, seed=seed, name=name)`, read in PyTorch's layout as by `init_`: with
    the same bits at every call, in every process, and for a shard those of the whole.

    Args:
        initializer: what `gpuinit.get` takes.
        seed: an integer in 0 .. 2^64 - 1 or a Key; None means the initializer's own, which it must have been given.
        name: of the table, folded into the key, so that tables of one seed draw independently.
        shape: the whole table's. None means that of the tensor: then a shard would be taken for a table, so give it where shards
            may come; a tensor of another shape is then refused.
        rows: which rows of the table the tensor is: a slice of step 1, or a 1-D array of row ids.
        block: instead, a tuple of slices, 0 <= start <= stop <= length, step 1; missing ones are full.

    Returns:
        An InitFn, which can be pickled if the initializer can.

    Raises:
        TypeError, ValueError: an argument is wrong, or `rows` or `block` stands without `shape`.
    """
    given = initializer_of(initializer)
    if name is not None and not isinstance(name, str):
        raise TypeError(f"name={name!r} must be a string or None")
    if seed is None and isinstance(given, RandomInitializer) and not has_own_seed(given):
        raise ValueError("seed=None: every process would draw another table; give an integer or a Key")
    own = seed is None and has_own_seed(given)
    key = base_key(given.key_source() if own else seed) if own or seed is not None else None
    if key is not None and name is not None:
        key = key.fold_in(name)
    if shape is None:
        if rows is not None or block is not None:
            raise ValueError("shape=None: with rows= or block= it must be the whole table's")
        return InitFn(given, key, None, None, None)
    logical = checked_shape(shape)
    if rows is not None and block is not None:
        raise ValueError("rows= and block= were both given: a block says which rows by its first slice")
    if isinstance(rows, slice):
        rows, block = None, (rows,)
    if block is None:
        return InitFn(given, key, logical, None, None if rows is None else _ids(rows))
    region = Region.of(logical, block)
    ends = zip(region.starts, region.counts, strict=True)
    return InitFn(given, key, logical, tuple(slice(start, start + count) for start, count in ends), None)


def _ids(rows: Any) -> np.ndarray[Any, Any]:
    """Row ids as a NumPy array of their own."""
    ids = np.array(rows.cpu().numpy() if isinstance(rows, torch.Tensor) else rows)
    if ids.shape == (0,) and not hasattr(rows, "dtype"):
        ids = ids.astype(np.int64)  # NumPy takes an empty list for one of floats
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise TypeError(f"rows of type {type(rows).__name__}: it must be a slice of step 1, or a 1-D array of integers")
    return ids
