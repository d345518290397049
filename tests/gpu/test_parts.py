"""Every dtype and law in every way of asking for it: the CPU's bits, and not a byte beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import DTYPES, LAWS

from gpu.rig import POISON, Rig, Stated, same, strided, untouched_around
from gpuinit import Key
from gpuinit.distributions import Distribution
from gpuinit.hashing import element_hash

pytestmark = pytest.mark.gpu

KEY = Key(0x0123456789ABCDEF, 0xFEDCBA9876543210)
FAR = 10**9
PARTS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "whole": ((1000, 130), {}),
    "long enough for tails": ((2**16 + 7,), {}),
    "one row": ((1, 131), {}),
    "a scalar": ((), {}),
    "nothing": ((0, 130), {}),
    "a row range": ((FAR, 131), {"block": (slice(FAR - 77, FAR - 3),)}),
    "columns": ((1000, 130), {"block": (slice(3, 77), slice(5, 121))}),
    "aligned columns": ((FAR, 128), {"block": (slice(FAR - 50, FAR), slice(64, 128))}),
    "one column": ((FAR, 130), {"block": (slice(FAR - 300, FAR), slice(7, 8))}),
    "rows by a list": ((1000, 130), {"rows": [5, 3, 3, 999, 0]}),
    "rows by int32": ((FAR, 130), {"rows": np.array([5, FAR - 1, 3], np.int32)}),
    "rows by strided int64": ((FAR, 7), {"rows": np.arange(FAR - 400, FAR)[::-2]}),
    "no rows": ((1000, 130), {"rows": []}),
    "rows of single elements": ((FAR,), {"rows": [0, FAR - 1, 77]}),
    "rows of columns": ((FAR, 130), {"rows": [1, FAR - 1], "block": (slice(None), slice(1, 130))}),
    "four axes": ((30, 20, 10, 130), {"block": (slice(1, 5), slice(2, 9), slice(3, 9), slice(4, 100))}),
    "five axes": ((4, 3, 5, 6, 13), {"block": (slice(1, 4), slice(0, 2), slice(3, 5), slice(1, 5), slice(4, 10))}),
    "rows of four axes": (
        (30, 20, 10, 130),
        {"rows": [1, 9, 3], "block": (slice(None), slice(2, 9), slice(3, 9), slice(4, 100))},
    ),
}


def laws_of(dtype: Any) -> list[Any]:
    """The laws that the dtype can hold."""
    found = []
    for law in LAWS:
        try:
            law.sampler(dtype)
        except ValueError:
            continue
        found.append(law)
    return found


EVERY = [pytest.param(law, dtype, id=f"{law}-{dtype.name}") for dtype in DTYPES for law in laws_of(dtype)]
"""Each law with each dtype that can hold it."""


@pytest.mark.parametrize(("law", "dtype"), EVERY)
def test_parts(law: Distribution, dtype: Any, gpu: Rig) -> None:
    init = Stated(law, KEY)
    for name, (shape, part) in PARTS.items():
        assert same(gpu, init(shape, dtype, device="cuda", **part), init(shape, dtype, device="cpu", **part)), name


@pytest.mark.parametrize(("law", "dtype"), EVERY)
def test_strided_outputs(law: Distribution, dtype: Any, gpu: Rig) -> None:
    """Gaps on every axis, and the axes' order reversed in memory: the gaps keep what they had; the hash reads strides too."""
    init = Stated(law, KEY)
    for name in ("columns", "rows by a list", "five axes", "rows of four axes", "a row range", "no rows"):
        shape, part = PARTS[name]
        expected = init(shape, dtype, device="cpu", **part)
        out, held = strided(gpu, expected.shape, dtype)
        assert init.fill(out, shape=shape, **part) is out
        assert same(gpu, out, expected), name
        assert untouched_around(gpu, out, held), name
        assert element_hash(out, 9) == element_hash(expected, 9), name


@pytest.mark.parametrize(("law", "dtype"), EVERY)
def test_misaligned_starts(law: Distribution, dtype: Any, gpu: Rig) -> None:
    """Every place of a view within 16 bytes, every start within two counters: head, shift and edges of the dense kernels."""
    init, shape = Stated(law, KEY), (2**40,)
    for length in (1, 3, 50, 2500):
        for place in range(max(1, 16 // dtype.itemsize) + 1):
            start = 2**34 - 20 + 3 * place + length % 5
            held = gpu.empty(length + 40, dtype)
            out = held[place : place + length]
            part = (slice(start, start + length),)
            init.fill(out, shape=shape, block=part)
            assert same(gpu, out, init(shape, dtype, device="cpu", block=part)), (length, place)
            assert untouched_around(gpu, out, held), (length, place)


@pytest.mark.parametrize("ids", ["int32", "int64"])
@pytest.mark.parametrize(("law", "dtype"), EVERY)
def test_ids_on_the_gpu(law: Distribution, dtype: Any, ids: str, gpu: Rig) -> None:
    """Contiguous, strided and reversed ids in CuPy's memory, of rows and of rows of columns."""
    init = Stated(law, KEY)
    rows = np.array([5, 3, FAR - 1, 0, 77, 5, 123456789], ids)
    held = gpu.put(np.repeat(rows, 2))
    for given, picked in ((held[::2], rows), (held[::-2], rows[::-1]), (gpu.put(rows), rows), (held[:0], rows[:0])):
        for block in (None, (slice(None), slice(1, 30))):
            expected = init((FAR, 33), dtype, device="cpu", rows=picked, block=block)
            assert same(gpu, init((FAR, 33), dtype, device="cuda", rows=given, block=block), expected)
    out = gpu.empty((7, 33), dtype)
    init.fill(out, shape=(FAR, 33), rows=gpu.put(rows))
    assert same(gpu, out, init((FAR, 33), dtype, device="cpu", rows=rows))


def test_many_rows(gpu: Rig) -> None:
    """More rows than a grid has blocks along y: rejects a loop that takes one turn."""
    init = Stated(LAWS[2], KEY)
    rows = np.random.default_rng(5).integers(0, FAR, gpu.size(300_000, 70_000))
    for dtype in ("float32", "float8_e5m2"):
        expected = init((FAR, 16), dtype, device="cpu", rows=rows)
        assert same(gpu, init((FAR, 16), dtype, device="cuda", rows=gpu.put(rows)), expected)


def test_poison_is_seen(gpu: Rig) -> None:
    """What these tests would do if an element were not written, or one too many: they refuse it."""
    out, held = strided(gpu, (3, 4), np.dtype("float32"))
    assert untouched_around(gpu, out, held)
    assert not same(gpu, out, np.zeros((3, 4), np.float32))
    assert (gpu.host(out).view(np.uint8) == POISON).all()
    Stated(LAWS[0], KEY).fill(held)
    assert not untouched_around(gpu, out, held)
