"""Tables that are not there: any row, block or shard of them at once, in any process, and nothing before it is asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from gpuinit import dtypes, registry
from gpuinit.growth import grown_law
from gpuinit.initializers import Initializer
from gpuinit.initializers.base import check_parts
from gpuinit.initializers.seeds import key_source
from gpuinit.key import Key, SeedGenerator, integer
from gpuinit.recipe import Recipe
from gpuinit.region import Region, checked_shape
from gpuinit.structures import Structure
from gpuinit.virtual import Virtual

__all__ = ["Shard", "Table", "boundaries", "described"]


class Table(Virtual):
    """A table that is not there: `table[ids]` makes those rows, with the bits that they have in the whole.

    Args:
        shape: its dimensions, rows first; at most 2^63 elements.
        init: what `gpuinit.get` takes, an initializer's name or instance among them; uniform on [-0.05, 0.05) by default.
        dtype: element type; None means `gpuinit.default_dtype()`.
        seed: an integer in 0 .. 2^64 - 1, a Key, or a SeedGenerator, which is drawn from once, here; None means the
            initializer's own. What draws nothing takes no heed of it.
        name: folded into the key, so that tables of one seed draw independently: the key is `Key(seed).fold_in(name)`, as in
            the files of `gpuinit create`.
        device: where parts are made; None means where device ids lie, else `gpuinit.default_device()`.

    Raises:
        TypeError, ValueError: an argument is wrong, or what the initializer refuses for this shape and dtype.
        DeviceError: the device cannot be used.

    It holds a few hundred bytes. `table[...]` is bit-equal to `init(shape, dtype)[...]` drawn from the same key, on every
    backend, in every process. A part of an orthogonal or sparse matrix costs as much as
    all of it.
    """

    def __init__(
        self,
        shape: Any,
        init: Any = "random_uniform",
        dtype: Any = None,
        *,
        seed: int | Key | SeedGenerator | None = None,
        name: str | None = None,
        device: str | None = None,
    ) -> None:
        logical, kind = checked_shape(shape), dtypes.canonical(dtype)
        initializer = registry.get(init)
        if not isinstance(initializer, Initializer):
            raise TypeError(f"init={init!r} must be an initializer's name, class, instance or config")
        check_parts(initializer)
        law = initializer.law(logical, kind)
        source = None if seed is None else key_source(seed)
        self._settle(initializer, law, None, logical, kind, name, device)
        if _draws(law):  # last, when nothing can fail any more
            source = initializer.key_source() if source is None else source
            key = source.next_key() if isinstance(source, SeedGenerator) else source
            self.key = self._key = key if name is None else key.fold_in(name)

    @classmethod
    def _of(
        cls, initializer: Initializer, logical: Any, dtype: Any, key: Key | None, name: Any, device: Any, law: Any = None
    ) -> Self:
        """The table with this key."""
        check_parts(initializer)
        kind = dtypes.canonical(dtype)
        law = initializer.law(logical, kind) if law is None else law
        if key is None and _draws(law):
            raise ValueError(f"key=None: {type(initializer).__name__} draws random numbers, and its recipe must have a key")
        made = cls.__new__(cls)
        made._settle(initializer, law, key, logical, kind, name, device)
        return made

    def _settle(self, initializer: Initializer, law: Any, key: Any, logical: Any, dtype: Any, name: Any, device: Any) -> None:
        if name is not None and not isinstance(name, str):
            raise TypeError(f"name={name!r} must be a string or None")
        self.initializer, self.key, self.name, self._asked = initializer, key, name, logical
        whole = initializer.output_shape(logical)
        super().__init__(law, key, whole, tuple(slice(0, length) for length in whole), dtype, device)

    @classmethod
    def from_recipe(
        cls,
        recipe: Recipe,
        *,
        name: str | None = None,
        device: str | None = None,
        custom_objects: Mapping[str, Any] | None = None,
    ) -> Self:
        """The table that a recipe describes, as a file of `gpuinit create` carries one."""
        made = recipe.initializer(custom_objects)
        return cls._of(made, recipe.shape, recipe.dtype, recipe.key, name, device)

    @property
    def recipe(self) -> Recipe:
        """What the table is made of; TypeError or ValueError if its initializer's class cannot be written down."""
        return Recipe.of(self.initializer, self._asked, self.dtype, self.key)

    def get_config(self) -> dict[str, Any]:
        """The table as JSON can hold it: a few hundred bytes from which any process makes the same rows."""
        return {"name": self.name, "device": self.device, "recipe": self.recipe.to_json()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, custom_objects: Mapping[str, Any] | None = None) -> Self:
        """The table of `get_config()`.

        Raises:
            ValueError, TypeError: it is no such dict, or names what is not known here (classes of the user: `custom_objects`).
        """
        if not isinstance(config, Mapping) or set(config) != {"name", "device", "recipe"}:
            raise ValueError("config is not a table's: it must be a dict of Table.get_config, with name, device and recipe")
        recipe = Recipe.from_json(config["recipe"])
        return cls.from_recipe(recipe, name=config["name"], device=config["device"], custom_objects=custom_objects)

    def grow(self, rows: int) -> Self:
        """The table of the same key with this many rows; those that it has already keep their bits.

        Args:
            rows: at least the present number.

        Raises:
            ValueError: fewer rows, or the distribution of the old ones would be another at that number of rows; the message says
                why.
        """
        law = grown_law(self.initializer, self._law, self._asked, rows, self.dtype)
        logical = (int(rows), *self._asked[1:])
        return self._of(self.initializer, logical, self.dtype, self.key, self.name, self.device, law)

    def shards(self, n: int, axis: int = 0, devices: Sequence[str] | None = None) -> list[Shard]:
        """The table cut into `n` parts along an axis, in order; each is made by itself, without the others.

        Args:
            n: how many, >= 1; where it exceeds the axis' length the last ones are empty.
            axis: 0 cuts by rows, 1 by columns; negative ones count from the last.
            devices: where each is made, one a shard; None leaves it to `make` and to where ids lie.

        Returns:
            Shards whose lengths differ by at most one, the longer ones first (as `numpy.array_split` cuts).
        """
        if integer(n, "n") < 1:
            raise ValueError(f"n={n}: a table is cut into 1 or more shards")
        if devices is not None and (isinstance(devices, str) or len(devices) != n):
            raise ValueError(f"devices={devices!r} must be a sequence of {n} device names, one a shard")
        return [self.shard(rank, n, axis, None if devices is None else devices[rank]) for rank in range(n)]

    def shard(self, rank: int, world: int, axis: int = 0, device: str | None = None) -> Shard:
        """The part of process `rank` of `world`, as `shards(world, axis)[rank]`; nothing is exchanged between them.

        Args:
            rank: 0 .. world - 1, as MPI's rank or torchrun's RANK. world: >= 1, as MPI's size or torchrun's WORLD_SIZE.
            axis, device: as in `shards`.
        """
        if integer(world, "world") < 1:
            raise ValueError(f"world={world}: it must be an integer >= 1")
        if not 0 <= integer(rank, "rank") < world:
            raise ValueError(f"rank={rank}: it must lie in 0 .. {world - 1}")
        if not -self.ndim <= integer(axis, "axis") < self.ndim:
            raise ValueError(f"axis={axis}: the table has {self.ndim} axes")
        block = [slice(0, length) for length in self.shape]
        block[axis] = slice(*boundaries(self.shape[axis], world, rank))
        return Shard(self, tuple(block), device)

    def __reduce__(self) -> Any:
        return self._of, (self.initializer, self._asked, self.dtype.name, self.key, self.name, self.device)

    def __repr__(self) -> str:
        name = "" if self.name is None else f", name={self.name!r}"
        return f"Table({self._asked}, {self.initializer!r}, {self.dtype.name!r}, key={self.key!r}{name})"


