"""`torch.nn.init.trunc_normal_` taken over at the one place where every caller, whenever it imported that, comes by.

Libraries keep `torch.nn.init.trunc_normal_` from their own import on (transformers does), so that replacing it reaches few. The
function itself calls `torch.nn.init._no_grad_trunc_normal_`, which it looks up at every call. There is no public way in: the
operations below are a loop that draws normal values until all lie inside. All threads see the replacement, so it asks who calls.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch

from gpuinit.torch.laws import BoundedNormal
from gpuinit.torch.sessions import current
from gpuinit.torch.tensors import written

__all__ = ["held", "released"]

_NAME = "_no_grad_trunc_normal_"
_lock = threading.Lock()
_holders = 0
_installed: tuple[Callable[..., Any], Callable[..., Any]] | None = None
"""PyTorch's function and ours, while anyone holds the patch."""


def held() -> None:
    """Hold the patch: the first holder installs it.

    Raises:
        RuntimeError: this release of PyTorch has no such function.
    """
    global _holders, _installed
    with _lock:
        if _holders == 0:
            original = getattr(torch.nn.init, _NAME, None)
            if original is None:
                raise RuntimeError(
                    f"PyTorch {torch.__version__} has no torch.nn.init.{_NAME}, by which accelerate() takes trunc_normal_ over: "
                    "it knows PyTorch 2.6 to 2.13"
                )
            _installed = original, _taking_over(original)
            setattr(torch.nn.init, _NAME, _installed[1])
        _holders += 1


def released() -> None:
    """Give the patch back: the last holder takes it away, unless somebody has put something else in its place meanwhile."""
    global _holders, _installed
    with _lock:
        _holders -= 1
        if _holders == 0 and _installed is not None:
            original, ours = _installed
            _installed = None
            if getattr(torch.nn.init, _NAME, None) is ours:
                setattr(torch.nn.init, _NAME, original)


def _taking_over(original: Callable[..., Any]) -> Callable[..., Any]:
    """The function that stands for PyTorch's: outside of every session, or where the fill is not ours, it is the original."""

    def trunc_normal_(tensor: Any, mean: float, std: float, a: float, b: float, generator: Any = None) -> Any:
        session = current()
        if session is not None and generator is None and session.take(tensor, _bounded, mean, std, a, b):
            written(tensor)
            return tensor
        return original(tensor, mean, std, a, b, generator=generator)

    return trunc_normal_


def _bounded(mean: float, std: float, a: float, b: float) -> BoundedNormal:
    return BoundedNormal(mean, std, a, b, seed=0)
