"""What a table is made with: an initializer and a dtype, as the file, the options and the table settle them."""

from __future__ import annotations

import contextlib
import difflib
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gpuinit import registry
from gpuinit.initializers import Initializer
from gpuinit.key import Key
from gpuinit.tables.spec import SpecError

__all__ = ["DEFAULT_INIT", "Choice", "blamed", "initializer"]

DEFAULT_INIT = "random_uniform"
"""Uniform on [-0.05, 0.05): what Keras's Embedding takes by default. It does not depend on the number of rows."""


@dataclass(frozen=True, slots=True)
class Choice:
    """An initializer's name and arguments, and a dtype, as settled so far."""

    init: str
    args: Mapping[str, Any]
    dtype: str | None

    def then(self, init: str | None, args: Mapping[str, Any] | None, dtype: str | None) -> Choice:
        """This, overruled by what is set; arguments stay with the initializer that they were given for."""
        kept = self.args if init is None else {}
        return Choice(self.init if init is None else init, {**kept, **(args or {})}, self.dtype if dtype is None else dtype)


@contextlib.contextmanager
def blamed(key: str | None, place: Callable[[str], str] | None, args: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Begin the block's errors with the place of `key`, as SpecErrors; of what the message begins with if it is None."""
    try:
        yield
    except (TypeError, ValueError, RecursionError) as error:
        if place is None:
            raise
        start = str(error).partition("=")[0]
        key = key or ("args" if start in (args or {}) else start if start in ("init", "dtype") else "shape")
        where = place(key)
        raise SpecError(f"{where}: {error}" if where else str(error)) from error


def initializer(choice: Choice, key: Key, place: Callable[[str], str] | None = None) -> Initializer:
    """The initializer, seeded if it draws."""
    with blamed("init", place):
        kind = _class(choice.init)
    with blamed("args", place):
        return _made(kind, choice, key)


def _made(kind: type[Initializer], choice: Choice, key: Key) -> Initializer:
    known = inspect.signature(kind).parameters
    accepted = [name for name in known if name != "seed"]
    for name in choice.args:
        if name == "seed":
            raise ValueError("args: seed is set by the seed option, and a table's name is folded into it")
        if name not in accepted:
            takes = f"it takes {', '.join(accepted)}" if accepted else "it takes none"
            raise ValueError(f"args: {kind.__name__} has no argument {name!r}; {takes}")
    for name in accepted:
        if known[name].default is inspect.Parameter.empty and name not in choice.args:
            raise ValueError(f"args: {kind.__name__} needs the argument {name!r}; it takes {', '.join(accepted)}")
    made: Initializer = kind(**choice.args, **({"seed": key} if "seed" in known else {}))
    return made


def _class(name: str) -> type[Initializer]:
    """The initializer class of a name that `registry.get` knows."""
    kind = registry.find(name)
    if kind not in (None, Initializer):
        return kind
    close = difflib.get_close_matches(name.lower(), registry.names(), 1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise ValueError(f"init={name!r} is not known; {hint}The names are {', '.join(registry.names())}")
