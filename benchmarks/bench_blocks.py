"""What does a part of a tensor cost by the element, beside the whole, and beside making all to keep a part, on one thread?

The part of a (2^14, 2^13) float32 truncated normal is made into memory of its own. A generator with a state has to draw all that
comes before; so the peers make the whole tensor, gpuinit's or PyTorch's, and copy the part.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuinit
from benchmarks import peers, sizes
from benchmarks.pairs import interleaved, seconds
from benchmarks.subjects import LAWS, touched

SHAPE = (sizes.size(2**14), 2**13 if not sizes.QUICK else 64)
ROWS, COLUMNS = SHAPE
INIT = LAWS["truncated normal"]
CASES = {
    "a quarter of the rows": (slice(ROWS // 4, ROWS // 2), slice(None)),
    "half of the columns": (slice(None), slice(COLUMNS // 4 + 1, 3 * COLUMNS // 4 + 1)),
    "a column block of 64": (slice(None), slice(0, 64)),
    "a tile of 1000 x 1000": (slice(0, min(1000, ROWS)), slice(7, min(1007, COLUMNS))),
}


@pytest.mark.parametrize("case", CASES)
def test_block(benchmark: Any, one_thread: None, case: str) -> None:
    block = CASES[case]
    gpuinit.RandomUniform(seed=1)((2**21,), device="cpu")  # from here on everything is compiled
    whole = touched(ROWS * COLUMNS, "float32").reshape(SHAPE)
    INIT.fill(whole)
    out = np.full_like(whole[block], np.nan, order="C")
    INIT.fill(out, shape=SHAPE, block=block)
    assert (out == whole[block]).all()
    entire = min(seconds(lambda: INIT.fill(whole)) for _ in range(sizes.rounds(5))) / whole.size

    def all_of_it() -> None:
        INIT.fill(whole)
        out[...] = whole[block]

    others = {"the whole, and a copy": all_of_it}
    torch = peers.found("torch")
    if torch is not None:
        tensor, part = torch.from_numpy(whole), torch.from_numpy(out)

        def by_torch() -> None:
            tensor.normal_()
            part.copy_(tensor[block])

        others["torch normal_ of the whole, and a copy"] = by_torch
    median = interleaved(benchmark, lambda: INIT.fill(out, shape=SHAPE, block=block), others, out.size, sizes.rounds(5))
    benchmark.extra_info["of the whole's speed, per cent"] = round(100 * entire / (median / out.size), 1)
