"""One way of making tensors under test: how it is asked, from which seed, and how much of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuinit import backends, dtypes, verification
from gpuinit.backends import Backend
from gpuinit.backends.cuda import probe
from gpuinit.initializers import Initializer
from gpuinit.key import Key
from gpuinit.region import Region

__all__ = ["QUICK", "QUICK_NUMPY", "THOROUGH", "THOROUGH_NUMPY", "Effort", "Trial", "trials"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Effort:
    """Sizes of samples.

    Attributes:
        values: of each law in each dtype. many: of the one large sample. pairs: of each sample for independence.
        counters: for each input bit of the avalanche. words: for frequencies of bits. birthdays: repetitions.
        matrices: orthogonal ones of a stack. single: of those made one by one.
        vectors: seconds after which no further golden vector is begun.
    """

    values: int
    many: int
    pairs: int
    counters: int
    words: int
    birthdays: int
    matrices: int
    single: int
    vectors: float


QUICK = Effort(2**16, 2**26, 2**19, 2**11, 2**18, 64, 4000, 400, 5.0)
QUICK_NUMPY = Effort(2**13, 2**19, 2**15, 2**9, 2**15, 8, 400, 100, 5.0)
THOROUGH = Effort(2**22, 2**31, 2**23, 2**14, 2**22, 1024, 20000, 4000, math.inf)
THOROUGH_NUMPY = Effort(2**17, 2**23, 2**19, 2**12, 2**18, 64, 4000, 400, math.inf)


@dataclass(frozen=True, slots=True)
class Trial:
    """A way of making tensors, with the seed and the sizes of its samples.

    Samples have keys of their own, which fold in the way's name: those of two ways are independent, although both would give the
    same bits for the same key.
    """

    way: str
    backend: Backend
    seed: int
    effort: Effort

    def key(self, *names: str) -> Key:
        """The key of a sample."""
        key = Key(self.seed).fold_in(self.way)
        for name in names:
            key = key.fold_in(name)
        return key

    def draw(self, initializer: Initializer, shape: tuple[int, ...], dtype: Any, *, block: Any = None, rows: Any = None) -> Array:
        """The tensor of an initializer that holds a key, or a part of it, by this way, in host memory."""
        kind = dtypes.canonical(dtype)
        law, key = initializer.law(shape, kind), initializer.key_source()
        assert isinstance(key, Key)
        region = Region.of(shape, block, rows, self.backend.checked_rows)
        [made] = self.backend.chunks(law, key, kind, [region], region.size * kind.itemsize)
        return made

    def generator(self, *names: str) -> np.random.Generator:
        """NumPy's generator for what a test itself draws; the same for the same names."""
        key = self.key("generator", *names)
        return np.random.default_rng([key.seed, key.stream])


def trials(devices: list[str] | None, seed: int, thorough: bool) -> list[Trial]:
    """All ways that are here: of the CPU NumPy and, where Numba works, compiled code; each GPU.

    Args:
        devices: only those of these devices, "cpu" or "cuda:N".
        seed: 0 .. 2^64 - 1. thorough: samples for minutes in place of seconds.

    Raises:
        ValueError, DeviceError: a device is none, or cannot be used.
    """
    numpy, fast = (THOROUGH_NUMPY, THOROUGH) if thorough else (QUICK_NUMPY, QUICK)
    if devices is None:
        found = probe.status()
        gpus = [f"cuda:{device.number}" for device in found.devices if found.usable and not device.problem]
        devices = ["cpu", *gpus]
    made = []
    for device in dict.fromkeys(devices):
        if device == "cpu":
            ways = verification.cpu_ways()
            made += [Trial(name, way, seed, numpy if name.endswith("NumPy") else fast) for name, way in ways.items()]
        else:
            backend = backends.select(device)
            made.append(Trial(backend.device, backend, seed, fast))
    return made
