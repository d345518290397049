"""The folder where compiled kernels are kept."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_folder"]


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
