"""Orthogonal matrices on a GPU: small ones of a stack with the bits of their definition, others the CPU's within rounding.

The device "cuda" is `HostDriver`'s: the production kernels on the host, products by NumPy, memory full of poison at first.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from orthogonal_definition import defined

import gpuinit
from gpuinit import backends
from gpuinit.backends.cuda import orthogonal
from gpuinit.backends.cuda.orthogonal import haar
from gpuinit.stack import Stack

pytest.importorskip("cupy", reason="CuPy is not installed")
from host.driver import POISON, HostBlas, on_host

SMALL: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((3, 7, 5), (0,)),
    ((3, 5, 7), (0,)),
    ((4, 3, 6), (1,)),
    ((2, 3, 4, 5), (0, 2)),
    ((2, 2, 3, 4), (2, 3)),
    ((5, 1, 1), (0,)),
    ((2, 1, 9), (0,)),
    ((2, 8, 1), (0,)),
    ((1, 6, 6), (0,)),
    ((2, 1100, 3), (0,)),
]
LARGE = [(40, 40), (100, 33), (33, 100), (16, 16), (17, 16), (1, 1), (1, 9), (9, 1), (4, 5, 6), (2, 3, 31), (1100, 20)]
WITHIN = {"float32": 1e-6, "float64": 1e-14, "bfloat16": 2**-7, "float16": 2**-10, "float8_e4m3fn": 2**-3, "float8_e5m2": 2**-2}
"""A unit in the last place of numbers below 1 in the narrow types: values at a rounding's edge may fall to either side."""


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small matrices are made as large ones are, by panels so narrow that they have several, the last one narrower."""
    monkeypatch.setattr(orthogonal, "PANEL", 12)
    monkeypatch.setattr(Stack, "small", property(lambda self: False))


@pytest.fixture(autouse=True)
def no_cpu(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """The CPU's writer is not asked for what a GPU makes by itself."""
    if "gpu" in request.fixturenames:
        from gpuinit.backends.cuda import structures

        monkeypatch.setattr(structures, "_made_by_the_cpu", refused)


def refused(*arguments: Any) -> None:
    raise AssertionError("made by the CPU")


def host(made: Any) -> np.ndarray[Any, Any]:
    return on_host(made).copy()


def same(made: np.ndarray[Any, Any], wanted: np.ndarray[Any, Any]) -> bool:
    return made.shape == wanted.shape and made.dtype == wanted.dtype and made.tobytes() == np.ascontiguousarray(wanted).tobytes()


def distance(a: Any, b: Any) -> float:
    assert a.shape == b.shape and a.dtype == b.dtype
    return float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max(initial=0))


def strided(driver: Any, shape: tuple[int, ...], dtype: Any) -> tuple[Any, Any]:
    """Every other element of a transposed array full of poison, and all of it."""
    whole = driver.empty(tuple(2 * length + 1 for length in reversed(shape)), dtype)
    return whole.transpose()[tuple(slice(1, None, 2) for _ in shape)], whole


def untouched(whole: Any, shape: tuple[int, ...]) -> bool:
    memory = on_host(whole)
    left = np.ones(memory.shape, bool)
    left.T[tuple(slice(1, None, 2) for _ in shape)] = False
    return bool((memory.view(np.uint8).reshape(*memory.shape, -1)[left] == POISON).all())


# Small matrices of a stack


@pytest.mark.parametrize(("shape", "batch"), SMALL)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_small_matrices_have_the_bits_of_their_definition(gpu: Any, shape: Any, batch: Any, dtype: str) -> None:
    wanted = defined(shape, batch, -1.5, 7, dtype)
    assert same(host(gpuinit.Orthogonal(-1.5, seed=7, batch_axes=batch)(shape, dtype, device="cuda")), wanted)
    out, whole = strided(gpu, shape, wanted.dtype)
    gpuinit.Orthogonal(-1.5, seed=7, batch_axes=batch).fill(out)
    assert same(host(out), wanted) and untouched(whole, shape)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float8_e4m3fn", "float8_e5m2"])
@pytest.mark.parametrize("gain", [1.0, 0.3, -2.0])
def test_narrow_types_are_rounded_once_and_stay_in_bounds(gpu: Any, dtype: str, gain: float) -> None:
    for shape, batch in SMALL[:4]:
        made = host(gpuinit.Orthogonal(gain, seed=7, batch_axes=batch)(shape, dtype, device="cuda"))
        assert same(made, defined(shape, batch, gain, 7, dtype))
        assert float(np.abs(made.astype(np.float64)).max()) <= abs(gain)


