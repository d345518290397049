"""`init_`: one tensor, one initializer, in place."""

from __future__ import annotations

from typing import Any

import torch

from gpuinit import Key, SeedGenerator, registry
from gpuinit.initializers import Initializer
from gpuinit.torch.filling import planned
from gpuinit.torch.seeds import has_own_seed, source

__all__ = ["init_", "initializer_of"]


def init_(tensor: torch.Tensor, initializer: Any, *, seed: int | Key | SeedGenerator | None = None) -> torch.Tensor:
    """Fill a tensor in place with what an initializer makes: value(key, i) of its element i in C order, whatever its strides.

    Args:
        tensor: on the CPU or a CUDA device, of any dtype that the initializer makes; parameters and their views need no
            `torch.no_grad()`. A DTensor: each rank writes its local shard, with the elements that it holds of the whole.
        initializer: what `gpuinit.get` takes: a name, class, instance or config. It is read in PyTorch's layout,
            (out, in, *kernel), unless it was given axes or a layout: fan_in is in times the kernel's size, an orthogonal kernel a
            matrix of out rows.
        seed: an integer in 0 .. 2^64 - 1, a Key, or a SeedGenerator, which is drawn from once. None: the seed that the
            initializer was given, else 64 bits of PyTorch's CPU generator, so that `torch.manual_seed` governs, and two calls
            differ. What draws nothing takes no seed, and a tensor without elements neither.

    Returns:
        `tensor`, changed once as autograd counts. Its bits are those of the initializer on any backend, shard and device with
        that key.

    Raises:
        TypeError, ValueError: the tensor cannot be filled (on meta, sparse, expanded, a dtype that the initializer does not
            make), a DTensor's placement is neither shard nor replica, or an argument is wrong; then nothing has been written or
            drawn.
        DeviceError: gpuinit cannot use the tensor's GPU; the message says why.

    On ranks that fill a DTensor, give `seed`, or seed their generators alike: nothing is exchanged between them.
    """
    given = initializer_of(initializer)
    plan = planned(tensor, given)
    if seed is None and has_own_seed(given):
        return plan.write()
    return plan.write(source(seed))


def initializer_of(identifier: Any, name: str = "initializer") -> Initializer:
    """The initializer that `identifier` means to `gpuinit.get`; TypeError or ValueError, with this name, if it is none."""
    try:
        found = registry.get(identifier)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}={identifier!r}: {error}") from None
    if not isinstance(found, Initializer):
        raise TypeError(f"{name}={identifier!r} must be an initializer's name, class, instance or config")
    return found
