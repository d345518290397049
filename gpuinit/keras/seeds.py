"""What the seed of a Keras initializer may be here."""

from __future__ import annotations

from typing import Any

import keras

from gpuinit.key import Key

__all__ = ["checked_seed"]

keras.saving.register_keras_serializable(package="gpuinit")(Key)


def checked_seed(seed: Any) -> int | Key | keras.random.SeedGenerator | None:
    """`seed` as None, an integer in 0 .. 2^64 - 1, a Key or a Keras SeedGenerator; of a dict, what Keras wrote in it.

    Raises:
        ValueError: it is none of these (a bool is not one), or out of range.
    """
    if isinstance(seed, dict):
        seed = keras.saving.deserialize_keras_object(seed, custom_objects={"Key": Key})
    if seed is None or isinstance(seed, (Key, keras.random.SeedGenerator)):
        return seed
    try:
        return Key(seed).seed
    except TypeError as error:
        raise ValueError(f"{error}, or None, a keras.random.SeedGenerator or a gpuinit.Key") from None
