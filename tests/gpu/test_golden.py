"""The golden vectors by device="cuda": by the dense kernels, by rows, whole tensors, and through `gpuinit.verification`."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from test_golden import CASES, KEYS, NAMES, TENSORS, VALUES, WORDS, distribution_of, elements, indices_of, key_of, patterns

import gpuinit
from gpu.rig import Rig, Stated
from gpuinit import verification
from gpuinit.hashing import element_hash

pytestmark = pytest.mark.gpu

WHOLE = (2**63,)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_values_by_rows(case: dict[str, Any], gpu: Rig) -> None:
    init = Stated(distribution_of(case), key_of(case["key"]))
    made = init(WHOLE, case["dtype"], device="cuda", rows=np.array(indices_of(case), np.int64))
    assert patterns(gpu.host(made)) == case["values"]


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_values_by_blocks(case: dict[str, Any], gpu: Rig) -> None:
    """Each run of neighbouring indices is a dense fill."""
    init = Stated(distribution_of(case), key_of(case["key"]))
    pairs = list(zip(indices_of(case), elements(case), strict=True))
    for _, group in itertools.groupby(enumerate(pairs), lambda numbered: numbered[1][0] - numbered[0]):
        run = [pair for _, pair in group]
        made = init(WHOLE, case["dtype"], device="cuda", block=(slice(run[0][0], run[-1][0] + 1),))
        assert patterns(gpu.host(made)) == "".join(pattern for _, pattern in run), hex(run[0][0])


@pytest.mark.parametrize("case", TENSORS, ids=lambda case: f"{case['initializer']}-{case['dtype']}")
def test_tensors(case: dict[str, Any], gpu: Rig) -> None:
    """The hash on the GPU, and on the host."""
    init = getattr(gpuinit, case["initializer"])(seed=case["seed"], **case["arguments"])
    made = init(tuple(case["shape"]), case["dtype"], device="cuda")
    assert f"{element_hash(made):#018x}" == case["hash"]
    assert f"{element_hash(gpu.host(made)):#018x}" == case["hash"]


def test_every_vector_as_doctor_checks_them(gpu: Rig) -> None:
    vectors = {"keys": KEYS, "words": WORDS, "values": VALUES, "tensors": TENSORS}
    results = verification.check(gpu.backend, vectors=vectors)
    assert len(results) == verification.total(vectors)
    assert [name for name, right in results if not right] == []


@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float16", "float32"])
def test_cupys_own_copy_to_the_host(dtype: str, gpu: Rig) -> None:
    """Without this project's own way down: `.get()` of an unsigned view."""
    gpu.needs_hardware("CuPy copies by CUDA")
    made = gpuinit.HeNormal(seed=1)((64, 48), dtype, device="cuda")
    expected = gpuinit.HeNormal(seed=1)((64, 48), dtype, device="cpu")
    unsigned = f"u{expected.itemsize}"
    assert (made.view(unsigned).get() == expected.view(unsigned)).all()
