"""What each primitive means in code that Numba compiles: one LLVM operation, strictly typed.

Importing this module teaches Numba `kernels.primitives`; `teach` adds a plain function of the Python source. A wrong
argument type
is a TypingError at compile time, so a silently widened integer cannot get through.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpuinit.kernels import primitives
from numba.core import types
from numba.core.errors import TypingError
from numba.extending import intrinsic, overload

__all__ = ["teach"]

_FLOAT = {types.uint32: types.float32, types.uint64: types.float64}
_UNSIGNED = {real: unsigned for unsigned, real in _FLOAT.items()}


def teach(function: Callable[..., Any], inline: str = "never") -> None:
    """Make a plain function of the Python source callable from compiled code."""

    def implementation(*args: Any) -> Any:
        return function

    overload(function, {"forceinline": True}, strict=False, inline=inline, target="generic")(implementation)


def _define(primitive: Callable[..., Any], result: Callable[..., Any], emit: Callable[..., Any]) -> None:
    """Register `primitive`: `result(*types)` names its type (or None: refused), `emit(builder, llvm_type, *values)`
    is its code."""

    def build(arguments: tuple[Any, ...]) -> Any:
        given = tuple(types.unliteral(argument) for argument in arguments)
        returned = result(*given)
        if returned is None:
            raise TypingError(f"{primitive.__name__} is not defined for {', '.join(map(str, given))}")

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            return emit(builder, context.get_value_type(returned), *values)

        return returned(*given), generate

    arity = primitive.__code__.co_argcount
    if arity == 1:
        unary = intrinsic(lambda typingctx, a: build((a,)))
        implementation: Callable[..., Any] = lambda a: unary(a)  # noqa: E731
        typing = lambda a: implementation  # noqa: E731
    elif arity == 2:
        binary = intrinsic(lambda typingctx, a, b: build((a, b)))
        implementation = lambda a, b: binary(a, b)  # noqa: E731
        typing = lambda a, b: implementation  # noqa: E731
    else:
        ternary = intrinsic(lambda typingctx, a, b, c: build((a, b, c)))
        implementation = lambda a, b, c: ternary(a, b, c)  # noqa: E731
        typing = lambda a, b, c: implementation  # noqa: E731
    implementation.__qualname__ = f"primitive-{primitive.__name__}"  # Numba makes the symbol of it: it must be this one's alone
    overload(primitive, {"forceinline": True}, strict=False, target="generic")(typing)


def _same_unsigned(a: Any, b: Any) -> Any:
    return a if a in _FLOAT and b == a else None


def _same_float(a: Any, *others: Any) -> Any:
    return a if a in _UNSIGNED and all(other == a for other in others) else None


def _call(name: str) -> Callable[..., Any]:
    def emit(builder: Any, kind: Any, *values: Any) -> Any:
        return builder.call(builder.module.declare_intrinsic(name, [kind]), values)

    return emit


def _fma(builder: Any, kind: Any, a: Any, b: Any, c: Any) -> Any:
    return builder.fma(a, b, c)


def _horner(builder: Any, kind: Any, coefficients: Any, x: Any) -> Any:
    total = builder.extract_value(coefficients, 0)
    for degree in range(1, coefficients.type.count):
        total = builder.fma(total, x, builder.extract_value(coefficients, degree))
    return total


_define(primitives.polynomial, lambda coefficients, x: x if x in _UNSIGNED and coefficients.dtype == x else None, _horner)
_define(primitives.bits, _UNSIGNED.get, lambda builder, kind, x: builder.bitcast(x, kind))
_define(primitives.unbits, _FLOAT.get, lambda builder, kind, n: builder.bitcast(n, kind))
_define(primitives.to_float, _FLOAT.get, lambda builder, kind, n: builder.sitofp(n, kind))
_define(primitives.to_float_unsigned, _FLOAT.get, lambda builder, kind, n: builder.uitofp(n, kind))
_define(primitives.add, _same_unsigned, lambda builder, kind, n, m: builder.add(n, m))
_define(primitives.subtract, _same_unsigned, lambda builder, kind, n, m: builder.sub(n, m))
_define(primitives.both, _same_unsigned, lambda builder, kind, n, m: builder.and_(n, m))
_define(primitives.either, _same_unsigned, lambda builder, kind, n, m: builder.or_(n, m))
_define(primitives.complement, _same_unsigned, lambda builder, kind, n, m: builder.xor(n, m))
_define(primitives.shift_right, _same_unsigned, lambda builder, kind, n, count: builder.lshr(n, count))
_define(primitives.square_root, _same_float, _call("llvm.sqrt"))
_define(primitives.divide, _same_float, lambda builder, kind, x, y: builder.fdiv(x, y))
_define(primitives.fma, _same_float, _fma)
_define(
    primitives.select,
    lambda condition, x, y: x if condition == types.boolean and x == y else None,
    lambda builder, kind, condition, x, y: builder.select(condition, x, y),
)
