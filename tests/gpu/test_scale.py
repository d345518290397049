"""2^36 elements by each law, made and hashed on the GPU and by the CPU's compiled code: not one differs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import gpuinit
from gpu.rig import Rig
from gpuinit import dtypes
from gpuinit.hashing import Digest, element_hash

pytestmark = pytest.mark.gpu

INITIALIZERS = {
    "uniform": gpuinit.RandomUniform(-0.05, 0.05, seed=51),
    "truncated_normal": gpuinit.TruncatedNormal(0.0, 0.02, seed=52),
    "normal": gpuinit.RandomNormal(0.0, 0.02, seed=53),
}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", INITIALIZERS)
def test_two_to_the_36_elements(name: str, dtype: str, gpu: Rig) -> None:
    """In slices that fit the GPU's memory, each cut into blocks for the CPU; rejects any wrong bit, at any index."""
    size, slice_size, block = gpu.size(2**36, 2**18), gpu.size(2**33, 2**17), gpu.size(2**26, 2**14)
    init, kind = INITIALIZERS[name], dtypes.canonical(dtype)
    while slice_size > block and slice_size * kind.itemsize + 2**30 > gpu.free_bytes():
        slice_size //= 2
    shape = (size,)

    def of_cpu(first: int, last: int) -> int:
        digest, memory = Digest(), np.full(block, 7, kind)
        for start in range(first, last, block):
            out = memory[: min(block, last - start)]
            init.fill(out, shape=shape, block=(slice(start, start + len(out)),))
            digest.update(out, start)
        return digest.hash

    wrong = []
    with ThreadPoolExecutor(1) as beside:  # the CPU's hash while the GPU makes its own
        for first in range(0, size, slice_size):
            last = min(first + slice_size, size)
            expected = beside.submit(of_cpu, first, last)
            found = element_hash(init(shape, dtype, device="cuda", block=(slice(first, last),)), first)
            if found != expected.result():
                wrong.append(f"{first} .. {last - 1}")
    assert wrong == []
