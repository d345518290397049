"""A function's source: its syntax tree, what its names mean outside it, and errors that show one of its lines."""

from __future__ import annotations

import ast
import builtins
import functools
import linecache
import types
from typing import Any, NoReturn

import numpy as np

from gpuinit.tracing.errors import ALLOWED, QuantileError

__all__ = ["Source", "frozen"]

_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, np.ufunc, type(np.where))


class Source:
    """A plain Python function with its syntax tree.

    Raises:
        QuantileError: it is not a function of a `def`, or its source is not to be had.
    """

    def __init__(self, function: Any) -> None:
        if not isinstance(function, types.FunctionType):
            raise QuantileError(
                f"{function!r} is a {type(function).__name__}: a quantile function is a function written with def"
            )
        self.function = function
        self.file = function.__code__.co_filename
        linecache.checkcache(self.file)
        self._lines = linecache.getlines(self.file, function.__globals__)
        if not self._lines:
            raise QuantileError(
                f"{function.__name__} from {self.file}: its source is not to be had, and a quantile function is made from it. "
                "Write it in a file or a notebook, not in exec or at the prompt."
            )
        self.tree = self._definition()
        code = function.__code__
        cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
        self._enclosing = dict(cells)
        self._local = {*code.co_varnames, *code.co_cellvars}

    def _definition(self) -> ast.FunctionDef:
        first, name = self.function.__code__.co_firstlineno, self.function.__name__
        if self.function.__code__.co_name == "<lambda>":
            raise QuantileError(f"{self.file}, line {first}: a lambda cannot be a quantile function: write it with def")
        try:
            module = _parsed("".join(self._lines))
        except SyntaxError as error:
            raise QuantileError(f"{name}: what stands in {self.file} is not the source of it: {error}") from None
        for node in ast.walk(module):
            if isinstance(node, ast.FunctionDef) and min([node.lineno, *(d.lineno for d in node.decorator_list)]) == first:
                return node
        raise QuantileError(f"{name}: no def of this name stands in {self.file}, line {first}; has the file changed meanwhile?")

    def error(self, node: ast.AST, wrong: str, allowed: bool = False) -> QuantileError:
        """The error that something is wrong in the line of `node`; `allowed` adds what is allowed."""
        line = getattr(node, "lineno", self.tree.lineno)
        text = self._lines[line - 1].strip() if line <= len(self._lines) else ""
        hint = f"\n{ALLOWED}" if allowed else ""
        return QuantileError(
            f"{self.function.__name__} cannot be a quantile function\n  {self.file}, line {line}\n    {text}\n{wrong}{hint}"
        )

    def is_local(self, name: str) -> bool:
        """Whether a name belongs to the function itself."""
        return name in self._local and name not in self._enclosing

    def outside(self, name: str, node: ast.AST) -> Any:
        """What a name means that is not the function's own: from the enclosing functions, the module, or Python."""
        if name in self._enclosing:
            try:
                return self._enclosing[name].cell_contents
            except ValueError:
                raise self.error(node, f"{name} has no value yet: it must have one when the function is decorated") from None
        for scope in (self.function.__globals__, vars(builtins)):
            if name in scope:
                return scope[name]
        raise self.error(node, f"the name {name} is not known when the function is decorated")

    def constant(self, value: Any, name: str, node: ast.AST) -> Any:
        """A value from outside as the tracer takes it: a number, a tuple of numbers, a module or a function."""
        taken = frozen(value)
        if taken is None:
            self.refuse(
                node, f"{name} is a {type(value).__name__}: from outside come numbers, tuples of numbers, modules, functions"
            )
        return taken

    def refuse(self, node: ast.AST, wrong: str) -> NoReturn:
        """Raise the error with what is allowed."""
        raise self.error(node, wrong, allowed=True)


def frozen(value: Any) -> Any:
    """A number of Python or NumPy as Python's, lists and tuples of them as tuples; modules, functions, classes; else None."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value)
    if isinstance(value, (list, tuple)):
        taken = tuple(map(frozen, value))
        return taken if all(isinstance(item, (int, float, tuple)) for item in taken) else None
    return value if isinstance(value, (types.ModuleType, type, *_FUNCTIONS)) else None


@functools.lru_cache(maxsize=16)
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)
