"""The functions of torch.nn.init, with its arguments and `seed=`, on gpuinit's streams.

Each fills `tensor` in place, as `gpuinit.torch.init_` does, and returns it. Where values are drawn:

    generator   a torch.Generator; one seed of 64 bits is drawn from it. None means PyTorch's CPU generator, which
                `torch.manual_seed` sets.
    seed        instead: an integer in 0 .. 2^64 - 1, a gpuinit.Key, or a SeedGenerator, which is drawn from once

A call that is refused, or has no element to fill, draws no seed. Raises, before anything is written or drawn: ValueError where
torch.nn.init does, and for an argument out of range, a dtype that the values do not exist in, `seed` beside `generator`, or a
tensor on the meta device (materialize it first); TypeError for what cannot be filled in place at all.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from torch.nn.init import calculate_gain

from gpuinit import Constant, Dirac, Identity, Initializer, Ones, Orthogonal, RandomNormal, RandomUniform, Sparse, Zeros
from gpuinit.arguments import at_least, finite
from gpuinit.torch.filling import fill, planned
from gpuinit.torch.laws import BoundedNormal, ScaledUniform
from gpuinit.torch.seeds import source
from gpuinit.torch.tensors import check

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]


def uniform_(
    tensor: torch.Tensor, a: float = 0.0, b: float = 1.0, generator: torch.Generator | None = None, *, seed: Any = None
) -> torch.Tensor:
    """Uniform on [a, b): finite, a <= b; b itself is never drawn, in any dtype. In a complex dtype each part is."""
    if finite(a, "a") > finite(b, "b"):
        raise ValueError(f"a={a!r} is greater than b={b!r}: it must be at most b")
    return _drawn(tensor, RandomUniform(a, b, seed=0), generator, seed)


def normal_(
    tensor: torch.Tensor, mean: float = 0.0, std: float = 1.0, generator: torch.Generator | None = None, *, seed: Any = None
) -> torch.Tensor:
    """Normal of this mean and standard deviation, std >= 0; in a complex dtype E|x - mean|^2 = std^2, as in PyTorch."""
    return _drawn(tensor, RandomNormal(mean, at_least(0, std, "std"), seed=0), generator, seed)


def trunc_normal_(
    tensor: torch.Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: torch.Generator | None = None,
    *,
    seed: Any = None,
) -> torch.Tensor:
    """Normal(mean, std) conditioned on [a, b], which are values, not standard deviations; std > 0.

    No value lies outside [a, b], in any dtype, and the law is right wherever mean lies: it is drawn by its inverse distribution
    function, one word a value, without temporaries. So PyTorch's warning of a mean far outside is not given.
    """
    return _drawn(tensor, BoundedNormal(mean, std, a, b, seed=0), generator, seed)


def xavier_uniform_(
    tensor: torch.Tensor, gain: float = 1.0, generator: torch.Generator | None = None, *, seed: Any = None
) -> torch.Tensor:
    """Uniform on [-x, x), x = gain sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010); complex: E|x|^2 as in real dtypes."""
    return _drawn(tensor, ScaledUniform(math.sqrt(3.0) * _xavier_std(tensor, gain), seed=0), generator, seed)


def xavier_normal_(
    tensor: torch.Tensor, gain: float = 1.0, generator: torch.Generator | None = None, *, seed: Any = None
) -> torch.Tensor:
    """Normal of std gain sqrt(2 / (fan_in + fan_out)), not truncated (Glorot and Bengio, 2010)."""
    return _drawn(tensor, RandomNormal(0.0, _xavier_std(tensor, gain), seed=0), generator, seed)


def kaiming_uniform_(
    tensor: torch.Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: torch.Generator | None = None,
    *,
    seed: Any = None,
) -> torch.Tensor:
    """Uniform on [-x, x), x = calculate_gain(nonlinearity, a) sqrt(3 / fan) (He et al., 2015); fan is `mode`'s.

    A tensor without elements is left alone, with PyTorch's warning.
    """
    if _is_empty(tensor):
        return tensor
    return _drawn(tensor, ScaledUniform(math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity), seed=0), generator, seed)


def kaiming_normal_(
    tensor: torch.Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: torch.Generator | None = None,
    *,
    seed: Any = None,
) -> torch.Tensor:
    """Normal of std calculate_gain(nonlinearity, a) / sqrt(fan), not truncated (He et al., 2015); fan is `mode`'s.

    A tensor without elements is left alone, with PyTorch's warning.
    """
    if _is_empty(tensor):
        return tensor
    return _drawn(tensor, RandomNormal(0.0, _kaiming_std(tensor, a, mode, nonlinearity), seed=0), generator, seed)


def orthogonal_(
    tensor: torch.Tensor, gain: float = 1, generator: torch.Generator | None = None, *, seed: Any = None
) -> torch.Tensor:
    """`gain` times a Haar-distributed (semi-)orthogonal matrix of shape[0] rows (Saxe et al., 2014), in half precision too."""
    _check_axes(tensor, 2)
    return _drawn(tensor, Orthogonal(gain, seed=0), generator, seed)


def sparse_(
    tensor: torch.Tensor, sparsity: float, std: float = 0.01, generator: torch.Generator | None = None, *, seed: Any = None
) -> torch.Tensor:
    """A matrix with ceil(sparsity rows) zeros in each column, the rest Normal(0, std^2) (Martens, 2010); sparsity in [0, 1].

    The places of the zeros come from the seed too; PyTorch's come from the global generator, whatever `generator` is.
    """
    _check_axes(tensor, 2, 2)
    return _drawn(tensor, Sparse(sparsity, at_least(0, std, "std"), seed=0), generator, seed)


def zeros_(tensor: torch.Tensor) -> torch.Tensor:
    """0 everywhere, in any dtype."""
    return fill(tensor, Zeros())


def ones_(tensor: torch.Tensor) -> torch.Tensor:
    """1 everywhere, in any dtype."""
    return fill(tensor, Ones())


def constant_(tensor: torch.Tensor, val: float) -> torch.Tensor:
    """`val` everywhere, rounded once to the dtype, which must hold it; toward zero into an integer one."""
    return fill(tensor, Constant(val))


def eye_(tensor: torch.Tensor) -> torch.Tensor:
    """The identity matrix; of a matrix that is not square, at its top left."""
    _check_axes(tensor, 2, 2)
    return fill(tensor, Identity(placement="corner"))


def dirac_(tensor: torch.Tensor, groups: int = 1) -> torch.Tensor:
    """A convolution kernel that hands the input channels of each group through (Zagoruyko and Komodakis, 2017)."""
    return fill(tensor, Dirac(groups))


def _drawn(tensor: torch.Tensor, initializer: Initializer, generator: Any, seed: Any) -> torch.Tensor:
    keys = source(seed, generator)
    return planned(tensor, initializer).write(keys)


def _fans(tensor: torch.Tensor) -> tuple[int, int]:
    _check_axes(tensor, 2)
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def _xavier_std(tensor: torch.Tensor, gain: float) -> float:
    return at_least(0, gain, "gain") * math.sqrt(2.0 / float(max(1, sum(_fans(tensor)))))


def _kaiming_std(tensor: torch.Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if not isinstance(mode, str) or mode.lower() not in ("fan_in", "fan_out"):
        raise ValueError(f"mode={mode!r}: it must be 'fan_in' or 'fan_out'")
    fan = _fans(tensor)[mode.lower() == "fan_out"]
    return float(calculate_gain(nonlinearity, a)) / math.sqrt(fan)


def _is_empty(tensor: torch.Tensor) -> bool:
    check(tensor)
    if 0 not in tensor.shape:
        return False
    warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
    return True


def _check_axes(tensor: torch.Tensor, least: int, most: float = math.inf) -> None:
    check(tensor)
    if not least <= tensor.dim() <= most:
        wanted = f"{least} or more, (out, in, *kernel)" if most == math.inf else str(least)
        raise ValueError(f"tensor of shape {tuple(tensor.shape)} has {tensor.dim()} axes: it must have {wanted}")
