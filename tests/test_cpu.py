"""The CPU backend as a piece of machinery: threads, forks, caches, memory, and life without Numba."""

from __future__ import annotations

import concurrent.futures
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import LAWS, WAYS, drawn, poisoned, same_bits

import gpuinit
from gpuinit.backends import cpu, threads
from gpuinit.kernels import folder
from gpuinit.kernels.cpu_fill import compiled_fill
from gpuinit.key import Key
from gpuinit.region import Region


def run_python(code: str, **environment: str) -> str:
    """What a new process prints; it must succeed and warn of nothing."""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout.strip()


HASH = """
    import gpuinit
    from gpuinit.hashing import element_hash
    print(element_hash(gpuinit.HeNormal(seed=3)(({rows}, 64))))
"""
SMALL, LARGE = HASH.format(rows=100), HASH.format(rows=20_000)


def expected_hash(rows: int) -> str:
    from gpuinit.hashing import element_hash

    law = gpuinit.HeNormal(seed=3).distribution((rows, 64))
    return str(element_hash(drawn(WAYS["specification"], law, Key(3), Region.of((rows, 64)), "f4")))


# Threads and forks


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = threads.get_num_threads()
    threads.set_num_threads(2)
    yield
    threads.set_num_threads(before)


def test_several_python_threads_at_once(two_threads: None) -> None:
    """Eight threads fill large tensors over one pool; rejects a threading layer that allows one caller only."""
    initializer = gpuinit.RandomUniform(seed=1)
    expected = drawn(WAYS["compiled"], initializer.distribution(()), Key(1), Region.of((3 * threads.PIECE + 5,)), "f4")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: initializer((3 * threads.PIECE + 5,)), range(16)))
    assert all(same_bits(result, expected) for result in results)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_fork_after_use() -> None:
    """A child forked after the pool has run fills too; rejects a pool that the child inherits without its threads."""
    code = """
        import os, gpuinit
        from gpuinit.hashing import element_hash
        gpuinit.set_num_threads(2)
        initializer = gpuinit.HeNormal(seed=3)
        before = element_hash(initializer((40_000, 64)))
        child = os.fork()
        if child == 0:
            os._exit(0 if element_hash(initializer((40_000, 64))) == before else 7)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        print(element_hash(initializer((40_000, 64))) == before)
    """
    # Python 3.12 warns of any fork in a process that has threads
    assert run_python("import warnings; warnings.simplefilter('ignore')\n" + textwrap.dedent(code)).split() == [
        "0",
        "True",
    ]


