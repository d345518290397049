"""What functions of this package draw from: a seed of gpuinit's, or PyTorch's generators, so that torch.manual_seed governs."""

from __future__ import annotations

from typing import Any

import torch

from gpuinit import Key, SeedGenerator
from gpuinit.initializers import Initializer, RandomInitializer
from gpuinit.initializers.seeds import key_source

__all__ = ["TorchSeeds", "base_key", "has_own_seed", "source"]


class TorchSeeds(SeedGenerator):
    """Keys whose seeds are drawn from a generator of PyTorch's, 64 bits each, when they are asked for.

        seed = torch.empty((), dtype=torch.int64, device=generator.device).random_(-2**63, None, generator=generator) mod 2^64

    Args:
        generator: None means the default one of the CPU, which `torch.manual_seed` sets. A GPU's generator draws there, and the
            host waits for it.
    """

    def __init__(self, generator: torch.Generator | None = None) -> None:
        if not (generator is None or isinstance(generator, torch.Generator)):
            raise TypeError(f"generator={generator!r} is a {type(generator).__name__}: it must be a torch.Generator or None")
        self.generator = generator

    def next_key(self) -> Key:
        """The key of one 64-bit seed, drawn now."""
        device = "cpu" if self.generator is None else self.generator.device
        word = torch.empty((), dtype=torch.int64, device=device)
        return Key(int(word.random_(-(2**63), None, generator=self.generator)) % 2**64)

    def __repr__(self) -> str:
        return f"TorchSeeds({self.generator!r})"


def source(seed: Any, generator: Any = None) -> Key | SeedGenerator:
    """What a call draws from, of its arguments `seed` and `generator`; nothing is drawn yet.

    Raises:
        ValueError: both are given, or `seed` is no seed. TypeError: `generator` is not a torch.Generator.
    """
    if seed is None:
        return TorchSeeds(generator)
    if generator is not None:
        raise ValueError(f"seed={seed!r} and generator={generator!r}: values can be drawn from one of them, so give one")
    return key_source(seed)


def base_key(seed: Any) -> Key:
    """The Key that `seed` is or names, from which names are folded; ValueError if it is anything else, a SeedGenerator too."""
    key = key_source(seed)
    if not isinstance(key, Key):
        raise ValueError(
            f"seed={seed!r} draws a new key at every use, so no name would have a key of its own: give an integer or a Key"
        )
    return key


def has_own_seed(initializer: Initializer) -> bool:
    """Whether the initializer was given a seed, rather than left to draw one from the operating system."""
    if isinstance(initializer, RandomInitializer):
        return RandomInitializer.get_config(initializer)["seed"] is not None
    return getattr(initializer, "seed", None) is not None
