"""Which parameter of a module a tensor lies in: told by memory, since `parameter.data` and views are new objects each time."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any, Self

import torch

from gpuinit.torch.names import qualified_names
from gpuinit.torch.placement import is_dtensor

__all__ = ["Memory", "Parameters"]


@dataclass(frozen=True, slots=True)
class Memory:
    """Where a tensor's elements lie in its storage; a DTensor's are those of its local shard."""

    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype

    @classmethod
    def of(cls, tensor: torch.Tensor) -> Self:
        local = _local(tensor)
        return cls(local.storage_offset(), tuple(local.shape), local.stride(), local.dtype)

    def within(self, other: Memory) -> str:
        """The place in another memory, in words: where it begins, in bytes, then its shape, strides and dtype."""
        start, _ = self._bytes()
        return f"{start - other._bytes()[0]} {self.shape} {self.strides} {str(self.dtype).removeprefix('torch.')}"

    def lies_in(self, other: Memory) -> bool:
        """Whether it begins and ends inside another memory of the same storage."""
        (start, stop), (first, last) = self._bytes(), other._bytes()
        return first <= start and stop <= last

    def _bytes(self) -> tuple[int, int]:
        reach = 1 + sum((length - 1) * step for length, step in zip(self.shape, self.strides, strict=True))
        stop = self.offset + (0 if 0 in self.shape else reach)
        return self.offset * self.dtype.itemsize, stop * self.dtype.itemsize


class Parameters:
    """A module's parameters, found by what lies in their memory.

    Storages that are not known are looked for in the module again, whose parameters may have been replaced (`to_empty`). Nothing
    is kept alive.
    """

    def __init__(self, module: torch.nn.Module) -> None:
        self._module = module
        self._held: dict[int, list[tuple[str, weakref.ref[Any]]]] = {}
        self._look()

    def find(self, tensor: torch.Tensor) -> tuple[str, torch.Tensor] | None:
        """The first name of the parameter that a tensor lies in, and the parameter; one that it is the whole of comes first."""
        found = self._find(tensor)
        if found is None:
            self._look()
            found = self._find(tensor)
        return found

    def _find(self, tensor: torch.Tensor) -> tuple[str, torch.Tensor] | None:
        storage = _local(tensor).untyped_storage()
        lies, around = Memory.of(tensor), None
        for name, reference in self._held.get(id(storage), ()):
            parameter = reference()
            if parameter is None or _local(parameter).untyped_storage() is not storage:
                continue  # another storage has come by the number of one that is gone
            if Memory.of(parameter) == lies:
                return name, parameter
            if around is None and lies.lies_in(Memory.of(parameter)):
                around = name, parameter
        return around

    def _look(self) -> None:
        self._held = {}
        for name, parameter in qualified_names(self._module).items():
            local = _local(parameter)
            if torch.nn.parameter.is_lazy(local):
                continue  # none yet
            if local.layout != torch.strided or type(local).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__:
                continue  # no storage, or one that others interpret
            self._held.setdefault(id(local.untyped_storage()), []).append((name, weakref.ref(parameter)))


def _local(tensor: Any) -> torch.Tensor:
    local: torch.Tensor = tensor._local_tensor if is_dtensor(tensor) else tensor
    return local
