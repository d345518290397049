"""Operations on symbols: each is noted once, and together they are a program.

The rules of docs/stream.md are here: a product that feeds a sum is one fma, and a power of a whole number is products.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gpuinit.kernels.programs import MOST_PARAMETERS, Program

__all__ = ["MOST_OPERATIONS", "Graph", "Number", "TooLong", "Truth", "Value"]

MOST_OPERATIONS = 2000
_MOST_FACTORS = 64
_OPERATORS = {"add": "+", "subtract": "-", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "and": "&", "or": "|"}


class TooLong(Exception):
    """There are more operations than a kernel should have."""


@dataclass(frozen=True, slots=True)
class Number:
    """A real number that depends on u or a parameter, by the place of its operation."""

    place: int


@dataclass(frozen=True, slots=True)
class Truth:
    """A condition, by the place of its operation."""

    place: int


Value = Number | Truth


class Graph:
    """The operations noted so far, in order; equal ones are one."""

    def __init__(self, parameters: int) -> None:
        assert parameters <= MOST_PARAMETERS
        self._operations: list[tuple[Any, ...]] = []
        self._places: dict[tuple[Any, ...], int] = {}
        self.u = Number(self._note("u"))
        self.parameters = tuple(Number(self._note(f"p{place}")) for place in range(parameters))

    def _note(self, *operation: Any) -> int:
        if operation not in self._places:
            if len(self._operations) >= MOST_OPERATIONS:
                raise TooLong
            self._places[operation] = len(self._operations)
            self._operations.append(operation)
        return self._places[operation]

    def constant(self, value: float) -> Number:
        """A real number, which each precision rounds to itself."""
        return Number(self._note("constant", float(value).hex()))

    def call(self, name: str, *arguments: Value) -> Number:
        """A function of real numbers by its name in a program."""
        return Number(self._note(name, *(argument.place for argument in arguments)))

    def add(self, a: Number, b: Number) -> Number:
        """a + b; if a is a product, or else b, it is not rounded: fma."""
        if self._is_product(a):
            return self.call("fma", *self._factors(a), b)
        if self._is_product(b):
            return self.call("fma", *self._factors(b), a)
        return self.call("add", a, b)

    def subtract(self, a: Number, b: Number) -> Number:
        """a - b; if a is a product, or else b, it is not rounded: fma."""
        if self._is_product(a):
            return self.call("fma", *self._factors(a), self.negative(b))
        if self._is_product(b):
            first, second = self._factors(b)
            return self.call("fma", self.negative(first), second, a)
        return self.call("subtract", a, b)

    def negative(self, a: Number) -> Number:
        """-a; of a product, the product of the negated first factor, so that it stays one."""
        name, *arguments = self._operations[a.place]
        if name == "constant":
            return self.constant(-float.fromhex(arguments[0]))
        if self._is_product(a):
            first, second = self._factors(a)
            return self.call("multiply", self.negative(first), second)
        return self.call("negative", a)

    def power(self, a: Number, n: int) -> Number:
        """a^n by products: squares, and a factor a for each further binary digit that is 1; 1 / a^-n for negative n."""
        if n < 0:
            return self.call("divide", self.constant(1.0), self.power(a, -n))
        if n == 0:
            return self.constant(1.0)
        total = a
        for digit in bin(n)[3:]:
            total = self.call("multiply", total, total)
            if digit == "1":
                total = self.call("multiply", total, a)
        return total

    def raised(self, a: Number, exponent: Any) -> Number:
        """a ** exponent, a Python number or a symbol."""
        if not isinstance(exponent, Number):
            if exponent == 0.5:
                return self.call("square_root", a)
            if abs(exponent) <= _MOST_FACTORS and exponent == int(exponent):
                return self.power(a, int(exponent))
            exponent = self.constant(exponent)
        return self.call("math_pow", a, exponent)

    def compare(self, name: str, a: Number, b: Number) -> Truth:
        """Whether a < b ("lt"), and so on."""
        if name == "ne":
            return self.opposite(self.compare("eq", a, b))
        return Truth(self._note(name, a.place, b.place))

    def opposite(self, a: Truth) -> Truth:
        """not a."""
        return Truth(self._note("not", a.place))

    def both(self, a: Truth, b: Truth) -> Truth:
        """a and b."""
        return Truth(self._note("and", a.place, b.place))

    def either(self, a: Truth, b: Truth) -> Truth:
        """a or b."""
        return Truth(self._note("or", a.place, b.place))

    def program(self, result: Number) -> Program:
        """The operations that `result` needs, as a program."""
        if not self._depends_on_u(result):  # every element has the value
            above = self.compare("gt", self.u, self.constant(0.0))
            result = self.call("select", above, result, result)
        needed = sorted(self._needed(result))
        lines, names, constants, calls_math = list[str](), dict[int, str](), list[float](), False
        for place in needed:
            name, *arguments = self._operations[place]
            if name == "constant":
                names[place] = f"k{len(constants)}"
                constants.append(float.fromhex(arguments[0]))
            elif not arguments:
                names[place] = name
            else:
                names[place] = f"v{len(lines)}"
                lines.append(f"    {names[place]} = {_expression(name, [names[argument] for argument in arguments])}\n")
                calls_math |= name.startswith("math_")
        head = "def central(word, depth, c, k):\n    u = uniform(word)\n"
        head += "".join(f"    p{place} = c[{place}]\n" for place in range(len(self.parameters)) if f"p{place}" in names.values())
        return Program(f"{head}{''.join(lines)}    return {names[result.place]}\n", tuple(constants), calls_math)

    def _needed(self, result: Number) -> set[int]:
        needed, waiting = set[int](), [result.place]
        while waiting:
            place = waiting.pop()
            if place not in needed:
                needed.add(place)
                name, *arguments = self._operations[place]
                waiting += [] if name == "constant" else arguments
        return needed

    def _depends_on_u(self, result: Number) -> bool:
        return self.u.place in self._needed(result)

    def _is_product(self, a: Number) -> bool:
        return bool(self._operations[a.place][0] == "multiply")

    def _factors(self, a: Number) -> tuple[Number, Number]:
        _, first, second = self._operations[a.place]
        return Number(first), Number(second)


def _expression(name: str, arguments: list[str]) -> str:
    if name in _OPERATORS:
        return f"{arguments[0]} {_OPERATORS[name]} {arguments[1]}"
    if name == "not":
        return f"{arguments[0]} ^ True"
    return f"{name}({', '.join(arguments)})"
