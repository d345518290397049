"""Keys: which stream of random words a tensor is drawn from (docs/stream.md)."""

from __future__ import annotations

import itertools
import operator
import os
from dataclasses import dataclass
from typing import Any

__all__ = ["CONTRACT", "Key", "SeedGenerator", "check_contract", "integer", "random_seed", "shown", "word64"]

CONTRACT = 1
"""The version of the stream contract (docs/stream.md) that this release implements; the only one there is."""

_WORD64 = 2**64
_STRING, _INTEGER, _DRAW = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Key:
    """The name of one random stream: `value(key, i)` is a pure function of the key and the element's index.

    Args:
        seed: integer in 0 .. 2^64 - 1, the Philox key.
        stream: integer in 0 .. 2^64 - 1, the upper half of the Philox counter; usually left to `fold_in`.

    Raises:
        TypeError: `seed` or `stream` is not an integer (a bool is not one).
        ValueError: it is out of range.

    Equal keys give equal bits on every backend. Source: Salmon et al. (2011), Philox4x32-10.
    """

    seed: int
    stream: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", word64(self.seed, "seed"))
        object.__setattr__(self, "stream", word64(self.stream, "stream"))

    def fold_in(self, data: str | int) -> Key:
        """A key of its own for `data`: same seed, stream = BLAKE2b-8(stream, domain, data).

        Args:
            data: a name, or an integer in 0 .. 2^64 - 1.

        Returns:
            A new Key. `fold_in("a")` and `fold_in("b")` are independent streams; the order of folding matters.
        """
        if isinstance(data, str):
            return self._fold(_STRING, data.encode())
        return self._fold(_INTEGER, word64(data, "data").to_bytes(8, "little"))

    def draw(self, number: int) -> Key:
        """The key of a SeedGenerator's draw: draw 0 is the key itself."""
        number = word64(number, "number")
        return self if number == 0 else self._fold(_DRAW, number.to_bytes(8, "little"))

    def _fold(self, domain: int, data: bytes) -> Key:
        import hashlib  # here, because it loads OpenSSL

        message = self.stream.to_bytes(8, "little") + bytes([domain]) + data
        return Key(self.seed, int.from_bytes(hashlib.blake2b(message, digest_size=8).digest(), "little"))

    def get_config(self) -> dict[str, int]:
        """The key as a dict that JSON can hold."""
        return {"contract": CONTRACT, "seed": self.seed, "stream": self.stream}

    @classmethod
    def from_config(cls, config: dict[str, int]) -> Key:
        """The key that `get_config` wrote; ValueError where another contract wrote it."""
        check_contract(config)
        return cls(**{name: value for name, value in config.items() if name != "contract"})


class SeedGenerator:
    """A source of keys: each call of an initializer that holds it draws a new one.

    Args:
        seed: None (one seed from the operating system), an integer in 0 .. 2^64 - 1, or a Key.

    Draw 0 is `Key(seed)` itself, so the first tensor equals that of the int seed; draw n folds n in. Threads may share
    one. A copy, pickled or not, and a forked child go on from the count there was; they draw what the original draws.
    """

    def __init__(self, seed: int | Key | None = None) -> None:
        self.key = seed if isinstance(seed, Key) else Key(random_seed() if seed is None else seed)
        self._numbers = itertools.count()  # next() is atomic; a lock that another thread holds would stay locked in a fork

    @property
    def _draws(self) -> int:
        return int(repr(self._numbers).removeprefix("count(").removesuffix(")"))  # the one way to look without drawing

    def next_key(self) -> Key:
        """The key of the next draw."""
        return self.key.draw(next(self._numbers))

    def get_config(self) -> dict[str, int]:
        """The configuration it starts from: a copy made from it draws from the beginning, as in Keras."""
        return self.key.get_config()

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SeedGenerator:
        """From `get_config()`, or from what Keras wrote for its own SeedGenerator (seed and name)."""
        check_contract(config)
        known = {name: value for name, value in config.items() if name in ("seed", "stream")}
        unknown = set(config) - {"seed", "stream", "contract", "name"}
        if unknown:
            raise TypeError(f"SeedGenerator: unknown configuration {sorted(unknown)}; it takes seed and stream")
        return cls(Key(**known) if known.get("seed") is not None else None)

    def __repr__(self) -> str:
        return f"SeedGenerator({self.key!r}, draws={self._draws})"

    def __getstate__(self) -> tuple[Key, int]:
        return self.key, self._draws

    def __setstate__(self, state: tuple[Key, int]) -> None:
        self.key, draws = state
        self._numbers = itertools.count(draws)


def random_seed() -> int:
    """One seed from the operating system."""
    return int.from_bytes(os.urandom(8), "little")


def word64(value: Any, name: str) -> int:
    """`value` as an int in 0 .. 2^64 - 1, or an error that names the argument."""
    number = integer(value, name)
    if not 0 <= number < _WORD64:
        raise ValueError(f"{name}={shown(number)} is out of range: it must be an integer in 0 .. 2^64 - 1")
    return number


def integer(value: Any, name: str) -> int:
    """`value` as an int (NumPy integers too, bool not), or a TypeError that names the argument."""
    if isinstance(value, bool) or type(value).__name__ in ("bool", "bool_"):
        raise TypeError(f"{name}={value!r} is a bool: it must be an integer")
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name}={value!r} is not an integer") from None


def shown(number: int) -> str:
    """An integer for a message: its digits, or about how large it is (Python refuses to write thousands of digits)."""
    if number.bit_length() <= 256:
        return str(number)
    return f"about {'-' if number < 0 else ''}10^{round(number.bit_length() * 0.30103)}"


def check_contract(config: dict[str, Any]) -> None:
    """Refuse what another version of the stream contract wrote."""
    contract = config.get("contract", CONTRACT)
    if contract != CONTRACT:
        raise ValueError(f"contract={contract!r}: this release implements contract {CONTRACT} only, and its values would differ")
