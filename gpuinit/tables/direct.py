"""Writing past the page cache (O_DIRECT), which takes little of a processor and leaves the cache to others.

A write must begin at a multiple of PAGE in the file and in memory, and have a multiple of PAGE bytes. Where the system, the file
system or the place does not allow it, less is written, or nothing, and the caller writes the rest as usual.
"""

from __future__ import annotations

import errno
import fcntl
import os
from typing import Any

import numpy as np

__all__ = ["PAGE", "write"]

PAGE = 4096
"""Bytes that disks and memory are divided into; a multiple of what any common disk asks for."""

_REFUSED = (errno.EINVAL, errno.EFAULT, errno.EOPNOTSUPP)


def write(descriptor: int, data: np.ndarray[Any, Any], offset: int) -> int:
    """Write leading bytes of a 1-D array of uint8 at an offset of a file, as many as can be written so; how many they were."""
    count = data.size - data.size % PAGE
    if not count or offset % PAGE or data.ctypes.data % PAGE or not hasattr(os, "O_DIRECT"):
        return 0
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    written = 0
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_DIRECT)
        while written < count and written % PAGE == 0:
            written += os.pwrite(descriptor, data[written:count].data, offset + written)
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
    finally:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)
    return written
