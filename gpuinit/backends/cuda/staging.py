"""Chunks of a tensor from a GPU to the host: while one is used, the next is made and copied.

Region n is filled into device buffer n % 2 on stream n % 2, and its copy to pinned buffer n % 3 follows on that stream. It is
begun when region n - 1 is asked for and waited for when it is asked for itself. So

- device buffer n % 2 is written again by region n + 2, on the same stream and thus behind the copy of region n;
- pinned buffer n % 3 is written again by region n + 3, begun when region n + 2 is asked for: array n is not valid any more;
- when a region is waited for, the last work that its stream has been given is its own copy, so that nothing else is waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from gpuinit.backends.cuda.arrays import DeviceArray, packed
from gpuinit.backends.cuda.draw import empty
from gpuinit.backends.cuda.driver import Driver
from gpuinit.backends.layout import placed
from gpuinit.region import Region

__all__ = ["chunks"]

Array = np.ndarray[Any, Any]
Fill = Callable[[DeviceArray, Region], None]

STREAMS = 2
"""And device buffers."""
PINNED = 3
"""Buffers in pinned memory: one that is copied to, and two whose arrays are valid."""


def chunks(
    driver: Driver, number: int, fill: Fill, dtype: np.dtype[Any], regions: Iterable[Region], most: int
) -> Iterator[Array]:
    """The regions of a tensor, in order, each in pinned memory; an array is valid until the second next one is asked for.

    Args:
        number: the GPU's. fill: puts the fill of a region into an array on the current stream.
        regions: the next is taken, and begun, before one is given. most: the bytes of the largest.

    Raises:
        MemoryError: there is no room for the buffers, which are allocated once, when the first region is asked for.
        ValueError: a region takes more than `most` bytes.

    Where it ends, by an error too, it waits for what is still going on and lets go of all memory and streams. The arrays given
    hold theirs.
    """
    stage = _Stage(driver, number, fill, dtype)
    try:
        stage.open(most)
        begun: tuple[int, Region, Array] | None = None
        for turn, region in enumerate(regions):
            before, begun = begun, (turn, region, stage.begin(turn, region))
            if before is not None:
                yield stage.ended(*before)
        if begun is not None:
            yield stage.ended(*begun)
    finally:
        stage.close()


class _Stage:
    """The buffers and streams. CuPy's current device and stream are the caller's between calls."""

    def __init__(self, driver: Driver, number: int, fill: Fill, dtype: np.dtype[Any]) -> None:
        self._driver, self._number, self._fill, self._dtype = driver, number, fill, dtype
        self._device: list[DeviceArray] = []
        self._pinned: list[Array] = []
        self._streams: list[Any] = []

    def open(self, most: int) -> None:
        """Allocate.

        The device buffers are CuPy's, lent on the caller's stream: its pool may lend what earlier work of that stream still uses,
        and an asynchronous allocator's memory is there once that stream is there. Both are right on another stream that has
        waited for it. They go back when both streams have nothing left to do, and then any stream may have them. What a fill
        allocates besides is lent and given back on the stream that uses it, so there the order of the stream is enough.
        """
        driver = self._driver
        with driver.on(self._number):
            try:
                for _ in range(STREAMS):
                    self._device.append(empty(driver, (most,), np.uint8))
            except MemoryError:
                self._device.clear()
                free, total = driver.free_bytes()
                problem = f"{STREAMS * most} bytes on cuda:{self._number}, where {free} of {total} bytes are free"
                raise MemoryError(f"chunks of {most} bytes take {problem}") from None
            try:
                for _ in range(PINNED):
                    self._pinned.append(driver.pinned(most))
            except MemoryError:
                problem = f"{PINNED * most} bytes of pinned memory, which cannot be allocated here"
                raise MemoryError(f"chunks of {most} bytes take {problem}") from None
            caller = driver.stream()
            for _ in range(STREAMS):
                self._streams.append(driver.new_stream())
                with driver.using(self._streams[-1]):
                    driver.wait_for(caller)

    def begin(self, turn: int, region: Region) -> Array:
        """Put a region's fill and copy on its stream, and give the array that is copied to; `ended` waits for it."""
        driver, dtype = self._driver, self._dtype
        host = placed(self._pinned[turn % PINNED], region, dtype)
        if host.size == 0:
            return host
        address = self._device[turn % STREAMS].address
        out = DeviceArray(address, region.counts, packed(region.counts, dtype.itemsize), dtype, self._number)
        with driver.on(self._number):
            caller = driver.stream()
            with driver.using(self._streams[turn % STREAMS]):
                if isinstance(region.rows, DeviceArray):  # the caller's stream may still write the ids
                    driver.wait_for(caller)
                self._fill(out, region)
                driver.copy_to_pinned(address, host)
        return host

    def ended(self, turn: int, region: Region, host: Array) -> Array:
        """The array of a region that was begun, once it is written; `region` holds ids on the GPU until then."""
        self._wait(self._streams[turn % STREAMS])
        return host

    def close(self) -> None:
        """Wait for all that was begun, then let go of the memory and the streams."""
        try:
            for stream in self._streams:
                self._wait(stream)
        finally:
            self._device.clear()
            self._pinned.clear()
            with self._driver.on(self._number):
                while self._streams:
                    self._driver.end_stream(self._streams.pop())

    def _wait(self, stream: Any) -> None:
        with self._driver.on(self._number), self._driver.using(stream):
            self._driver.synchronize()
