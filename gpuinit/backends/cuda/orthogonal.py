"""Haar-distributed orthogonal matrices on a GPU: the reflectors of normal columns applied to the identity, in place.

A large matrix takes a blocked transform (Joffrain et al., 2006, "Accumulating Householder transformations, revisited"), which
is nearly all products by cuBLAS. From the last panel of columns to the first, with V the panel's reflectors,
Q = Q - V T (V'Q), T^-1 = triu(V'V, 1) + diag(1 / tau); the accurate 1 / tau in place of the diagonal of V'V / 2, as on the CPU.
Small matrices of a stack are made side by side, each column by one thread, with the CPU's bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from gpuinit import dtypes
from gpuinit.backends.cuda import parts
from gpuinit.backends.cuda.arrays import DeviceArray, packed
from gpuinit.backends.cuda.blas import Blas, Matrix
from gpuinit.backends.cuda.draw import draw
from gpuinit.backends.cuda.driver import Driver
from gpuinit.backends.cuda.geometry import blocks, unsigned
from gpuinit.backends.cuda.launch import Launch
from gpuinit.backends.layout import Layout, consecutive
from gpuinit.distributions import Normal
from gpuinit.key import Key
from gpuinit.region import Region
from gpuinit.stack import Stack

__all__ = ["CHUNK", "PANEL", "haar"]

Numbers = np.ndarray[Any, np.dtype[np.uint64]]
PANEL = 256
"""Columns of a panel. Not tuned on any GPU yet."""
CHUNK = 2**26
"""Bytes of workspace for small matrices; so many of them are made at once."""
_MOST_ROWS = 2**31 - 1
"""cuBLAS counts in 32 bits."""


class _Job(NamedTuple):
    """What all matrices of a tensor have in common. `real` is the computing precision."""

    driver: Driver
    processors: int
    dtype: np.dtype[Any]
    real: np.dtype[Any]
    gain: float
    stack: Stack
    key: Key

    @property
    def in_place(self) -> bool:
        """Whether a matrix can be made where it is to lie."""
        return self.real == self.dtype and not self.stack.wide

    @property
    def elements(self) -> int:
        """A matrix' elements."""
        return math.prod(self.stack.tall)

    @property
    def runs(self) -> int:
        """How many sums of squares a column has."""
        from gpuinit.kernels.cuda_reflectors import RUN

        return -(-self.stack.tall[0] // int(RUN))


def haar(
    driver: Driver,
    processors: int,
    address: int,
    dtype: np.dtype[Any],
    gain: float,
    stack: Stack,
    key: Key,
    matrices: Numbers,
) -> None:
    """Write some of a stack's matrices, each `gain` times a Haar-distributed one, one after the other to `address`.

    Args:
        processors: multiprocessors of the current device.
        address: of room for the matrices, each C-contiguous, rows x columns of the stack.
        dtype: real and floating; types narrower than float32 are computed in float32 and rounded. It can hold the gain.
        matrices: their numbers in the stack.

    Raises:
        DeviceError: cuBLAS is not installed, and these matrices need it: all but small ones (`Stack.small`).
        MemoryError: there is no room for the workspace. For small ones it is at most CHUNK or that of one matrix; else at most
            two matrices of the computing precision, three where the dtype is narrower or the matrices are wide, and 2 PANEL^2
            of its elements.
        ValueError: cuBLAS cannot count the rows.

    Every value lies in [-|gain|, |gain|]. Small matrices of a batch have the CPU's bits, others are equal to it
    within rounding.
    """
    job = _Job(driver, processors, dtype, dtypes.computed_in(dtype), gain, stack, key)
    if stack.small:
        _small(job, address, matrices)
    elif stack.tall[0] > _MOST_ROWS:
        raise ValueError(f"shape={stack.shape}: an orthogonal matrix on a GPU has at most {_MOST_ROWS} rows and columns")
    else:
        with driver.products(job.real) as blas:
            _large(job, blas, address, matrices)


def _small(job: _Job, address: int, matrices: Numbers) -> None:
    """Chunks of small matrices: all steps are kernels, each over a whole chunk."""
    columns, size = job.stack.tall[1], job.real.itemsize
    each = (job.elements * size, 0 if job.in_place else job.elements * size, 8 * job.runs * columns, 3 * columns * size)
    chunk = min(len(matrices), max(1, CHUNK // sum(each)))
    (normal, made, sums, numbers), _held = _workspace(job, *(chunk * nbytes for nbytes in each))
    for start in range(0, len(matrices), chunk):
        some = matrices[start : start + chunk]
        target = address + start * job.elements * job.dtype.itemsize
        product = target if job.in_place else made
        taus, _, factors = _planes(numbers, len(some) * columns * size)
        _reflectors(job, normal, sums, numbers, some)
        _run(job, [_launch(job, "apply", job.real, columns, len(some), normal, *job.stack.tall, len(some), taus, product)])
        _run(job, [_finish(job, product, factors, target, len(some))])


def _large(job: _Job, blas: Blas, address: int, matrices: Numbers) -> None:
    """One matrix after the other, in place."""
    (rows, columns), size = job.stack.tall, job.real.itemsize
    width = min(PANEL, columns)
    own = 0 if job.in_place else job.elements * size
    work = (own, 8 * job.runs * columns, 3 * columns * size, rows * width * size, width * columns * size, width * width * size)
    (made, sums, numbers, panel, rest, gram), _held = _workspace(job, *work)
    _, inverses, factors = _planes(numbers, columns * size)
    for place in range(len(matrices)):
        target = address + place * job.elements * job.dtype.itemsize
        matrix = target if job.in_place else made
        _reflectors(job, matrix, sums, numbers, matrices[place : place + 1])
        for first in reversed(range(0, columns, width)):
            count = min(width, columns - first)
            vectors = Matrix(panel, rows - first, count, count)
            corner = Matrix(matrix + (first * columns + first) * size, rows - first, columns - first, columns)
            products, square = Matrix(rest, count, corner.columns, corner.columns), Matrix(gram, count, count, count)
            _run(job, [_launch(job, "panel", job.real, count, rows, matrix, rows, columns, first, count, panel)])
            blas.product(square, vectors, vectors, transposed=True)
            _run(job, _diagonal(job, square, inverses + first * size))
            blas.product(products, vectors, corner, transposed=True)
            blas.solve_upper(square, products)
            blas.product(corner, vectors, products, subtracted=True)
        _run(job, [_finish(job, matrix, factors, target, 1)])


def _workspace(job: _Job, *sizes: int) -> tuple[list[int], Any]:
    """Addresses of this many bytes each, in one allocation, and what holds it."""
    starts, total = [], 0
    for nbytes in sizes:
        starts.append(total)
        total += -(-nbytes // 256) * 256
    try:
        held = job.driver.empty((total,), np.dtype(np.uint8))
    except MemoryError:
        free, _ = job.driver.free_bytes()
        raise MemoryError(
            f"shape={job.stack.shape}: orthogonal matrices take {total} bytes of workspace beside them, where {free} are free"
        ) from None
    address = job.driver.view(held, "workspace").address
    return [address + start for start in starts], held


def _planes(address: int, nbytes: int) -> tuple[int, int, int]:
    """Where the reflectors' three numbers lie: taus, inverses, factors."""
    return address, address + nbytes, address + 2 * nbytes


def _run(job: _Job, launches: Any) -> None:
    for launch in launches:
        job.driver.launch(launch)


def _launch(job: _Job, kernel: str, dtype: np.dtype[Any], along_x: int, along_y: int, *numbers: int) -> Launch:
    grid, block = blocks(along_x, along_y, job.processors)
    return Launch((kernel, dtype.name), grid, block, tuple(map(unsigned, numbers)))


def _reflectors(job: _Job, matrix: int, sums: int, numbers: int, matrices: Numbers) -> None:
    """Draw matrices to an address, and make their columns reflectors there."""
    columns, count = job.stack.tall[1], len(matrices)
    shape, logical = (count, job.elements), (job.stack.count, job.elements)
    if consecutive(matrices):
        region = Region(logical, (int(matrices[0]), 0), shape)
    else:
        region = Region(logical, (0, 0), shape, matrices.view(np.int64))
    out = DeviceArray(matrix, shape, packed(shape, job.real.itemsize), job.real, job.driver.current())
    draw(job.driver, job.processors, out, Normal(0.0, 1.0).sampler(job.real), region, job.key)
    common = (matrix, *job.stack.tall, job.runs, count, sums)
    planes = _planes(numbers, count * columns * job.real.itemsize)
    squares = _launch(job, "squares", job.real, columns, job.runs * count, *common)
    _run(job, [squares, _launch(job, "heads", job.real, columns, count, *common, _bits(job.gain), *planes)])


def _diagonal(job: _Job, square: Matrix, source: int) -> Iterator[Launch]:
    """Copy consecutive numbers to a matrix' diagonal."""
    size = job.real.itemsize
    where = Layout(0, square.rows, (square.step + 1) * size, ())
    return parts.copies(where, size, size, square.address, source, "none", 0, job.processors)


def _finish(job: _Job, source: int, factors: int, target: int, count: int) -> Launch:
    """Scale, clamp and round to the target, which may be the source's place; a wide matrix is transposed on the way."""
    (rows, columns), size = job.stack.tall, job.dtype.itemsize
    steps = (size, rows * size) if job.stack.wide else (columns * size, size)
    bound = _bits(dtypes.at_most(abs(job.gain), job.dtype))
    numbers = (source, rows, columns, count, factors, bound, target, job.elements * size, *steps)
    return _launch(job, "finish", job.dtype, columns, rows * count, *numbers)


def _bits(number: float) -> int:
    return int(np.float64(number).view(np.uint64))
