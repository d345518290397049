"""Compiles all kernels for this machine's GPU into the cache, by all processors: python -m benchmarks.gpu_prepare [ARCHITECTURE].

What runs afterwards loads them. Without an argument (90 for sm_90) and without a GPU the exit status is 77.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import re
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np

from gpuinit import dtypes
from gpuinit.backends import compiled
from gpuinit.backends.cuda import probe
from gpuinit.distributions import Normal, TruncatedNormal, Uniform
from gpuinit.kernels import cuda_build, cuda_source
from gpuinit.key import Key
from gpuinit.region import Region

__all__ = ["kernels"]

NO_GPU = 77
LAWS = (Uniform(-1.0, 1.0), Normal(0.0, 1.0), TruncatedNormal(0.0, 1.0), TruncatedNormal(0.1, 1.0, -1.0, 3.0))
IDS, SIZES = ("none", "int32", "int64"), ("1", "2", "4", "8")


def kernels() -> list[Any]:
    """All kernels, as `cuda_build.kernel_image` takes them; those that take long to compile first."""
    dense = cuda_source.dense_kernels()
    plain = {struct: name for names in (cuda_source.QUANTILES, cuda_source.STORAGE) for name, struct in names.items()}
    pairs = dict.fromkeys(tuple(plain[part] for part in re.split("[<,] ?", kernel)[1:3]) for kernel in dense)
    numba: list[Any] = [("fill", *pair, ids) for pair, ids in itertools.product(pairs, IDS)]
    numba += [(name, *choice) for name in ("copy", "diagonal") for choice in itertools.product(SIZES, IDS)]
    numba += [(name, size) for name in ("constant", "hash") for size in SIZES]
    numba += [("rows", ids) for ids in IDS[1:]]
    numba += [(name, real) for name in ("squares", "heads", "apply", "panel") for real in ("float32", "float64")]
    numba += [("finish", storage) for storage in cuda_source.STORAGE]
    return [*numba, *dense]


def compile_for_gpu(kernel: Any, architecture: int) -> str:
    """What went wrong, or nothing."""
    try:
        from numba.cuda import dispatcher

        # Numba asks the current GPU for its architecture; a context in every process would cost time and memory there.
        dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=divmod(architecture, 10))
        cuda_build.kernel_image(kernel, architecture)
    except Exception as error:
        return f"{kernel}: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return ""


def compile_for_cpu(law: Any, dtype: str) -> str:
    """The CPU's kernel of a law and a dtype, which tests compare with."""
    if not compiled.usable():
        return ""
    kind = dtypes.canonical(dtype)
    compiled.fill(np.empty(8, kind), law.sampler(kind), Region.of((8,)), Key(1))
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
        work += [pool.submit(compile_for_cpu, *choice) for choice in itertools.product(LAWS, dtypes.RANDOM)]
        errors = [error for each in work if (error := each.result())]
    print(f"{len(work)} kernels for sm_{architecture} by {processes} processes in {time.monotonic() - start:.0f} s")
    print(f"FAILED: {len(errors)}" if errors else "all compiled", *errors[:20], sep="\n")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
