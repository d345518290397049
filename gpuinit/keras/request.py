"""What one call of an initializer asks for: the core's initializer, a shape, a dtype, and the key that it draws from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import gpuinit
from gpuinit.key import Key

__all__ = ["Request"]


@dataclass(frozen=True)
class Request:
    """A tensor that Keras asks for.

    Args:
        make: the core's initializer for a key; None where nothing is drawn.
        shape: that was asked for. dtype: by its name.
        key: what is drawn from, or None where nothing is, or where a generator says it.
        generator: the keras.random.SeedGenerator that is drawn from, or None.
        layout: how JAX distributes it over devices, or None.
    """

    make: Callable[[Key | None], gpuinit.Initializer]
    shape: tuple[int, ...]
    dtype: str
    key: Key | None = None
    generator: Any = None
    layout: Any = None

    def next_state(self) -> Any:
        """The generator's state, which advances; None where there is no generator.

        It is a tensor (seed, number of the draw) of Keras' backend, which a traced function may only know when it runs.
        """
        return None if self.generator is None else self.generator.next()

    def initializer(self, state: Any = None) -> gpuinit.Initializer:
        """The core's initializer, for the key or for the state of a generator, whose values are known here."""
        return self.make(self.key if state is None else _key(np.asarray(state)))

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Of the tensor that is made: another than `shape` for STFT alone."""
        return self.make(None).output_shape(self.shape)

    def array(self, state: Any = None, *, device: str = "cpu") -> Any:
        """The values on one of gpuinit's devices."""
        return self.initializer(state)(self.shape, self.dtype, device=device)


def _key(state: np.ndarray[Any, Any]) -> Key:
    """Draw n of seed s. Backends keep the two as int32, uint32 or int64: a negative seed stands for its bits."""
    seed, number = state.view(f"u{state.itemsize}").tolist()
    return Key(seed).draw(number)
