"""What deterministic and orthogonal initializers state: small frozen values that know no dtype or backend."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from gpuinit import arrays, dtypes
from gpuinit.distributions import Normal
from gpuinit.key import Key
from gpuinit.region import Region

__all__ = ["Constant", "Diagonal", "Fourier", "Haar", "Sparse", "Structure", "Tap"]


class Structure:
    """A tensor that is not drawn element by element; each backend has a writer for each kind."""

    __slots__ = ()

    @property
    def random(self) -> bool:
        """Whether it has a key."""
        return False

    @property
    def divisible(self) -> bool:
        """Whether a block of it can be made without making the whole."""
        return True

    def check(self, dtype: np.dtype[Any]) -> None:
        """Refuse (ValueError) a dtype that cannot hold the values; what is not refused can be written."""


@dataclass(frozen=True, slots=True, eq=False)
class Constant(Structure):
    """One value everywhere, or an array broadcast to the tensor's shape."""

    value: Any

    def check(self, dtype: np.dtype[Any]) -> None:
        arrays.check(self.value, dtype)


@dataclass(frozen=True, slots=True)
class Diagonal(Structure):
    """`gain` on a diagonal of min(rows, columns) elements, zero elsewhere; the first is at (`row`, `column`).

    With a `period` > 0 it begins again in that column every `period` rows, and has min(period, columns) elements each time.
    """

    gain: float
    row: int
    column: int
    period: int | None = None

    def length(self, shape: tuple[int, ...]) -> int:
        """How many elements one diagonal of a matrix of this shape has."""
        return min(shape if self.period is None else (self.period, shape[1]))

    def check(self, dtype: np.dtype[Any]) -> None:
        arrays.check(self.gain, dtype)


@dataclass(frozen=True, slots=True, eq=False)
class Fourier(Structure):
    """kernel[t, 0, f] = window[t] cos(2 pi t f / F) ("real") or -window[t] sin(2 pi t f / F) ("imag").

    The transform's length is F = 2 (frequencies - 1).
    """

    side: Literal["real", "imag"]
    window: np.ndarray[Any, Any]

    def check(self, dtype: np.dtype[Any]) -> None:
        if self.window.size:
            most = max(float(self.window.max()), -float(self.window.min()))  # every value lies in [-most, most]
            arrays.check(np.array([most, -most]), dtype)


@dataclass(frozen=True, slots=True)
class Haar(Structure):
    """`gain` times a Haar-distributed (semi-)orthogonal matrix of shape (prod(shape[:-1]), shape[-1]), or a stack of them.

    `batch`: the axes that count the matrices, ascending, as `gpuinit.stack.Stack` has them.
    """

    gain: float
    method: Literal["auto", "qr", "svd"] = "auto"
    batch: tuple[int, ...] = ()

    @property
    def random(self) -> bool:
        return True

    @property
    def divisible(self) -> bool:
        return False

    def check(self, dtype: np.dtype[Any]) -> None:
        most = dtypes.largest(dtypes.component(dtype))
        if abs(self.gain) > most:
            raise ValueError(f"dtype={dtype.name} cannot hold gain={self.gain}: its finite values run to +-{most:.6g}")


@dataclass(frozen=True, slots=True)
class Tap(Structure):
    """A matrix at one place of the axes that are not its own, zero elsewhere: a convolution kernel with one tap.

    `matrix`: its values. `axes`: the axes that its rows and its columns lie along; where the first axis of the tensor is one of
    them, it is that of the rows. `at`: the place along each of the others.
    """

    matrix: Diagonal | Haar
    axes: tuple[int, int]
    at: tuple[int, ...]

    @property
    def random(self) -> bool:
        return self.matrix.random

    @property
    def divisible(self) -> bool:
        return self.matrix.divisible

    def check(self, dtype: np.dtype[Any]) -> None:
        self.matrix.check(dtype)

    def part(self, region: Region) -> tuple[list[tuple[int, ...]], Region]:
        """What a region has of the matrix: the places along the other axes, counted from the region's start, and which part.

        Rows that pick along another axis than the matrix' are in the host's memory; they may find the matrix repeatedly.
        """
        others = [axis for axis in range(len(region.logical)) if axis not in self.axes]
        found = []
        for axis, at in zip(others, self.at, strict=True):
            if axis == 0 and region.rows is not None:
                found.append(np.flatnonzero(region.rows == at).tolist())
            else:
                place = at - region.starts[axis]
                found.append([place] if 0 <= place < region.counts[axis] else [])
        logical, starts, counts = (
            (along[self.axes[0]], along[self.axes[1]]) for along in (region.logical, region.starts, region.counts)
        )
        rows = region.rows if self.axes[0] == 0 else None
        return list(itertools.product(*found)), Region(logical, starts, counts, rows)


@dataclass(frozen=True, slots=True)
class Sparse(Structure):
    """A matrix of Normal(0, std) values of which `zeros` of each column, chosen uniformly, are zero.

    u(r, c) is the 53-bit unit integer of element (r, c) under `mask_key`; zero are the `zeros` rows of a column with the least
    (u, r). A block of it needs all rows of its columns.
    """

    std: float
    zeros: int

    @property
    def random(self) -> bool:
        return True

    @property
    def divisible(self) -> bool:
        return False

    @property
    def values(self) -> Normal:
        """The law of the elements that are not chosen."""
        return Normal(0.0, self.std)

    def mask_key(self, key: Key) -> Key:
        """The key of the choice."""
        return key.fold_in("sparse")

    def check(self, dtype: np.dtype[Any]) -> None:
        self.values.sampler(dtype)
