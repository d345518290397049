"""What a call inside `accelerate` draws from: its place among the calls, or the name of the parameter that it fills."""

from __future__ import annotations

from typing import Any

import torch

from gpuinit import Key, SeedGenerator
from gpuinit.torch.memories import Memory, Parameters
from gpuinit.torch.placement import is_dtensor

__all__ = ["CALLS", "ByCall", "ByName"]

CALLS = "calls of gpuinit.torch.accelerate"
"""What is folded into the key that calls draw from in their order."""


class ByCall:
    """The n-th call draws from `key.fold_in(CALLS).draw(n)`."""

    def __init__(self, key: Key) -> None:
        self._calls = SeedGenerator(key.fold_in(CALLS))

    def find(self, tensor: torch.Tensor) -> tuple[torch.Tensor, SeedGenerator]:
        """What is to be filled, here the tensor itself, and what its values are drawn from."""
        return tensor, self._calls


class ByName:
    """The n-th call for a parameter draws from `key.fold_in(name).draw(n)`, whatever else has been called.

    A view that is less than the parameter, or has another shape or dtype, draws from `key.fold_in(name).fold_in(place).draw(n)`,
    its place in words. What lies in no parameter draws as in `ByCall`, and so does a DTensor that is a part of one: which part
    cannot be told.
    """

    def __init__(self, key: Key, module: torch.nn.Module) -> None:
        self._key = key
        self._parameters = Parameters(module)
        self._draws: dict[Key, SeedGenerator] = {}
        self._others = ByCall(key)

    def find(self, tensor: torch.Tensor) -> tuple[torch.Tensor, SeedGenerator]:
        """What is to be filled (for the local shard of a DTensor that DTensor), and what its values are drawn from."""
        found = self._parameters.find(tensor)
        if found is None:
            return self._others.find(tensor)
        name, parameter = found
        key = self._key.fold_in(name)
        if not is_dtensor(tensor):
            lies, whole = Memory.of(tensor), Memory.of(parameter)
            if lies != whole:
                return tensor, self._of(key.fold_in(lies.within(whole)))
            return parameter if is_dtensor(parameter) else tensor, self._of(key)
        if is_dtensor(parameter) and _is_whole(tensor, parameter):
            return tensor, self._of(key)
        return self._others.find(tensor)

    def _of(self, key: Key) -> SeedGenerator:
        return self._draws.setdefault(key, SeedGenerator(key))


def _is_whole(tensor: Any, parameter: Any) -> bool:
    """Whether a DTensor in another's memory is all of it: told from what is the same on every rank."""
    states = [(each.shape, each.stride(), each.dtype, each.placements, each.device_mesh) for each in (tensor, parameter)]
    return bool(states[0] == states[1])
