"""How much a benchmark does: all, or with GPUINIT_BENCH=--quick so little that it only shows that it runs."""

from __future__ import annotations

import os

__all__ = ["QUICK", "rounds", "size"]

QUICK = os.environ.get("GPUINIT_BENCH", "") == "--quick"


def size(full: int) -> int:
    """Elements, rows or bytes."""
    return min(full, 2**12) if QUICK else full


def rounds(full: int) -> int:
    """How often each side is timed."""
    return 1 if QUICK else full
