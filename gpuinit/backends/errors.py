"""What backends raise beyond Python's own errors."""

from __future__ import annotations

__all__ = ["DeviceError"]


class DeviceError(RuntimeError):
    """The device asked for cannot be used; the message says what is missing and what to do."""
