"""What a profiler is shown: each dense kernel once, compiled, loaded and warm: python -m benchmarks.gpu_profile [--quick].

    ncu --profile-from-start off --clock-control none --set full --csv --page raw python -m benchmarks.gpu_profile

Between cudaProfilerStart and cudaProfilerStop there is one launch a case and nothing else, in the order of the lines printed.
The exit status is 77 where there is no GPU.
"""

from __future__ import annotations

import sys

import gpuinit
from gpuinit import dtypes
from gpuinit.backends.cuda import probe

__all__ = ["main"]

NO_GPU = 77
LAWS = {
    "uniform": gpuinit.RandomUniform(-1.0, 1.0, seed=1),
    "truncated": gpuinit.TruncatedNormal(0.0, 1.0, seed=1),
    "normal": gpuinit.RandomNormal(0.0, 1.0, seed=1),
}
DTYPES = ("float32", "bfloat16")


def main(arguments: list[str]) -> int:
    """The exit status."""
    found = probe.status()
    if not found.usable:
        print(f"skipped: {found.problem}")
        return NO_GPU
    import cupy

    size = 2**16 if "--quick" in arguments else 2**28
    for dtype in DTYPES:
        kind = dtypes.canonical(dtype)
        out = cupy.ndarray((size,), kind, cupy.cuda.alloc(size * kind.itemsize))
        for name, init in LAWS.items():
            for _ in range(3):
                init.fill(out)
            cupy.cuda.Device().synchronize()
            cupy.cuda.profiler.start()
            init.fill(out)
            cupy.cuda.Device().synchronize()
            cupy.cuda.profiler.stop()
            print(f"{name} {dtype}: {size} elements, {out.nbytes} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
