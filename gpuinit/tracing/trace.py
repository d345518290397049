"""Running a quantile function on symbols: statements, branches as selections, loops unrolled, calls inlined."""

from __future__ import annotations

import ast
import inspect
from typing import Any, NamedTuple

from gpuinit.kernels.programs import MOST_PARAMETERS, Program
from gpuinit.tracing.expressions import Expressions, Unset
from gpuinit.tracing.graph import MOST_OPERATIONS, Graph, TooLong, Truth
from gpuinit.tracing.source import Source, frozen

__all__ = ["trace"]

MOST_TURNS = 1000


class _Returned(NamedTuple):
    """A value returned where the condition holds; True is everywhere."""

    condition: Truth | bool
    value: Any


def trace(function: Any) -> Program:
    """The program of a quantile function, whose first argument is u.

    Raises:
        QuantileError: the function cannot be one; the message shows the line.
    """
    source = Source(function)
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters or any(p.kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD for p in parameters):
        raise source.error(source.tree, "its first argument must be u, the others its parameters, all of them plain arguments")
    if len(parameters) > MOST_PARAMETERS + 1:
        raise source.error(source.tree, f"it has {len(parameters) - 1} parameters: at most {MOST_PARAMETERS} are possible")
    graph = Graph(len(parameters) - 1)
    tracer = _Tracer(graph)
    try:
        result = tracer.run(source, dict(zip((p.name for p in parameters), (graph.u, *graph.parameters), strict=True)))
    except TooLong:
        raise source.error(source.tree, f"it takes more than {MOST_OPERATIONS} operations, loops unrolled") from None
    value = Expressions(source, graph, tracer.call).symbol(result, source.tree)
    return graph.program(value)


