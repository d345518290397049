"""Compiling kernels for a GPU, with no GPU needed: CUDA C++ by NVRTC, Numba kernels by NVVM and nvJitLink; kept on disk.

CuPy's own RawModule(code=) compiles with subnormals flushed to zero, whatever it is asked (CuPy 14.2 adds -ftz=true behind
all other options), so the sources are compiled here, and CuPy loads what comes out.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gpuinit.kernels import cuda_source
from gpuinit.kernels.folder import cache_folder

__all__ = ["ARCHITECTURES", "OPTIONS", "BuildError", "compile_numba", "compile_source", "entry", "kept", "kernel_image"]

OPTIONS = ("--std=c++17", "--fmad=false", "--ftz=false", "--prec-div=true", "--prec-sqrt=true")
ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)
"""The compute capabilities that the kernels are built and tested for; others take the nearest older one's code."""


class BuildError(RuntimeError):
    """A kernel could not be compiled; the message has the compiler's own."""


def kernel_image(kernel: str | tuple[str, ...], architecture: int) -> bytes:
    """A kernel compiled for a compute capability, kept on disk.

    `kernel`: a name expression of `cuda_source`, or name and parameters of `cuda_kernels`.
    """

    def make() -> bytes:
        if isinstance(kernel, str):
            return compile_source(kernel, architecture)[0]
        from gpuinit.kernels import cuda_kernels

        return compile_numba(cuda_kernels.kernel(*kernel), cuda_kernels.signature(*kernel), architecture)[0]

    return kept(str(kernel), architecture, make)


def compile_source(name: str, architecture: int, *options: str) -> tuple[bytes, str]:
    """A kernel of `cuda_source` for a compute capability (90 for 9.0): a cubin, else PTX, and the compiler's log."""
    from cupy.cuda import nvrtc

    older = [known for known in reversed(ARCHITECTURES) if known < architecture]
    log = ""
    for target in (f"sm_{architecture}", *(f"compute_{known}" for known in older)):
        program = nvrtc.createProgram(cuda_source.source(), "gpuinit.cu", (), ())
        try:
            nvrtc.addNameExpression(program, name)
            nvrtc.compileProgram(program, (f"--gpu-architecture={target}", *OPTIONS, *options))
            log = nvrtc.getProgramLog(program)
            image = nvrtc.getCUBIN(program) + b"\0" if target.startswith("sm_") else _text(nvrtc.getPTX(program))
            return image, log
        except nvrtc.NVRTCError as error:
            log = nvrtc.getProgramLog(program) or str(error)
            if "architecture" not in log and "ARCH" not in str(error) and "INVALID_OPTION" not in str(error):
                break
        finally:
            nvrtc.destroyProgram(program)
    raise BuildError(f"NVRTC could not compile {name} for sm_{architecture}: {log.strip()}")


def compile_numba(function: Callable[..., Any], signature: Any, architecture: int) -> tuple[bytes, str]:
    """A Numba kernel for a compute capability: a cubin where nvJitLink is there, else PTX; and the PTX in any case."""
    from numba import cuda

    nearest = max(known for known in ARCHITECTURES if known <= architecture)
    with _device_of(divmod(nearest, 10)):
        ptx, _ = cuda.compile_ptx(function, signature, cc=divmod(nearest, 10), device=False)
    return _linked(ptx, architecture), ptx


_compiling = threading.Lock()


@contextlib.contextmanager
def _device_of(capability: tuple[int, int]) -> Iterator[None]:
    """While the block runs, Numba compiles the functions that a kernel calls for this capability, on this thread.

    It would ask for the current GPU: which may not be there, or be another. And numba-cuda 0.30 names np.row_stack when it
    first compiles, which NumPy 2.5 no longer has.
    """
    from numba.cuda import dispatcher

    class Device:
        compute_capability = capability

    thread = threading.get_ident()
    with _compiling, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        before, lacking = dispatcher.get_current_device, not hasattr(np, "row_stack")
        dispatcher.get_current_device = lambda: Device if threading.get_ident() == thread else before()
        if lacking:
            np.row_stack = np.vstack  # noqa: NPY201
        try:
            yield
        finally:
            dispatcher.get_current_device = before
            if lacking:
                del np.row_stack  # noqa: NPY201


def _linked(ptx: str, architecture: int) -> bytes:
    """The PTX as a cubin; as it is where nvJitLink is missing or older than the GPU, since the driver may know better."""
    text = ptx.encode()
    try:
        from cuda.bindings import nvjitlink

        linker = nvjitlink.create(1, [f"-arch=sm_{architecture}"])
    except (ImportError, RuntimeError):  # its library is loaded at the first call
        return _text(ptx)
    try:
        nvjitlink.add_data(linker, nvjitlink.InputType.PTX, text, len(text), "gpuinit")
        nvjitlink.complete(linker)
        cubin = bytearray(nvjitlink.get_linked_cubin_size(linker))
        nvjitlink.get_linked_cubin(linker, cubin)
        return bytes(cubin)
    except nvjitlink.nvJitLinkError:
        return _text(ptx)
    finally:
        nvjitlink.destroy(linker)


def _text(ptx: str | bytes) -> bytes:
    return (ptx.encode() if isinstance(ptx, str) else ptx).rstrip(b"\0") + b"\0"


def entry(image: bytes) -> str:
    """The name of the one kernel in a cubin or in PTX."""
    found = re.search(rb"\0\.nv\.constant0\.([^\0]+)\0" if image.startswith(b"\x7fELF") else rb"\.entry\s+([^\s(]+)", image)
    if found is None:
        raise BuildError("the compiled kernel has no entry")
    return found[1].decode()


@functools.cache
def _digest() -> str:
    """Of everything that a compiled kernel depends on."""
    digest = hashlib.sha256(cuda_source.source().encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    for module in ("cupy", "numba", "numba_cuda", "cuda.bindings"):
        with contextlib.suppress(ImportError):
            digest.update(__import__(module, fromlist=["_"]).__version__.encode())
    return digest.hexdigest()


def kept(name: str, architecture: int, make: Callable[[], bytes]) -> bytes:
    """A compiled kernel: from the cache folder, else made and put there.

    A cache folder that is missing, read-only, full or damaged costs a compilation in each process, nothing more.
    """
    key = hashlib.sha256(f"{_digest()} {name} sm_{architecture}".encode()).hexdigest()[:32]
    folder = cache_folder()
    path = None if folder is None else folder / f"cuda-{key}.bin"
    image = None if path is None else _read(path)
    if image is None:
        image = make()
        if path is not None:
            with contextlib.suppress(OSError):
                _write(path, image)
    return image


def _read(path: Path) -> bytes | None:
    """The content of a kept file: it begins with its digest, and counts only if that is right."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    return content[32:] if hashlib.sha256(content[32:]).digest() == content[:32] else None


def _write(path: Path, image: bytes) -> None:
    """Put a file in its place at once: another process sees all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(image).digest() + image)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
