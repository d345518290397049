"""How fast is a dense fill, beside the frameworks' generators and beside a constant fill of the same memory?

2^26 elements into memory already touched on both sides, one thread against one; then with all processors. PyTorch's and NumPy's
generators are serial, so a ratio at several threads would measure the processors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuinit
from benchmarks.pairs import interleaved

SIZE = 2**26
CASES = {
    "uniform-float32": (gpuinit.RandomUniform(-1.0, 1.0, seed=1), "float32"),
    "normal-float32": (gpuinit.RandomNormal(0.0, 1.0, seed=1), "float32"),
    "truncated_normal-float32": (gpuinit.TruncatedNormal(0.0, 1.0, seed=1), "float32"),
    "normal-bfloat16": (gpuinit.RandomNormal(0.0, 1.0, seed=1), "bfloat16"),
    "normal-float16": (gpuinit.RandomNormal(0.0, 1.0, seed=1), "float16"),
    "normal-float64": (gpuinit.RandomNormal(0.0, 1.0, seed=1), "float64"),
}


def touched(dtype: str) -> np.ndarray[Any, Any]:
    """Memory that has been written to, aligned as gpuinit's own tensors and PyTorch's are."""
    out: np.ndarray[Any, Any] = gpuinit.Ones()((SIZE,), dtype)
    return out


def torch_peer(name: str, dtype: str) -> dict[str, Any]:
    torch = pytest.importorskip("torch", reason="make bench installs torch 2.13")
    torch.set_num_threads(1)
    tensor = torch.ones(SIZE, dtype=getattr(torch, dtype))
    fills = {"uniform": lambda: tensor.uniform_(-1, 1), "normal": tensor.normal_}
    if name == "truncated_normal":
        return {"torch.nn.init.trunc_normal_": lambda: torch.nn.init.trunc_normal_(tensor)}
    return {f"torch {name}_": fills[name]}


def numpy_peer(name: str, dtype: str) -> dict[str, Any]:
    if dtype not in ("float32", "float64") or name == "truncated_normal":
        return {}
    generator, out = np.random.Generator(np.random.SFC64(1)), np.ones(SIZE, dtype)
    draw = generator.random if name == "uniform" else generator.standard_normal
    return {f"numpy SFC64 {name}": lambda: draw(out=out, dtype=dtype)}


def jax_peer() -> dict[str, Any]:
    try:
        import jax
    except ImportError:
        return {}
    draw = jax.jit(lambda key: jax.random.normal(key, (SIZE,)))
    return {f"jax {jax.__version__} random.normal, jitted": lambda: draw(jax.random.key(1)).block_until_ready()}


@pytest.mark.parametrize("case", CASES)
def test_one_thread(benchmark: Any, one_thread: None, case: str) -> None:
    initializer, dtype = CASES[case]
    out, name = touched(dtype), case.split("-")[0]
    rounds = 5 if name == "truncated_normal" else 7
    interleaved(benchmark, lambda: initializer.fill(out), torch_peer(name, dtype) | numpy_peer(name, dtype), SIZE, rounds)
    assert abs(float(out[: 2**20].astype(np.float32).mean())) < 0.01


@pytest.mark.parametrize("case", CASES)
def test_all_threads(benchmark: Any, case: str) -> None:
    """Beside a constant fill by as many threads, which the memory bounds."""
    initializer, dtype = CASES[case]
    out, other = touched(dtype), touched(dtype)
    pieces = np.array_split(other, gpuinit.get_num_threads())
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(len(pieces)) as pool:
        constant = {"constant fill": lambda: list(pool.map(lambda piece: piece.fill(1), pieces))}
        interleaved(benchmark, lambda: initializer.fill(out), constant, SIZE, 9)
    benchmark.extra_info["threads"] = len(pieces)


def test_new_tensor(benchmark: Any) -> None:
    """init(shape) beside torch.empty().normal_(): page faults included on both sides, all threads."""
    torch = pytest.importorskip("torch", reason="make bench installs torch 2.13")
    torch.set_num_threads(gpuinit.get_num_threads())
    initializer = CASES["normal-float32"][0]
    peers = {"torch.empty().normal_()": lambda: torch.empty(SIZE).normal_()}
    interleaved(benchmark, lambda: initializer((SIZE,)), peers | jax_peer(), SIZE)
