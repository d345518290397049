"""Benchmarks on a GPU say what they measured (orthogonal matrices, tables to host memory): rehearsed over the host's memory."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gpuinit import backends, dtypes

gpu_orthogonal = pytest.importorskip("benchmarks.gpu_orthogonal")
gpu_staging = pytest.importorskip("benchmarks.gpu_staging")
gpu_table = pytest.importorskip("benchmarks.gpu_table")


class Bench:
    """What of `benchmarks.gpu_bench.Bench` the benchmark asks for."""

    def __init__(self, driver: Any) -> None:
        self.driver, self.failed = driver, []  # type: ignore[var-annotated]
        self.cupy = SimpleNamespace(cuda=SimpleNamespace(runtime=SimpleNamespace(memGetInfo=lambda: (0, 0))))

    def array(self, shape: Any, dtype: Any) -> Any:
        return self.driver.empty(shape, dtypes.canonical(dtype))

    def lacks(self, nbytes: int) -> str:
        return ""

    def clean(self) -> None:
        pass

    def waits(self, made: Any) -> None:
        pass


@pytest.fixture
def bench(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> Bench:
    from host.driver import on_host

    def peers(shape: Any) -> Any:
        exact = np.linalg.qr(np.random.default_rng(1).standard_normal(shape))[0]
        yield "torch", lambda: (lambda: None, lambda: exact)
        yield "cupy QR", lambda: 1 / 0

    monkeypatch.setattr(gpu_orthogonal, "host", lambda out: on_host(out).copy())
    monkeypatch.setattr(gpu_orthogonal, "one_round", lambda peer, calls: (peer.work(), 0.001)[1])
    monkeypatch.setattr(gpu_orthogonal, "peers", peers)
    return Bench(gpu)


def test_rows_and_lines(bench: Bench) -> None:
    rows = list(gpu_orthogonal.rows(bench, True))
    assert bench.failed == [] and [row["name"] for row in rows] == ["64 x 64", "300 x 200", "30 x 8 x 8"]
    for row in rows:
        assert 0 < row["error"] < 2e-6 and row["from the CPU"] < 1e-6 and row["us"] == 1000
        assert row["ratios"] == {"torch": 1.0} and row["promise met"] is False
        assert row["peers"]["torch"]["rounds"] == 3 and "ZeroDivisionError" in row["peers"]["cupy QR"]["reason"]
    lines = list(gpu_table._orthogonal(rows))
    assert len([line for line in lines if "MISSED" in line and " 1.00 " in line]) == 3
    assert gpu_table._orthogonal([]) is not None and list(gpu_table._orthogonal([])) == []


def test_a_wrong_matrix_is_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = gpu_orthogonal.host
    monkeypatch.setattr(gpu_orthogonal, "host", lambda out: usual(out) + np.float32(1e-3))
    list(gpu_orthogonal.rows(bench, True))
    assert [failure for failure in bench.failed if "64 x 64: WRONG: error" in failure]


def test_without_cublas_nothing_is_wrong(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(dtype: Any) -> Any:
        raise backends.DeviceError("cuBLAS cannot be loaded")

    monkeypatch.setattr(bench.driver, "products", missing)
    rows = list(gpu_orthogonal.rows(bench, True))
    assert bench.failed == [] and ["reason" in row for row in rows] == [False, True, False]
    assert "cuBLAS cannot be loaded" in "\n".join(gpu_table._orthogonal(rows))


def test_the_error_is_that_of_the_product() -> None:
    exact = np.linalg.qr(np.random.default_rng(1).standard_normal((5000, 300)))[0]
    assert gpu_orthogonal.error_of(exact) < 1e-14
    exact[3000, 299] += 1e-3
    wanted = np.abs(exact.T @ exact - np.eye(300)).max()
    assert 0.5 * wanted < gpu_orthogonal.error_of(exact) <= wanted * (1 + 1e-9)


def pretended(driver: Any) -> Any:
    """What of CuPy the copies ask for: they are put on the current stream, which does them at once."""
    from host.driver import at

    runtime = SimpleNamespace(
        memGetInfo=lambda: (0, 0),
        memcpyDeviceToHost=2,
        memcpyAsync=lambda target, source, nbytes, kind, stream: np.copyto(at(target, nbytes), at(source, nbytes)),
    )

    def pinned(nbytes: int) -> Any:
        held = driver.pinned(nbytes)
        return SimpleNamespace(ptr=held.ctypes.data, held=held)

    stream = SimpleNamespace(ptr=1, synchronize=lambda: None)
    return SimpleNamespace(runtime=runtime, alloc_pinned_memory=pinned, Stream=lambda non_blocking: stream)


def test_a_table_to_host_memory(bench: Bench) -> None:
    bench.cupy.cuda = pretended(bench.driver)
    row = gpu_staging.row(bench, True)
    assert row["bytes"] == 5 * 2**16 and row["per cent of the copies"] > 0 and set(row["GB/s"]) == {"gpuinit", "copies"}
    [line] = gpu_table._staging(row)
    assert "uniform float32 to host memory, 327680 bytes by 65536: " in line and line.endswith(" %")
    assert list(gpu_table._staging({"name": "to host memory", "reason": "no room"})) == ["to host memory: no room"]
    assert list(gpu_table._staging(None)) == []


def test_a_wrong_table_is_not_timed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real = gpu_staging.chunks
    monkeypatch.setattr(gpu_staging, "chunks", lambda *sizes: (chunk + np.float32(1e-3) for chunk in real(*sizes)))
    with pytest.raises(ValueError, match="WRONG: its bits are not the CPU's"):
        gpu_staging.row(bench, True)
