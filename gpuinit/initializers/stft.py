"""Kernels of the short-time Fourier transform."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gpuinit import arrays, structures
from gpuinit.arguments import choice
from gpuinit.initializers.base import Initializer

__all__ = ["STFT"]


class STFT(Initializer):
    """A convolution kernel that computes one side of the short-time Fourier transform.

        kernel[t, 0, f] = cos(2 pi t f / F) w[t] / c ("real")  or  -sin(2 pi t f / F) w[t] / c ("imag"),  F = 2 (K - 1)

    for the shape (T, channels, K) of frame length and frequencies; the tensor has shape (T, 1, K) whatever `channels`
    is.

    Args:
        side: "real" or "imag".
        window: the name of one of `scipy.signal.get_window`'s, an array of length T, or None for w = 1 (then c = 1).
        scaling: "density", c = sqrt(sum w^2); "spectrum", c = sum |w|; None, c = 1.
        periodic: whether a named window is periodic ("DFT-even") in place of symmetric.

    Raises:
        TypeError, ValueError: an argument is wrong. When called, ValueError: the shape is not 3-D, K is 1, the window
            has another length than T, its scaling c is 0, or the dtype cannot hold +-w / c.
    """

    def __init__(self, side: str = "real", window: Any = "hann", scaling: str | None = "density", periodic: bool = False) -> None:
        self.side = choice(side, "side", ("real", "imag"))
        self.scaling = choice(scaling, "scaling", ("density", "spectrum", None))
        self.periodic = bool(periodic)
        if isinstance(window, str):
            _named(window, 1, self.periodic)  # an error for a name that is not known
        elif window is not None:
            window = arrays.to_numpy(window, "window")
            if window.ndim != 1 or window.dtype.kind in "cb" or not np.isfinite(window).all():
                raise ValueError(f"window has shape {window.shape} and dtype {window.dtype}: it must be 1-D, real and finite")
        self.window = window

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (shape[0], 1, shape[2])

    def distribution(self, shape: tuple[int, ...]) -> structures.Fourier:
        if len(shape) != 3:
            raise ValueError(f"shape={shape} has {len(shape)} axes: STFT needs 3, (frame length, channels, frequencies)")
        if shape[2] == 1:
            raise ValueError(
                f"shape={shape} has 1 frequency, so the transform's length 2 (frequencies - 1) would be 0: it must have 2 or more"
            )
        return structures.Fourier(self.side, self._window(shape[0]))

    def get_config(self) -> dict[str, Any]:
        return {
            "side": self.side,
            "window": arrays.encode(self.window),
            "periodic": self.periodic,
            "scaling": self.scaling,
        }

    def _window(self, length: int) -> np.ndarray[Any, Any]:
        """The window divided by its scaling, in float64."""
        if self.window is None or (isinstance(self.window, str) and length == 0):
            return np.ones(length)
        window = _named(self.window, length, self.periodic) if isinstance(self.window, str) else self.window.astype(np.float64)
        if len(window) != length:
            raise ValueError(f"window has length {len(window)}, and the frame length is {length}: they must be equal")
        scale = 1.0
        if self.scaling is not None and length:
            scale = math.sqrt(np.sum(window**2)) if self.scaling == "density" else float(np.sum(np.abs(window)))
        if not (scale > 0 and math.isfinite(scale)):
            raise ValueError(
                f"window={self.window!r} of length {length}: its scaling {self.scaling!r} is {scale}, and must be > 0; "
                "use a longer frame or scaling=None"
            )
        return window / scale


def _named(name: str, length: int, periodic: bool) -> np.ndarray[Any, Any]:
    from scipy.signal import get_window

    try:
        return np.asarray(get_window(name, length, fftbins=periodic), np.float64)
    except ValueError as error:
        raise ValueError(f"window={name!r}: {error}") from None
