"""The base classes of every initializer: from what it states to values in memory."""

from __future__ import annotations

from typing import Any, Self

from gpuinit import backends, dtypes
from gpuinit.distributions import Distribution
from gpuinit.key import Key, SeedGenerator, random_seed
from gpuinit.region import Region, checked_shape
from gpuinit.structures import Structure

__all__ = ["Initializer", "RandomInitializer"]


class Initializer:
    """Base class of weight initializers.

    A subclass states what it makes in `distribution(shape)`; values, blocks, rows, in-place fills and every backend follow from that.
    A subclass that overrides `__call__` instead works as in Keras, without `fill`, `block=` and `rows=`.
    """

    def distribution(self, shape: tuple[int, ...]) -> Distribution | Structure:
        """What the tensor consists of; the hook that subclasses implement.

        Args:
            shape: the whole logical tensor's dimensions, whatever part of it is wanted.

        Returns:
            A value of `gpuinit.distributions` (random) or of `gpuinit.structures`.
        """
        if type(self).__call__ is Initializer.__call__:
            raise NotImplementedError(f"{type(self).__name__} must implement distribution(shape), or __call__(shape, dtype) as in Keras")
        raise TypeError(
            f"{type(self).__name__} overrides __call__ alone; fill, block= and rows= need distribution(shape), "
            "which returns a value of gpuinit.distributions or gpuinit.structures"
        )

    def __call__(self, shape: Any, dtype: Any = None, *, device: str | None = None, block: Any = None, rows: Any = None) -> Any:
        """Make the tensor, or the part of it that `block` and `rows` name.

        Args:
            shape: logical dimensions, integers >= 0, at most 2^63 elements; with `block` or `rows` it may exceed any memory.
            dtype: element type, a name or a dtype object; None means `gpuinit.default_dtype()`.
            device: "cpu", "cuda" or "cuda:N"; None means `gpuinit.default_device()`.
            block: a tuple of slices of the logical tensor, 0 <= start <= stop <= dimension, step 1; missing ones are full.
            rows: 1-D integer array of row ids, any order, repeats allowed; it picks axis 0, where `block` must then be full.

        Returns:
            A new array of the part's shape: C-contiguous and 64-byte aligned. A random tensor's bits are those of the same part of
            the whole, on every backend.

        Raises:
            TypeError, ValueError: an argument is wrong; the message names it, its value and what would be right.
            IndexError: a row id is out of range.
        """
        logical = checked_shape(shape)
        kind = dtypes.canonical(dtype)
        region = Region.of(logical, block, rows)
        law = self._law(logical, kind)
        backend = backends.select(device)
        out = backend.empty(region.counts, kind)
        backend.fill(out, law, region, self._key(region))
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
            TypeError, ValueError, IndexError: as in a call, or `out` is read-only, overlaps itself or has another shape; then
            nothing has been written.
        """
        backend, kind = backends.owner(out)
        if shape is None and (block is not None or rows is not None):
            raise ValueError("fill: shape= is required with block= or rows=; it is the logical tensor's, not out's")
        logical = checked_shape(out.shape if shape is None else shape)
        region = Region.of(logical, block, rows)
        if tuple(out.shape) != region.counts:
            raise ValueError(f"out has shape {tuple(out.shape)}, and the part to fill has shape {region.counts}")
        backend.fill(out, self._law(logical, kind), region, self._key(region))
        return out

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON can hold them."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """An initializer from `get_config()`."""
        return cls(**config)

    def clone(self) -> Self:
        """A new initializer of the same configuration."""
        return type(self).from_config(self.get_config())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.get_config().items())})"

    def _law(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """What a backend fills with: the sampler of a distribution, or a structure as it is."""
        law = self.distribution(shape)
        if isinstance(law, Structure):
            return law
        if dtype.name not in dtypes.RANDOM:
            raise ValueError(f"dtype={dtype.name}: {type(self).__name__} draws random numbers and makes {', '.join(dtypes.RANDOM)}")
        return law.sampler(dtype)

    def _key(self, region: Region) -> Key | None:
        """The key that a call draws from; called last, when nothing can fail any more."""
        return None


class RandomInitializer(Initializer):
    """Base class of initializers that draw random numbers.

    Args:
        seed: None: one seed from the operating system, drawn here, so calls repeat and a clone differs. An integer in
            0 .. 2^64 - 1 or a Key: the same tensor at every call. A SeedGenerator: a new key at every call.
    """

    def __init__(self, seed: int | Key | SeedGenerator | dict[str, Any] | None = None) -> None:
        if isinstance(seed, dict):
            seed = _deserialize_seed(seed)
        self._init_seed = seed
        self.seed = random_seed() if seed is None else seed
        self._source = self.seed if isinstance(self.seed, (Key, SeedGenerator)) else Key(self.seed)

    def get_config(self) -> dict[str, Any]:
        seed = self._init_seed
        if isinstance(seed, (Key, SeedGenerator)):
            return {"seed": {"class_name": type(seed).__name__, "config": seed.get_config()}}
        return {"seed": None if seed is None else int(seed)}

    def _key(self, region: Region) -> Key:
        if isinstance(self._source, Key):
            return self._source
        if not region.whole:
            raise ValueError(
                "seed is a SeedGenerator, which draws a new key at every call, so parts would not fit together; "
                "with block= or rows= use seed=gpuinit.Key(...), or a gpuinit.Table, which draws once"
            )
        return self._source.next_key()


def _deserialize_seed(config: dict[str, Any]) -> Key | SeedGenerator:
    kinds = {"Key": Key, "SeedGenerator": SeedGenerator}
    kind = kinds.get(str(config.get("class_name")))
    if kind is None:
        raise ValueError(f"seed={config!r}: a serialized seed has class_name 'Key' or 'SeedGenerator'")
    return kind.from_config(config.get("config", {}))
