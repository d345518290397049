"""Compiled kernels on disk: found again by kernel name, processor and a digest of the sources, and never in the way.

Numba's own cache looks at the date of one source file and fails where it finds no folder to write. This one knows that a kernel
depends on every file of `kernels/`, and treats a missing, read-only or broken folder as an empty one.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numba
from numba.core import caching
from numba.core.registry import cpu_target

from gpuinit.kernels.folder import cache_folder

__all__ = ["compile_once", "named"]


@functools.cache
def _source_digest() -> str:
    digest = hashlib.sha256(numba.__version__.encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


class _Locator(caching._CacheLocator):  # type: ignore[misc]
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get_cache_path(self) -> str:
        return str(self._folder)

    def get_source_stamp(self) -> str:
        return _source_digest()

    def get_disambiguator(self) -> str:
        processor = repr(cpu_target.target_context.codegen().magic_tuple())
        return hashlib.sha256((_source_digest() + processor).encode()).hexdigest()[:16]

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> _Locator | None:
        folder = cache_folder()
        return None if folder is None else cls(folder)


class _Implementation(caching.CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = (_Locator,)


class _Cache(caching.FunctionCache):  # type: ignore[misc]
    _impl_class = _Implementation

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        return sig

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        with contextlib.suppress(Exception):  # a damaged entry is a miss; the kernel is compiled again
            return super().load_overload(sig, target_context)
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except Exception:  # a damaged index: begin a new one
            with self._guard_against_spurious_io_errors():
                self._cache_file.flush()
                super().save_overload(sig, data)

    @contextlib.contextmanager
    def _guard_against_spurious_io_errors(self) -> Iterator[None]:
        with contextlib.suppress(OSError):
            yield


def named(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """`function` under a qualified name of its own.

    Numba makes symbols of the qualified name and a number that each process counts for itself. Of two closures made
    by one factory, one loaded from the disk and one compiled here may so get the same symbol, and the linker would take
    one for both.
    """
    function.__qualname__ = name
    return function


def compile_once(kernel: Callable[..., Any], signature: tuple[Any, ...], name: str, **options: Any) -> Any:
    """`kernel` compiled for one signature, without the GIL: loaded from the disk if it is there, else kept there.

    `name` must be the kernel's alone. Each has a file of its own for each processor: Numba numbers the files of one
    index, and two processes that number at the same time would find each other's code behind their own entries.
    """
    dispatcher = numba.njit(nogil=True, **options)(named(kernel, name))
    if cache_folder() is not None:
        dispatcher._cache = _Cache(kernel)
    dispatcher.compile(signature)
    dispatcher.disable_compile()
    return dispatcher
