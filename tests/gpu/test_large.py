"""Tables of more than 2^32 elements, edges where a number outgrows 31, 32 or 34 bits, and small odd sizes: the CPU's bits."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import DTYPES

import gpuinit
from gpu.rig import BLOCK, Rig, cpu_hashes, gpu_hashes, same
from gpuinit import dtypes
from gpuinit.hashing import element_hash

pytestmark = pytest.mark.gpu

INITIALIZERS = {
    "uniform": gpuinit.RandomUniform(-0.05, 0.05, seed=21),
    "normal": gpuinit.RandomNormal(0.0, 0.02, seed=22),
    "truncated_normal": gpuinit.TruncatedNormal(0.0, 0.02, seed=23),
}
EDGES = [2**30, 2**31, 2**32, 2**33, 2**34, 2**35, 3 * 2**34]
SIZES = [0, 1, 2, 3, 7, 255, 256, 257, 65537]


def room_for(gpu: Rig, nbytes: int) -> None:
    free = gpu.free_bytes()
    if free < nbytes + 2**30:
        pytest.skip(f"needs {nbytes / 2**30:.1f} GiB of the GPU's memory and 1 GiB beside, and {free / 2**30:.1f} GiB are free")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", INITIALIZERS)
def test_a_table_of_more_than_2_to_the_32_elements(name: str, dtype: str, gpu: Rig) -> None:
    """Every element, by the hash: rejects an index, an offset or a count that is kept in 32 bits."""
    size = gpu.size(2**32 + 65537, 2**18 + 3)
    block = gpu.size(BLOCK, 2**16)
    init = INITIALIZERS[name]
    room_for(gpu, size * dtypes.canonical(dtype).itemsize)
    table = init((size,), dtype, device="cuda")
    whole, found = element_hash(table), gpu_hashes(table, block)
    del table

    def on_cpu(start: int, stop: int) -> Any:
        return init((size,), dtype, device="cpu", block=(slice(start, stop),))

    expected = cpu_hashes(on_cpu, size, block)
    assert [block for block in expected if found[block] != expected[block]] == []
    assert whole == sum(expected.values()) % 2**64


def test_columns_of_more_than_2_to_the_32_elements(gpu: Rig) -> None:
    """The kernel of parts, with as many elements: half of the columns of a table."""
    rows, columns = gpu.size(2**25 + 3, 2**11 + 3), 128
    init = INITIALIZERS["truncated_normal"]
    room_for(gpu, 2 * rows * columns)
    shape, half = (rows, 2 * columns), slice(columns - 1, 2 * columns - 1)
    made = init(shape, "bfloat16", device="cuda", block=(slice(None), half)).reshape(-1)
    block = gpu.size(BLOCK, 2**15)
    found = gpu_hashes(made, block)
    del made

    def on_cpu(start: int, stop: int) -> Any:
        return init(shape, "bfloat16", device="cpu", block=(slice(start // columns, stop // columns), half))

    expected = cpu_hashes(on_cpu, rows * columns, block)
    assert [block for block in expected if found[block] != expected[block]] == []


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", INITIALIZERS)
def test_around_edges(name: str, dtype: Any, gpu: Rig) -> None:
    """Blocks of a virtual table from two elements before an edge to two behind it, and longer ones."""
    init = INITIALIZERS[name]
    for edge in EDGES:
        for before, behind in ((2, 3), (1, 0), (0, 1), (1, 1), (70001, 70003)):
            block = (slice(edge - before, edge + behind),)
            assert same(
                gpu, init((2**36,), dtype, device="cuda", block=block), init((2**36,), dtype, device="cpu", block=block)
            ), (
                edge,
                before,
            )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", INITIALIZERS)
def test_odd_sizes(name: str, dtype: Any, gpu: Rig) -> None:
    init = INITIALIZERS[name]
    for size in SIZES:
        assert same(gpu, init((size,), dtype, device="cuda"), init((size,), dtype, device="cpu")), size