class Shard(Virtual):
    """A box of a table: what one device, process or machine makes of it, with the bits that it has in the whole.

    Args:
        table: the whole. block: a tuple of slices of it, 0 <= start <= stop <= length, step 1; missing ones are full.
        device: where it is made; None means the table's.

    Attributes:
        table, block: as given, the block with an entry an axis.

    It is indexed as a table is, its own first row being 0; `make` gives all of it, `into` writes all of it into an array.
    """

    def __init__(self, table: Table, block: Any, device: str | None = None) -> None:
        if not isinstance(table, Table):
            raise TypeError(f"table is a {type(table).__name__}: it must be a Table")
        region = Region.of(table.shape, block)
        self.table = table
        self.block = tuple(slice(start, start + count) for start, count in zip(region.starts, region.counts, strict=True))
        chosen = table.device if device is None else device
        super().__init__(table._law, table.key, table.shape, self.block, table.dtype, chosen)

    @property
    def start(self) -> int:
        """The index of its first element in the whole, in C order; 0 if it has none."""
        return (
            sum(part.start * math.prod(self.table.shape[axis + 1 :]) for axis, part in enumerate(self.block)) if self.size else 0
        )

    @property
    def recipe(self) -> Recipe:
        """What it is made of: the table's recipe, and the block."""
        return replace(self.table.recipe, block=tuple((part.start, part.stop) for part in self.block))

    def get_config(self) -> dict[str, Any]:
        """The shard as JSON can hold it; `from_config` makes it again."""
        block = [[part.start, part.stop] for part in self.block]
        return {"table": self.table.get_config(), "block": block, "device": self.device}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, custom_objects: Mapping[str, Any] | None = None) -> Self:
        """The shard of `get_config()`; ValueError or TypeError if it is none."""
        if not isinstance(config, Mapping) or set(config) != {"table", "block", "device"}:
            raise ValueError("config is not a shard's: it must be a dict of Shard.get_config, with table, block and device")
        table = Table.from_config(config["table"], custom_objects=custom_objects)
        return cls(table, tuple(slice(*ends) for ends in config["block"]), config["device"])

    def __reduce__(self) -> Any:
        return type(self), (self.table, self.block, self.device)

    def __repr__(self) -> str:
        block = ", ".join(f"{part.start}:{part.stop}" for part in self.block)
        return f"Shard([{block}] of {self.table!r})"


def described(recipe: Recipe, device: str | None = None, custom_objects: Mapping[str, Any] | None = None) -> Table | Shard:
    """The table, or the shard of one, that a recipe describes."""
    table = Table.from_recipe(recipe, device=device, custom_objects=custom_objects)
    return table if recipe.block is None else Shard(table, tuple(slice(*ends) for ends in recipe.block))


def boundaries(length: int, parts: int, number: int) -> tuple[int, int]:
    """Where part `number` of a length cut into `parts` begins and ends; lengths differ by at most one, longer ones first."""
    size, longer = divmod(length, parts)
    start = number * size + min(number, longer)
    return start, start + size + (number < longer)


def _draws(law: Any) -> bool:
    return not isinstance(law, Structure) or law.random