def test_an_exception_in_a_piece_ends_the_work(two_threads: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first exception is raised, once no piece is being worked at, and later pieces do not begin."""
    monkeypatch.setattr(threads, "PIECE", 10)
    begun, running = [], []

    def work(first: int, last: int) -> None:
        begun.append(first)
        running.append(first)
        time.sleep(0.001)
        running.remove(first)
        if first == 30:
            raise RuntimeError("piece 3")

    with pytest.raises(RuntimeError, match="piece 3"):
        threads.run(work, 1000)
    assert running == []
    assert len(begun) < 20


def test_a_busy_helper_is_not_waited_for(two_threads: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call whose helper is still at another call's piece does all of its own work itself; rejects waiting for the queue."""
    monkeypatch.setattr(threads, "PIECE", 10)
    release, busy = threading.Event(), threading.Event()

    def block(first: int, last: int) -> None:
        busy.set()
        release.wait(30)

    long_call = threading.Thread(target=threads.run, args=(block, 20))
    long_call.start()
    try:
        assert busy.wait(30)
        done: list[int] = []
        threads.run(lambda first, last: done.append(first), 100)
        assert sorted(done) == list(range(0, 100, 10))
        assert not release.is_set()
    finally:
        release.set()
        long_call.join()


def test_threads_that_cannot_be_started(two_threads: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system starts no more threads, the caller does the work alone."""
    threads.set_num_threads(2)  # a pool of its own

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    monkeypatch.setattr(threads, "PIECE", 10)
    done: list[int] = []
    threads.run(lambda first, last: done.append(first), 95)
    assert sorted(done) == list(range(0, 95, 10))
    threads.set_num_threads(2)


def test_an_interrupt_is_met_between_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one thread too, Ctrl-C does not wait for the whole of a large fill."""
    before = threads.get_num_threads()
    monkeypatch.setattr(threads, "PIECE", 10)
    begun: list[int] = []

    def work(first: int, last: int) -> None:
        begun.append(first)
        if first == 20:
            signal.raise_signal(signal.SIGINT)

    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threads.set_num_threads(1)
        with pytest.raises(KeyboardInterrupt):
            threads.run(work, 1000)
    finally:
        signal.signal(signal.SIGINT, handler)
        threads.set_num_threads(before)
    assert len(begun) == 3


@pytest.mark.parametrize("count", [0, -1])
def test_thread_count_must_be_positive(count: int) -> None:
    with pytest.raises(ValueError, match=f"count={count}"):
        gpuinit.set_num_threads(count)


@pytest.mark.parametrize("count", [1.5, "2", None, True])
def test_thread_count_must_be_an_integer(count: Any) -> None:
    with pytest.raises(TypeError, match="count="):
        gpuinit.set_num_threads(count)


def test_thread_count_from_the_environment() -> None:
    assert run_python("import gpuinit; print(gpuinit.get_num_threads())", GPUINIT_NUM_THREADS="3") == "3"


# Caches, and what may be missing


def test_a_new_cache_folder_is_filled_and_used(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "cache"
    assert run_python(LARGE, GPUINIT_CACHE_DIR=str(folder)) == expected_hash(20_000)
    files = sorted(folder.glob("*.nbc"))
    assert files
    stamps = [file.stat().st_mtime_ns for file in files]
    assert run_python(LARGE, GPUINIT_CACHE_DIR=str(folder)) == expected_hash(20_000)
    assert [file.stat().st_mtime_ns for file in sorted(folder.glob("*.nbc"))] == stamps


def test_an_unusable_cache_folder_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    assert run_python(LARGE, GPUINIT_CACHE_DIR=str(tmp_path / "file" / "cache")) == expected_hash(20_000)
    assert run_python(LARGE, GPUINIT_CACHE_DIR="/proc/no/such") == expected_hash(20_000)


def test_a_damaged_cache_is_compiled_again(tmp_path: Path) -> None:
    run_python(LARGE, GPUINIT_CACHE_DIR=str(tmp_path))
    for file in tmp_path.iterdir():
        file.write_bytes(b"damaged" + file.read_bytes()[:100])
    assert run_python(LARGE, GPUINIT_CACHE_DIR=str(tmp_path)) == expected_hash(20_000)


def test_no_home_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GPUINIT_CACHE_DIR", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    assert folder.cache_folder() is None


def test_kernels_loaded_and_compiled_in_one_process_stay_apart(tmp_path: Path) -> None:
    """One process leaves some kernels on the disk, another loads these and compiles the rest between them.

    Rejects closures of one factory that share a symbol: the linker then takes one kernel's inner loop for another's.
    """
    code = """
        import sys, numpy as np
        sys.path.insert(0, {tests!r})
        from conftest import LAWS, WAYS, drawn, same_bits
        from gpuinit import Key
        from gpuinit.region import Region
        for law, dtype in {kernels}:
            region = Region.of((2000,))
            made = [drawn(WAYS[way], LAWS[law], Key(1), region, dtype) for way in sorted(WAYS)]
            assert same_bits(*made), (law, dtype)
        print("same")
    """
    tests = str(Path(__file__).parent)
    first = [(0, "f4"), (2, "f4")]
    both = [(2, "c8"), (0, "f4"), (0, "c8"), (2, "f4"), (5, "f4")]
    for kernels in (first, both):
        filled = textwrap.dedent(code).format(tests=tests, kernels=kernels)
        assert run_python(filled, GPUINIT_CACHE_DIR=str(tmp_path)) == "same"
    names = [re.sub(r"-[0-9a-f]{16}\.py\d+\.1\.nbc", "", file.name) for file in tmp_path.glob("*.nbc")]
    assert len(names) == len(set(names)) == 5


def test_without_numba() -> None:
    """Numba missing, disabled or broken: NumPy makes the same bits."""
    blocked = "import sys; sys.modules['numba'] = None\n"
    assert run_python(blocked + textwrap.dedent(LARGE)) == expected_hash(20_000)
    assert run_python(LARGE, NUMBA_DISABLE_JIT="1") == expected_hash(20_000)


def test_a_small_tensor_does_not_load_numba() -> None:
    code = textwrap.dedent(SMALL) + "import sys; print('numba' in sys.modules, 'scipy' in sys.modules)"
    assert run_python(code).split() == [expected_hash(100), "False", "False"]


def test_numpy_serves_until_compiled_code_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small calls add up: once NumPy has drawn as much as loading costs, all that follows is compiled."""
    backend = cpu.CPU()
    used = []
    for name in ("specification", "compiled"):
        monkeypatch.setattr(getattr(cpu, name), "fill", lambda *_, name=name: used.append(name))
    sampler = LAWS[0].sampler(np.dtype("f4"))
    for size in (10, cpu.BREAK_EVEN - 20, 10, 1, 10):
        backend.fill(np.empty(size, "f4"), sampler, Region.of((size,)), Key(0))
    assert used == ["specification", "specification", "specification", "compiled", "compiled"]


# Compiled code and memory


@pytest.mark.skipif("x86_64" not in os.uname().machine, reason="reads x86 assembly")
@pytest.mark.parametrize(
    ("quantile", "storage", "least"),
    [("unit", "float32", 1), ("symmetric", "float32", 22), ("shallow", "float32", 18), ("interval", "bfloat16", 22)],
)
def test_kernels_are_vectorized(quantile: str, storage: str, least: int, tmp_path: Path) -> None:
    """Products and fused operations on whole registers: rejects a tuple return, a call or an index that stops LLVM's
    vectorizer."""
    code = f"""
        from gpuinit.kernels.cpu_fill import compiled_fill
        print("\\n".join(compiled_fill({quantile!r}, {storage!r}, False).inspect_asm().values()))
    """
    assembly = run_python(code, GPUINIT_CACHE_DIR=str(tmp_path))
    assert len(re.findall(r"pmuludq\s", assembly)) >= 16
    assert len(re.findall(r"vfmadd\w*ps\s", assembly)) >= least


def test_kernel_signature_is_fixed() -> None:
    """One signature a kernel: a read-only array of rows does not make Numba compile another."""
    rows = np.array([3, 1], np.int64)
    rows.flags.writeable = False
    initializer = gpuinit.RandomUniform(seed=1)
    kernel = compiled_fill("unit", "float32", False)
    region = Region.of((9, 5), None, rows)
    assert same_bits(
        drawn(WAYS["compiled"], initializer.distribution(()), Key(1), region, "f4"), initializer((9, 5), rows=[3, 1])
    )
    assert len(kernel.signatures) == 1


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float8_e5m2", "complex128"])
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 5), (1000, 7)])
def test_results_are_aligned_and_contiguous(shape: tuple[int, ...], dtype: str) -> None:
    for initializer in (gpuinit.HeNormal(seed=0), gpuinit.Ones()):
        out = initializer(shape, dtype)
        assert out.shape == shape
        assert out.dtype.name == dtype
        assert out.flags.c_contiguous
        assert out.flags.writeable
        assert out.size == 0 or out.ctypes.data % 64 == 0


def test_memory_that_cannot_be_had() -> None:
    with pytest.raises(MemoryError, match="bytes, which cannot be allocated here"):
        gpuinit.Zeros()((2**40, 2**20))


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads the peak from Linux's /proc")
@pytest.mark.parametrize("call", ["init((2**27,))", "init.fill(out)", "init.fill(out[::-1])", "init((2**40, 2**7), rows=rows)"])
def test_peak_memory_is_the_tensor(call: str) -> None:
    """512 MiB made with less than 64 MiB beside it: rejects any temporary of the tensor's size."""
    code = f"""
        import numpy as np, gpuinit
        from pathlib import Path
        init = gpuinit.TruncatedNormal(seed=1)
        init((2000, 2000)); out = np.empty(2**27, np.float32); rows = np.arange(2**20)[::-1].copy()
        if "fill" in {call!r}: out[...] = 1
        def peak():
            return next(int(l.split()[1]) for l in Path("/proc/self/status").read_text().splitlines() if
            l.startswith("VmHWM")) / 1024
        Path("/proc/self/clear_refs").write_text("5")
        before = peak()
        result = {call}
        print(peak() - before - (0 if result is out or result.base is out else 512))
    """
    assert float(run_python(code)) < 64


# Devices


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "CPU", "", 0])
def test_unknown_devices(device: Any) -> None:
    with pytest.raises(ValueError, match=re.escape(f"device={device!r}")):
        gpuinit.Zeros()((3,), device=device)


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_an_explicit_cuda_says_what_is_missing(device: str) -> None:
    with pytest.raises(gpuinit.DeviceError, match="cannot be used"):
        gpuinit.HeNormal(seed=1)((3, 3), device=device)


def test_default_device() -> None:
    assert run_python("import gpuinit; print(gpuinit.default_device())", GPUINIT_DEVICE="") == "cpu"
    assert run_python("import gpuinit; print(gpuinit.default_device())", GPUINIT_DEVICE="cpu") == "cpu"
    with pytest.raises(AssertionError, match="DeviceError"):
        run_python("import gpuinit; gpuinit.Zeros()((3,))", GPUINIT_DEVICE="cuda")
    with pytest.raises(AssertionError, match="GPUINIT_DEVICE"):
        run_python("import gpuinit; gpuinit.Zeros()((3,))", GPUINIT_DEVICE="tpu")


# Outputs that `fill` refuses


def test_fill_refuses_and_leaves_alone() -> None:
    initializer = gpuinit.HeNormal(seed=1)
    out = poisoned((4, 6), "f4")
    frozen = out[:]
    frozen.flags.writeable = False
    window = np.lib.stride_tricks.sliding_window_view(out.reshape(-1), 4, writeable=True)
    for wrong, error, words in (
        (frozen, ValueError, "read-only"),
        (window, ValueError, "overlaps itself"),
        (np.broadcast_to(out[:1], (4, 6)), ValueError, "read-only"),
        ([1.0, 2.0], TypeError, "list"),
        (np.zeros(3, ">f4"), ValueError, "byte order"),
        (np.zeros(3, "i4"), ValueError, "dtype=int32"),
        (np.zeros(3, "U3"), ValueError, "dtype"),
    ):
        with pytest.raises(error, match=words):
            initializer.fill(wrong)
    with pytest.raises(ValueError, match=re.escape("out has shape (4, 6), and the part to fill has shape (2, 6)")):
        initializer.fill(out, shape=(4, 6), block=(slice(0, 2),))
    with pytest.raises(ValueError, match="shape= is required"):
        initializer.fill(out, block=(slice(0, 4),))
    assert set(out.tobytes()) == {0xCA}


def test_a_refused_call_draws_no_key() -> None:
    """A SeedGenerator's draw is not lost on a call that fails."""
    generator = gpuinit.SeedGenerator(5)
    initializer = gpuinit.RandomNormal(seed=generator)
    for bad in (
        {"shape": (2, -1)},
        {"shape": (3,), "dtype": "int8"},
        {"shape": (3,), "device": "tpu"},
        {"shape": (3,), "rows": [0]},
    ):
        with pytest.raises(ValueError, match=r"shape|dtype|device|SeedGenerator"):
            initializer(**bad)
    assert same_bits(initializer((3,)), gpuinit.RandomNormal(seed=5)((3,)))
