"""What `accelerate` puts on PyTorch's stack of dispatch modes: calls that draw are taken over, all others pass.

A `TorchDispatchMode` stands below autograd and above DTensor and the devices. So torch.nn.init, a module's own code and C++
arrive here alike, as `aten.normal_` or `aten.uniform_`; what autograd refuses has been refused, what it records is recorded, and
version counters are its own. A `TorchFunctionMode` stands above all that: it sees `torch.nn.init.kaiming_uniform_`, and not the
call inside.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode_stack, _pop_mode, _push_mode

from gpuinit.initializers import Initializer, RandomNormal, RandomUniform
from gpuinit.torch.filling import Fill, planned
from gpuinit.torch.rows import GATHERED, SET, Rows
from gpuinit.torch.streams import ByCall, ByName

__all__ = ["Session", "current"]

Streams = ByCall | ByName

_inside: ContextVar[tuple[Session, ...]] = ContextVar("gpuinit.torch.accelerate", default=())
"""The sessions that this thread, or this task of an event loop, has entered, the innermost last; some may be closed."""


class _Handler:
    """Not in the class of the mode itself: PyTorch wraps what it finds there into torch._dynamo.disable, and loads that (1 s)."""

    streams: Streams
    rows: Rows
    _hidden: Callable[..., bool] | None = None

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        law = _LAWS.get(func)
        if law is not None and current() is self and (not kwargs or kwargs.get("generator") is None):
            tensor, *given = args
            if self.take(tensor, law, *given):
                return tensor
        made = func(*args, **(kwargs or {}))
        if func is GATHERED:
            self.rows.gathered(made, *args)
        elif func in SET:
            self.rows.set(func, *args)
        return made

    def take(self, tensor: Any, law: Callable[..., Initializer], *given: float) -> bool:
        """Fill a tensor if it can be filled with that; otherwise nothing has happened, and the call is PyTorch's to do or refuse.

        Autograd is not told.
        """
        return self._apart()(tensor, law, *given)

    def _apart(self) -> Callable[..., bool]:
        """What fills, hidden from torch.compile: below a mode it runs functions as they are written, and compiles the mode's."""
        if "torch._dynamo" not in sys.modules:
            return self._take
        self._hidden = self._hidden or torch.compiler.disable(self._take)
        return self._hidden

    def _take(self, tensor: Any, law: Callable[..., Initializer], *given: float) -> bool:
        fill = _planned(tensor, law, given)
        if fill is None:
            return False
        target, keys = self.streams.find(tensor)
        if target is not tensor:
            fill = _planned(target, law, given)
        if fill is not None:
            fill.put(keys)
        return fill is not None


class Session(_Handler, TorchDispatchMode):
    """One entering of `accelerate`, in the thread and task that it was entered in.

    The base class' own `__enter__` and `__exit__` are not used: they keep flags for the whole process, which threads that leave
    in another order than they entered would leave set, and take whatever mode is the topmost off the stack.
    """

    def __init__(self, streams: Streams) -> None:
        super().__init__()
        self.streams, self.rows = streams, Rows()
        self.thread = threading.get_ident()
        self.open = False

    def enter(self) -> None:
        """Put it on the stack of the current thread."""
        _inside.set((*(each for each in _inside.get() if each.open), self))
        _push_mode(self)
        self.open = True

    def leave(self) -> None:
        """Take it off the stack, whatever has been put on top of it; in another thread: have it let everything pass."""
        self.open = False
        if threading.get_ident() != self.thread:
            return
        above = []
        while _get_current_dispatch_mode_stack():
            if (mode := _pop_mode()) is self:
                break
            above.append(mode)
        for mode in reversed(above):
            _push_mode(mode)
        _inside.set(tuple(each for each in _inside.get() if each.open))


def current() -> Session | None:
    """The innermost session that is open in this thread and task."""
    thread = threading.get_ident()
    return next((each for each in reversed(_inside.get()) if each.open and each.thread == thread), None)


def _planned(tensor: Any, law: Callable[..., Initializer], given: tuple[float, ...]) -> Fill | None:
    """The fill of a tensor, None where the tensor cannot be filled or there is no such law."""
    try:
        return planned(tensor, law(*given))
    except (TypeError, ValueError):
        return None


def _normal(mean: float = 0.0, std: float = 1.0) -> Initializer:
    return RandomNormal(mean, std, seed=0)


def _uniform(low: float = 0.0, high: float = 1.0) -> Initializer:
    return RandomUniform(low, high, seed=0)


_LAWS: dict[Any, Callable[..., Initializer]] = {
    torch.ops.aten.normal_.default: _normal,
    torch.ops.aten.uniform_.default: _uniform,
}
"""What draws in place, and the initializer of its arguments; fills give the key, so the seed in it is never used."""
