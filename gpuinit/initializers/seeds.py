"""What an initializer's `seed` may be, and the keys that it stands for."""

from __future__ import annotations

import weakref
from typing import Any

from gpuinit.key import Key, SeedGenerator, random_seed

__all__ = ["deserialize_seed", "key_source", "own_seed"]


def key_source(seed: Any) -> Key | SeedGenerator:
    """The Key or SeedGenerator that `seed` is or names; ValueError if it is neither of these nor an integer in range."""
    if isinstance(seed, (Key, SeedGenerator)):
        return seed
    try:
        return Key(seed)
    except TypeError as error:
        raise ValueError(f"{error}, or None, a Key or a SeedGenerator") from None


def deserialize_seed(config: dict[str, Any]) -> Key | SeedGenerator:
    """The Key or SeedGenerator of a configuration, which Keras may have written."""
    kinds: dict[str, Any] = {"Key": Key, "SeedGenerator": SeedGenerator}
    kind = kinds.get(str(config.get("class_name")))
    if kind is None:
        raise ValueError(f"seed={config!r}: a serialized seed has class_name 'Key' or 'SeedGenerator'")
    made: Key | SeedGenerator = kind.from_config(config.get("config", {}))
    return made


_SEEDS: dict[int, int] = {}


def own_seed(initializer: object) -> int:
    """A seed drawn once for an instance, kept beside it, because an initializer may not gain attributes by being used."""
    place = id(initializer)
    if place not in _SEEDS:
        _SEEDS[place] = random_seed()
        weakref.finalize(initializer, _SEEDS.pop, place, None)
    return _SEEDS[place]
