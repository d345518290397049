"""Arrays that are not there: boxes of a tensor whose elements are made when, and where, they are asked for."""

from __future__ import annotations

import importlib
import math
from collections.abc import Generator, Iterable
from typing import Any

import numpy as np

from gpuinit import backends
from gpuinit.indexing import select
from gpuinit.key import Key
from gpuinit.region import Region

__all__ = ["Virtual"]


class Virtual:
    """A box of the tensor that a law and a key define; indexing makes the part that is asked for, with the bits of the whole.

    Attributes:
        shape, dtype: its own. device: where parts are made; None means where device ids lie, else `default_device()`.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    device: str | None

    def __init__(self, law: Any, key: Key | None, logical: tuple[int, ...], block: tuple[slice, ...], dtype: Any, device: Any):
        self._law, self._key, self._logical = law, key, logical
        self._starts = tuple(part.start for part in block)
        self.shape = tuple(part.stop - part.start for part in block)
        self.dtype = dtype
        self.device = None if device is None else backends.checked_name(device)

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many elements it has, at most 2^63."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """How many bytes its elements would take."""
        return self.size * self.dtype.itemsize

    @property
    def divisible(self) -> bool:
        """Whether a part of it can be made without making the whole, as of an orthogonal or sparse matrix it cannot."""
        return bool(getattr(self._law, "divisible", True))

    def __len__(self) -> int:
        """The number of rows. Python's `len` ends at 2^63 - 1: of 2^63 rows `shape[0]` tells."""
        if not self.shape:
            raise TypeError("len() of an array of shape (): it has no rows")
        return self.shape[0]

    def __getitem__(self, index: Any) -> Any:
        """The part that an index picks, made now.

        Args:
            index: as NumPy's: integers, slices and an ellipsis; for axis 0 also row ids, an array or (nested) list of integers of
                any shape, in any order, repeats allowed. Ids and integers run from 0 to the axis' length - 1, none from the end.
                Ids may lie on a GPU (int32 or int64 of CuPy, or of what has `__dlpack__`): then the rows are made there.

        Returns:
            A new array: NumPy's on the CPU, CuPy's on a GPU, of the shape that NumPy gives. Its bits are those of the same part
            of the whole on every device; it takes the memory of what it covers and, of ids, of ids in int64.

        Raises:
            IndexError: an id or an index is out of range; the message says which. TypeError: it is none of these.
            MemoryError: there is no room for the part. DeviceError: the device cannot be used.
        """
        chosen = select(index, self.shape)
        return chosen.finish(self._part(chosen.block, chosen.ids, self.device))

    def rows_into(self, out: Any, ids: Any) -> Any:
        """Write rows into an existing array, without allocating anything of its size.

        Args:
            out: a writable array of shape (len(ids), *shape[1:]) and of the table's dtype, contiguous or strided: NumPy's,
                CuPy's, or any on a GPU with `__dlpack__` or `__cuda_array_interface__`.
            ids: 1-D array of row ids as in an index (int64 ones are not copied, but by a shard that does not begin at row 0), or
                a slice of step 1.

        Returns:
            `out`.

        Raises:
            TypeError, ValueError, IndexError: `out` or `ids` is wrong; then nothing has been written.
        """
        if isinstance(ids, slice):
            block = select(ids, self.shape)
            if block.ids is not None:
                raise ValueError(f"ids={ids!r}: the step of a slice must be 1")
            return self._fill(out, block.block, None)
        return self._fill(out, (slice(0, length) for length in self.shape), ids)

    def into(self, out: Any) -> Any:
        """Write all of it into an existing array of its shape and dtype (see `rows_into`), and return that."""
        return self._fill(out, (slice(0, length) for length in self.shape), None)

    def make(self, device: str | None = None) -> Any:
        """All of it as an array on a device, by default `self.device`; no other process or device takes part.

        Raises:
            MemoryError: there is no room; the message says how many bytes were asked for. DeviceError: the device cannot be used.
        """
        return self._part((slice(0, length) for length in self.shape), None, self.device if device is None else device)

    def chunks(self, blocks: Iterable[tuple[slice, ...]], nbytes: int) -> Generator[np.ndarray[Any, Any], None, None]:
        """Blocks of it as C-contiguous NumPy arrays, one after the other, made on `self.device`.

        Args:
            blocks: tuples of slices, one an axis, 0 <= start <= stop <= length, step 1. nbytes: of the largest.

        Yields:
            Arrays, each valid until the second next is asked for: two buffers serve all on the CPU, and on a GPU the next one is
            made and copied while the one before is looked at.
        """
        if not self.divisible:
            whole = self.make("cpu")
            yield from (np.ascontiguousarray(whole[block]) for block in blocks)
            return
        backend = backends.select(self.device)
        regions = (self._region(backend, block, None) for block in blocks)
        yield from backend.chunks(self._law, self._key, self.dtype, regions, nbytes)

    def to_dask(self, chunks: Any = "auto") -> Any:
        """A `dask.array` whose blocks are made by the workers that need them, on the device that is the table's there.

        Args:
            chunks: as Dask's own functions take them: "auto", a number, or the lengths of blocks along each axis.

        Returns:
            A dask.array.Array of NumPy blocks, of CuPy's where the device is a GPU. Its name depends on the table and the chunks
            alone; a block that is lost with its worker is made again with the same bits.

        Raises:
            ImportError: Dask is not installed; pip install 'gpuinit[dask]' does that. ValueError: the chunks do not fit.
        """
        return importlib.import_module("gpuinit.tables.dask").array(self, chunks)  # above this module; loaded when asked for

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        """All of it as a NumPy array, made on the CPU."""
        if copy is False:
            raise ValueError("copy=False: the elements are not there, they must be made")
        made: np.ndarray[Any, Any] = self.make("cpu")
        return made if dtype is None else made.astype(dtype, copy=False)

    def _part(self, block: Any, ids: Any, device: str | None) -> Any:
        backend = backends.select(device, near=ids)
        region = self._region(backend, block, ids)
        out = backend.empty(region.counts, self.dtype)
        backend.fill(out, self._law, region, self._key)
        return out

    def _fill(self, out: Any, block: Any, ids: Any) -> Any:
        backend, target = backends.owner(out)
        if target.dtype != self.dtype:
            raise TypeError(f"out has dtype {target.dtype.name}: it must be {self.dtype.name}, as the elements are")
        region = self._region(backend, block, ids)
        if target.shape != region.counts:
            raise ValueError(f"out has shape {target.shape}, and the part to fill has shape {region.counts}")
        backend.fill(target, self._law, region, self._key)
        return out

    def _region(self, backend: backends.Backend, block: Any, ids: Any) -> Region:
        """The region of the whole tensor that a block of this box is, its first axis picked by ids if there are any."""
        parts = tuple(slice(part.start + start, part.stop + start) for part, start in zip(block, self._starts, strict=True))
        if ids is None:
            return Region.of(self._logical, parts)
        if not self.shape:
            raise IndexError("ids need an array with at least one axis, and this one has shape ()")
        rows = backend.checked_rows(ids, self.shape[0])
        if self._starts[0] and len(rows):  # where there are none the start may be 2^63
            rows = backend.moved_rows(rows, self._starts[0])
        starts, counts = zip(*((part.start, part.stop - part.start) for part in parts), strict=True)
        return Region(self._logical, (0, *starts[1:]), (len(rows), *counts[1:]), rows)
