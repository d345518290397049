"""The generators that gpuinit's GPU fills are measured beside: memset, CuPy's two, PyTorch's and JAX's.

Each peer is a function of no arguments that makes one tensor on the GPU and returns at once; a peer that cannot is a reason.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

__all__ = ["Peer", "memset", "peers", "small_peers"]

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # JAX would take three quarters of the memory at once

Work = Callable[[], Any]


class Peer(NamedTuple):
    """What makes a tensor, and how to wait for it: None by CuPy's events, else a function that is given the last result."""

    work: Work
    wait: Callable[[Any], Any] | None = None


def memset(out: Any) -> Peer:
    """The driver's memset of an array's bytes, on the current stream."""
    import cupy

    return Peer(lambda: cupy.cuda.runtime.memsetAsync(out.data.ptr, 0, out.nbytes, cupy.cuda.get_current_stream().ptr))


def peers(law: str, dtype: str, size: int) -> Iterator[tuple[str, Callable[[], Peer]]]:
    """By name, what makes a peer for a law ("uniform", "truncated", "normal"); it raises where there is none."""
    if dtype == "float32" and law != "truncated":
        yield "cupy.random", lambda: _cupy_legacy(law, size)
        yield "cupy Generator", lambda: _cupy_generator(law, size)
    yield "torch", lambda: _torch(law, dtype, size)
    yield "jax", lambda: _jax(law, dtype, size)


def small_peers(size: int) -> Iterator[tuple[str, Callable[[], Peer]]]:
    """What the overhead of a call is measured beside: small uniform float32 tensors."""
    yield "torch uniform_", lambda: _torch("uniform", "float32", size)
    yield "torch.nn.init.uniform_", lambda: _torch_init(size)
    yield "cupy.random.uniform", lambda: _cupy_legacy("uniform", size)
    yield "cupy Generator.random", lambda: _cupy_generator("uniform", size)
    yield "jax.random.uniform, jitted", lambda: _jax("uniform", "float32", size)


def _cupy_legacy(law: str, size: int) -> Peer:
    import cupy

    cupy.random.seed(1)
    draw = {
        "uniform": lambda: cupy.random.uniform(-1.0, 1.0, size, dtype=cupy.float32),
        "normal": lambda: cupy.random.normal(0.0, 1.0, size, dtype=cupy.float32),
    }
    return Peer(draw[law])


def _cupy_generator(law: str, size: int) -> Peer:
    """Into an array that is there; uniform on [0, 1), which is all that it offers."""
    import cupy

    generator = cupy.random.default_rng(1)
    out = cupy.ndarray((size,), cupy.float32)
    draw = {"uniform": generator.random, "normal": generator.standard_normal}[law]
    return Peer(lambda: draw(size, dtype=cupy.float32, out=out))


def _torch_tensor(dtype: str, size: int) -> Any:
    import torch

    if not torch.cuda.is_available():
        raise RuntimeError("this PyTorch has no CUDA")
    torch.manual_seed(1)
    return torch.empty(size, dtype=getattr(torch, dtype), device="cuda")


def _torch(law: str, dtype: str, size: int) -> Peer:
    tensor = _torch_tensor(dtype, size)
    import torch

    draw: dict[str, Work] = {
        "uniform": lambda: tensor.uniform_(-1.0, 1.0),
        "normal": lambda: tensor.normal_(0.0, 1.0),
        "truncated": lambda: torch.nn.init.trunc_normal_(tensor, 0.0, 1.0, -2.0, 2.0),
    }
    return Peer(draw[law])


def _torch_init(size: int) -> Peer:
    tensor = _torch_tensor("float32", size)
    import torch

    return Peer(lambda: torch.nn.init.uniform_(tensor, -1.0, 1.0))


def _jax(law: str, dtype: str, size: int) -> Peer:
    """Compiled as a whole; a new array each time. It works on streams of its own, so a clock on the wall times it."""
    import jax

    if jax.default_backend() != "gpu":
        raise RuntimeError(f"JAX runs on {jax.default_backend()}")
    kind = getattr(jax.numpy, dtype)
    draw = {
        "uniform": lambda key: jax.random.uniform(key, (size,), kind, -1.0, 1.0),
        "normal": lambda key: jax.random.normal(key, (size,), kind),
        "truncated": lambda key: jax.random.truncated_normal(key, -2.0, 2.0, (size,), kind),
    }
    compiled, key = jax.jit(draw[law]), jax.random.key(1)
    return Peer(lambda: compiled(key), lambda made: made.block_until_ready())
