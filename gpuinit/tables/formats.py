"""File formats for one tensor, by name: what each holds, where its recipe stands, and how it is begun, gone on with and read.

    format        suffix        holds                                      the recipe is
    safetensors   .safetensors  every dtype but complex128                 in its metadata, under "gpuinit"
    npy           .npy          every dtype but bfloat16 and the float8s   in NAME.json beside it
    zarr          .zarr         every dtype but bfloat16 and the float8s   in its attributes, under "gpuinit"

Elements are little-endian. The first two are one file each, written by the published format, as their libraries cannot write
a piece at a time; a zarr array is a folder, written and read by the zarr library.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np

from gpuinit import dtypes
from gpuinit.recipe import Recipe
from gpuinit.tables import contents, headers, zarr
from gpuinit.tables.contents import Contents, Stream, write_at
from gpuinit.tables.direct import PAGE
from gpuinit.tables.headers import Header

__all__ = ["FORMATS", "TENSOR_NAME", "Format", "Npy", "Safetensors", "Zarr", "by_suffix"]

TENSOR_NAME = "weight"
"""What the one tensor of a safetensors file is called unless it gets a name."""

Found = tuple[Contents, Header, Any]
"""An opened file: its elements, what it says of itself, and its recipe as JSON, None where it has none."""


@dataclass(frozen=True, slots=True)
class Format:
    """How a tensor stands in a file.

    Attributes:
        name, suffix: "npy" and ".npy". dtypes: the names of the dtypes it can hold.
        sidecar: whether the recipe stands in a JSON file beside it. folder: whether it is a folder of files.
    """

    name: str
    suffix: str
    dtypes: tuple[str, ...]
    sidecar: bool = False
    folder: bool = False

    def check(self, dtype: np.dtype[Any]) -> None:
        """Refuse (ValueError) a dtype that the format cannot hold, naming a format that can."""
        if dtype.name not in self.dtypes:
            able = next(other.name for other in FORMATS.values() if dtype.name in other.dtypes)
            raise ValueError(f"format={self.name!r} cannot hold dtype={dtype.name}; format={able!r} can")

    def companion(self, path: Path) -> Path | None:
        """The file beside `path` that carries its recipe, if the format needs one."""
        return path.with_name(path.name.removesuffix(self.suffix) + ".json") if self.sidecar else None

    def overhead(self, recipe: Recipe, shape: tuple[int, ...], tensor: str) -> int:
        """How many bytes it takes beside the elements, of whole blocks."""
        raise NotImplementedError

    def begin(self, place: Any, recipe: Recipe, shape: tuple[int, ...], tensor: str, nbytes: int) -> Contents:
        """An empty tensor in the new file (or folder) `place`, in blocks of at most `nbytes` bytes."""
        raise NotImplementedError

    def go_on(self, place: Any, nbytes: int) -> Found:
        """The tensor in an unfinished file (or folder), to be read and written; DamagedError if it is none."""
        raise NotImplementedError

    @contextlib.contextmanager
    def opened(self, path: Path, nbytes: int) -> Iterator[Found]:
        """The finished file, to be read; OSError if it cannot be, DamagedError among them. ValueError: its recipe is no JSON."""
        with FileIO(path) as file:
            elements, header, recipe = self.go_on(file, nbytes)
            companion = self.companion(path)
            if companion is not None:
                recipe = _parsed(companion.read_bytes()) if companion.exists() else None
            yield elements, header, recipe


def _alignment(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Where elements begin: at a cache line, or at a page if they are written by pages."""
    return PAGE if math.prod(shape) * dtype.itemsize >= contents.DIRECT_FROM else 64


def _parsed(recipe: Any) -> Any:
    try:
        return json.loads(recipe)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"its recipe is no JSON ({error})") from None


class _File(Format):
    """A format of one file: a header, and behind it the elements."""

    __slots__ = ()

    def header(self, recipe: Recipe, shape: tuple[int, ...], tensor: str) -> bytes:
        """What stands before the elements."""
        raise NotImplementedError

    def read_header(self, file: FileIO) -> Header:
        """What a file says of itself."""
        raise NotImplementedError

    def overhead(self, recipe: Recipe, shape: tuple[int, ...], tensor: str) -> int:
        return len(self.header(recipe, shape, tensor))

    def begin(self, place: FileIO, recipe: Recipe, shape: tuple[int, ...], tensor: str, nbytes: int) -> Contents:
        header = self.header(recipe, shape, tensor)
        write_at(place, np.frombuffer(header, np.uint8), 0)
        return Stream(place, len(header), shape, dtypes.canonical(recipe.dtype), nbytes)

    def go_on(self, place: FileIO, nbytes: int) -> Found:
        header = self.read_header(place)
        recipe = None if header.recipe is None else _parsed(header.recipe)
        return Stream(place, header.nbytes, header.shape, header.dtype, nbytes), header, recipe


class Safetensors(_File):
    """One tensor in a safetensors file."""

    __slots__ = ()

    def header(self, recipe: Recipe, shape: tuple[int, ...], tensor: str) -> bytes:
        text = json.dumps(recipe.to_json(), allow_nan=False)
        dtype = dtypes.canonical(recipe.dtype)
        return headers.safetensors_header(text, tensor, shape, dtype, _alignment(shape, dtype))

    def read_header(self, file: FileIO) -> Header:
        return headers.read_safetensors(file)


class Npy(_File):
    """An array in NumPy's file format."""

    __slots__ = ()

    def header(self, recipe: Recipe, shape: tuple[int, ...], tensor: str) -> bytes:
        dtype = dtypes.canonical(recipe.dtype)
        return headers.npy_header(shape, dtype, _alignment(shape, dtype))

    def read_header(self, file: FileIO) -> Header:
        return headers.read_npy(file)


class Zarr(Format):
    """An array in a zarr v3 folder."""

    __slots__ = ()

    def check(self, dtype: np.dtype[Any]) -> None:
        super().check(dtype)
        zarr.load()

    def overhead(self, recipe: Recipe, shape: tuple[int, ...], tensor: str) -> int:
        return 1 << 16

    def begin(self, place: Path, recipe: Recipe, shape: tuple[int, ...], tensor: str, nbytes: int) -> Contents:
        return zarr.create(place, recipe.to_json(), shape, dtypes.canonical(recipe.dtype), nbytes)

    def go_on(self, place: Path, nbytes: int) -> Found:
        return zarr.open_array(place, write=True)

    @contextlib.contextmanager
    def opened(self, path: Path, nbytes: int) -> Iterator[Found]:
        yield zarr.open_array(path)


def by_suffix(path: Path, argument: str = "out") -> Format:
    """The format that a file name asks for by its suffix (ValueError if none does, which names the argument)."""
    for form in FORMATS.values():
        if path.name.endswith(form.suffix) and path.name != form.suffix:
            return form
    raise ValueError(f"{argument}={str(path)!r}: the suffix must be {' or '.join(form.suffix for form in FORMATS.values())}")


FORMATS: dict[str, Format] = {
    form.name: form
    for form in (
        Safetensors("safetensors", ".safetensors", headers.SAFETENSORS),
        Npy("npy", ".npy", headers.NPY, sidecar=True),
        Zarr("zarr", ".zarr", zarr.DTYPES, folder=True),
    )
}
"""The formats by name, the default one first."""
