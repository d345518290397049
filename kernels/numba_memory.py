"""What `kernels.memory` means in code that Numba compiles: one load or store instruction in global memory."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.errors import TypingError
from numba.extending import intrinsic, overload

from gpuinit.kernels import memory

__all__: list[str] = []

_GLOBAL = 1
"""NVVM's address space of device memory; a CPU has but one, and takes it for that."""


def _pointer(builder: Any, address: Any, kind: Any) -> Any:
    return builder.inttoptr(address, ir.PointerType(kind, _GLOBAL))


def _checked(address: Any) -> None:
    if address != types.uint64:
        raise TypingError(f"an address is a uint64, not {address}")


@intrinsic
def _load(typingctx: Any, address: Any, like: Any) -> Any:
    _checked(address)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = context.get_value_type(signature.return_type)
        return builder.load(_pointer(builder, values[0], kind), align=_bytes(like))

    return types.unliteral(like)(address, like), generate


@intrinsic
def _store(typingctx: Any, address: Any, value: Any) -> Any:
    _checked(address)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.store(values[1], _pointer(builder, values[0], values[1].type), align=_bytes(value))
        return context.get_dummy_value()

    return types.void(address, value), generate


@intrinsic
def _store_group(typingctx: Any, address: Any, group: Any) -> Any:
    _checked(address)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = ir.VectorType(context.get_value_type(group.dtype), group.count)
        vector = ir.Constant(kind, ir.Undefined)
        for place in range(group.count):
            element = builder.extract_value(values[1], place)
            vector = builder.insert_element(vector, element, ir.Constant(ir.IntType(32), place))
        builder.store(vector, _pointer(builder, values[0], kind), align=_bytes(group.dtype) * group.count)
        return context.get_dummy_value()

    return types.void(address, group), generate


def _bytes(kind: Any) -> int:
    return int(types.unliteral(kind).bitwidth) // 8


overload(memory.load, strict=False, target="generic")(lambda address, like: lambda address, like: _load(address, like))
overload(memory.store, strict=False, target="generic")(lambda address, value: lambda address, value: _store(address, value))
overload(memory.store_group, strict=False, target="generic")(
    lambda address, values: lambda address, values: _store_group(address, values)
)
