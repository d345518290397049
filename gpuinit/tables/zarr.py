"""A tensor as a zarr v3 array in a folder, through the zarr library: a file a block, so that many can write and read it."""

from __future__ import annotations

import os
import warnings
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from gpuinit import dtypes
from gpuinit.tables.contents import Block, Flushing, grid
from gpuinit.tables.headers import DamagedError, Header

__all__ = ["DTYPES", "MOST", "ZarrArray", "create", "load", "open_array"]

DTYPES = (
    "bool",
    *("float16", "float32", "float64", "complex64", "complex128"),
    *(f"{kind}int{bits}" for kind in ("", "u") for bits in (8, 16, 32, 64)),
)
"""The names of the dtypes that it holds."""

MOST = 16 << 20
"""Bytes of a chunk at most: reading and writing one takes its size several times."""

_ATTRIBUTE = "gpuinit"
_CONFIG = {"write_empty_chunks": True}
"""Else a chunk of -0.0, which equals the fill value, would be left out and read as 0.0."""


class ZarrArray(Flushing):
    """The elements of an open zarr array; a block is one of its chunks."""

    def __init__(self, array: Any, folder: Path) -> None:
        self._array, self._folder = array, folder
        self._unsynced: deque[Path] = deque()
        self.grid: tuple[int, ...] = tuple(array.chunks)
        self._stored: tuple[int, ...] = tuple(array.shards or array.chunks)

    def write(self, block: Block, chunk: np.ndarray[Any, Any]) -> None:
        self._array[block.slices] = chunk
        self._unsynced.append(self._file(part.start for part in block.slices))

    def read(self, block: Block, out: np.ndarray[Any, Any]) -> None:
        try:
            out[...] = self._array[block.slices]
        except Exception as error:  # each compressor has errors of its own
            raise DamagedError(f"{self._file(part.start for part in block.slices)}: {error}") from error

    def _flush(self) -> None:
        done = {self._folder / "zarr.json", self._folder}
        while self._unsynced:  # one thread adds to it and one, this, takes from it
            path = self._unsynced.popleft()
            done.update((path, *(above for above in path.parents if above.is_relative_to(self._folder))))
        for path in done:
            opened = os.open(path, os.O_RDONLY)
            try:
                os.fsync(opened)
            finally:
                os.close(opened)

    def cut(self, elements: int) -> None:
        """Remove the half-written files of a killed process; chunks behind `elements` are written again."""
        for path in self._folder.rglob("*.partial"):
            path.unlink()

    def place(self, element: int, byte: int = 0) -> str:
        index = [int(place) for place in np.unravel_index(element, self._array.shape)] if self._array.shape else []
        path = self._file(index)
        if not path.is_file():
            return f"{path}, which is not there,"
        if not self._plain():
            return str(path)
        inside = 0
        for place, step in zip(index, self.grid, strict=True):
            inside = inside * step + place % step
        return f"{path}, byte {inside * self._array.dtype.itemsize + byte:,}"

    def held(self) -> int:
        return int(self._array.size)

    def excess(self) -> int:
        return 0

    def _plain(self) -> bool:
        """Whether the bytes of a chunk's file are those of its elements in C order."""
        array = self._array
        return not (array.compressors or array.filters or array.shards) and array.order == "C" and _little(array)

    def _file(self, index: Iterable[int]) -> Path:
        """The file of the chunk, or of the shard of chunks, that an element is in."""
        numbers = tuple(place // step for place, step in zip(index, self._stored, strict=True))
        return self._folder / str(self._array.metadata.encode_chunk_key(numbers))


def _little(array: Any) -> bool:
    """Whether an array's elements are stored little-endian, without its compressors and filters."""
    if array.metadata.zarr_format == 2:
        return True  # by its dtype, which is the machine's here
    codec = array.serializer.to_dict()
    return bool(codec["name"] == "bytes" and codec.get("configuration", {}).get("endian", "little") == "little")


def load() -> Any:
    """The zarr library; ImportError says how to install it."""
    try:
        import zarr
    except ImportError as error:
        raise ImportError(f"format 'zarr' needs the zarr library: pip install 'gpuinit[zarr]' ({error})") from error
    return zarr


def create(folder: Path, recipe: dict[str, Any], shape: tuple[int, ...], dtype: np.dtype[Any], nbytes: int) -> ZarrArray:
    """A new array in an empty folder, uncompressed, in chunks of at most `nbytes` bytes and MOST, the recipe an attribute."""
    array = load().create_array(
        store=str(folder),
        shape=shape,
        chunks=grid(shape, max(1, min(nbytes, MOST) // dtype.itemsize)),
        dtype=dtype,
        compressors=None,
        filters=None,
        attributes={_ATTRIBUTE: recipe},
        config=_CONFIG,
        zarr_format=3,
    )
    return ZarrArray(array, folder)


def open_array(folder: Path, write: bool = False) -> tuple[ZarrArray, Header, Any]:
    """The array in a folder, what it says of itself, and its recipe, None without one; DamagedError if there is no array."""
    zarr = load()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of dtypes that zarr's specification lacks, which are refused here
            array = zarr.open_array(str(folder), mode="r+" if write else "r", config=_CONFIG)
        header = Header(tuple(array.shape), dtypes.canonical(array.dtype), 0)
        if min(array.chunks, default=1) < 1:
            raise ValueError(f"its chunks are of shape {array.chunks}")
        return ZarrArray(array, folder), header, array.attrs.asdict().get(_ATTRIBUTE)
    except Exception as error:  # the library checks little of what it reads, so that damage ends in errors of any kind
        raise DamagedError(f"it is not a zarr array ({error})") from None
