"""What a picture shows: a tensor, of which a sample and a few blocks are looked at, and the law of its elements."""

from __future__ import annotations

import functools
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpuinit import arrays, dtypes, registry
from gpuinit.initializers import Initializer
from gpuinit.initializers.base import check_parts
from gpuinit.pictures.laws import Law, law_of
from gpuinit.pictures.reading import Memory, Reader, Stored, Unmade, boxes
from gpuinit.region import checked_shape
from gpuinit.structures import Haar, Structure, Tap
from gpuinit.table import Shard, Table

__all__ = ["SAMPLE", "Exhibit", "called", "exhibit", "real"]

Array = np.ndarray[Any, Any]

SAMPLE = 2**20
"""Elements of a sample at most."""
_RUNS = 16
"""Runs of consecutive elements that a sample of a larger tensor is made of, evenly spread over it."""


@dataclass(frozen=True)
class Exhibit:
    """A tensor to be shown.

    Attributes:
        title: what it is, as "HeNormal, 1024 x 1024, bfloat16". reader: where its elements come from.
        statement: what its initializer states, a distribution or a structure; None where nobody knows.
        initializer: what it is, or was, made by; None where nobody knows.
    """

    title: str
    reader: Reader
    statement: Any = None
    initializer: Initializer | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Its dimensions."""
        return self.reader.shape

    @property
    def size(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)

    @property
    def rows(self) -> int:
        """The rows of the matrix that it is shown as: all axes but the last, in C order; 1 of a vector and of a number."""
        return math.prod(self.shape[:-1])

    @property
    def columns(self) -> int:
        """The columns of that matrix: the last axis; 1 of a number."""
        return self.shape[-1] if self.shape else 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its element type."""
        return self.reader.dtype

    @functools.cached_property
    def law(self) -> Law | None:
        """The law of an element, of complex ones of their real part; None where there is none, or nobody knows."""
        return None if self.statement is None or isinstance(self.statement, Structure) else law_of(self.statement, self.dtype)

    @property
    def gain(self) -> float | None:
        """What every singular value is of an orthogonal matrix, or a stack or convolution kernel of them; None of others."""
        matrix = self.statement.matrix if isinstance(self.statement, Tap) else self.statement
        return abs(matrix.gain) if isinstance(matrix, Haar) else None

    @functools.cached_property
    def sample(self) -> Array:
        """At most SAMPLE elements in double precision, of complex ones the real parts: all, or evenly spread runs."""
        count = min(self.size, SAMPLE)
        runs = 1 if count == self.size else _RUNS
        length = count // runs
        starts = [(self.size - length) * run // max(1, runs - 1) for run in range(runs)]
        parts = [self.reader.read(box) for start in starts for box in boxes(self.shape, start, start + length)]
        return real(np.concatenate([np.zeros(0, self.dtype), *(part.reshape(-1) for part in parts)]))

    def block(self, rows: tuple[int, int], columns: tuple[int, int]) -> Array:
        """Rows start .. stop - 1 and columns start .. stop - 1 of the matrix that it is shown as."""
        out = np.empty((rows[1] - rows[0], columns[1] - columns[0]), self.dtype)
        done = 0
        for box in boxes(self.shape[:-1], *rows):
            part = self.reader.read((*box, slice(*columns)) if self.shape else ())
            part = part.reshape(-1, out.shape[1])
            out[done : done + len(part)] = part
            done += len(part)
        return out


def real(values: Array) -> Array:
    """Values of any dtype in double precision, of complex ones the real parts."""
    return np.asarray(values.real if values.dtype.kind == "c" else values, np.float64)


def exhibit(what: Any, shape: Any = None, dtype: Any = None, *, seed: Any = 0, device: str | None = None) -> Exhibit:
    """What is to be shown.

    Args:
        what: an initializer's name, class, config or instance, with `shape`; a Table or Shard; the path of a .safetensors, .npy
            or .zarr file, which has a recipe if gpuinit wrote it; an array or a tensor.
        shape: logical dimensions, integers >= 0; of an initializer alone. dtype: likewise; None means the default dtype.
        seed: an integer in 0 .. 2^64 - 1 or a Key, of a name or a class; an instance and a config have their own.
        device: where elements of an initializer are made.

    Returns:
        An Exhibit; elements are read or made when a picture asks for them, and of a large tensor only a part.

    Raises:
        TypeError, ValueError: an argument is wrong, or does not go with `what`. OSError: the file cannot be read.
    """
    if isinstance(what, (str, os.PathLike)) and not _is_name(what):
        _without_shape(f"the file {str(what)!r}", shape, dtype)
        return _of_file(Path(what))
    if isinstance(what, (Table, Shard)):
        _without_shape(f"a {type(what).__name__}", shape, dtype)
        return _of_table(what)
    initializer = what if isinstance(what, Initializer) else _initializer(what)
    if initializer is None:
        _without_shape("an array", shape, dtype)
        array = arrays.to_numpy(what, "what", copy=False)
        return Exhibit(_title("array", array.shape, array.dtype), Memory(array))
    if shape is None:
        raise ValueError(f"shape=None: {called(initializer)} needs the dimensions of the tensor that is to be shown")
    try:
        check_parts(initializer)
    except TypeError:  # it overrides __call__ alone: the whole tensor is made, and nobody knows its law
        made = arrays.to_numpy(initializer(checked_shape(shape), dtypes.canonical(dtype)), "what", copy=False)
        return Exhibit(_title(called(initializer), made.shape, made.dtype), Memory(made))
    named = isinstance(what, (str, type))
    return _of_table(Table(shape, initializer, dtype, seed=seed if named else None, device=device))


def _is_name(what: Any) -> bool:
    """Whether a text is an initializer's name, and not a path."""
    return isinstance(what, str) and (registry.find(what) is not None or not any(mark in what for mark in "./\\"))


def _initializer(what: Any) -> Initializer | None:
    """What `registry.get` makes of a name, a class or a config; None of an array."""
    if isinstance(what, (str, dict, type)):
        made = registry.get(what)
        if isinstance(made, Initializer):
            return made
        raise TypeError(f"what={what!r} must be an initializer, a Table, a file or an array")
    return None


def _without_shape(what: str, shape: Any, dtype: Any) -> None:
    for name, value in (("shape", shape), ("dtype", dtype)):
        if value is not None:
            raise ValueError(f"{name}={value!r} does not go with {what}, which has its own; leave it out")


def _of_table(table: Table | Shard, title: str | None = None, reader: Reader | None = None) -> Exhibit:
    whole = table.table if isinstance(table, Shard) else table
    name = called(whole.initializer)
    part = ", a shard" if isinstance(table, Shard) else ""
    made = _title(name if title is None else f"{title}: {name}", table.shape, table.dtype) + part
    return Exhibit(made, reader or Unmade(table), whole.initializer.distribution(whole.shape), whole.initializer)


def _of_file(path: Path) -> Exhibit:
    stored = Stored(path)
    if stored.table is None:
        return Exhibit(f"{_title(path.name, stored.shape, stored.dtype)}, no recipe", stored)
    return _of_table(stored.table, path.name, stored)


def called(initializer: Initializer) -> str:
    """An initializer's class and its arguments that are set, but for the seed."""
    config = initializer.get_config()
    shown = [
        f"{name}={value:g}" if type(value) is float else f"{name}={value!r}"
        for name, value in config.items()
        if name != "seed" and value is not None and not isinstance(value, dict)
    ]
    return type(initializer).__name__ + (f"({', '.join(shown)})" if shown else "")


def _title(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    return f"{name}, {' x '.join(map(str, shape)) or '()'}, {dtype.name}"
