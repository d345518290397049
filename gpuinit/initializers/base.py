"""The base classes of every initializer: from what it states to values in memory."""

from __future__ import annotations

import reprlib
import weakref
from typing import Any, Self

from gpuinit import arrays, backends, dtypes
from gpuinit.distributions import Distribution
from gpuinit.key import Key, SeedGenerator, random_seed
from gpuinit.region import Region, checked_shape
from gpuinit.structures import Structure

__all__ = ["Initializer", "RandomInitializer", "key_source"]


class Initializer:
    """Base class of weight initializers.

    A subclass states what it makes in `distribution(shape)`; values, blocks, rows, in-place fills and every backend
    follow from that. A subclass that overrides `__call__` instead works as in Keras, without `fill`, `block=` and
    `rows=`.
    """

    def distribution(self, shape: tuple[int, ...]) -> Distribution | Structure:
        """What the tensor consists of; the hook that subclasses implement.

        Args:
            shape: the whole logical tensor's dimensions, whatever part of it is wanted.

        Returns:
            A value of `gpuinit.distributions` (random) or of `gpuinit.structures`.
        """
        if type(self).__call__ is Initializer.__call__:
            raise NotImplementedError(
                f"{type(self).__name__} must implement distribution(shape), or __call__(shape, dtype) as in Keras"
            )
        raise TypeError(
            f"{type(self).__name__} overrides __call__ alone; fill, block= and rows= need distribution(shape), "
            "which returns a value of gpuinit.distributions or gpuinit.structures"
        )

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The dimensions of the whole tensor that `shape` asks for; another than `shape` for STFT alone."""
        return shape

    def __call__(self, shape: Any, dtype: Any = None, *, device: str | None = None, block: Any = None, rows: Any = None) -> Any:
        """Make the tensor, or the part of it that `block` and `rows` name.

        Args:
            shape: logical dimensions, integers >= 0, at most 2^63 elements; with `block` or `rows` it may exceed any
                memory.
            dtype: element type, a name or a dtype object; None means `gpuinit.default_dtype()`.
            device: "cpu", "cuda" or "cuda:N"; None means `gpuinit.default_device()`.
            block: a tuple of slices of the logical tensor, 0 <= start <= stop <= dimension, step 1; missing ones are
                full.
            rows: 1-D integer array of row ids, any order, repeats allowed; it picks axis 0, where `block` must then be
                full.

        Returns:
            A new array of the part's shape: C-contiguous and 64-byte aligned. A random tensor's bits are those of the
            same part of the whole, on every backend.

        Raises:
            TypeError, ValueError: an argument is wrong; the message names it, its value and what would be right.
            IndexError: a row id is out of range.
        """
        logical = checked_shape(shape)
        kind = dtypes.canonical(dtype)
        law = self.law(logical, kind)
        region = Region.of(self.output_shape(logical), block, rows)
        backend = backends.select(device)
        out = backend.empty(region.counts, kind)
        backend.fill(out, law, region, self._key(law, block is not None or rows is not None))
        return out

    def fill(self, out: Any, *, shape: Any = None, block: Any = None, rows: Any = None) -> Any:
        """Write the tensor, or the part of it that `block` and `rows` name, into an existing array.

        Args:
            out: a writable NumPy array, contiguous or strided, of the part's shape; its dtype is the element type.
            shape: the logical tensor's dimensions; None means those of `out`. Required with `block` or `rows`.
            block, rows: as in a call.

        Returns:
            `out`. No temporary of its size is made. Its bits are those of the same part of the whole tensor.

        Raises:
            TypeError, ValueError, IndexError: as in a call, or `out` is read-only, overlaps itself or has another
            shape; then nothing has been written.
        """
        backend, kind = backends.owner(out)
        if shape is None and (block is not None or rows is not None):
            raise ValueError("fill: shape= is required with block= or rows=; it is the logical tensor's, not out's")
        logical = checked_shape(out.shape if shape is None else shape)
        law = self.law(logical, kind)
        region = Region.of(self.output_shape(logical), block, rows)
        if tuple(out.shape) != region.counts:
            raise ValueError(f"out has shape {tuple(out.shape)}, and the part to fill has shape {region.counts}")
        backend.fill(out, law, region, self._key(law, block is not None or rows is not None))
        return out

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON can hold them."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """An initializer from `get_config()`, which JSON may have held, or from Keras' config of the same class."""
        return cls(**{name: arrays.decode(value) for name, value in config.items()})

    def clone(self) -> Self:
        """A new initializer of the same configuration."""
        return type(self).from_config(self.get_config())

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={reprlib.repr(value)}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({arguments})"

    def law(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """What a backend fills with: the sampler of a distribution in the dtype, or a structure as it is.

        Raises:
            ValueError: what a call would raise for this shape and dtype; nothing is made, and no key drawn.
        """
        law = self.distribution(shape)
        if _is_random(law) and not dtypes.is_random(dtype):
            raise ValueError(
                f"dtype={dtype.name}: {type(self).__name__} draws random numbers and makes {', '.join(dtypes.RANDOM)}"
            )
        return law if isinstance(law, Structure) else law.sampler(dtype)

    def _key(self, law: Any, part: bool) -> Key | None:
        """The key of a call, None if nothing is drawn; taken last, when nothing can fail any more. `part`: block or rows."""
        if not _is_random(law):
            return None
        source = self._key_source()
        if isinstance(source, Key):
            return source
        if part:
            raise ValueError(
                "seed is a SeedGenerator, which draws a new key at every call, so parts would not fit together; "
                "with block= or rows= use seed=gpuinit.Key(...), or a gpuinit.Table, which draws once"
            )
        return source.next_key()

    def _key_source(self) -> Key | SeedGenerator:
        """Where keys come from: the attribute `seed` of a user's class, else a seed drawn once for this instance."""
        seed = getattr(self, "seed", None)
        if seed is None:  # kept beside the instance, which may not gain attributes by being used
            seed = _SEEDS.setdefault(self, random_seed())
        return key_source(seed)


_SEEDS: weakref.WeakKeyDictionary[Initializer, int] = weakref.WeakKeyDictionary()


def _is_random(law: Any) -> bool:
    return not isinstance(law, Structure) or law.random


class RandomInitializer(Initializer):
    """Base class of initializers that draw random numbers.

    Args:
        seed: None: one seed from the operating system, drawn here, so calls repeat and a clone differs. An integer in
            0 .. 2^64 - 1 or a Key: the same tensor at every call. A SeedGenerator: a new key at every call. A dict: a
            serialized Key or SeedGenerator, Keras' own too.

    Raises:
        ValueError: `seed` is none of these (a bool is not one), or out of range.
    """

    def __init__(self, seed: int | Key | SeedGenerator | dict[str, Any] | None = None) -> None:
        if isinstance(seed, dict):
            seed = _deserialize_seed(seed)
        self._init_seed = seed
        self.seed = random_seed() if seed is None else seed
        self._source = key_source(self.seed)

    def get_config(self) -> dict[str, Any]:
        seed = self._init_seed
        if isinstance(seed, (Key, SeedGenerator)):
            return {"seed": {"class_name": type(seed).__name__, "config": seed.get_config()}}
        return {"seed": None if seed is None else int(seed)}

    def _key_source(self) -> Key | SeedGenerator:
        return self._source


def key_source(seed: Any) -> Key | SeedGenerator:
    """The Key or SeedGenerator that `seed` is or names; ValueError if it is neither of these nor an integer in range."""
    if isinstance(seed, (Key, SeedGenerator)):
        return seed
    try:
        return Key(seed)
    except TypeError as error:
        raise ValueError(f"{error}, or None, a Key or a SeedGenerator") from None


def _deserialize_seed(config: dict[str, Any]) -> Key | SeedGenerator:
    kinds: dict[str, Any] = {"Key": Key, "SeedGenerator": SeedGenerator}
    kind = kinds.get(str(config.get("class_name")))
    if kind is None:
        raise ValueError(f"seed={config!r}: a serialized seed has class_name 'Key' or 'SeedGenerator'")
    made: Key | SeedGenerator = kind.from_config(config.get("config", {}))
    return made
