"""Convolution kernels with one tap: they map the channels of each place, and mix no neighbours."""

from __future__ import annotations

from typing import Any

from gpuinit import structures
from gpuinit.arguments import choice, finite, whole
from gpuinit.initializers.base import Initializer, RandomInitializer

__all__ = ["DeltaOrthogonal", "Dirac"]


class DeltaOrthogonal(RandomInitializer):
    """A convolution kernel that preserves lengths: at its centre a matrix with orthonormal rows times gain, zero elsewhere.

        kernel[centre] = Orthogonal(gain, seed)((in, out)),  centre = (size - 1) // 2 along each spatial axis

    for the shape (sizes.., in, out); with layout="torch", shapes (out, in, sizes..), the matrix there is (out, in) and has
    orthonormal columns. A circular convolution x -> y with it has |y| = |gain| |x|.

    Args:
        gain: finite real number.
        seed: None, an integer in 0 .. 2^64 - 1, a Key or a SeedGenerator, as in RandomInitializer.
        layout: "keras", shapes (sizes.., in, out), or "torch", shapes (out, in, sizes..).

    Raises:
        TypeError, ValueError: an argument is wrong. When called, ValueError: the shape has fewer than 3 axes, in > out, the
            dtype is not floating or complex, or cannot hold +-gain.

    The matrix has the bits of Orthogonal's on the same device. A part that does not meet the centre draws nothing. For even
    sizes the centre is JAX's, and not Dirac's, which is size // 2.

    Source: Xiao et al. (2018), "Dynamical isometry and a mean field theory of CNNs"; jax.nn.initializers.delta_orthogonal.
    """

    def __init__(self, gain: float = 1.0, seed: Any = None, layout: str = "keras") -> None:
        self.gain = finite(gain, "gain")
        self.layout = choice(layout, "layout", ("keras", "torch"))
        super().__init__(seed)

    def distribution(self, shape: tuple[int, ...]) -> structures.Tap:
        if len(shape) < 3:
            axes = "(sizes.., in, out)" if self.layout == "keras" else "(out, in, sizes..)"
            raise ValueError(f"shape={shape} has {len(shape)} axes: DeltaOrthogonal needs at least 3, {axes}")
        if self.layout == "keras":
            *sizes, fan_in, fan_out = shape
            axes_of_matrix = (len(shape) - 2, len(shape) - 1)
        else:
            fan_out, fan_in, *sizes = shape
            axes_of_matrix = (0, 1)
        if fan_in > fan_out:
            raise ValueError(
                f"shape={shape} has {fan_in} input channels and {fan_out} output channels: a kernel that preserves lengths needs "
                "at least as many output channels"
            )
        centre = tuple((size - 1) // 2 for size in sizes)
        return structures.Tap(structures.Haar(self.gain), axes_of_matrix, centre)

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "gain": self.gain}
        if self.layout != "keras":
            config["layout"] = self.layout
        return config


class Dirac(Initializer):
    """A convolution kernel that hands its input channels through, times gain; zero elsewhere.

        kernel[g out / groups + d, d, centre] = gain for d < min(out / groups, in),  centre = size // 2 along each kernel axis

    for the shape (out, in, sizes..), in as a group sees it.

    Args:
        groups: how many groups the output channels form, >= 1.
        gain: finite real number.
        layout: "torch", shapes (out, in, sizes..), or "keras", shapes (sizes.., in, out) with the same values transposed.

    Raises:
        TypeError, ValueError: an argument is wrong. When called, ValueError: the shape has not 3 to 5 axes, groups do not
            divide its output channels, or the dtype cannot hold gain.

    For even sizes the centre is PyTorch's, and not DeltaOrthogonal's, which is (size - 1) // 2.

    Source: Zagoruyko and Komodakis (2017), "DiracNets"; torch.nn.init.dirac_.
    """

    def __init__(self, groups: int = 1, gain: float = 1.0, layout: str = "torch") -> None:
        self.groups = whole(groups, "groups")
        self.gain = finite(gain, "gain")
        self.layout = choice(layout, "layout", ("torch", "keras"))

    def distribution(self, shape: tuple[int, ...]) -> structures.Tap:
        if not 3 <= len(shape) <= 5:
            raise ValueError(
                f"shape={shape} has {len(shape)} axes: Dirac needs 3, 4 or 5, two of channels and 1 to 3 of the kernel"
            )
        out, given = (0, 1) if self.layout == "torch" else (len(shape) - 1, len(shape) - 2)
        if shape[out] % self.groups:
            raise ValueError(
                f"groups={self.groups} does not divide the {shape[out]} output channels of shape={shape} (layout={self.layout!r})"
            )
        sizes = shape[2:] if self.layout == "torch" else shape[:-2]
        diagonals = structures.Diagonal(self.gain, 0, 0, max(shape[out] // self.groups, 1))
        return structures.Tap(diagonals, (out, given), tuple(size // 2 for size in sizes))

    def get_config(self) -> dict[str, Any]:
        return {"groups": self.groups, "gain": self.gain, "layout": self.layout}
