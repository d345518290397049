"""Compiles all kernels for this machine's GPU into the cache, by all processors: python -m benchmarks.gpu_prepare [ARCHITECTURE].

What runs afterwards loads them. Without an argument (90 for sm_90) and without a GPU the exit status is 77.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from gpuinit import dtypes
from gpuinit.backends.cuda import probe
from gpuinit.kernels import cuda_build, cuda_source

__all__ = ["kernels"]

NO_GPU = 77
IDS, SIZES = ("none", "int32", "int64"), ("1", "2", "4", "8")


def kernels() -> list[Any]:
    """All kernels, as `cuda_build.kernel_image` takes them; those that take long to compile first."""
    numba: list[Any] = [("fill", *choice) for choice in itertools.product(cuda_source.QUANTILES, cuda_source.STORAGE, IDS)]
    numba += [(name, *choice) for name in ("copy", "diagonal") for choice in itertools.product(SIZES, IDS)]
    numba += [(name, size) for name in ("constant", "hash") for size in SIZES]
    numba += [("rows", ids) for ids in IDS[1:]]
    return [*numba, *cuda_source.dense_kernels()]


def compile_for_gpu(kernel: Any, architecture: int) -> str:
    """What went wrong, or nothing."""
    try:
        cuda_build.kernel_image(kernel, architecture)
    except Exception as error:
        return f"{kernel}: {type(error).__name__}: {error}"
    return ""


def compile_for_cpu(quantile: str, dtype: str) -> str:
    """The CPU's kernel of a law and a dtype, which tests compare with."""
    import numpy as np

    from gpuinit.backends import compiled
    from gpuinit.distributions import TruncatedNormal, Uniform
    from gpuinit.key import Key
    from gpuinit.region import Region

    if not compiled.usable():
        return ""
    laws = {"unit": Uniform(-1.0, 1.0), "symmetric": TruncatedNormal(0.0, 1.0), "interval": TruncatedNormal(0.0, 1.0, -1.0, 3.0)}
    kind = dtypes.canonical(dtype)
    compiled.fill(np.empty(8, kind), laws[quantile].sampler(kind), Region.of((8,)), Key(1))
    return ""


def main() -> int:
    """Compile, and say how many and how long."""
    found = probe.status()
    if len(sys.argv) < 2 and not found.usable:
        print(f"{'skipped: no GPU to compile for' if found.absent else 'the GPU cannot be used'}: {found.problem} {found.remedy}")
        return NO_GPU if found.absent else 1
    architecture = int(sys.argv[1]) if len(sys.argv) > 1 else found.devices[0].capability
    processes, start = len(os.sched_getaffinity(0)), time.monotonic()
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        work = [pool.submit(compile_for_gpu, kernel, architecture) for kernel in kernels()]
        work += [pool.submit(compile_for_cpu, *choice) for choice in itertools.product(cuda_source.QUANTILES, dtypes.RANDOM)]
        errors = [error for each in work if (error := each.result())]
    print(f"{len(work)} kernels for sm_{architecture} by {processes} processes in {time.monotonic() - start:.0f} s")
    print("\n".join(errors))
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