def test_another_order_of_a_sum_would_show(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rejected: one running sum in place of four, and a length of sums of squares in float32."""
    import orthogonal_definition as definition

    shape, batch = (8, 40, 30), (0,)
    made = host(gpuinit.Orthogonal(seed=7, batch_axes=batch)(shape, "float32", device="cuda"))
    assert same(made, defined(shape, batch, 1.0, 7, "float32"))
    exact = definition.reflectors

    def plain(normal: Any) -> Any:
        vectors, taus, signs = exact(normal)
        lengths = np.sqrt(np.einsum("ij,ij->j", np.tril(normal), np.tril(normal)))
        np.fill_diagonal(vectors, np.diagonal(normal) + signs * lengths)
        return vectors, taus, signs

    monkeypatch.setattr(definition, "reflectors", plain)
    assert not same(made, defined(shape, batch, 1.0, 7, "float32"))
    monkeypatch.setattr(definition, "reflectors", exact)
    fma = definition.fma
    monkeypatch.setattr(definition, "fma", lambda a, b, c: fma(a, b, c) if np.ndim(c) == 0 or a is b else a * b + c)
    assert not same(made, defined(shape, batch, 1.0, 7, "float32")), "products rounded before they are added"


def test_chunks_do_not_show(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = host(gpuinit.Orthogonal(seed=3, batch_axes=0)((7, 6, 5), "float32", device="cuda"))
    gpu.launched.clear()
    monkeypatch.setattr(orthogonal, "CHUNK", 600)  # of two matrices: normal numbers, sums, reflectors
    assert same(host(gpuinit.Orthogonal(seed=3, batch_axes=0)((7, 6, 5), "float32", device="cuda")), whole)
    assert [launch.kernel[0] for launch in gpu.launched].count("apply") == 4
    gpu.launched.clear()
    monkeypatch.setattr(orthogonal, "CHUNK", 1)
    assert same(
        host(gpuinit.Orthogonal(seed=3, batch_axes=0)((7, 5, 6), "bfloat16", device="cuda")),
        defined((7, 5, 6), (0,), 1.0, 3, "bfloat16"),
    )
    assert [launch.kernel[0] for launch in gpu.launched].count("apply") == 7


def test_which_matrices_are_small() -> None:
    for shape in ((9, 512, 128), (9, 128, 512), (9, 2**16, 1)):
        assert Stack(shape, (0,)).small and Stack(shape[1:]).small
    for shape in ((9, 513, 128), (9, 128, 513), (9, 200, 129), (9, 2**16 + 1, 1)):
        assert not Stack(shape, (0,)).small and not Stack(shape[1:]).small


PARTS: list[dict[str, Any]] = [
    {"block": (slice(2, 4),)},
    {"block": (slice(1, 5), slice(3, 6), slice(1, 2))},
    {"rows": [4, 0, 4]},
    {"rows": np.array([3], np.int32), "block": (slice(None), slice(2, 5))},
    {"block": (slice(2, 2),)},
]


@pytest.mark.parametrize("batch", [(0,), (1,), (2,), (0, 1), ()])
def test_parts_are_those_of_the_whole(gpu: Any, narrow: None, batch: tuple[int, ...]) -> None:
    shape, init = (5, 7, 6, 3), gpuinit.Orthogonal(2.0, seed=4, batch_axes=batch)
    whole = host(init(shape, "float32", device="cuda"))
    for part in PARTS:
        block = part.get("block", ())
        index = (np.asarray(part["rows"]), *block[1:]) if "rows" in part else block
        made = host(init(shape, "float32", device="cuda", **part))
        assert same(made, whole[index]), part
        out, held = strided(gpu, made.shape, np.dtype(np.float32))
        init.fill(out, shape=shape, **part)
        assert same(host(out), whole[index]) and untouched(held, made.shape), part
    ids = gpu.upload(np.array([4, 1], np.int64)).view(np.int64)
    assert same(host(init(shape, "float32", rows=ids)), whole[[4, 1]])


def test_only_the_matrices_that_a_part_touches_are_made(gpu: Any) -> None:
    gpuinit.Orthogonal(seed=4, batch_axes=0)(
        (10**6, 6, 5), "float32", device="cuda", block=(slice(10**6 - 3, 10**6), slice(2, 3))
    )
    [applied] = [launch for launch in gpu.launched if launch.kernel[0] == "apply"]
    assert int(applied.arguments[3]) == 3


# Others


@pytest.mark.parametrize("shape", LARGE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_matrices_are_the_cpu_s_within_rounding(gpu: Any, narrow: None, shape: tuple[int, ...], dtype: str) -> None:
    init = gpuinit.Orthogonal(-0.75, seed=5)
    wanted = init(shape, dtype, device="cpu")
    assert distance(host(init(shape, dtype, device="cuda")), wanted) < WITHIN[dtype]
    out, whole = strided(gpu, shape, wanted.dtype)
    init.fill(out)
    assert distance(host(out), wanted) < WITHIN[dtype] and untouched(whole, shape)


@pytest.mark.parametrize("dtype", WITHIN)
@pytest.mark.parametrize("gain", [0.0, 1.0, -3.0])
def test_large_matrices_in_every_dtype(gpu: Any, narrow: None, dtype: str, gain: float) -> None:
    for shape in ((50, 31), (31, 50)):
        made = host(gpuinit.Orthogonal(gain, seed=5)(shape, dtype, device="cuda"))
        wanted = gpuinit.Orthogonal(gain, seed=5)(shape, dtype, device="cpu")
        assert distance(made, wanted) <= WITHIN[dtype] * abs(gain)
        assert float(np.abs(made.astype(np.float64)).max()) <= abs(gain)


def test_large_matrices_of_a_stack_are_made_one_after_the_other(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is that of no stack, the bits are those of small ones within rounding."""
    shape = (4, 30, 25)
    small = host(gpuinit.Orthogonal(seed=6, batch_axes=0)(shape, "float32", device="cuda"))
    for name, wide in (("float32", False), ("float32", True), ("bfloat16", False)):
        dims = (4, 25, 30) if wide else shape
        monkeypatch.setattr(Stack, "small", property(lambda self: False))
        made = host(gpuinit.Orthogonal(seed=6, batch_axes=0)(dims, name, device="cuda"))
        assert distance(made.astype(np.float32), small.transpose(0, 2, 1) if wide else small) < WITHIN[name]
        assert same(made[0], host(gpuinit.Orthogonal(seed=6)(dims[1:], name, device="cuda")))
        part = host(gpuinit.Orthogonal(seed=6, batch_axes=0)(dims, name, device="cuda", block=(slice(2, 4),)))
        assert same(part, made[2:])


@pytest.mark.parametrize("shape", [(600, 600), (3000, 40), (2000, 256), (300, 700)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_orthogonal_to_rounding(gpu: Any, shape: tuple[int, int], dtype: str) -> None:
    """max |Q'Q - I|; the diagonal of V'V / 2 in place of the accurate 1 / tau would miss it in float32 where it is tall."""
    made = host(gpuinit.Orthogonal(seed=8)(shape, dtype, device="cuda"))
    assert defect(made) < {"float32": 7e-7, "float64": 2e-15}[dtype]


def defect(made: Any) -> float:
    tall = (made if made.shape[0] >= made.shape[1] else made.T).astype(np.float64)
    return float(np.abs(tall.T @ tall - np.eye(tall.shape[1])).max())


def test_the_accurate_diagonal_is_needed(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def halved(job: Any, square: Any, source: int) -> Any:
        memory = HostBlas(job.real).matrix(square)
        np.fill_diagonal(memory, np.diagonal(memory) / 2)
        return []

    shape = (2**16, 32)
    accurate = defect(host(gpuinit.Orthogonal(seed=8)(shape, "float32", device="cuda")))
    monkeypatch.setattr(orthogonal, "_diagonal", halved)
    assert accurate < 4e-7 < 3 * accurate < defect(host(gpuinit.Orthogonal(seed=8)(shape, "float32", device="cuda")))


# What it takes


def peak(driver: Any, work: Any) -> int:
    """The most bytes that live at once of those that the driver gives while `work` runs."""
    before = driver.most = driver.held
    work()
    return int(driver.most - before)


@pytest.mark.parametrize(
    ("shape", "dtype", "matrices"),
    [
        ((600, 600), "float32", 3),
        ((20000, 30), "float32", 3),
        ((600, 600), "float64", 3),
        ((600, 500), "bfloat16", 4),
        ((300, 700), "float32", 4),
    ],
)
def test_peak_memory_of_large_matrices(gpu: Any, shape: Any, dtype: str, matrices: int) -> None:
    """The tensor, and beside it at most two matrices of the computing precision: three where it is narrower, or wide."""
    size = 8 if dtype == "float64" else 4
    constant = (2 * orthogonal.PANEL**2 + 4096) * size
    most = peak(gpu, lambda: gpuinit.Orthogonal(seed=1)(shape, dtype, device="cuda"))
    assert most < matrices * np.prod(shape) * size + constant
    assert peak(gpu, lambda: gpuinit.Orthogonal(seed=1)((4 * shape[0], 8), dtype, device="cuda")) > 4 * shape[0] * 8  # it counts


def test_peak_memory_of_small_matrices_is_the_tensor_and_a_constant(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orthogonal, "CHUNK", 2**16)
    for dtype, shape in (
        ("float32", (3000, 6, 5)),
        ("bfloat16", (3000, 6, 5)),
        ("float32", (3000, 5, 6)),
        ("float64", (9000, 1, 1)),
    ):
        size = np.prod(shape) * {"float32": 4, "bfloat16": 2, "float64": 8}[dtype]
        most = peak(gpu, lambda shape=shape, dtype=dtype: gpuinit.Orthogonal(seed=1, batch_axes=0)(shape, dtype, device="cuda"))
        assert size < most <= size + 2**16 + 4 * 256


def test_the_kernels_of_each_way(gpu: Any) -> None:
    gpuinit.Orthogonal(seed=1, batch_axes=0)((6, 9, 5), "float32", device="cuda")
    kernels = [launch.kernel if isinstance(launch.kernel, str) else launch.kernel[0] for launch in gpu.launched]
    assert kernels[0].startswith("dense_fill") and kernels[1:] == ["squares", "heads", "apply", "finish"]
    gpu.launched.clear()
    gpuinit.Orthogonal(seed=1)((600, 300), "float32", device="cuda")
    kernels = [launch.kernel if isinstance(launch.kernel, str) else launch.kernel[0] for launch in gpu.launched]
    assert kernels[0].startswith("dense_fill") and kernels[1:] == ["squares", "heads", "panel", "copy", "panel", "copy", "finish"]


@pytest.mark.parametrize("processors", [1, 150])
def test_any_geometry_gives_the_same_bits(gpu: Any, processors: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from gpuinit.backends.cuda import geometry

    wanted = defined((40, 9, 7), (0,), 1.0, 2, "float32")
    monkeypatch.setattr(geometry, "BLOCKS_PER_PROCESSOR", 1)
    monkeypatch.setattr(gpuinit.backends.select("cuda"), "_processors", processors)
    assert same(host(gpuinit.Orthogonal(seed=2, batch_axes=0)((40, 9, 7), "float32", device="cuda")), wanted)


def test_others_are_made_by_the_cpu(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for init, dtype in (
        (gpuinit.Orthogonal(seed=1), "complex64"),
        (gpuinit.Orthogonal(seed=1, method="qr"), "float32"),
        (gpuinit.Orthogonal(seed=1, method="svd"), "float32"),
    ):
        with pytest.raises(AssertionError, match="made by the CPU"):
            init((6, 5), dtype, device="cuda")


def test_no_room_says_how_much_and_writes_nothing(gpu: Any) -> None:
    out = gpu.empty((400, 300), np.dtype(np.float32))
    gpu.room = 1000
    with pytest.raises(
        MemoryError, match=r"shape=\(400, 300\): orthogonal matrices take \d+ bytes of workspace beside them, where 1000"
    ):
        gpuinit.Orthogonal(seed=1).fill(out)
    assert gpu.launched == [] and (on_host(out).view(np.uint8) == POISON).all()


def test_more_rows_than_cublas_counts(gpu: Any) -> None:
    stack = Stack((2**31, 3))
    with pytest.raises(ValueError, match=r"shape=\(2147483648, 3\): an orthogonal matrix on a GPU has at most 2147483647 rows"):
        haar(gpu, 3, 0, np.dtype(np.float32), 1.0, stack, gpuinit.Key(1), np.zeros(1, np.uint64))
    assert gpu.launched == []


def test_cublas_is_missing(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is written, with the package's name; small matrices do without."""
    from gpuinit.backends.cuda.driver import Driver

    class CUDA:
        runtime = SimpleNamespace(runtimeGetVersion=lambda: 12090)

        def __getattr__(self, name: str) -> Any:
            raise ImportError(f"libcublas.so: cannot open shared object file ({name})")

    monkeypatch.setattr(gpu, "_cupy", SimpleNamespace(cuda=CUDA()), raising=False)
    monkeypatch.setattr(gpu, "products", lambda dtype: Driver.products(gpu, dtype))
    out = gpu.empty((300, 200), np.dtype(np.float32))
    with pytest.raises(
        backends.DeviceError, match="cuBLAS cannot be loaded.*pip install nvidia-cublas-cu12, or use device='cpu'"
    ):
        gpuinit.Orthogonal(seed=1).fill(out)
    assert gpu.launched == [] and (on_host(out).view(np.uint8) == POISON).all()
    monkeypatch.setattr(CUDA.runtime, "runtimeGetVersion", lambda: 13000)
    with pytest.raises(backends.DeviceError, match="pip install nvidia-cublas, or"):
        gpuinit.Orthogonal(seed=1).fill(out)
    gpuinit.Orthogonal(seed=1, batch_axes=0)((6, 9, 5), "float32", device="cuda")
    gpuinit.Orthogonal(seed=1)((9, 5), "float32", device="cuda")
