"""What each primitive means in code that Numba compiles: one LLVM operation, strictly typed.

Importing this module teaches Numba `kernels.primitives`; `teach` adds a plain function of the Python source. A wrong
argument type is a TypingError at compile time, so a silently widened integer cannot get through.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import intrinsic, overload

from gpuinit.kernels import primitives
from gpuinit.kernels.numba_lanes import Lanes, each_register, pack

__all__ = ["teach"]

_FLOAT = {types.uint32: types.float32, types.uint64: types.float64}
_I64 = ir.IntType(64)
_UNSIGNED = {real: unsigned for unsigned, real in _FLOAT.items()}


def teach(function: Callable[..., Any]) -> None:
    """Make a plain function of the Python source callable from compiled code."""

    def implementation(*args: Any) -> Any:
        return function

    overload(function, {"forceinline": True}, strict=False, target="generic")(implementation)


def _define(primitive: Callable[..., Any], result: Callable[..., Any], emit: Callable[..., Any]) -> None:
    """Register a primitive.

    `result(*types)` names its type (None: refused), `emit(builder, llvm_type, *values)` is its code.
    """

    def build(arguments: tuple[Any, ...]) -> Any:
        given = tuple(types.unliteral(argument) for argument in arguments)
        bundles = [kind for kind in given if isinstance(kind, Lanes)]
        returned = result(*(kind.element if isinstance(kind, Lanes) else kind for kind in given))
        if returned is None:
            raise TypingError(f"{primitive.__name__} is not defined for {', '.join(map(str, given))}")
        if bundles:
            returned = bundles[0].of(returned)

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            if not bundles:
                return emit(builder, context.get_value_type(returned), *_unpacked(builder, given, values))
            register = context.get_value_type(returned).element
            arguments = each_register(builder, bundles[0], given, values)
            if primitive is primitives.polynomial:
                return pack(builder, _horner_side_by_side(builder, *arguments))
            return pack(builder, [emit(builder, register, *one) for one in zip(*arguments, strict=True)])

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


def _same_words(a: Any, b: Any) -> Any:
    return a if a == b == types.uint32 else None


def _wide(builder: Any, n: Any, m: Any) -> Any:
    return builder.mul(builder.zext(n, _I64), builder.zext(m, _I64))


def _same_float(a: Any, *others: Any) -> Any:
    return a if a in _UNSIGNED and all(other == a for other in others) else None


def _call(name: str) -> Callable[..., Any]:
    """Code that calls an LLVM intrinsic of one type, for values or registers."""

    def emit(builder: Any, kind: Any, *values: Any) -> Any:
        kind = values[0].type
        width = f"v{kind.count}" if isinstance(kind, ir.VectorType) else ""
        element = kind.element if width else kind
        suffix = f"{width}{'f32' if isinstance(element, ir.FloatType) else 'f64'}"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * len(values)), f"{name}.{suffix}")
        return builder.call(function, values)

    return emit


_fma = _call("llvm.fma")


def _multiply(builder: Any, kind: Any, x: Any, y: Any) -> Any:
    """A product. NVVM would contract it with a sum, so on a GPU it is the instruction that it leaves alone."""
    if not builder.module.triple.startswith("nvptx"):
        return builder.fmul(x, y)
    name = "llvm.nvvm.mul.rn.f" if isinstance(x.type, ir.FloatType) else "llvm.nvvm.mul.rn.d"
    return builder.call(cgutils.get_or_insert_function(builder.module, ir.FunctionType(x.type, [x.type] * 2), name), (x, y))


def _unpacked(builder: Any, kinds: tuple[Any, ...], values: Any) -> list[Any]:
    """The values, a tuple as the list of its own."""
    return [
        [builder.extract_value(value, place) for place in range(kind.count)] if isinstance(kind, types.UniTuple) else value
        for kind, value in zip(kinds, values, strict=True)
    ]


def _horner(builder: Any, kind: Any, coefficients: Any, x: Any) -> Any:
    return _horner_side_by_side(builder, coefficients, [x])[0]


def _horner_side_by_side(builder: Any, coefficients: list[Any], xs: list[Any]) -> list[Any]:
    totals = [coefficients[0]] * len(xs)
    for coefficient in coefficients[1:]:
        totals = [_fma(builder, None, total, x, coefficient) for total, x in zip(totals, xs, strict=True)]
    return totals


_define(primitives.polynomial, lambda coefficients, x: x if x in _UNSIGNED and coefficients.dtype == x else None, _horner)
_define(primitives.bits, _UNSIGNED.get, lambda builder, kind, x: builder.bitcast(x, kind))
_define(primitives.unbits, _FLOAT.get, lambda builder, kind, n: builder.bitcast(n, kind))
_define(primitives.to_float, _FLOAT.get, lambda builder, kind, n: builder.sitofp(n, kind))
_define(primitives.to_float_unsigned, _FLOAT.get, lambda builder, kind, n: builder.uitofp(n, kind))
_define(primitives.add, _same_unsigned, lambda builder, kind, n, m: builder.add(n, m))
_define(primitives.subtract, _same_unsigned, lambda builder, kind, n, m: builder.sub(n, m))
_define(primitives.quotient, _same_unsigned, lambda builder, kind, n, m: builder.udiv(n, m))
_define(
    primitives.product_high,
    _same_words,
    lambda builder, kind, n, m: builder.trunc(builder.lshr(_wide(builder, n, m), ir.Constant(_I64, 32)), kind),
)
_define(primitives.product_low, _same_words, lambda builder, kind, n, m: builder.mul(n, m))
_define(primitives.both, _same_unsigned, lambda builder, kind, n, m: builder.and_(n, m))
_define(primitives.either, _same_unsigned, lambda builder, kind, n, m: builder.or_(n, m))
_define(primitives.complement, _same_unsigned, lambda builder, kind, n, m: builder.xor(n, m))
_define(primitives.shift_right, _same_unsigned, lambda builder, kind, n, count: builder.lshr(n, count))
_define(primitives.shift_left, _same_unsigned, lambda builder, kind, n, count: builder.shl(n, count))
_define(primitives.multiply, _same_float, _multiply)
_define(primitives.square_root, _same_float, _call("llvm.sqrt"))
_define(primitives.divide, _same_float, lambda builder, kind, x, y: builder.fdiv(x, y))
_define(primitives.fma, _same_float, _fma)
_define(
    primitives.select,
    lambda condition, x, y: x if condition == types.boolean and x == y else None,
    lambda builder, kind, condition, x, y: builder.select(condition, x, y),
)
