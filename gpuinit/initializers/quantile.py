"""The decorator quantile(function), which makes an initializer of a quantile function, and the names of what it made."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, overload

from gpuinit import user_quantile
from gpuinit.arguments import finite
from gpuinit.distributions import Distribution
from gpuinit.initializers.base import RandomInitializer

__all__ = ["QuantileInitializer", "quantile", "registered"]

_REGISTERED: dict[str, type[QuantileInitializer]] = {}
_registering = threading.Lock()


class QuantileInitializer(RandomInitializer):
    """Base class of what `quantile` makes: its values are function(u, *parameters) with u uniform in (0, 1).

    Its instances have the parameters as attributes. `quantile_function` is the function as it was written, and
    `registered_name` what `serialize` writes and `deserialize` looks for.
    """

    quantile_function: ClassVar[Callable[..., Any]]
    registered_name: ClassVar[str]
    _quantile: ClassVar[str]
    _signature: ClassVar[inspect.Signature]
    _nonnegative: ClassVar[tuple[str, ...]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{type(self).__name__}{self._signature}: {error}") from None
        bound.apply_defaults()
        for name in self._parameters():
            value = finite(bound.arguments[name], name)
            if name in self._nonnegative and value < 0:
                raise ValueError(f"{name}={value} of {type(self).__name__}: it must be >= 0")
            setattr(self, name, value)
        super().__init__(bound.arguments["seed"])

    def distribution(self, shape: tuple[int, ...]) -> Distribution:
        names = self._parameters()
        values = tuple(float(getattr(self, name)) for name in names)
        return user_quantile.UserQuantile(type(self).__name__, self._quantile, names, values)

    def get_config(self) -> dict[str, Any]:
        return {**{name: getattr(self, name) for name in self._parameters()}, **super().get_config()}

    @classmethod
    def _parameters(cls) -> tuple[str, ...]:
        return tuple(name for name in cls._signature.parameters if name != "seed")


@overload
def quantile(
    function: Callable[..., Any], *, package: str | None = None, nonnegative: Sequence[str] = ()
) -> type[QuantileInitializer]: ...


@overload
def quantile(
    function: None = None, *, package: str | None = None, nonnegative: Sequence[str] = ()
) -> Callable[[Callable[..., Any]], type[QuantileInitializer]]: ...


def quantile(function: Callable[..., Any] | None = None, *, package: str | None = None, nonnegative: Sequence[str] = ()) -> Any:
    """Make an initializer class of a quantile function (the inverse of a distribution function), written in plain Python.

        @gpuinit.quantile
        def laplace(u, loc=0.0, scale=1.0):
            tail = gpuinit.exact.log(2 * min(u, 1 - u))
            return loc + scale * (tail if u < 0.5 else -tail)

        laplace(scale=0.1, seed=1)((1000, 64), "bfloat16")

    The function takes u, uniform in (0, 1), and up to 7 real parameters, and returns the value. u is (k + 1/2) 2^-23 with k
    of 23 bits, so that 1 - u is exact; 2^-24 <= u <= 1 - 2^-24. For float64 it is (k + 1/2) 2^-52 and runs from 2^-53 to
    1 - 2^-53. The function is read when it is decorated, and compiled when first needed, fused with the generator: for
    NumPy, for the CPU and for CUDA. It is never called itself.

    Numbers mean real numbers: what is made of numbers alone is computed as Python does, and then rounded to float32 or, for
    float64, taken as it is. Every other operation is rounded once in that precision, but for a product that feeds a sum,
    which is not rounded: they are one fma. Both branches of a condition are computed, one is taken.

    Args:
        function: the quantile function. Allowed are assignments, numbers, + - * / **, comparisons, and, or, not, if, elif,
            else, conditional expressions, for over range or a tuple of numbers, return, tuples, abs, min, max,
            `gpuinit.exact`, functions of math and their NumPy twins, other functions of this kind, and numbers and tuples
            of numbers from outside, which are taken as they are when the function is decorated.
        package: the first half of the name that it is registered by, "package>name"; None means the first part of its
            module's name, and "Custom" in `__main__`.
        nonnegative: the names of parameters that must be >= 0.

    Returns:
        A class, a `RandomInitializer` that takes the parameters and `seed`. It does what every initializer does: dtypes,
        blocks, rows, `fill`, `serialize`. Its values are bit-equal on every backend if the function calls none of math's
        functions but sqrt, fabs, floor and ceil; those others come from each backend's own library, and differ in the last
        digits. Values are held inside the dtype's finite range.

    Raises:
        QuantileError: the function cannot be one; the message shows the line, and says what is allowed.
        TypeError, ValueError: a default is not a finite number, or another module has registered the name. When called,
            ValueError: a value of some u is nan or too large for the dtype.
    """
    if function is None:
        return lambda given: quantile(given, package=package, nonnegative=nonnegative)
    name = user_quantile.compiled(function)
    parameters = list(inspect.signature(function).parameters.values())[1:]
    for parameter in parameters:
        if hasattr(QuantileInitializer, parameter.name) or parameter.name == "seed":
            raise ValueError(
                f"the parameter {parameter.name} of {function.__name__} must have another name: initializers have that one"
            )
        if parameter.default is not parameter.empty:
            finite(parameter.default, parameter.name)
    unknown = set(nonnegative) - {parameter.name for parameter in parameters}
    if isinstance(nonnegative, str) or unknown:
        raise ValueError(f"nonnegative={nonnegative!r}: it must be a tuple of names of parameters of {function.__name__}")
    seed = inspect.Parameter("seed", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None)
    if parameters and parameters[-1].default is inspect.Parameter.empty:
        seed = seed.replace(kind=inspect.Parameter.KEYWORD_ONLY)
    signature = inspect.Signature([*(p.replace(annotation=inspect.Parameter.empty) for p in parameters), seed])
    root = package or function.__module__.partition(".")[0]
    members = {
        "__doc__": function.__doc__,
        "__module__": function.__module__,
        "__qualname__": function.__qualname__,
        "__signature__": signature,
        "_signature": signature,
        "_quantile": name,
        "_nonnegative": tuple(nonnegative),
        "quantile_function": staticmethod(function),
        "registered_name": f"{'Custom' if root == '__main__' else root}>{function.__name__}",
    }
    made = type(function.__name__, (QuantileInitializer,), members)
    _register(made)
    return made


def _register(made: type[QuantileInitializer]) -> None:
    with _registering:
        before = _REGISTERED.get(made.registered_name)
        if before is not None and before.__module__ != made.__module__:
            raise ValueError(
                f"{made.registered_name!r} is registered by {before.__module__}, so {made.__module__} cannot have it: "
                "use another name, or gpuinit.quantile(package=...)"
            )
        _REGISTERED[made.registered_name] = made


def registered(name: Any) -> type[QuantileInitializer] | None:
    """The class of a registered name, "package>name", or None."""
    return _REGISTERED.get(name) if isinstance(name, str) else None
