"""The constants of the element hash (gpuinit/hashing.py), odd 64-bit integers, in their one place."""

from __future__ import annotations

__all__ = ["BITS_FACTOR", "INDEX_FACTOR"]

INDEX_FACTOR = 0x9E3779B97F4A7C15
BITS_FACTOR = 0xD6E8FEB86659FD93
