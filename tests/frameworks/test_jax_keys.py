"""JAX's keys as gpuinit's: every implementation, typed and as words; everything else is refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuinit

jax = pytest.importorskip("jax")
import gpuinit.jax  # noqa: E402

pytestmark = pytest.mark.frameworks

SEEDS = (0, 5, 2**31, 2**32 - 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_threefry_s_two_words_are_the_seed(seed: int) -> None:
    assert gpuinit.jax.as_key(jax.random.key(seed, impl="threefry2x32")) == gpuinit.Key(seed)
    assert gpuinit.jax.as_key(jax.random.PRNGKey(seed, impl="threefry2x32")) == gpuinit.Key(seed)


@pytest.mark.parametrize("impl", ["rbg", "unsafe_rbg"])
@pytest.mark.parametrize("seed", SEEDS)
def test_rbg_s_four_words_are_seed_and_stream(impl: str, seed: int) -> None:
    """JAX writes the seed's two words twice."""
    assert gpuinit.jax.as_key(jax.random.key(seed, impl=impl)) == gpuinit.Key(seed, seed)
    assert gpuinit.jax.as_key(jax.random.PRNGKey(seed, impl=impl)) == gpuinit.Key(seed, seed)


def test_the_first_word_is_the_high_one() -> None:
    """Rejects words taken in the other order, or signed."""
    assert gpuinit.jax.as_key(np.array([1, 2], np.uint32)) == gpuinit.Key(2**32 + 2)
    assert gpuinit.jax.as_key(np.array([2**32 - 1, 2, 3, 4], np.uint32)) == gpuinit.Key(2**64 - 2**32 + 2, 3 * 2**32 + 4)
    typed = jax.random.wrap_key_data(np.array([1, 2, 3, 4], np.uint32), impl="rbg")
    assert gpuinit.jax.as_key(typed) == gpuinit.Key(2**32 + 2, 3 * 2**32 + 4)


def test_split_keys_are_other_keys() -> None:
    keys = [gpuinit.jax.as_key(key) for key in jax.random.split(jax.random.key(0), 100)]
    assert len(set(keys)) == 100


def test_gpuinit_s_own_key_is_itself_and_draws_the_same() -> None:
    key = gpuinit.Key(7).fold_in("layer")
    assert gpuinit.jax.as_key(key) is key
    made = gpuinit.jax.normal(0.05)(key, (9, 14))
    assert np.asarray(made).tobytes() == gpuinit.RandomNormal(0.0, 0.05, seed=key)((9, 14)).tobytes()


@pytest.mark.parametrize(
    ("key", "error", "match"),
    [
        (lambda: 5, TypeError, r"key=5 is an? int: it must be a JAX key, as jax\.random\.key\(0\) makes"),
        (lambda: None, TypeError, "key=None is a NoneType"),
        (lambda: jax.random.split(jax.random.key(0), 3), ValueError, r"key has shape \(3,\): it must be one key, of shape \(\)"),
        (lambda: np.zeros(2, np.int32), TypeError, "key has dtype int32: it must be a JAX key, or its words as uint32"),
        (
            lambda: np.zeros(3, np.uint32),
            ValueError,
            r"key has shape \(3,\): an array of a key's words must have shape \(2,\) or",
        ),
        (lambda: np.zeros((2, 2), np.uint32), ValueError, r"key has shape \(2, 2\)"),
        (lambda: jax.numpy.zeros((), jax.numpy.uint32), ValueError, r"key has shape \(\)"),
    ],
)
def test_what_is_no_key_is_named(key: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        gpuinit.jax.as_key(key())
    with pytest.raises(error, match=match):
        gpuinit.jax.he_normal()(key(), (3, 4))
    with pytest.raises(error, match=match):
        jax.jit(lambda: gpuinit.jax.he_normal()(key(), (3, 4)))()


def test_what_draws_nothing_needs_no_key() -> None:
    for init, value in ((gpuinit.jax.zeros, 0), (gpuinit.jax.ones, 1), (gpuinit.jax.constant(0.5), 0.5)):
        assert (np.asarray(init(None, (2, 3))) == value).all()
        assert (np.asarray(jax.jit(lambda init=init: init(None, (2, 3)))()) == value).all()
