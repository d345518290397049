"""From what was asked for to jobs: every table's initializer, key, dtype and file, all checked before any writing."""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from gpuinit import backends, dtypes, registry
from gpuinit.initializers import Initializer
from gpuinit.key import Key, integer
from gpuinit.recipe import Recipe
from gpuinit.region import checked_shape
from gpuinit.tables.formats import FORMATS, Format, by_suffix
from gpuinit.tables.spec import SpecError, Specs, TableSpec

__all__ = ["DEFAULT_INIT", "Job", "plan_tables", "plan_tensor"]

DEFAULT_INIT = "random_uniform"
"""Uniform on [-0.05, 0.05): what Keras's Embedding takes by default. It does not depend on the number of rows."""


@dataclass(frozen=True)
class Job:
    """One file to write: the tensor `initializer(logical, dtype)`, whose dimensions are `shape`, made on `device`."""

    name: str
    path: Path
    format: Format
    initializer: Initializer
    logical: tuple[int, ...]
    dtype: np.dtype[Any]
    device: str

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's dimensions."""
        return self.initializer.output_shape(self.logical)

    @property
    def nbytes(self) -> int:
        """The size of its elements in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize

    @cached_property
    def recipe(self) -> Recipe:
        """What the file carries to say how it was made."""
        return Recipe.of(self.initializer, self.logical, self.dtype)

    @cached_property
    def header(self) -> bytes:
        """What stands in the file before the elements."""
        return self.format.header(self.recipe, self.shape)

    @property
    def companion(self) -> Path | None:
        """The file beside it that carries the recipe, if there is one."""
        return self.format.companion(self.path)

    @property
    def files(self) -> list[Path]:
        """All files that it writes."""
        return [self.path, self.companion] if self.companion else [self.path]

    @cached_property
    def in_one_piece(self) -> bool:
        """Whether its tensor is made whole in memory, as an orthogonal one, whose parts cost as much as all of it."""
        return not getattr(self.initializer.law(self.logical, self.dtype), "divisible", True)


@dataclass(frozen=True, slots=True)
class _Choice:
    """An initializer's name and arguments, and a dtype, as settled so far."""

    init: str
    args: Mapping[str, Any]
    dtype: str | None

    def then(self, init: str | None, args: Mapping[str, Any] | None, dtype: str | None) -> _Choice:
        """This, overruled by what is set; arguments stay with the initializer that they were given for."""
        kept = self.args if init is None else {}
        return _Choice(init or self.init, {**kept, **(args or {})}, dtype or self.dtype)


def plan_tables(
    specs: Specs,
    out: str | Path,
    *,
    format: str = "safetensors",
    init: str | None = None,
    args: Mapping[str, Any] | None = None,
    dtype: str | None = None,
    seed: int | None = None,
    max_rows: int | None = None,
    device: str | None = None,
) -> list[Job]:
    """The jobs that write each table into the folder `out` as NAME.safetensors or NAME.npy.

    Args:
        specs: the tables, from `read_specs`. What a table sets itself rules; then these arguments; then the file's
            defaults. Arguments (args) stay with the initializer that they are given with.
        format: "safetensors" or "npy". init: an initializer's name; `DEFAULT_INIT` if nothing names one.
        args: its arguments but the seed. dtype: float32 if nothing names one.
        seed: 0 .. 2^64 - 1; 0 if nothing names one. A table's key is `Key(seed).fold_in(name)`.
        max_rows: make at most so many rows of each table, >= 0; they are the logical rows, which fans are taken from.
        device: as in an initializer's call.

    Raises:
        ValueError, TypeError: anything in it is wrong; where a table is, a SpecError that says its line.
        DeviceError: the device cannot be used.
    """
    form = _format(format)
    device = backends.select(device).device
    if max_rows is not None and integer(max_rows, "max_rows") < 0:
        raise ValueError(f"max_rows={max_rows} is negative: it must be an integer >= 0")
    if seed is None:
        seed = 0 if specs.seed is None else specs.seed
    key = Key(seed)
    default = _Choice(DEFAULT_INIT, {}, None).then(specs.init, specs.args, specs.dtype).then(init, args, dtype)
    _initializer(default, key)
    jobs = []
    for spec in specs.tables:
        choice = default.then(spec.init, spec.args, spec.dtype)
        try:
            path = Path(out) / (spec.name + form.suffix)
            jobs.append(_job(spec.name, path, form, choice, key.fold_in(spec.name), _limited(spec, max_rows), device))
        except (TypeError, ValueError) as error:
            raise SpecError(f"{spec.where}: table {spec.name!r}: {error}") from error
    return jobs


def plan_tensor(
    shape: Any,
    out: str | Path,
    *,
    format: str | None = None,
    init: str | None = None,
    args: Mapping[str, Any] | None = None,
    dtype: str | None = None,
    seed: int | None = None,
    device: str | None = None,
) -> list[Job]:
    """The one job that writes a tensor into the file `out`, whose suffix chooses the format.

    Its key is `Key(seed)` itself, so the file equals `init(seed=seed)(shape, dtype)`. The other arguments and
    the errors are those of `plan_tables`.
    """
    path = Path(out)
    form = by_suffix(path)
    if format is not None and _format(format) is not form:
        raise ValueError(f"format={format!r} does not go with out={str(out)!r}, whose suffix asks for {form.name}")
    device = backends.select(device).device
    choice = _Choice(DEFAULT_INIT, {}, None).then(init, args, dtype)
    name = path.name.removesuffix(form.suffix)
    return [_job(name, path, form, choice, Key(0 if seed is None else seed), checked_shape(shape), device)]


def _format(name: str) -> Format:
    if name not in FORMATS:
        raise ValueError(f"format={name!r} is not known: it must be one of {', '.join(FORMATS)}")
    return FORMATS[name]


def _limited(spec: TableSpec, max_rows: int | None) -> tuple[int, ...]:
    if max_rows is None or not spec.shape:
        return spec.shape
    return (min(spec.shape[0], max_rows), *spec.shape[1:])


def _job(name: str, path: Path, form: Format, choice: _Choice, key: Key, shape: tuple[int, ...], device: str) -> Job:
    kind = dtypes.canonical(choice.dtype)
    form.check(kind)
    job = Job(name, path, form, _initializer(choice, key), shape, kind, device)
    job.initializer.law(shape, kind)  # refuses what the shape or the dtype cannot hold
    return job


def _initializer(choice: _Choice, key: Key) -> Initializer:
    """The initializer, seeded if it draws."""
    kind = _class(choice.init)
    known = inspect.signature(kind).parameters
    accepted = [name for name in known if name != "seed"]
    for name in choice.args:
        if name == "seed":
            raise ValueError("args: seed is set by the seed option, and a table's name is folded into it")
        if name not in accepted:
            takes = f"it takes {', '.join(accepted)}" if accepted else "it takes none"
            raise ValueError(f"args: {kind.__name__} has no argument {name!r}; {takes}")
    made: Initializer = kind(**choice.args, **({"seed": key} if "seed" in known else {}))
    return made


def _class(name: str) -> type[Initializer]:
    """The initializer class of a name that `registry.get` knows."""
    try:
        kind = type(registry.get(name))
    except ValueError:
        kind = Initializer
    if kind is not Initializer:
        return kind
    close = difflib.get_close_matches(name.lower(), registry.names(), 1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise ValueError(f"init={name!r} is not known; {hint}The names are {', '.join(registry.names())}")
