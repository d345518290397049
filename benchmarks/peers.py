"""Other people's generators, each as a call that does the same work; one that is not installed is left out by name.

Filling: into memory that is there, which all share. Making: a new tensor, page faults included.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["PACKAGES", "filling", "found", "making", "one_thread"]

PACKAGES = ("torch", "jax", "keras", "mkl_random")
Peers = dict[str, Callable[[], Any]]


def found(package: str) -> Any:
    """The package, or None."""
    try:
        return importlib.import_module(package)
    except ImportError:
        return None


def one_thread() -> None:
    """Let PyTorch use one thread, as its generator does in any case."""
    torch = found("torch")
    if torch is not None:
        torch.set_num_threads(1)


def filling(law: str, out: np.ndarray[Any, Any]) -> Peers:
    """PyTorch and NumPy filling `out`: uniform on [-1, 1), normal, or truncated normal, of the standard deviation 1."""
    peers: Peers = {}
    torch = found("torch")
    if torch is not None:
        kind = getattr(torch, out.dtype.name)
        tensor = torch.from_numpy(out.view(f"i{out.itemsize}")).view(kind)
        peers.update({
            "uniform": {"torch uniform_": lambda: tensor.uniform_(-1, 1)},
            "normal": {"torch normal_": tensor.normal_},
            "truncated normal": {"torch.nn.init.trunc_normal_": lambda: torch.nn.init.trunc_normal_(tensor)},
        }[law])  # fmt: skip
    if out.dtype.name in ("float32", "float64") and law != "truncated normal":
        generator = np.random.Generator(np.random.SFC64(1))
        draw = generator.random if law == "uniform" else generator.standard_normal
        peers[f"numpy SFC64 {law}"] = lambda: draw(out=out, dtype=out.dtype)
    return peers


def making(law: str, dtype: str, size: int) -> Peers:
    """PyTorch, JAX, Keras on PyTorch, and mkl_random (float64 alone) making a new tensor of `size` elements."""
    peers: Peers = {}
    torch, jax, keras, mkl = map(found, PACKAGES)
    if torch is not None:
        name = {"uniform": "uniform_", "normal": "normal_", "truncated normal": "trunc_normal_"}[law]
        fill = getattr(torch.nn.init, name)
        peers[f"torch.nn.init.{name}"] = lambda: fill(torch.empty(size, dtype=getattr(torch, dtype)))
    if jax is not None and dtype != "float64":
        draws = {
            "uniform": lambda key: jax.random.uniform(key, (size,), dtype),
            "normal": lambda key: jax.random.normal(key, (size,), dtype),
            "truncated normal": lambda key: jax.random.truncated_normal(key, -2, 2, (size,), dtype),
        }
        draw, key = jax.jit(draws[law]), jax.random.key(1)
        peers["jax.random, jitted"] = lambda: draw(key).block_until_ready()
    if keras is not None and dtype != "float64":
        classes = {"uniform": "RandomUniform", "normal": "RandomNormal", "truncated normal": "TruncatedNormal"}
        theirs = getattr(keras.initializers, classes[law])(seed=1)
        peers[f"keras on {keras.backend.backend()}"] = lambda: _ready(theirs((size,), dtype))
    if mkl is not None and dtype == "float64" and law != "truncated normal":
        state = mkl.MKLRandomState(1, brng="SFMT19937")
        peers["mkl_random"] = (
            (lambda: state.uniform(-1.0, 1.0, size)) if law == "uniform" else lambda: state.standard_normal(size)
        )
    return peers


def _ready(tensor: Any) -> Any:
    """The tensor, when it is there: JAX returns before."""
    return tensor.block_until_ready() if hasattr(tensor, "block_until_ready") else tensor
