"""Random orthogonal matrices."""

from __future__ import annotations

from typing import Any

from gpuinit import structures
from gpuinit.arguments import axes, choice, finite
from gpuinit.initializers.base import RandomInitializer
from gpuinit.key import integer
from gpuinit.stack import Stack

__all__ = ["Orthogonal"]


class Orthogonal(RandomInitializer):
    """`gain` times a Haar-distributed matrix of prod(shape[:-1]) rows and shape[-1] columns, reshaped.

    Q'Q = I where there are at least as many rows as columns, QQ' = I otherwise (complex dtypes: unitary). Haar means
    that the law does not change when the matrix is multiplied by any fixed orthogonal one.

    Args:
        gain: finite real number.
        seed: None, an integer in 0 .. 2^64 - 1, a Key or a SeedGenerator, as in RandomInitializer.
        method: "auto", a product of Householder reflectors of normal vectors, the fastest and the same sample in every
            release;
            "qr", the factor Q of a normal matrix whose R has a positive diagonal; "svd", U V' of a normal matrix. The
            three have the same law and give different samples.
        batch_axes: an axis, or a sequence of axes, each of which counts independent matrices; negative ones count from the end.
            Of the other axes, at least two, the last is a matrix' columns and those before it are its rows. (8192, 64, 64)
            with axis 0 are 8192 matrices; an attention kernel (model, heads, width) with axis 1 has one (model, width) a head.

    Raises:
        TypeError, ValueError: an argument is wrong. When called, ValueError: fewer than 2 axes are left for a matrix, there is
            no such batch axis, the dtype is not floating or complex, or cannot hold +-gain.

    Every value lies in [-gain, gain]. `block` and `rows` make whole those matrices that they touch. The first matrix of a batch
    is, within rounding, the one without a batch. Matrices of a batch with at most 128 columns and 2^16 elements (or their
    transposes) have the same bits on every backend, others agree within rounding (a few 1e-7).

    Source: Stewart (1980), sec. 3, the reflectors; Mezzadri (2007), sec. 4-5, the signs; Saxe et al. (2014), the use.
    """

    def __init__(self, gain: float = 1.0, seed: Any = None, method: str = "auto", batch_axes: Any = None) -> None:
        self.gain = finite(gain, "gain")
        self.method = choice(method, "method", ("auto", "qr", "svd"))
        self.batch_axes = _batch_axes(batch_axes)
        super().__init__(seed)

    def distribution(self, shape: tuple[int, ...]) -> structures.Haar:
        if len(shape) < 2:
            raise ValueError(f"shape={shape} has {len(shape)} axes: Orthogonal needs at least 2")
        return structures.Haar(self.gain, self.method, Stack.of(shape, self.batch_axes).batch)

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "gain": self.gain}
        if self.method != "auto":
            config["method"] = self.method
        if self.batch_axes is not None:
            config["batch_axes"] = list(self.batch_axes)
        return config


def _batch_axes(value: Any) -> tuple[int, ...] | None:
    """The axes as a tuple: one axis, a sequence of them, or None, which an empty sequence means too."""
    if value is None or hasattr(value, "__iter__"):
        return tuple(axes(value, "batch_axes") or ()) or None
    try:
        return (integer(value, "batch_axes"),)
    except TypeError:
        raise TypeError(f"batch_axes={value!r}: it must be None, an axis or a sequence of axes") from None
