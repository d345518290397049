"""`get`, `serialize` and `deserialize` as in `keras.initializers`, where Keras' names and configs mean the classes here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from gpuinit.keras.drop_in import DropIn
from gpuinit.keras.names import CLASSES, NAMES

__all__ = ["deserialize", "get", "serialize"]


def get(identifier: Any) -> Any:
    """The initializer that `identifier` means: names and dicts as in `deserialize`, all else as in `keras.initializers.get`.

    Raises:
        ValueError: nothing is known by that identifier.
    """
    if isinstance(identifier, (str, dict)):
        identifier = deserialize(identifier)
    return keras.initializers.get(identifier)


def serialize(initializer: Any) -> Any:
    """The initializer as a dict that JSON can hold, as `keras.initializers.serialize` gives it."""
    return keras.initializers.serialize(initializer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The initializer of a name, or of a dict that `serialize` here or Keras' own wrote.

    Args:
        config: one of Keras' names, or a dict; of Keras' own classes it gives the one here.
        custom_objects: classes or functions by name, which come first.

    Returns:
        A new initializer. What is not one of Keras' initializers, `keras.initializers.deserialize` sees to.
    """
    known = {"class_name": config, "config": {}} if isinstance(config, str) else config
    if isinstance(known, dict) and not set(_names(known)) & set(custom_objects or {}):
        kind: type[DropIn] | None = {**CLASSES, **NAMES}.get(known.get("class_name", ""))
        if kind is not None and _is_keras(known):
            return kind.from_config(known.get("config") or {})
    return keras.initializers.deserialize(config, custom_objects)


def _names(config: dict[str, Any]) -> list[str]:
    return [name for name in (config.get("class_name"), config.get("registered_name")) if isinstance(name, str)]


def _is_keras(config: dict[str, Any]) -> bool:
    """Whether a config with the name of one of Keras' classes is of that class, and not of a user's that is called the same."""
    module = str(config.get("module") or "keras").partition(".")[0]
    registered = config.get("registered_name")
    return module in ("keras", "tf_keras", "gpuinit") and registered in (
        None,
        config["class_name"],
        f"gpuinit>{config['class_name']}",
    )
