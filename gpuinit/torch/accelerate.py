"""Unchanged models initialized on gpuinit: a context in which PyTorch's drawing calls are taken over."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any, Self, TypeVar

import torch

from gpuinit import Key
from gpuinit.torch import patches
from gpuinit.torch.seeds import TorchSeeds, base_key
from gpuinit.torch.sessions import Session, current
from gpuinit.torch.streams import ByCall, ByName

__all__ = ["accelerate"]

F = TypeVar("F", bound=Callable[..., Any])


class accelerate:
    """A context, or a decorator, in which unchanged models are initialized by gpuinit.

    In the thread that enters it, `Tensor.normal_` and `Tensor.uniform_`, all of `torch.nn.init` that ends in these, and
    `torch.nn.init.trunc_normal_` write gpuinit's values: bit for bit those of `RandomNormal(mean, std, seed=key)(shape, dtype)`,
    of the uniform on [from, to), of the normal truncated to [a, b]. A DTensor's local shard gets its part of the whole; ranks do
    not communicate.

    Args:
        seed: an integer in 0 .. 2^64 - 1 or a Key. None: 64 bits from PyTorch's default generator at every entering, so
            that `torch.manual_seed` governs.
        module: None: the n-th call draws from `Key(seed).fold_in("calls of gpuinit.torch.accelerate").draw(n)`; the same sequence
            of calls makes the same weights on any device. A module: the n-th call for a parameter of it draws from
            `Key(seed).fold_in(name).draw(n)`, name as in `init_module`; the same weights however the model is sharded, and in
            whatever order. What is no parameter of it draws by its place among such calls.

    Every entering begins anew: a function that it decorates makes the same weights at every call, unless `seed` is None.

    Left to PyTorch, with its own results and errors: a call with `generator=`; tensors on other devices, on meta, sparse, of
    subclasses with a dispatch of their own other than DTensor; dtypes and arguments for which there is no law (a negative std).
    So are `torch.randn`, `torch.rand` and their like, `exponential_` and other laws, and the QR in `torch.nn.init.orthogonal_`.

    Raises:
        TypeError, ValueError: `seed` is neither an integer, a Key nor None, or `module` is not a torch.nn.Module.
        RuntimeError: when entered, this PyTorch does not have what is taken over; when left, it was entered in another thread.
    """

    def __init__(self, seed: int | Key | None = None, *, module: torch.nn.Module | None = None) -> None:
        self._key = None if seed is None else base_key(seed)
        if not (module is None or isinstance(module, torch.nn.Module)):
            raise TypeError(f"module is a {type(module).__name__}: it must be a torch.nn.Module or None")
        self._module = module
        self._lock = threading.Lock()
        self._sessions: list[Session] = []

    def __enter__(self) -> Self:
        key = TorchSeeds().next_key() if self._key is None else self._key
        session = Session(ByCall(key) if self._module is None else ByName(key, self._module))
        patches.held()
        session.enter()
        with self._lock:
            self._sessions.append(session)
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            session = self._innermost()
            self._sessions.remove(session)
        session.leave()
        patches.released()
        if session.thread != threading.get_ident():
            raise RuntimeError("accelerate() was left in another thread than it was entered in: calls there are PyTorch's again")

    def _innermost(self) -> Session:
        """The session that is being left: the current one if it is this object's, else the last of this thread, else the last."""
        if not self._sessions:
            raise RuntimeError("accelerate() is being left, and was not entered")
        now = current()
        if now in self._sessions:
            return now
        here = [each for each in self._sessions if each.thread == threading.get_ident()]
        return (here or self._sessions)[-1]

    def __call__(self, function: F) -> F:
        """The function, each of whose calls runs in an entering of its own.

        Raises:
            TypeError: it is a generator or a coroutine function, between whose steps other code would run inside; or a class,
                which would no longer be one; or cannot be called.
        """
        if isinstance(function, type) or not callable(function):
            raise TypeError(
                f"{function!r} is not a function: decorate what makes the model, or use `with accelerate(..)` around it"
            )
        kinds = (inspect.isgeneratorfunction, inspect.iscoroutinefunction, inspect.isasyncgenfunction)
        if any(is_kind(function) for is_kind in kinds):
            raise TypeError(
                f"{getattr(function, '__name__', function)} runs in steps, and what runs between them would be accelerated too: "
                "use `with accelerate(..)` inside of it, around what does not yield or await"
            )

        @functools.wraps(function)
        def accelerated(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return accelerated  # type: ignore[return-value]
