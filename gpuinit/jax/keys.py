"""JAX's keys as gpuinit's: the words of a key array are a seed and a stream."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gpuinit.key import Key

__all__ = ["as_key", "key_of_words", "words_of"]

_LENGTHS = ((2,), (4,))
"""The shapes of a key's words: threefry2x32 has two; rbg and unsafe_rbg have four."""


def as_key(key: Any) -> Key:
    """The gpuinit.Key of a JAX key: the same stream in every framework.

        threefry2x32, words a, b               Key(a << 32 | b)
        rbg, unsafe_rbg, words a, b, c, d      Key(a << 32 | b, c << 32 | d)

    Args:
        key: one key: `jax.random.key(..)` of any implementation, an array of its words (uint32, as of `jax.random.PRNGKey`), or a
            gpuinit.Key, which is itself. It must have a value: inside `jax.jit` it has none.

    Returns:
        The Key; `jax.random.key(5)` of the default implementation gives Key(5).

    Raises:
        TypeError: it is no key. ValueError: it is an array of keys, or its words are not 2 or 4 uint32.
    """
    return key if isinstance(key, Key) else key_of_words(words_of(key))


def words_of(key: Any) -> Any:
    """The words (uint32, 2 or 4 of them) of one key, without looking at their values; a tracer where the key is one."""
    if isinstance(key, Key):
        return np.array([key.seed >> 32, key.seed & 0xFFFFFFFF, key.stream >> 32, key.stream & 0xFFFFFFFF], np.uint32)
    if not isinstance(key, (jax.Array, np.ndarray)):
        raise TypeError(
            f"key={key!r} is a {type(key).__name__}: it must be a JAX key, as jax.random.key(0) makes, or a gpuinit.Key"
        )
    if jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        if key.shape != ():
            raise ValueError(f"key has shape {key.shape}: it must be one key, of shape (); for a tensor a key use jax.vmap")
        words = jax.random.key_data(key)
        if words.shape not in _LENGTHS:
            raise ValueError(
                f"key has dtype {key.dtype} of {words.shape} words: it must have 2 or 4, as threefry2x32 and rbg have"
            )
        return words
    if key.dtype != np.uint32:
        raise TypeError(f"key has dtype {key.dtype}: it must be a JAX key, or its words as uint32 (jax.random.PRNGKey)")
    if key.shape not in _LENGTHS:
        raise ValueError(f"key has shape {key.shape}: an array of a key's words must have shape (2,) or (4,); one key at a time")
    return key


def key_of_words(words: Any) -> Key:
    """The Key that has these words, which must have values."""
    numbers = [int(word) for word in jax.device_get(words)]
    return Key(*(high << 32 | low for high, low in zip(numbers[::2], numbers[1::2], strict=True)))
