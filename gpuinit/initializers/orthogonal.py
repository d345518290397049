"""Random orthogonal matrices."""

from __future__ import annotations

from typing import Any

from gpuinit import structures
from gpuinit.arguments import choice, finite
from gpuinit.initializers.base import RandomInitializer

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

    Raises:
        TypeError, ValueError: an argument is wrong. When called, ValueError: the shape has fewer than 2 axes, the dtype
            is not floating or complex, or cannot hold +-gain.

    Every value lies in [-gain, gain]. `block` and `rows` make the whole matrix first.

    Source: Stewart (1980), sec. 3, the reflectors; Mezzadri (2007), sec. 4-5, the signs; Saxe et al. (2014), the use.
    """

    def __init__(self, gain: float = 1.0, seed: Any = None, method: str = "auto") -> None:
        self.gain = finite(gain, "gain")
        self.method = choice(method, "method", ("auto", "qr", "svd"))
        super().__init__(seed)

    def distribution(self, shape: tuple[int, ...]) -> structures.Haar:
        if len(shape) < 2:
            raise ValueError(f"shape={shape} has {len(shape)} axes: Orthogonal needs at least 2")
        return structures.Haar(self.gain, self.method)

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "gain": self.gain}
        return config if self.method == "auto" else {**config, "method": self.method}
