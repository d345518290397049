"""Recipes: the few hundred bytes from which a file's tensor can be made again, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gpuinit import dtypes, registry
from gpuinit.initializers import Initializer
from gpuinit.key import CONTRACT, Key, SeedGenerator, check_contract, integer
from gpuinit.region import checked_shape
from gpuinit.version import __version__

__all__ = ["Recipe"]

_FIELDS = ("gpuinit", "contract", "initializer", "key", "shape", "dtype")
_FLOAT = "__float__"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a tensor is made of: `recipe.initializer()(recipe.shape, recipe.dtype)` is the tensor.

    Attributes:
        config: the initializer as `registry.serialize` writes it, its seed left out.
        key: the key that it draws from, None for a deterministic initializer.
        shape: the logical tensor's dimensions. dtype: the name of its element type.
        block: the part of the tensor that the file holds, a start and a stop an axis; None if it holds all of it.
        version: the gpuinit release that wrote it. contract: the version of the stream contract (docs/stream.md).
    """

    config: dict[str, Any]
    key: Key | None
    shape: tuple[int, ...]
    dtype: str
    version: str = __version__
    contract: int = CONTRACT
    block: tuple[tuple[int, int], ...] | None = None

    @classmethod
    def of(cls, initializer: Initializer, shape: Any, dtype: Any = None, key: Key | None = None) -> Recipe:
        """The recipe of `initializer(shape, dtype)`, drawn from `key` if that is given.

        Raises:
            ValueError: its seed is a SeedGenerator, whose draws no single key describes; or it draws, and is of a class that
                cannot be given the key as `seed`; or what a call raises for this shape and dtype.
            TypeError: it overrides `__call__` alone, so that nobody knows what it draws from.
        """
        logical, kind = checked_shape(shape), dtypes.canonical(dtype)
        key = _key(initializer, initializer.law(logical, kind), key)
        config = dict(registry.serialize(initializer))
        config["config"] = {name: value for name, value in config["config"].items() if name != "seed"}
        recipe = cls(config, key, logical, kind.name)
        if key is not None:
            recipe._check_seed(type(initializer))
        return recipe

    def _check_seed(self, kind: type[Initializer]) -> None:
        """Refuse (ValueError) a class that, made of the config and the key, does not draw from the key."""
        try:
            source = self.initializer({kind.__name__: kind}).key_source()
            problem = f"its calls then draw from {source!r}"
        except (TypeError, ValueError) as error:
            source, problem = None, str(error)
        if source != self.key:
            raise ValueError(
                f"{kind.__name__} draws from a key, so its recipe needs a constructor that takes `seed`, as that of "
                f"gpuinit.RandomInitializer does, and draws from it: {problem}"
            )

    def initializer(self, custom_objects: Mapping[str, Any] | None = None) -> Initializer:
        """The initializer, seeded with the key; `custom_objects` names the user's own classes, as for `deserialize`."""
        config = dict(self.config.get("config", {}))
        if self.key is not None:
            config["seed"] = self.key
        made: Initializer = registry.deserialize({**self.config, "config": config}, custom_objects=custom_objects)
        return made

    def to_json(self) -> dict[str, Any]:
        """A dict that strict JSON can hold: floats that are not finite stand as `{"__float__": "inf"}`, "-inf" or "nan"."""
        return {
            "gpuinit": self.version,
            "contract": self.contract,
            "initializer": _encoded(self.config),
            "key": None if self.key is None else self.key.get_config(),
            "shape": list(self.shape),
            "dtype": self.dtype,
            **({} if self.block is None else {"block": [list(ends) for ends in self.block]}),
        }

    @classmethod
    def from_json(cls, data: Any) -> Recipe:
        """The recipe that `to_json` wrote.

        Raises:
            ValueError: not a recipe, or one of another contract. TypeError: a field of the wrong type.
        """
        if not isinstance(data, Mapping) or set(data) - {"block"} != set(_FIELDS):
            raise ValueError(f"not a gpuinit recipe: it must be an object with the fields {', '.join(_FIELDS)}")
        check_contract(dict(data))
        key = None if data["key"] is None else Key.from_config(data["key"])
        shape, dtype = checked_shape(tuple(data["shape"])), dtypes.canonical(data["dtype"]).name
        block = None if data.get("block") is None else _block(data["block"])
        return cls(dict(_decoded(data["initializer"])), key, shape, dtype, str(data["gpuinit"]), data["contract"], block)


def _block(ends: Any) -> tuple[tuple[int, int], ...]:
    """A block as JSON has it."""
    try:
        return tuple((integer(start, "start"), integer(stop, "stop")) for start, stop in ends)
    except (TypeError, ValueError) as error:
        raise ValueError(f"block={ends!r} is not a recipe's block: it must have a start and a stop an axis ({error})") from None


def _encoded(value: Any) -> Any:
    """`value` with its floats that are not finite as JSON can hold them."""
    if isinstance(value, float) and not math.isfinite(value):
        return {_FLOAT: repr(float(value))}
    if isinstance(value, Mapping):
        return {name: _encoded(item) for name, item in value.items()}
    return [_encoded(item) for item in value] if isinstance(value, (list, tuple)) else value


def _decoded(value: Any) -> Any:
    """What `_encoded` was given."""
    if isinstance(value, Mapping):
        if set(value) == {_FLOAT}:
            return float(value[_FLOAT])
        return {name: _decoded(item) for name, item in value.items()}
    return [_decoded(item) for item in value] if isinstance(value, list) else value


def _key(initializer: Initializer, law: Any, key: Key | None) -> Key | None:
    """The key that a call draws from, None if its law draws nothing."""
    if not getattr(law, "random", True):
        return None
    if key is not None:
        return key
    source = initializer.key_source()
    if isinstance(source, SeedGenerator):
        raise ValueError("seed is a SeedGenerator, which draws a new key at every call; a recipe needs an integer or a Key")
    return source
