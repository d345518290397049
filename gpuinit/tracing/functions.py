"""What a quantile function may call besides functions of its kind: each function by itself, and how it is noted."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gpuinit import exact
from gpuinit.kernels.programs import MATH
from gpuinit.tracing.graph import Truth

__all__ = ["known"]

_Noted = Callable[[Any, Any, list[Any]], Any]
"""(evaluator, syntax node, arguments) -> value"""


def known(function: Any) -> _Noted | None:
    """How a call of the function is noted; None if it is none that is known here."""
    try:
        return _known().get(function)
    except TypeError:  # not hashable
        return None


@functools.cache
def _known() -> dict[Any, _Noted]:
    table: dict[Any, _Noted] = {}
    for name in exact.__all__:
        table[getattr(exact, name)] = _plain({"sqrt": "square_root"}.get(name, name), 3 if name == "fma" else 1)
    for name, numpy_function in MATH.items():
        noted = _libm(name, 2 if name in ("hypot", "pow", "atan2") else 1)
        table[getattr(math, name)] = noted
        if isinstance(numpy_function, np.ufunc):
            table[numpy_function] = noted
    for functions, name in (((math.sqrt, np.sqrt), "square_root"), ((abs, math.fabs, np.abs), "absolute")):
        table |= {function: _plain(name, 1) for function in functions}
    table |= {math.floor: _plain("floor", 1), np.floor: _plain("floor", 1)}
    table |= {math.ceil: _plain("ceil", 1), np.ceil: _plain("ceil", 1)}
    table |= {min: _extreme("minimum"), np.minimum: _extreme("minimum")}
    table |= {max: _extreme("maximum"), np.maximum: _extreme("maximum")}
    return table | {np.where: _where, float: _float, int: _int, len: _len}


def _checked(evaluator: Any, node: Any, arguments: list[Any], count: int) -> None:
    if len(arguments) != count:
        raise evaluator.source.error(node, f"this function takes {count} argument{'s' * (count > 1)} here, not {len(arguments)}")


def _plain(name: str, count: int) -> _Noted:
    """An exact function: noted, whatever its arguments are."""

    def noted(evaluator: Any, node: Any, arguments: list[Any]) -> Any:
        _checked(evaluator, node, arguments, count)
        return evaluator.graph.call(name, *(evaluator.symbol(argument, node) for argument in arguments))

    return noted


def _libm(name: str, count: int) -> _Noted:
    """A function of math: of numbers alone it is computed at once, in float64, as Python does."""

    def noted(evaluator: Any, node: Any, arguments: list[Any]) -> Any:
        _checked(evaluator, node, arguments, count)
        numbers = [evaluator.as_number(argument, node) for argument in arguments]
        if all(isinstance(number, (int, float)) for number in numbers):
            try:
                return getattr(math, name)(*numbers)
            except (ValueError, OverflowError) as error:
                raise evaluator.source.error(node, f"{name} of {numbers}: {error}") from None
        return evaluator.graph.call(f"math_{name}", *(evaluator.symbol(number, node) for number in numbers))

    return noted


def _extreme(name: str) -> _Noted:
    choose = min if name == "minimum" else max

    def noted(evaluator: Any, node: Any, arguments: list[Any]) -> Any:
        items = list(arguments[0]) if len(arguments) == 1 and isinstance(arguments[0], tuple) else arguments
        if not items:
            raise evaluator.source.error(node, "at least one number is needed")
        numbers = [evaluator.as_number(item, node) for item in items]
        total = numbers[0]
        for number in numbers[1:]:
            if isinstance(total, (int, float)) and isinstance(number, (int, float)):
                total = choose(total, number)
            else:
                total = evaluator.graph.call(name, evaluator.symbol(total, node), evaluator.symbol(number, node))
        return total

    return noted


def _where(evaluator: Any, node: Any, arguments: list[Any]) -> Any:
    _checked(evaluator, node, arguments, 3)
    condition, x, y = arguments
    if isinstance(condition, bool):
        return x if condition else y
    if not isinstance(condition, Truth):
        raise evaluator.source.error(node, "the first argument must be a comparison")
    return evaluator.select(condition, x, y, node)


def _float(evaluator: Any, node: Any, arguments: list[Any]) -> Any:
    _checked(evaluator, node, arguments, 1)
    number = evaluator.as_number(arguments[0], node)
    return float(number) if isinstance(number, (int, float)) else number


def _int(evaluator: Any, node: Any, arguments: list[Any]) -> Any:
    _checked(evaluator, node, arguments, 1)
    if not isinstance(arguments[0], (int, float)) or not math.isfinite(arguments[0]):
        raise evaluator.source.error(node, "int is for numbers alone; math.floor serves what depends on u or a parameter")
    return int(arguments[0])


def _len(evaluator: Any, node: Any, arguments: list[Any]) -> Any:
    _checked(evaluator, node, arguments, 1)
    if not isinstance(arguments[0], tuple):
        raise evaluator.source.error(node, "only a tuple has a length here")
    return len(arguments[0])
