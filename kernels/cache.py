"""Compiled kernels on disk: found again by kernel name, processor and a digest of the sources, and never in the way.

Numba's own cache looks at the date of one source file and fails where it finds no folder to write. This one knows that a kernel
depends on every file of `kernels/`, and treats a missing, read-only or broken folder as an empty one.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numba
from numba.core import caching

__all__ = ["cache_folder", "enable_cache"]


def cache_folder() -> Path | None:
    """GPUINIT_CACHE_DIR, else NUMBA_CACHE_DIR, else gpuinit/ in the user's cache folder; None where there is no home."""
    asked = os.environ.get("GPUINIT_CACHE_DIR") or os.environ.get("NUMBA_CACHE_DIR")
    if asked:
        return Path(asked)
    home = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(home) if home else Path.home() / ".cache") / "gpuinit"
    except RuntimeError:
        return None


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
        return _source_digest()

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> _Locator | None:
        folder = cache_folder()
        return None if folder is None else cls(folder)


class _Implementation(caching.CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = [_Locator]


class _Cache(caching.FunctionCache):  # type: ignore[misc]
    _impl_class = _Implementation

    def __init__(self, py_func: Any, variant: str) -> None:
        super().__init__(py_func)
        self._variant = variant

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        return (sig, codegen.magic_tuple(), self._variant)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        with contextlib.suppress(Exception):  # a damaged entry is a miss; the kernel is compiled again
            return super().load_overload(sig, target_context)
        return None

    @contextlib.contextmanager
    def _guard_against_spurious_io_errors(self) -> Iterator[None]:
        with contextlib.suppress(OSError):
            yield


def enable_cache(dispatcher: Any, variant: str) -> Any:
    """Let a jitted function keep its code on disk under its name and `variant`; no folder, no cache, no error."""
    if cache_folder() is not None:
        dispatcher._cache = _Cache(dispatcher.py_func, variant)
    return dispatcher
