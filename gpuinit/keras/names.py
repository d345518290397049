"""The names by which Keras knows its initializers, and ours by them."""

from __future__ import annotations

import inspect
from typing import Any

import keras

from gpuinit.keras import initializers
from gpuinit.keras.drop_in import DropIn

__all__ = ["CLASSES", "NAMES"]


def _ours(theirs: Any) -> type[DropIn] | None:
    """Our class of the name of one of Keras' own, None for anything else."""
    name = theirs.__name__ if inspect.isclass(theirs) else ""
    found = getattr(initializers, name, None) if getattr(keras.initializers, name, None) is theirs else None
    return found if inspect.isclass(found) and issubclass(found, DropIn) else None


_ALL: dict[str, type[DropIn]] = {name: kind for name, theirs in vars(keras.initializers).items() if (kind := _ours(theirs))}

NAMES = {
    **{name: kind for name, kind in _ALL.items() if name.islower()},
    "normal": initializers.RandomNormal,
    "uniform": initializers.RandomUniform,
    "one": initializers.Ones,
    "zero": initializers.Zeros,
}
"""The lower-case names: snake_case, as `keras.initializers` offers its classes under, and the four further ones of `get`."""

CLASSES = {name: kind for name, kind in _ALL.items() if not name.islower()}
"""The classes' names, and the three that end in "Initializer"."""
