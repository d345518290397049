"""Vector registers as a type of the Python source: what Numba compiles for one value, it compiles for a bundle of registers.

A bundle is a few registers of 64 bytes (32 without AVX-512). Every primitive, operator and comparison emits one instruction a
register, side by side, so that the long chains of Philox and of a polynomial overlap. A loop that LLVM vectorizes by itself comes
out one register after the other: on an AMD Zen 4 that is a fifth slower for both.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import types
from numba.core.datamodel.models import PrimitiveModel
from numba.extending import intrinsic, overload, register_model

__all__ = [
    "AVX512",
    "BUNDLE",
    "REGISTER_BYTES",
    "Lanes",
    "Traced",
    "any_lane",
    "each_register",
    "lanes_of",
    "pack",
    "register_type",
    "splat",
]

AVX512 = llvm.get_host_cpu_features().get("avx512f", False)
REGISTER_BYTES = 64 if AVX512 else 32
BUNDLE = 4
"""Registers of a bundle of values."""


class Lanes(types.Type):  # type: ignore[misc]
    """`bundle` registers of `width` elements; conditions have the width of what they compare."""

    def __init__(self, element: Any, width: int, bundle: int) -> None:
        self.element = element
        self.width = width
        self.bundle = bundle
        super().__init__(name=f"Lanes({element} x {width} x {bundle})")

    def of(self, element: Any) -> Lanes:
        """The same bundle of another element type."""
        return Lanes(element, self.width, self.bundle)


@register_model(Lanes)
class _LanesModel(PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, ir.ArrayType(register_type(kind.element, kind.width), kind.bundle))


def _llvm(element: Any) -> ir.Type:
    known = {types.float32: ir.FloatType(), types.float64: ir.DoubleType(), types.boolean: ir.IntType(1)}
    return known.get(element) or ir.IntType(element.bitwidth)


def register_type(element: Any, width: int) -> ir.VectorType:
    """The LLVM type of a register of `width` elements."""
    return ir.VectorType(_llvm(element), width)


def lanes_of(element: Any) -> int:
    """How many values of a 32-bit or 64-bit type a register holds."""
    return REGISTER_BYTES * 8 // int(element.bitwidth)


def splat(builder: Any, scalar: Any, width: int) -> Any:
    """A register with the scalar in every lane."""
    undefined = ir.Constant(ir.VectorType(scalar.type, width), ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), width), [0] * width))


def pack(builder: Any, registers: list[Any]) -> Any:
    """The registers as one value of a Lanes type."""
    bundle = ir.Constant(ir.ArrayType(registers[0].type, len(registers)), ir.Undefined)
    for place, register in enumerate(registers):
        bundle = builder.insert_value(bundle, register, place)
    return bundle


def each_register(builder: Any, shape: Lanes, kinds: tuple[Any, ...], values: Any) -> list[Any]:
    """The arguments of an operation on a bundle like `shape`, as registers: bundles taken apart, scalars and tuples spread."""
    taken = []
    for kind, value in zip(kinds, values, strict=True):
        if isinstance(kind, Lanes):
            taken.append([builder.extract_value(value, r) for r in range(shape.bundle)])
        elif isinstance(kind, types.UniTuple):
            taken.append([splat(builder, builder.extract_value(value, place), shape.width) for place in range(kind.count)])
        else:
            taken.append([splat(builder, value, shape.width)] * shape.bundle)
    return taken


def _operator(function: Callable[..., Any], emit: Callable[..., Any], compares: bool = False) -> None:
    """Register a binary operator for bundles: `emit(builder, is_float, a, b)` is its code for one register."""

    def build(typingctx: Any, a: Any, b: Any) -> Any:
        shape = a if isinstance(a, Lanes) else b
        element = shape.element
        if any(types.unliteral(getattr(kind, "element", kind)) != element for kind in (a, b)):
            return None

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            left, right = each_register(builder, shape, (a, b), args)
            is_float = isinstance(element, types.Float)
            return pack(builder, [emit(builder, is_float, x, y) for x, y in zip(left, right, strict=True)])

        return shape.of(types.boolean if compares else element)(a, b), generate

    def typing(a: Any, b: Any) -> Any:
        return implementation if isinstance(a, Lanes) or isinstance(b, Lanes) else None

    compiled = intrinsic(build)
    implementation: Callable[..., Any] = lambda a, b: compiled(a, b)  # noqa: E731
    implementation.__qualname__ = f"lanes-{function.__name__}"
    typing.__annotations__ = {}
    overload(function, {"forceinline": True}, strict=False)(typing)


def _comparison(symbol: str) -> Callable[..., Any]:
    return lambda b, is_float, x, y: b.fcmp_ordered(symbol, x, y) if is_float else b.icmp_unsigned(symbol, x, y)


_operator(operator.add, lambda b, is_float, x, y: b.fadd(x, y) if is_float else b.add(x, y))
_operator(operator.sub, lambda b, is_float, x, y: b.fsub(x, y) if is_float else b.sub(x, y))
_operator(operator.mul, lambda b, is_float, x, y: b.fmul(x, y) if is_float else b.mul(x, y))
_operator(operator.and_, lambda b, is_float, x, y: b.and_(x, y))
_operator(operator.or_, lambda b, is_float, x, y: b.or_(x, y))
_operator(operator.xor, lambda b, is_float, x, y: b.xor(x, y))
_operator(operator.lshift, lambda b, is_float, x, y: b.shl(x, y))
_operator(operator.lt, _comparison("<"), compares=True)
_operator(operator.gt, _comparison(">"), compares=True)
_operator(operator.le, _comparison("<="), compares=True)
_operator(operator.ge, _comparison(">="), compares=True)
_operator(operator.eq, _comparison("=="), compares=True)


@intrinsic
def any_lane(typingctx: Any, condition: Any) -> Any:
    """Whether a condition holds in any lane of a bundle."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        registers = [builder.extract_value(args[0], r) for r in range(condition.bundle)]
        united = registers[0]
        for register in registers[1:]:
            united = builder.or_(united, register)
        mask = builder.bitcast(united, ir.IntType(condition.width))
        return builder.icmp_unsigned("!=", mask, ir.Constant(mask.type, 0))

    return types.boolean(condition), generate


class Traced:
    """A bundle of unsigned integers whose operators emit LLVM code: the Python source, run on it, compiles itself unrolled."""

    def __init__(self, builder: Any, registers: list[Any]) -> None:
        self.builder = builder
        self.registers = registers

    def _emit(self, operation: Callable[..., Any], other: Any) -> Traced:
        kind = self.registers[0].type
        others = (
            other.registers if isinstance(other, Traced) else [ir.Constant(kind, [int(other)] * kind.count)] * len(self.registers)
        )
        return Traced(self.builder, [operation(a, b) for a, b in zip(self.registers, others, strict=True)])

    def __add__(self, other: Any) -> Traced:
        return self._emit(self.builder.add, other)

    def __mul__(self, other: Any) -> Traced:
        return self._emit(self.builder.mul, other)

    def __and__(self, other: Any) -> Traced:
        return self._emit(self.builder.and_, other)

    def __xor__(self, other: Any) -> Traced:
        return self._emit(self.builder.xor, other)

    def __or__(self, other: Any) -> Traced:
        return self._emit(self.builder.or_, other)

    def __lshift__(self, other: Any) -> Traced:
        return self._emit(self.builder.shl, other)

    def __rshift__(self, other: Any) -> Traced:
        return self._emit(self.builder.lshr, other)
