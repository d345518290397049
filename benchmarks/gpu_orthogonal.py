"""Orthogonal matrices on a GPU beside PyTorch and CuPy's QR: times, errors, memory. `benchmarks.gpu_bench` calls it.

The error is max |Q'Q - I| in float64, over some columns spread over the matrix, or some matrices of a stack. A round is one call,
as the peers take seconds; after SECONDS no further peer is begun.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import gpuinit
from benchmarks.gpu_clock import one_round, reason
from benchmarks.gpu_peers import Peer
from gpuinit.backends import DeviceError

__all__ = ["PROMISED", "rows"]

SHAPES = ((4096, 4096), (8192, 8192), (65536, 1024), (8192, 64, 64), (16384, 16384))
QUICK = ((64, 64), (300, 200), (30, 8, 8))
SECONDS = 60
ROUNDS = 3
COLUMNS = 256
PROMISED = {"times torch": 5, "error": 2e-6}
NEAR = 1e-5
"""From the CPU's matrix."""
MOST_ON_CPU = 8192**2


def rows(bench: Any, quick: bool) -> Iterator[dict[str, Any]]:
    """A row of figures for each shape; what is wrong is named in `bench.failed`."""
    end = time.perf_counter() + SECONDS
    for shape in QUICK if quick else SHAPES:
        name = " x ".join(map(str, shape))
        lacking = bench.lacks(12 * int(np.prod(shape)))
        if lacking or time.perf_counter() > end:
            yield {"name": name, "reason": lacking or f"{SECONDS} s are over"}
            continue
        try:
            yield _case(bench, name, shape, end)
        except DeviceError as error:  # without cuBLAS nothing is wrong
            yield {"name": name, "reason": reason(error)}
        except Exception as error:
            bench.failed.append(f"orthogonal {name}: {reason(error)}")
            yield {"name": name, "reason": reason(error)}
        bench.clean()


def _case(bench: Any, name: str, shape: tuple[int, ...], end: float) -> dict[str, Any]:
    init, out = gpuinit.Orthogonal(seed=1, batch_axes=0 if len(shape) == 3 else None), bench.array(shape, "float32")
    init.fill(out)  # compiled and loaded, cuBLAS too
    row: dict[str, Any] = {"name": name, "elements": int(out.size), "beside the matrix": _beside(bench, init, out)}
    made = host(out)
    row["error"] = error_of(made)
    first = made[0] if len(shape) == 3 else made
    if first.size <= MOST_ON_CPU:
        row["from the CPU"] = float(np.abs(first - gpuinit.Orthogonal(seed=1)(first.shape, device="cpu")).max())
    if row["error"] > PROMISED["error"] or row.get("from the CPU", 0) > NEAR:
        bench.failed.append(f"orthogonal {name}: WRONG: error {row['error']:.1e}, from the CPU's {row.get('from the CPU')}")
    del made, first
    times: dict[str, list[float]] = {"gpuinit": []}
    contenders, row["peers"] = {"gpuinit": Peer(lambda: init.fill(out))}, {}
    for peer, make in peers(shape):
        try:
            if time.perf_counter() > end:
                raise TimeoutError(f"{SECONDS} s are over")
            work, result = make()
            one_round(Peer(work), 1)
            contenders[peer], times[peer] = Peer(work), []
            row["peers"][peer] = {"error": error_of(result())}
        except Exception as error:
            row["peers"][peer] = {"reason": reason(error)}
    for number in range(ROUNDS):
        for peer, contender in contenders.items():
            if number == 0 or peer == "gpuinit" or time.perf_counter() < end:
                times[peer].append(one_round(contender, 1))
    middle = {peer: statistics.median(rounds) for peer, rounds in times.items()}
    row["us"] = round(middle.pop("gpuinit") * 1e6, 1)
    row["ratios"] = {peer: round(seconds * 1e6 / row["us"], 2) for peer, seconds in middle.items()}
    for peer, seconds in middle.items():
        row["peers"][peer] |= {"us": round(seconds * 1e6, 1), "rounds": len(times[peer])}
    met = row["error"] <= PROMISED["error"] and row["ratios"].get("torch", 0) >= PROMISED["times torch"]
    return {**row, **({"promise met": met} if "torch" in row["ratios"] else {})}


def _beside(bench: Any, init: Any, out: Any) -> int:
    """What a fill takes of the GPU's memory: CuPy's pool keeps what it has lent."""
    bench.clean()
    free = bench.cupy.cuda.runtime.memGetInfo()[0]
    init.fill(out)
    bench.waits(None)
    return int(free - bench.cupy.cuda.runtime.memGetInfo()[0])


def host(out: Any) -> Any:
    """A CuPy array on the host."""
    return out.get()


def error_of(made: np.ndarray[Any, Any]) -> float:
    """max |Q'Q - I| of a tall matrix, or of some of a stack."""
    if made.ndim == 3:
        return max(error_of(matrix) for matrix in made[:: max(1, len(made) // 64)])
    chosen = np.unique(np.linspace(0, made.shape[1] - 1, COLUMNS).astype(np.int64))
    product = np.zeros((made.shape[1], len(chosen)))
    for start in range(0, len(made), 2048):
        part = made[start : start + 2048].astype(np.float64)
        product += part.T @ part[:, chosen]
    product[chosen, np.arange(len(chosen))] -= 1
    return float(np.abs(product).max())


def peers(shape: tuple[int, ...]) -> Iterator[tuple[str, Callable[[], tuple[Callable[[], Any], Callable[[], Any]]]]]:
    """By name, what makes a peer: its work, and its last result on the host."""
    yield "torch", lambda: _torch(shape)
    yield "cupy QR", lambda: _cupy(shape)


def _torch(shape: tuple[int, ...]) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """torch.nn.init.orthogonal_; of a stack the QR factorizations of normal matrices, as that makes one matrix alone."""
    import torch

    if not torch.cuda.is_available():
        raise RuntimeError("this PyTorch has no CUDA")
    tensor, last = torch.empty(shape, device="cuda"), []

    def work() -> None:
        last[:] = [torch.nn.init.orthogonal_(tensor) if len(shape) == 2 else torch.linalg.qr(tensor.normal_())[0]]

    return work, lambda: last[0].cpu().numpy()


def _cupy(shape: tuple[int, ...]) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """The Q of normal matrices that are there."""
    import cupy

    normal, last = gpuinit.RandomNormal(0.0, 1.0, seed=1)(shape, device="cuda"), []

    def work() -> None:
        last[:] = [cupy.linalg.qr(normal)[0]]

    return work, lambda: last[0].get()
