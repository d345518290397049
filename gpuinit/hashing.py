"""The one hash of a tensor's bits, and a digest that adds statistics to it, both taken in chunks and in any order.

    hash = sum over elements i of mix(i, bits of element i)   modulo 2^64

    mix(index, bits):  x = index 0x9E3779B97F4A7C15 + bits 0xD6E8FEB86659FD93
                       x ^= x >> 32;  x *= 0xD6E8FEB86659FD93;  x ^= x >> 32;  x *= 0xD6E8FEB86659FD93;  x ^= x >> 32

in unsigned 64-bit arithmetic. `index` is the element's linear index in the logical tensor, `bits` its bit pattern,
extended by zeros to 64 bits; complex element i counts as its parts, elements 2i and 2i + 1. As a sum it does not depend
on order: the hashes of chunks, shards and devices add up to that of the whole. It finds errors and differences; it is
not cryptographic.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from gpuinit.backends import digest
from gpuinit.backends.cuda import devices
from gpuinit.backends.cuda.arrays import is_on_gpu
from gpuinit.kernels.mixing import BITS_FACTOR, INDEX_FACTOR

__all__ = ["Digest", "Measure", "element_hash", "measure"]

_MASK = 2**64 - 1
_CHUNK = 1 << 13
_HALF = np.uint64(32)
_FACTOR = np.uint64(BITS_FACTOR)

Array = np.ndarray[Any, Any]


def element_hash(array: Array, start: int = 0) -> int:
    """The hash of the elements of `array`, in 0 .. 2^64 - 1.

    Args:
        array: of any shape, strides and dtype of at most 64 bits, or complex; its elements count in C order. Of NumPy, or
            on a GPU (CuPy's or any with `__dlpack__`): then it is hashed there, without a copy.
        start: the logical index of its first element, >= 0; element j has index start + j.

    Returns:
        0 for an empty array. Hashes of parts, each with its own start, add modulo 2^64 to the hash of the whole.
    """
    if is_on_gpu(array):
        return devices.owner(array).element_hash(array, start)
    total = 0
    for part, index, step in _components(array, start):
        for begin in range(0, part.size, _CHUNK):
            total += _chunk_hash(_piece(part, begin), index + begin * step, step)
    return total & _MASK


class Measure(NamedTuple):
    """What `measure` finds: hash, mean, sum of squared distances from the mean, least and greatest value."""

    hash: int
    mean: float
    spread: float
    min: float
    max: float


def measure(values: Array, start: int, step: int) -> Measure:
    """Hash and statistics, in float64, of a non-empty 1-D real array.

    Args:
        values: of any stride. start, step: its element j has index start + j step, modulo 2^64.
    """
    whole = Digest()
    pieces = digest.measure(values, start, step) if digest.worthwhile(values) else None
    if pieces is not None:
        for piece in pieces:
            whole.add(*piece)
        return whole.measure()
    for begin in range(0, values.size, _CHUNK):
        chunk = values[begin : begin + _CHUNK]
        numbers = chunk.astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            mean = float(numbers.mean())
            low, high = float(numbers.min()), float(numbers.max())
            numbers -= mean
            np.square(numbers, out=numbers)
            spread = float(numbers.sum())
        found = Measure(_chunk_hash(chunk, start + begin * step, step), mean, spread, low, high)
        whole.add(found.hash, chunk.size, mean, spread, low, high)
    return whole.measure()


class Digest:
    """Hash, count, mean, standard deviation, least and greatest value of the elements seen so far.

    Attributes:
        hash: of the elements, as `element_hash`. count: how many they are.
        mean: 0.0 before the first element; complex for a complex dtype.
        min, max: inf and -inf before the first element; NaN once a NaN was seen, and for complex dtypes.
    """

    __slots__ = ("count", "hash", "max", "mean", "min", "spread")

    def __init__(self) -> None:
        self.hash = 0
        self.count = 0
        self.mean: float | complex = 0.0
        self.spread = 0.0
        self.min, self.max = math.inf, -math.inf

    def update(self, array: Array, start: int = 0) -> None:
        """Take in the elements of `array`, the first of which has logical index `start`; see `element_hash`."""
        if array.size == 0:
            return
        parts = [measure(_flat(part), index, step) for part, index, step in _components(array, start)]
        real, last = parts[0], parts[-1]
        if len(parts) == 1:
            self.add(real.hash, array.size, real.mean, real.spread, real.min, real.max)
        else:
            mean, spread = complex(real.mean, last.mean), real.spread + last.spread
            self.add(real.hash + last.hash, array.size, mean, spread, math.nan, math.nan)

    def add(self, hash: int, count: int, mean: float | complex, spread: float, low: float, high: float) -> None:
        """Take in `count` > 0 elements by their own digest (Chan, Golub and LeVeque, 1979)."""
        before, self.count = self.count, self.count + count
        distance = mean - self.mean
        self.hash = (self.hash + hash) & _MASK
        self.mean = mean if before == 0 else self.mean + distance * (count / self.count)
        square = distance.real * distance.real + distance.imag * distance.imag
        self.spread += spread + (square * (before / self.count * count) if before else 0.0)
        self.min = min(self.min, low) if low == low else low
        self.max = max(self.max, high) if high == high else high

    def measure(self) -> Measure:
        """What it has found so far, of real elements."""
        return Measure(self.hash, float(self.mean.real), self.spread, self.min, self.max)

    @property
    def std(self) -> float:
        """sqrt(E|x - mean|^2), of a complex dtype over both parts; 0.0 before the first element."""
        return math.sqrt(self.spread / self.count) if self.count and self.spread == self.spread else self.spread


def _components(array: Array, start: int) -> list[tuple[Array, int, int]]:
    """The real arrays that an array consists of, each with its first element's index and the step between indices."""
    if array.dtype.kind == "c":
        return [(array.real, 2 * start, 2), (array.imag, 2 * start + 1, 2)]
    return [(array, start, 1)]


def _flat(array: Array) -> Array:
    """The elements in one axis: a view wherever the strides allow one."""
    return array.reshape(-1)


def _piece(array: Array, begin: int) -> Array:
    """A chunk of the elements in C order, without copying more of the array than that."""
    if array.ndim == 1 or array.flags.c_contiguous:
        return _flat(array)[begin : begin + _CHUNK]
    return np.asarray(array.flat[begin : begin + _CHUNK])


def _chunk_hash(piece: Array, start: int, step: int) -> int:
    x: Array = np.arange(piece.size, dtype=np.uint64)
    x *= np.uint64(INDEX_FACTOR * step & _MASK)
    x += np.uint64(INDEX_FACTOR * start & _MASK)
    bits = piece.view(f"u{piece.dtype.itemsize}").astype(np.uint64)
    bits *= _FACTOR
    x += bits
    for _ in range(2):
        np.right_shift(x, _HALF, out=bits)
        x ^= bits
        x *= _FACTOR
    np.right_shift(x, _HALF, out=bits)
    x ^= bits
    return int(x.sum(dtype=np.uint64))
