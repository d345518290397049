"""What the launchers hand to a GPU, and the same to a machine that stands for one in a test."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Launch"]


class Launch(NamedTuple):
    """One kernel launch: which kernel, over how many blocks of how many threads, with which arguments.

    Attributes:
        kernel: the name expression of a CUDA C++ kernel, or the name and parameters of a Numba kernel, which
            `gpuinit.kernels.cuda_kernels` finds it by.
        grid, block: blocks, and threads of a block, along x and y.
        arguments: NumPy scalars, and structures as arrays of size one; addresses are uint64.
    """

    kernel: str | tuple[str, ...]
    grid: tuple[int, int]
    block: tuple[int, int]
    arguments: tuple[Any, ...]