class _Tracer:
    """Runs functions on symbols, and those that they call."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._running: list[Any] = []

    def call(self, function: Any, arguments: list[Any], keywords: dict[str, Any], caller: Source, node: ast.AST) -> Any:
        """What a function that another one calls returns."""
        if function.__code__ in self._running:
            raise caller.error(node, f"{function.__name__} calls itself: recursion is not allowed")
        try:
            bound = inspect.signature(function).bind(*arguments, **keywords)
        except TypeError as error:
            raise caller.error(node, f"{function.__name__}: {error}") from None
        bound.apply_defaults()
        source = Source(function)
        for name, value in bound.arguments.items():
            if name not in keywords and value is inspect.signature(function).parameters[name].default:
                bound.arguments[name] = frozen(value)
        if any(value is None or isinstance(value, dict) for value in bound.arguments.values()):
            raise caller.error(node, f"{function.__name__}: the default of an argument is not a number")
        return self.run(source, dict(bound.arguments))

    def run(self, source: Source, names: dict[str, Any]) -> Any:
        """What the function returns for these arguments."""
        for kind in (ast.Yield, ast.YieldFrom, ast.Await):
            for node in ast.walk(source.tree):
                if isinstance(node, kind):
                    source.refuse(node, "a generator is not allowed")
        frame = _Frame(source, self.graph, self.call)
        frame.names = names
        self._running.append(source.function.__code__)
        returned = frame.block(source.tree.body)
        self._running.pop()
        if returned is None or returned.condition is not True:
            raise source.error(source.tree, "it does not return a value on every path")
        return returned.value


class _Frame(Expressions):
    """One call of a function."""

    def block(self, statements: list[ast.stmt]) -> _Returned | None:
        """Run statements; what they return, None if nothing on any path."""
        returned: _Returned | None = None
        for statement in statements:
            returned = self._then(returned, self._statement(statement), statement)
            if returned is not None and returned.condition is True:
                break
        return returned

    def _then(self, first: _Returned | None, second: _Returned | None, node: ast.AST) -> _Returned | None:
        """What is returned by two statements, one after the other."""
        if first is None or second is None:
            return first or second
        assert isinstance(first.condition, Truth)
        value = self.select(first.condition, first.value, second.value, node)
        if second.condition is True:
            return _Returned(True, value)
        assert isinstance(second.condition, Truth)
        return _Returned(self.graph.either(first.condition, second.condition), value)

    def _statement(self, node: ast.stmt) -> _Returned | None:
        if isinstance(node, ast.Return):
            if node.value is None:
                raise self.source.error(node, "it must return a number")
            return _Returned(True, self.value(node.value))
        if isinstance(node, ast.If):
            return self._if(node)
        if isinstance(node, ast.For):
            return self._for(node)
        if isinstance(node, ast.Assign):
            value = self.value(node.value)
            for target in node.targets:
                self._assign(target, value)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            self._assign(node.target, self.value(node.value))
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            before = self.number(ast.copy_location(ast.Name(node.target.id, ast.Load()), node))
            self._assign(node.target, self.binary(node.op, before, self.number(node.value), node))
        elif not isinstance(node, ast.Pass) and not _is_text(node):
            self.source.refuse(node, f"`{ast.unparse(node).splitlines()[0]}` is not allowed")
        return None

    def _assign(self, target: ast.expr, value: Any) -> None:
        if isinstance(target, ast.Name) and self.source.is_local(target.id):
            self.names[target.id] = value
        elif isinstance(target, ast.Tuple):
            if not isinstance(value, tuple) or len(value) != len(target.elts):
                raise self.source.error(target, f"{len(target.elts)} values are needed for these names")
            for one, part in zip(target.elts, value, strict=True):
                self._assign(one, part)
        else:
            self.source.refuse(target, f"nothing can be assigned to {ast.unparse(target)}")

    def _if(self, node: ast.If) -> _Returned | None:
        condition = self.truth(node.test)
        if isinstance(condition, bool):
            return self.block(node.body if condition else node.orelse)
        before = dict(self.names)
        one = self.block(node.body)
        after, self.names = self.names, before
        other = self.block(node.orelse)
        if other is not None and other.condition is True:
            self.names = after
        elif one is None or one.condition is not True:
            names = {*after, *self.names}
            self.names = {name: self._merged(condition, after.get(name, Unset), self.names.get(name, Unset)) for name in names}
        return self._either(condition, one, other, node)

    def _merged(self, condition: Truth, x: Any, y: Any) -> Any:
        if x is Unset or y is Unset:
            return Unset
        return self.select(condition, x, y, self.source.tree)

    def _either(self, condition: Truth, one: _Returned | None, other: _Returned | None, node: ast.AST) -> _Returned | None:
        """What is returned by the two branches of a condition."""
        if one is not None and other is not None:
            value = self.select(condition, one.value, other.value, node)
            where = self.select(condition, one.condition, other.condition, node)
            return _Returned(where, value)
        if one is not None:
            return _Returned(self.select(condition, one.condition, False, node), one.value)
        if other is not None:
            return _Returned(self.select(condition, False, other.condition, node), other.value)
        return None

    def _for(self, node: ast.For) -> _Returned | None:
        if node.orelse:
            self.source.refuse(node.orelse[0], "`else` of a loop is not allowed")
        returned: _Returned | None = None
        for item in self._items(node.iter):
            self._assign(node.target, item)
            returned = self._then(returned, self.block(node.body), node)
            if returned is not None and returned.condition is True:
                break
        return returned

    def _items(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Call) and self.value(node.func) is range:
            bounds = [self.value(argument) for argument in node.args]
            if node.keywords or not bounds or not all(isinstance(bound, int) for bound in bounds):
                raise self.source.error(node, "range takes whole numbers that are known when the function is decorated")
            turns = range(*bounds)
            if len(turns) > MOST_TURNS:
                raise self.source.error(node, f"the loop has {len(turns)} turns: at most {MOST_TURNS} are possible")
            return turns
        items = self.value(node)
        if not isinstance(items, tuple):
            self.source.refuse(node, "a loop goes over range or a tuple of numbers")
        return items


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
