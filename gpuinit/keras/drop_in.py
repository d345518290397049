"""What all initializers here add to Keras' own: the values, the seeds, and configs that lose nothing."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable
from typing import Any, ClassVar, Self

import keras

import gpuinit
from gpuinit import dtypes
from gpuinit.keras.request import Request
from gpuinit.keras.seeds import checked_seed
from gpuinit.key import Key
from gpuinit.region import checked_shape

__all__ = ["DropIn", "drop_in"]

_BACKENDS = ("jax", "numpy", "tensorflow", "torch")


class DropIn:
    """Mixed into a subclass of a Keras initializer, which then makes gpuinit's values; arguments and attributes are Keras'.

    Attributes:
        core: the core's initializer, which decides the values. reads: the attributes that it takes, beside the seed.
    """

    core: ClassVar[Callable[..., gpuinit.Initializer]]
    reads: ClassVar[tuple[str, ...]] = ()

    def __call__(self, shape: Any, dtype: Any = None, layout: Any = None) -> Any:
        """Make the tensor.

        Args:
            shape: its dimensions, integers >= 0.
            dtype: element type, by name or as the backend's dtype object; None means `keras.config.floatx()`.
            layout: on JAX, a `keras.distribution.TensorLayout` or a JAX sharding: each device makes its own shard. Keras passes
                it under a `keras.distribution`.

        Returns:
            A new tensor of Keras' backend, on Keras' device. Its values are bit-equal to those of the core's initializer of the
            same name, arguments and seed (Identity: placement="corner"), on every backend.

        Raises:
            TypeError, ValueError: an argument is wrong; a SeedGenerator has not advanced then.
        """
        name, dimensions = keras.backend.standardize_dtype(dtype), checked_shape(shape)
        if layout is not None and keras.backend.backend() != "jax":
            raise ValueError(
                f"layout={layout!r}: Keras distributes variables on JAX alone, and runs on {keras.backend.backend()}"
            )
        seed = checked_seed(getattr(self, "seed", None))
        self.initializer().law(dimensions, dtypes.canonical(name))  # refuses what it must before anything is drawn
        if isinstance(seed, keras.random.SeedGenerator):
            asked = Request(self.initializer, dimensions, name, generator=seed, layout=layout)
        else:
            key = Key(seed) if isinstance(seed, int) else seed
            asked = Request(self.initializer, dimensions, name, key=key, layout=layout)
        return _backend().tensor(asked)

    def initializer(self, key: Key | None = None) -> gpuinit.Initializer:
        """The core's initializer of the present attributes, drawing from `key`; None stands for any key, to check arguments."""
        arguments = {name: getattr(self, name) for name in self.reads}
        if hasattr(self, "seed"):
            arguments["seed"] = Key(0) if key is None else key
        return type(self).core(**arguments)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as Keras' own class writes them."""
        config: dict[str, Any] = super().get_config()  # type: ignore[misc]
        if isinstance(getattr(self, "seed", None), Key):
            config["seed"] = keras.saving.serialize_keras_object(self.seed)  # type: ignore[attr-defined]
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The initializer of `get_config()`, or of a config that Keras wrote for its class of the same name."""
        return cls(**{name: _decoded(value) for name, value in config.items()})


def drop_in(kind: type[DropIn]) -> type[DropIn]:
    """Decorate a class of Keras' name: Keras' constructor with its signature, its arguments checked; registered for saving."""
    theirs = getattr(keras.initializers, kind.__name__).__init__
    if theirs is not object.__init__:
        signature = inspect.signature(theirs)

        @functools.wraps(theirs)
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
            arguments = signature.bind(self, *args, **kwargs).arguments
            seed = checked_seed(arguments.get("seed"))
            if "seed" in arguments:
                arguments["seed"] = 0 if isinstance(seed, Key) else seed  # Keras knows no Key
            theirs(**arguments)
            if isinstance(seed, Key):
                self.seed = seed
            self.initializer()  # what the core refuses is refused now

        kind.__init__ = __init__  # type: ignore[method-assign]
    decorated: type[DropIn] = keras.saving.register_keras_serializable(package="gpuinit")(kind)
    return decorated


def _decoded(value: Any) -> Any:
    is_config = isinstance(value, dict) and value.get("class_name") != "Key"
    return keras.saving.deserialize_keras_object(value) if is_config else value


def _backend() -> Any:
    """The module of Keras' backend, loaded when it is first used: no other backend's package is."""
    name = keras.backend.backend()
    if name not in _BACKENDS:
        raise ValueError(f"Keras runs on {name}: gpuinit.keras makes tensors of {', '.join(_BACKENDS)}")
    return importlib.import_module(f"gpuinit.keras.on_{name}")
