"""From what was asked for to jobs: every table's initializer, key, dtype and file, all checked before any writing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from gpuinit import backends, dtypes
from gpuinit.backends.threads import get_num_threads
from gpuinit.initializers import Initializer
from gpuinit.key import Key, integer
from gpuinit.recipe import Recipe
from gpuinit.region import checked_shape
from gpuinit.table import Shard, Table
from gpuinit.tables.choice import DEFAULT_INIT, Choice, blamed, initializer
from gpuinit.tables.formats import FORMATS, TENSOR_NAME, Format, by_suffix
from gpuinit.tables.spec import Specs, TableSpec

__all__ = ["Job", "plan_tables", "plan_tensor"]


@dataclass(frozen=True)
class Job:
    """One file to write: the tensor `initializer(logical, dtype)`, whose dimensions are `shape`, made on `device`.

    `tensor`: what a file that names its tensors calls it. `part`: of which rank of how many it holds the rows; None if of all.
    """

    name: str
    path: Path
    format: Format
    initializer: Initializer
    logical: tuple[int, ...]
    dtype: np.dtype[Any]
    device: str
    tensor: str = TENSOR_NAME
    part: tuple[int, int] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The dimensions of what the file holds."""
        return self.source.shape

    @property
    def nbytes(self) -> int:
        """The size of its elements in bytes."""
        return self.source.nbytes

    @cached_property
    def recipe(self) -> Recipe:
        """What the file carries to say how it was made."""
        return self.source.recipe

    @property
    def overhead(self) -> int:
        """How many bytes the file takes beside the elements."""
        return self.format.overhead(self.recipe, self.shape, self.tensor)

    @property
    def companion(self) -> Path | None:
        """The file beside it that carries the recipe, if there is one."""
        return self.format.companion(self.path)

    @property
    def files(self) -> list[Path]:
        """All files that it writes."""
        return [self.path, self.companion] if self.companion else [self.path]

    @cached_property
    def table(self) -> Table:
        """The tensor, as a table that is not there."""
        return Table(self.logical, self.initializer, self.dtype, device=self.device)

    @cached_property
    def source(self) -> Table | Shard:
        """What of it the file holds."""
        return self.table if self.part is None else self.table.shard(*self.part)

    @property
    def start(self) -> int:
        """The index in the tensor of the file's first element, in C order."""
        return self.source.start if isinstance(self.source, Shard) else 0


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
    named: bool = False,
    shard: tuple[int, int] | None = None,
) -> list[Job]:
    """The jobs that write each table into the folder `out` as NAME.safetensors, NAME.npy or NAME.zarr.

    Args:
        specs: the tables, from `read_specs`. What a table sets itself rules; then these arguments; then the file's
            defaults. Arguments (args) stay with the initializer that they are given with.
        format: "safetensors", "npy" or "zarr". init: an initializer's name; `DEFAULT_INIT` if nothing names one.
        args: its arguments but the seed. dtype: float32 if nothing names one.
        seed: 0 .. 2^64 - 1; 0 if nothing names one. A table's key is `Key(seed).fold_in(name)`.
        max_rows: make at most so many rows of each table, >= 0; they are the logical rows, which fans are taken from.
        device: as in an initializer's call.
        named: whether the tensor in a safetensors file has its table's name, as an index of the files needs it, and not
            "weight".
        shard: (rank, world): write the rows of `Table.shard(rank, world)` alone, to NAME-0000R-of-0000W, counted from 1 there.

    Raises:
        ValueError, TypeError: anything in it is wrong; where the file is, a SpecError that says its line.
        DeviceError: the device cannot be used.
    """
    get_num_threads()  # refuses a wrong GPUINIT_NUM_THREADS
    form = _format(format)
    device = backends.select(device).device
    if max_rows is not None and integer(max_rows, "max_rows") < 0:
        raise ValueError(f"max_rows={max_rows} is negative: it must be an integer >= 0")
    own = Choice(DEFAULT_INIT, {}, None).then(specs.init, specs.args, specs.dtype)
    default = own.then(init, args, dtype)
    if seed is None and specs.seed is not None:
        seed = specs.seed
        with blamed("seed", lambda key: specs.places.get(key, "")):
            key = Key(seed)
    key = Key(0 if seed is None else seed)
    _check_defaults(specs, own, init is None, dtype is None, form)
    initializer(default, key)
    dtypes.canonical(default.dtype)
    jobs = []
    for spec in specs.tables:
        choice = default.then(spec.init, spec.args, spec.dtype)
        path = Path(out) / (spec.name + form.suffix)
        limited = _limited(spec, max_rows)
        job = _job(spec.name, path, form, choice, key.fold_in(spec.name), limited, device, partial(_place, spec))
        jobs.append(_part(replace(job, tensor=spec.name) if named else job, shard, partial(_place, spec)))
    return jobs


