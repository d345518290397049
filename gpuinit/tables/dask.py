"""Tables as Dask arrays: blocks that the workers who need them make, each by itself."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from gpuinit import backends
from gpuinit.virtual import Virtual

__all__ = ["array"]


def array(table: Virtual, chunks: Any = "auto") -> Any:
    """The `dask.array.Array` of a table or a shard; `to_dask` of those says what it is.

    Every task holds the table itself, a few hundred bytes, and the bounds of its block: no task waits for another's result, and
    none can be lost. Dask hands slices of a block on to the table, which makes no more than they cover.

    Raises:
        ImportError: Dask is not installed. ValueError: Dask refuses the chunks; the message ends with its own.
    """
    try:
        from dask.array.core import from_array, normalize_chunks
        from dask.base import tokenize
    except ImportError as error:
        raise ImportError(f"to_dask needs Dask: pip install 'gpuinit[dask]' brings it ({error})") from error
    if not table.size and isinstance(chunks, (str, tuple)):  # where two axes are empty, Dask's "auto" divides by zero
        chunks = -1 if isinstance(chunks, str) else tuple(-1 if isinstance(part, str) else part for part in chunks)
    try:
        blocks = normalize_chunks(chunks, table.shape, dtype=table.dtype)
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise ValueError(f"chunks={chunks!r} do not cut shape {table.shape} into blocks: {error}") from error
    return from_array(
        table,
        blocks,  # lengths: with "auto" Dask would take the table's methods `chunks` and `shards` for a file's chunks
        name=f"{type(table).__name__.lower()}-{tokenize(_described(table), blocks)}",
        asarray=False,
        meta=_meta(table),
        inline_array=True,
    )


def _described(table: Any) -> Any:
    """What the bits follow from, as text; the table, which Dask pickles, where its initializer's class cannot be written down."""
    try:
        return json.dumps(table.get_config(), sort_keys=True)
    except (TypeError, ValueError):
        return table


def _meta(table: Virtual) -> Any:
    """An empty array of the kind that blocks are. A device that is not here is the workers': then NumPy's stands for it."""
    shape = (0,) * table.ndim
    try:
        return backends.select(table.device).empty(shape, table.dtype)
    except backends.DeviceError:
        return np.empty(shape, table.dtype)
