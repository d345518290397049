"""What deterministic and orthogonal initializers state: small frozen values that know no dtype or backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

__all__ = ["Constant", "Diagonal", "Fourier", "Haar", "Structure"]


class Structure:
    """A tensor that is not drawn element by element; each backend has a writer for each kind."""

    __slots__ = ()
    random: ClassVar[bool] = False


@dataclass(frozen=True, slots=True, eq=False)
class Constant(Structure):
    """One value everywhere, or an array broadcast to the tensor's shape."""

    value: Any


@dataclass(frozen=True, slots=True)
class Diagonal(Structure):
    """`gain` on a diagonal of min(rows, columns) elements, zero elsewhere; the first is at (`row`, `column`)."""

    gain: float
    row: int
    column: int


@dataclass(frozen=True, slots=True, eq=False)
class Fourier(Structure):
    """kernel[t, 0, f] = window[t] cos(2 pi t f / F) ("real") or -window[t] sin(2 pi t f / F) ("imag").

    The transform's length is F = 2 (frequencies - 1).
    """

    side: Literal["real", "imag"]
    window: np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Haar(Structure):
    """`gain` times a Haar-distributed (semi-)orthogonal matrix of shape (prod(shape[:-1]), shape[-1])."""

    random: ClassVar[bool] = True
    gain: float
    method: Literal["auto", "qr", "svd"] = "auto"
