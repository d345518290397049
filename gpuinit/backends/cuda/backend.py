"""The CUDA backend: memory from CuPy, fills by the project's kernels, on one device."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from gpuinit import dtypes
from gpuinit.backends.cuda import parts, staging, structures
from gpuinit.backends.cuda.arrays import DeviceArray, is_on_gpu
from gpuinit.backends.cuda.draw import draw
from gpuinit.backends.cuda.driver import Driver
from gpuinit.backends.cuda.geometry import around
from gpuinit.backends.layout import layout
from gpuinit.key import Key
from gpuinit.region import Region, checked_rows
from gpuinit.sampler import Sampler

__all__ = ["CUDA"]


class CUDA:
    """Allocates and fills on GPU `number`; work goes to CuPy's current stream there."""

    def __init__(self, number: int, driver: Driver) -> None:
        self.number = number
        self.device = f"cuda:{number}"
        self._driver = driver
        self._processors = driver.processors(number)

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        """A new uninitialized C-contiguous CuPy array, from CuPy's current allocator."""
        nbytes = math.prod(shape) * dtype.itemsize
        with self._driver.on(self.number):
            try:
                if nbytes >= 2**63:
                    raise MemoryError
                return self._driver.empty(shape, dtype)
            except MemoryError:
                free, total = self._driver.free_bytes()
        raise MemoryError(
            f"shape={shape} of {dtype.name} takes {nbytes} bytes on {self.device}, where {free} of {total} bytes are free"
        )

    def fill(self, out: Any, law: Any, region: Region, key: Key | None) -> None:
        """Write the region of the tensor that `law` and `key` define into `out`: a CuPy array, or what `target` gave."""
        with self._driver.on(self.number):
            array = self._driver.view(out, "out")
            if array.size == 0:
                return
            if isinstance(law, Sampler):
                assert key is not None
                draw(self._driver, self._processors, array, law, region, key)
            else:
                structures.write(self._driver, self._processors, array, law, region, key)
            if array.ordered and array.stream is not None:
                self._driver.let_wait(array.stream)
            elif array.foreign:  # its owner does not know of the current stream
                self._driver.synchronize()

    def target(self, out: Any) -> DeviceArray:
        """Where an existing array of this device lies, for `fill`; TypeError or ValueError says why it cannot be filled."""
        with self._driver.on(self.number):
            array = self._driver.view(out, "out")
        if not array.writeable:
            raise ValueError("out is read-only: it must be a writable array")
        _check_alignment(array, "out")
        return array

    def checked_rows(self, rows: Any, length: int) -> Any:
        """Row ids, each in 0 .. length - 1: int64 of NumPy, or, if they lie on a GPU, there and looked at there."""
        if not is_on_gpu(rows):
            return checked_rows(rows, length)
        with self._driver.on(self.number):
            ids = self._driver.view(rows, "rows")
            if len(ids.shape) != 1:
                raise ValueError(f"rows has shape {ids.shape}: it must be a 1-D array of row ids")
            if ids.dtype.name not in ("int32", "int64"):
                raise TypeError(f"rows has dtype {ids.dtype.name}: row ids on a GPU must be int32 or int64")
            if ids.device != self.number:
                raise ValueError(f"rows lies on cuda:{ids.device}, and the tensor on {self.device}: they must be on one device")
            if not ids.size:
                return ids
            _check_alignment(ids, "rows")
            if ids.foreign or not ids.c_contiguous:  # its owner may free or change it while the fill still reads
                ids = structures.copied(self._driver, self._processors, ids)
            self._check_range(ids, length)
            return ids

    def _check_range(self, ids: DeviceArray, length: int) -> None:
        launch, count = parts.row_checks(ids.address, ids.strides[0], ids.size, length, ids.dtype.name, self._processors)
        places = self._driver.empty((count,), np.dtype(np.uint64))
        address = self._driver.view(places, "places").address
        self._driver.launch(launch._replace(arguments=(*launch.arguments, np.uint64(address))))
        place = int(self._driver.download(address, 8 * count, places).view(np.uint64).min())
        if place == 2**64 - 1:
            return
        itemsize = ids.dtype.itemsize
        wrong = int(self._driver.download(ids.address + place * itemsize, itemsize, ids).view(ids.dtype)[0])
        allowed = f"ids run from 0 to {length - 1}, none from the end" if length else "it has no row ids"
        raise IndexError(f"rows[{place}]={wrong} is not a row of a tensor with {length} rows; {allowed}")

    def moved_rows(self, rows: Any, by: int) -> np.ndarray[Any, Any]:
        """Checked row ids with `by` added to each, by way of the host."""
        with self._driver.on(self.number):
            moved: np.ndarray[Any, Any] = structures.on_host(self._driver, rows) + np.int64(by)
            return moved

    def element_hash(self, array: Any, start: int) -> int:
        """The hash of `gpuinit.hashing.element_hash`, computed where the array lies."""
        with self._driver.on(self.number):
            given = self._driver.view(array, "array")
            _check_alignment(given, "array")
            real = dtypes.component(given.dtype)
            count = given.dtype.itemsize // real.itemsize
            strides = given.strides if count == 1 else (*given.strides, real.itemsize)
            where = layout(Region.of(given.shape).components(count), strides)
            total = 0
            for part in around(where.axes, False) if given.size else ():
                launch, sums = parts.hashes(
                    part, where.length, where.stride, real.itemsize, given.address, start * count, self._processors
                )
                held = self._driver.empty((sums,), np.dtype(np.uint64))
                address = self._driver.view(held, "sums").address
                self._driver.launch(launch._replace(arguments=(*launch.arguments, np.uint64(address))))
                total += int(self._driver.download(address, 8 * sums, held).view(np.uint64).sum(dtype=np.uint64))
            return total % 2**64

    def chunks(
        self, law: Any, key: Key | None, dtype: np.dtype[Any], regions: Iterable[Region], most: int
    ) -> Iterator[np.ndarray[Any, Any]]:
        """The regions of the tensor, in order, each in pinned memory; while one is used the next is made and copied.

        An array is valid until the second next one is asked for. It takes 2 `most` bytes of the GPU's memory and 3 `most` of the
        host's; `most`: the bytes of the largest region.

        Raises:
            MemoryError: there is no room for these. ValueError: a region takes more than `most` bytes.
        """

        def fill(out: DeviceArray, region: Region) -> None:
            self.fill(out, law, region, key)

        return staging.chunks(self._driver, self.number, fill, dtype, regions, most)


def _check_alignment(array: DeviceArray, name: str) -> None:
    """Refuse what a GPU cannot read or write element by element: it would end the process' use of CUDA."""
    size = dtypes.component(array.dtype).itemsize
    if array.size and any(number % size for number in (array.address, *array.strides)):
        raise ValueError(
            f"{name} lies at address {array.address} with strides {array.strides}: on a GPU both must be multiples of its "
            f"elements' {size} bytes"
        )
