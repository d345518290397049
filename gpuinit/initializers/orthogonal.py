"""Random orthogonal matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpuinit import structures
from gpuinit.arguments import checked_batch_axes, choice, finite, normalized_axes
from gpuinit.initializers.base import RandomInitializer

__all__ = ["Orthogonal"]


class Orthogonal(RandomInitializer):
    """`gain` times a Haar-distributed matrix of prod(shape[:-1]) rows and shape[-1] columns, reshaped.

    Q'Q = I where there are at least as many rows as columns, QQ' = I otherwise (complex dtypes: unitary). Haar means
    that the law does not change when the matrix is multiplied by any fixed orthogonal one.

    With `batch_axes` the tensor is a stack of such matrices, independent of each other, one for each place along these
    axes; the other axes are a matrix' rows and columns, the last of them its columns.

    Args:
        gain: finite real number.
        seed: None, an integer in 0 .. 2^64 - 1, a Key or a SeedGenerator, as in RandomInitializer.
        method: "auto", a product of Householder reflectors of normal vectors, the fastest and the same sample in every
            release;
            "qr", the factor Q of a normal matrix whose R has a positive diagonal; "svd", U V' of a normal matrix. The
            three have the same law and give different samples.
        batch_axes: None, or the axis or axes that count the matrices, negative ones counting from the end. (8192, 64, 64)
            with batch_axes=0 are 8192 matrices; an attention kernel (model, heads, head) with batch_axes=1 has one
            (model, head) matrix a head.

    Raises:
        TypeError, ValueError: an argument is wrong. When called, ValueError: the shape has fewer than 2 axes beside the
            batch axes, the dtype is not floating or complex, or cannot hold +-gain.
        numpy.exceptions.AxisError (a ValueError and an IndexError): the shape has no such batch axis.

    Every value lies in [-gain, gain]. `block` and `rows` make those matrices whole of which they want a part, no others.
    The bits of a stack of matrices of at most 128 columns and 2^16 elements (rows at least columns; real dtypes; "auto")
    are the same on every machine and backend; others agree within rounding.

    Source: Stewart (1980), sec. 3, the reflectors; Mezzadri (2007), sec. 4-5, the signs; Saxe et al. (2014), the use.
    """

    def __init__(
        self, gain: float = 1.0, seed: Any = None, method: str = "auto", batch_axes: int | Sequence[int] | None = None
    ) -> None:
        self.gain = finite(gain, "gain")
        self.method = choice(method, "method", ("auto", "qr", "svd"))
        self.batch_axes = checked_batch_axes(batch_axes)
        super().__init__(seed)

    def distribution(self, shape: tuple[int, ...]) -> structures.Haar:
        if self.batch_axes is None and len(shape) < 2:
            raise ValueError(f"shape={shape} has {len(shape)} axes: Orthogonal needs at least 2")
        return structures.Haar(self.gain, self.method, normalized_axes(shape, self.batch_axes))

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "gain": self.gain}
        if self.method != "auto":
            config["method"] = self.method
        if self.batch_axes is not None:
            config["batch_axes"] = self.batch_axes
        return config
