"""Expressions on symbols. Numbers alone are computed as Python computes them; what depends on u or a parameter is noted."""

from __future__ import annotations

import ast
import operator
import types
from collections.abc import Callable
from typing import Any

from gpuinit.tracing.functions import known
from gpuinit.tracing.graph import Graph, Number, Truth
from gpuinit.tracing.source import Source

__all__ = ["Expressions", "Unset", "is_number"]

_ARITHMETIC: dict[type[ast.operator], tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Add: ("add", operator.add),
    ast.Sub: ("subtract", operator.sub),
    ast.Mult: ("multiply", operator.mul),
    ast.Div: ("divide", operator.truediv),
    ast.Pow: ("raised", operator.pow),
    ast.FloorDiv: ("", operator.floordiv),
    ast.Mod: ("", operator.mod),
}
_COMPARISONS: dict[type[ast.cmpop], str] = {
    **{ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge", ast.Eq: "eq", ast.NotEq: "ne"},
}
_MOST_POWER = 1024


class Unset:
    """A name that has a value on some paths only."""


def is_number(value: Any) -> bool:
    """Whether a value is a number of Python's, a bool included."""
    return isinstance(value, (int, float))


class Expressions:
    """Evaluates the expressions of one call of a function; `call` runs another function."""

    def __init__(self, source: Source, graph: Graph, call: Callable[..., Any]) -> None:
        self.source = source
        self.graph = graph
        self.names: dict[str, Any] = {}
        self._call = call

    def value(self, node: ast.expr) -> Any:
        """The value of an expression: a Python number, a symbol, a tuple of values, a module or a function."""
        method = getattr(self, f"_on_{type(node).__name__.lower()}", None)
        if method is None:
            self.source.refuse(node, f"{_described(node)} is not allowed")
        return method(node)

    def number(self, node: ast.expr) -> Number | float:
        """The value of an expression that must be a number."""
        return self.as_number(self.value(node), node)

    def as_number(self, value: Any, node: ast.AST) -> Number | float:
        """A value that must be a number."""
        if isinstance(value, Number) or is_number(value):
            found: Number | float = value
            return found
        raise self.source.error(node, f"a number is needed here, not {_kind(value)}")

    def symbol(self, value: Any, node: ast.AST) -> Number:
        """A number as a symbol."""
        if isinstance(value, Number):
            return value
        try:
            return self.graph.constant(self.as_number(value, node))  # type: ignore[arg-type]
        except OverflowError:
            raise self.source.error(node, "this number is too large for a float") from None

    def truth(self, node: ast.expr) -> Truth | bool:
        """The value of a condition."""
        value = self.value(node)
        if isinstance(value, Truth) or is_number(value):
            return value if isinstance(value, Truth) else bool(value)
        raise self.source.error(node, f"a condition must be a comparison, not {_kind(value)}")

    def select(self, condition: Truth, x: Any, y: Any, node: ast.AST) -> Any:
        """x where the condition holds, else y."""
        if repr(x) == repr(y):  # by its text, 0.0 is not -0.0
            return x
        if isinstance(x, tuple) and isinstance(y, tuple) and len(x) == len(y):
            return tuple(self.select(condition, a, b, node) for a, b in zip(x, y, strict=True))
        if isinstance(x, (Truth, bool)) and isinstance(y, (Truth, bool)):
            opposite = self.graph.opposite(condition)
            return self._any(self._all(condition, x), self._all(opposite, y))
        if all(isinstance(value, Number) or is_number(value) for value in (x, y)):
            return self.graph.call("select", condition, self.symbol(x, node), self.symbol(y, node))
        raise self.source.error(node, f"the two cases differ in kind: {_kind(x)}, and {_kind(y)}")

    def _all(self, a: Truth | bool, b: Truth | bool) -> Truth | bool:
        if isinstance(a, bool):
            return b if a else False
        return self.graph.both(a, b) if isinstance(b, Truth) else a if b else False

    def _any(self, a: Truth | bool, b: Truth | bool) -> Truth | bool:
        if isinstance(a, bool):
            return True if a else b
        return self.graph.either(a, b) if isinstance(b, Truth) else True if b else a

    def _on_constant(self, node: ast.Constant) -> Any:
        if not is_number(node.value):
            self.source.refuse(node, f"{node.value!r} is not a real number")
        return node.value

    def _on_name(self, node: ast.Name) -> Any:
        if not self.source.is_local(node.id):
            return self.source.constant(self.source.outside(node.id, node), node.id, node)
        value = self.names.get(node.id, Unset)
        if value is Unset:
            raise self.source.error(node, f"{node.id} has no value here, or not on every path that leads here")
        return value

    def _on_attribute(self, node: ast.Attribute) -> Any:
        owner = self.value(node.value)
        if not isinstance(owner, types.ModuleType):
            self.source.refuse(node, f".{node.attr} is not allowed: attributes are those of modules")
        if not hasattr(owner, node.attr):
            raise self.source.error(node, f"the module {owner.__name__} has no {node.attr}")
        return self.source.constant(getattr(owner, node.attr), ast.unparse(node), node)

    def _on_tuple(self, node: ast.Tuple) -> Any:
        return tuple(self.value(item) for item in node.elts)

    def _on_subscript(self, node: ast.Subscript) -> Any:
        items, place = self.value(node.value), self.value(node.slice)
        if not isinstance(items, tuple) or not isinstance(place, int):
            self.source.refuse(node, "only a tuple has items here, picked by whole numbers known when the function is decorated")
        if not -len(items) <= place < len(items):
            raise self.source.error(node, f"there is no item {place} in a tuple of {len(items)}")
        return items[place]

    def _on_unaryop(self, node: ast.UnaryOp) -> Any:
        if isinstance(node.op, ast.Not):
            truth = self.truth(node.operand)
            return self.graph.opposite(truth) if isinstance(truth, Truth) else not truth
        value = self.number(node.operand)
        if isinstance(node.op, ast.USub):
            return self.graph.negative(value) if isinstance(value, Number) else -value
        if isinstance(node.op, ast.UAdd):
            return value
        return self.source.refuse(node, "~ is not allowed")

    def _on_binop(self, node: ast.BinOp) -> Any:
        return self.binary(node.op, self.number(node.left), self.number(node.right), node)

    def binary(self, sign: ast.operator, a: Any, b: Any, node: ast.AST) -> Any:
        """a + b, and so on."""
        name, compute = _ARITHMETIC.get(type(sign), ("", None))
        if compute is None:
            self.source.refuse(node, "this operator is not allowed")
        if is_number(a) and is_number(b):
            if isinstance(sign, ast.Pow) and abs(b) > _MOST_POWER:
                raise self.source.error(node, f"the exponent {b} is too large")
            try:
                result = compute(a, b)
            except (ZeroDivisionError, OverflowError, ValueError) as error:
                raise self.source.error(node, f"{error}") from None
            if isinstance(result, complex):
                raise self.source.error(node, "the result is not a real number")
            return result
        if not name:
            self.source.refuse(node, "// and % are for numbers alone, not for what depends on u or a parameter")
        if name == "raised":
            return self.graph.raised(self.symbol(a, node), b)
        if name in ("multiply", "divide"):
            return self.graph.call(name, self.symbol(a, node), self.symbol(b, node))
        combined: Number = getattr(self.graph, name)(self.symbol(a, node), self.symbol(b, node))
        return combined

    def _on_compare(self, node: ast.Compare) -> Any:
        result: Truth | bool = True
        left = self.number(node.left)
        for sign, operand in zip(node.ops, node.comparators, strict=True):
            name = _COMPARISONS.get(type(sign))
            if name is None:
                self.source.refuse(node, "`is` and `in` are not allowed")
            right = self.number(operand)
            one: Truth | bool
            if is_number(left) and is_number(right):
                one = bool(getattr(operator, name)(left, right))
            else:
                one = self.graph.compare(name, self.symbol(left, node), self.symbol(right, node))
            result, left = self._all(result, one), right
        return result

    def _on_boolop(self, node: ast.BoolOp) -> Any:
        join = self._all if isinstance(node.op, ast.And) else self._any
        result = self.truth(node.values[0])
        for operand in node.values[1:]:
            if isinstance(result, bool) and result is not isinstance(node.op, ast.And):
                break  # as Python, which does not look at the rest
            result = join(result, self.truth(operand))
        return result

    def _on_ifexp(self, node: ast.IfExp) -> Any:
        condition = self.truth(node.test)
        if isinstance(condition, bool):
            return self.value(node.body if condition else node.orelse)
        return self.select(condition, self.value(node.body), self.value(node.orelse), node)

    def _on_call(self, node: ast.Call) -> Any:
        function = self.value(node.func)
        if any(isinstance(argument, ast.Starred) for argument in node.args) or any(k.arg is None for k in node.keywords):
            self.source.refuse(node, "* and ** arguments are not allowed")
        arguments = [self.value(argument) for argument in node.args]
        keywords = {str(keyword.arg): self.value(keyword.value) for keyword in node.keywords}
        traced = getattr(function, "quantile_function", function)  # of a class that gpuinit.quantile made
        exact = known(function)
        if exact is not None:
            if keywords:
                raise self.source.error(node, f"{function.__name__} takes no keyword arguments here")
            return exact(self, node, arguments)
        if not isinstance(traced, types.FunctionType):
            self.source.refuse(node, f"{ast.unparse(node.func)} cannot be called in a quantile function")
        return self._call(traced, arguments, keywords, self.source, node)


def _kind(value: Any) -> str:
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return (
        "a condition"
        if isinstance(value, Truth)
        else "a number"
        if isinstance(value, Number) or is_number(value)
        else repr(value)
    )


def _described(node: ast.expr) -> str:
    names = {"ListComp": "a comprehension", "Lambda": "a lambda", "JoinedStr": "text", "NamedExpr": ":="}
    return names.get(type(node).__name__, f"`{ast.unparse(node)}`")
