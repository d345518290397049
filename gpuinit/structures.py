"""What deterministic and orthogonal initializers state: small frozen values that know no dtype or backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from gpuinit import arrays, dtypes

__all__ = ["Constant", "Diagonal", "Fourier", "Haar", "Structure"]


class Structure:
    """A tensor that is not drawn element by element; each backend has a writer for each kind.

    `random`: whether it has a key. `divisible`: whether a block of it can be made without making the whole.
    """

    __slots__ = ()
    random: ClassVar[bool] = False
    divisible: ClassVar[bool] = True

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
    """`gain` on a diagonal of min(rows, columns) elements, zero elsewhere; the first is at (`row`, `column`)."""

    gain: float
    row: int
    column: int

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
    """`gain` times a Haar-distributed (semi-)orthogonal matrix of shape (prod(shape[:-1]), shape[-1]), or a stack of such.

    `batch`: the axes that count the matrices, ascending, as `gpuinit.stack.Stack` has them.
    """

    random: ClassVar[bool] = True
    divisible: ClassVar[bool] = False
    gain: float
    method: Literal["auto", "qr", "svd"] = "auto"
    batch: tuple[int, ...] = ()

    def check(self, dtype: np.dtype[Any]) -> None:
        most = dtypes.largest(dtypes.component(dtype))
        if abs(self.gain) > most:
            raise ValueError(f"dtype={dtype.name} cannot hold gain={self.gain}: its finite values run to +-{most:.6g}")
