"""How fast are orthogonal matrices, beside PyTorch's and NumPy's QR, with all processors on every side?

New matrices of float32. PyTorch's side is torch.nn.init.orthogonal_, for the stack torch.linalg.qr of a normal stack, whose signs
nobody has fixed yet; NumPy's is numpy.linalg.qr of a normal matrix, to which drawing it belongs on all sides. The defect,
max |Q'Q - I|, is looked at first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpuinit
from benchmarks import peers, sizes
from benchmarks.pairs import interleaved

CASES: dict[str, tuple[tuple[int, ...], int]] = {
    "1024 x 1024": ((1024, 1024), 15),
    "4096 x 4096": ((4096, 4096), 5),
    "65536 x 256": ((65536, 256), 7),
    "8192 x (64 x 64)": ((8192, 64, 64), 5),
}
"""Shapes, the first of three axes counting matrices, and how many rounds are timed."""
DEFECT = 2e-6


def torch_peer(shape: tuple[int, ...]) -> dict[str, Callable[[], Any]]:
    torch = peers.found("torch")
    if torch is None:
        return {}
    torch.set_num_threads(gpuinit.get_num_threads())
    if len(shape) == 3:
        return {"torch.linalg.qr": lambda: torch.linalg.qr(torch.randn(shape))}
    return {"torch.nn.init.orthogonal_": lambda: torch.nn.init.orthogonal_(torch.empty(shape))}


@pytest.mark.parametrize("case", CASES)
def test_orthogonal(benchmark: Any, case: str) -> None:
    shape, rounds = CASES[case]
    if sizes.QUICK:
        shape = tuple(length // 16 for length in shape)
    batch = 0 if len(shape) == 3 else None
    initializer = gpuinit.Orthogonal(seed=1, batch_axes=batch)
    generator = np.random.Generator(np.random.SFC64(1))
    others = {
        **torch_peer(shape),
        "numpy.linalg.qr": lambda: np.linalg.qr(generator.standard_normal(shape, np.float32)),
    }
    report = gpuinit.orthogonality(initializer(shape), batch_axes=batch)
    assert report.defect <= DEFECT
    seconds = interleaved(benchmark, lambda: initializer(shape), others, int(np.prod(shape)), sizes.rounds(rounds))
    benchmark.extra_info["ms"] = round(seconds * 1e3, 1)
    benchmark.extra_info["defect"] = float(f"{report.defect:.2g}")
