"""The base classes of every initializer: from what it states to values in memory."""

from __future__ import annotations

import functools
import reprlib
from typing import Any, Self

from gpuinit import arrays, backends, dtypes
from gpuinit.distributions import Distribution
from gpuinit.initializers.seeds import deserialize_seed, key_source, own_seed
from gpuinit.key import Key, SeedGenerator, random_seed
from gpuinit.region import Region, checked_shape
from gpuinit.structures import Structure

__all__ = ["Initializer", "RandomInitializer", "check_parts"]


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
        raise _needs_the_hook(type(self))

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """A class that overrides `__call__` alone still answers for block= and rows=: by an error, not by the whole tensor."""
        super().__init_subclass__(**kwargs)
        if "__call__" not in vars(cls) or "distribution" in vars(cls):
            return
        call = vars(cls)["__call__"]

        @functools.wraps(call)
        def checked(self: Any, *args: Any, **options: Any) -> Any:
            if options.get("block") is not None or options.get("rows") is not None:
                raise _needs_the_hook(type(self))
            return call(self, *args, **options)

        cls.__call__ = checked  # type: ignore[method-assign]

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
                full. For a GPU it may lie there, int32 or int64.

        Returns:
            A new array of the part's shape: NumPy's on the CPU, CuPy's on a GPU, filled on CuPy's current stream;
            C-contiguous and 64-byte aligned. A random tensor's bits are those of the same part of the whole, on every
            backend.

        Raises:
            TypeError, ValueError: an argument is wrong; the message names it, its value and what would be right.
            IndexError: a row id is out of range. DeviceError: the device cannot be used; the message says why.
            MemoryError: there is no room; the message says how many bytes were asked for and are free.
        """
        logical = checked_shape(shape)
        kind = dtypes.canonical(dtype)
        law = self.law(logical, kind)
        backend = backends.select(device)
        region = Region.of(self.output_shape(logical), block, rows, backend.checked_rows)
        out = backend.empty(region.counts, kind)
        backend.fill(out, law, region, self._key(law, block is not None or rows is not None))
        return out

    def fill(self, out: Any, *, shape: Any = None, block: Any = None, rows: Any = None) -> Any:
        """Write the tensor, or the part of it that `block` and `rows` name, into an existing array.

        Args:
            out: a writable array, contiguous or strided, of the part's shape; its dtype is the element type. NumPy's,
                CuPy's, or any on a GPU with `__dlpack__` or `__cuda_array_interface__`: it is filled where it lies.
            shape: the logical tensor's dimensions; None means those of `out`. Required with `block` or `rows`.
            block, rows: as in a call.

        Returns:
            `out`. No temporary of its size is made. Its bits are those of the same part of the whole tensor.

        Raises:
            TypeError, ValueError, IndexError: as in a call, or `out` is read-only, overlaps itself or has another
                shape; then nothing has been written.
        """
        check_parts(self)
        backend, target = backends.owner(out)
        if shape is None and (block is not None or rows is not None):
            raise ValueError("fill: shape= is required with block= or rows=; it is the logical tensor's, not out's")
        logical = checked_shape(target.shape if shape is None else shape)
        law = self.law(logical, dtypes.canonical(target.dtype))
        region = Region.of(self.output_shape(logical), block, rows, backend.checked_rows)
        if target.shape != region.counts:
            raise ValueError(f"out has shape {target.shape}, and the part to fill has shape {region.counts}")
        backend.fill(target, law, region, self._key(law, block is not None or rows is not None))
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
        if isinstance(law, Structure):
            law.check(dtype)
            return law
        if not hasattr(law, "sampler"):
            raise TypeError(
                f"{type(self).__name__}.distribution returned {law!r}: it must return a value of gpuinit.distributions "
                "or gpuinit.structures"
            )
        return law.sampler(dtype)

    def _key(self, law: Any, part: bool) -> Key | None:
        """The key of a call, None if nothing is drawn; taken last, when nothing can fail any more. `part`: block or rows."""
        if not _is_random(law):
            return None
        source = self.key_source()
        if isinstance(source, Key):
            return source
        if part:
            raise ValueError(
                "seed is a SeedGenerator, which draws a new key at every call, so parts would not fit together; "
                "with block= or rows= use seed=gpuinit.Key(...), or a gpuinit.Table, which draws once"
            )
        return source.next_key()

    def key_source(self) -> Key | SeedGenerator:
        """The Key or SeedGenerator that calls draw from: the attribute `seed` of a user's class, else a seed of this instance."""
        seed = getattr(self, "seed", None)
        return key_source(own_seed(self) if seed is None else seed)


def check_parts(initializer: Initializer) -> None:
    """Refuse (TypeError) an initializer that overrides `__call__` alone: nobody knows what parts of its tensor are."""
    if _overrides_call_alone(type(initializer)):
        raise _needs_the_hook(type(initializer))


def _overrides_call_alone(kind: type[Initializer]) -> bool:
    """Whether a call makes something else than `distribution` states: the nearest class that has either has `__call__` only."""
    nearest = next(base for base in kind.__mro__ if "__call__" in vars(base) or "distribution" in vars(base))
    return "distribution" not in vars(nearest)


def _needs_the_hook(kind: type[Initializer]) -> TypeError:
    return TypeError(
        f"{kind.__name__} overrides __call__ alone; fill, block= and rows= need distribution(shape), "
        "which returns a value of gpuinit.distributions or gpuinit.structures"
    )


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
        self.seed = seed

    def get_config(self) -> dict[str, Any]:
        seed = self._init_seed
        if isinstance(seed, (Key, SeedGenerator)):
            return {"seed": {"class_name": type(seed).__name__, "config": seed.get_config()}}
        return {"seed": None if seed is None else int(seed)}

    @property
    def seed(self) -> int | Key | SeedGenerator:
        """What calls draw from: the seed given, or the one drawn for None."""
        if self._init_seed is None:
            return self._source.seed if isinstance(self._source, Key) else self._source
        return self._init_seed

    @seed.setter
    def seed(self, seed: int | Key | SeedGenerator | dict[str, Any] | None) -> None:
        self._init_seed = deserialize_seed(seed) if isinstance(seed, dict) else seed
        self._source = key_source(random_seed() if seed is None else self._init_seed)

    def key_source(self) -> Key | SeedGenerator:
        """The Key or SeedGenerator that calls draw from."""
        try:
            return self._source
        except AttributeError:
            raise TypeError(f"{type(self).__name__}.__init__ must call super().__init__(seed)") from None