def _check_defaults(specs: Specs, own: Choice, init: bool, dtype: bool, form: Format) -> None:
    """Refuse (SpecError) what is wrong in the file's own defaults, of which its initializer or its dtype may hold."""

    def place(name: str) -> str:
        return next((specs.places[key] for key in (name, "init") if key in specs.places), "")

    if init and ("init" in specs.places or "args" in specs.places):
        initializer(own, Key(0), place)
    if dtype and "dtype" in specs.places:
        with blamed("dtype", place):
            kind = dtypes.canonical(own.dtype)
            if any(spec.dtype is None for spec in specs.tables):
                form.check(kind)


def _place(spec: TableSpec, key: str) -> str:
    """Where a table sets what is wrong, for an error."""
    if key in ("shape", "rows"):
        return f"{spec.where}: table {spec.name!r}"
    return f"{spec.place(*(('args', 'init') if key == 'args' else (key,)))}: table {spec.name!r}"


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
    shard: tuple[int, int] | None = None,
) -> list[Job]:
    """The one job that writes a tensor into the file `out`, whose suffix chooses the format.

    Its key is `Key(seed)` itself, so the file equals `init(seed=seed)(shape, dtype)`. The other arguments and
    the errors are those of `plan_tables`.
    """
    get_num_threads()  # refuses a wrong GPUINIT_NUM_THREADS
    path = Path(out)
    form = by_suffix(path)
    if format is not None and _format(format) is not form:
        raise ValueError(f"format={format!r} does not go with out={str(out)!r}, whose suffix asks for {form.name}")
    device = backends.select(device).device
    choice = Choice(DEFAULT_INIT, {}, None).then(init, args, dtype)
    name = path.name.removesuffix(form.suffix)
    return [_part(_job(name, path, form, choice, Key(0 if seed is None else seed), checked_shape(shape), device), shard)]


def _format(name: str) -> Format:
    if name not in FORMATS:
        raise ValueError(f"format={name!r} is not known: it must be one of {', '.join(FORMATS)}")
    return FORMATS[name]


def _limited(spec: TableSpec, max_rows: int | None) -> tuple[int, ...]:
    if max_rows is None or not spec.shape:
        return spec.shape
    return (min(spec.shape[0], max_rows), *spec.shape[1:])


def _part(job: Job, shard: tuple[int, int] | None, place: Callable[[str], str] | None = None) -> Job:
    """The job of one shard's rows, in a file of its own."""
    if shard is None:
        return job
    with blamed("shape", place):
        job.table.shard(*shard)
    name = f"{job.name}-{shard[0] + 1:05d}-of-{shard[1]:05d}"
    return replace(job, name=name, path=job.path.with_name(name + job.format.suffix), part=shard)


def _job(
    name: str,
    path: Path,
    form: Format,
    choice: Choice,
    key: Key,
    shape: tuple[int, ...],
    device: str,
    place: Callable[[str], str] | None = None,
) -> Job:
    """The job, checked; `place` says for an error where the setting of that name stands."""
    with blamed("dtype", place):
        kind = dtypes.canonical(choice.dtype)
        form.check(kind)
    job = Job(name, path, form, initializer(choice, key, place), shape, kind, device)
    with blamed(None, place, choice.args):
        job.initializer.law(shape, kind)  # refuses what the shape or the dtype cannot hold
    return job
