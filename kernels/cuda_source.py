"""The CUDA C++ of the dense fills as one text, and the names of its kernels.

The files of this folder hold the code; what they need of `kernels.coefficients` is written here as macros, so that the
coefficients have one home. One text, because a compiled kernel is found again by a digest of all that it was made of, and
because NVRTC and a host's compiler then read the same.
"""

from __future__ import annotations

import functools
import itertools
from pathlib import Path
from typing import Any

from gpuinit.kernels import formats, quantiles

__all__ = [
    "BOUNDS",
    "QUANTILES",
    "STORAGE",
    "THREADS",
    "UNROLL",
    "coefficients_header",
    "dense_kernel",
    "dense_kernels",
    "source",
]

FILES = ("device.cuh", "philox.cuh", "formats.cuh", "quantiles.cuh", "narrow.cuh", "dense_fill.cu")

QUANTILES = {"unit": "Unit", "symmetric": "Symmetric", "shallow": "Shallow", "interval": "Interval"}
"""The C++ struct of each quantile."""

STORAGE = {
    "float32": "Float32",
    "float64": "Float64",
    "bfloat16": "BFloat16",
    "float16": "Float16",
    "float8_e4m3fn": "Float8E4M3",
    "float8_e5m2": "Float8E5M2",
}
"""The C++ struct of each real element type."""

BOUNDS = ("NONE", "GENERAL", "SYMMETRIC")
"""How values are bounded: not at all, between low and high, or to +-high."""

THREADS = 128
"""Threads of a block."""

UNROLL = {"unit": 4, "symmetric": 4, "shallow": 4, "interval": 1}
"""Counters that a thread has in flight for each quantile."""


@functools.cache
def source() -> str:
    """The whole translation unit."""
    folder = Path(__file__).parent
    return "\n".join([coefficients_header(), *(_text(folder / name) for name in FILES)])


def _text(path: Path) -> str:
    return path.read_text().replace("#pragma once\n", f'#line 1 "{path.name}"\n', 1)


def coefficients_header() -> str:
    """The constants of `kernels.quantiles` as macros F32_.. and F64_..; polynomials as lists, highest power first."""
    lines = ["// Written by kernels/cuda_source.py from kernels/coefficients.py.", f"#define THREADS {THREADS}u"]
    for prefix, suffix, constants in (("F32", "f", formats.FLOAT32), ("F64", "", formats.FLOAT64)):
        named: dict[str, Any] = {
            "LOG2": constants.log2,
            "LOG_UNIT": constants.log_unit,
            "MINUS_LOG_TWO_PI": constants.minus_log_two_pi,
            "NEGATIVE_LOG": constants.negative_log,
            "CENTER": constants.center,
            "CENTRAL": constants.central,
            "MILLS": constants.mills,
            "EXPONENTIAL": constants.exponential,
            **{f"START_{place}": value for place, value in enumerate(constants.start)},
        }
        if prefix == "F32":
            named |= {"TAIL": quantiles.TAIL32, "TAIL_START": quantiles.TAIL_START, "SHORT_LOG": quantiles.SHORT_LOG32}
            named |= {"SHALLOW": quantiles.SHALLOW32, "SHALLOW_HALF": quantiles.SHALLOW_HALF32}
            lines.append(f"#define {prefix}_SHALLOW_ORIGIN {int(quantiles.SHALLOW_ORIGIN):#x}u")
        for name, value in named.items():
            numbers = value if isinstance(value, tuple) else (value,)
            lines.append(f"#define {prefix}_{name} " + ", ".join(f"{float(number).hex()}{suffix}" for number in numbers))
    return "\n".join(lines)


def dense_kernel(quantile: str, storage: str, bounds: str, shifted: bool) -> tuple[str, int]:
    """The name expression of the kernel that fills a real element type densely, and the vectors of a thread.

    `bounds` is one of BOUNDS; `shifted`: whether a vector's first element is not a counter's first word.
    """
    weight = {"float32": 1, "float64": 2, "bfloat16": 2, "float16": 2}.get(storage, 4)  # counters of a vector, or as dear
    unroll = max(1, UNROLL[quantile] // weight)
    flag = "true" if shifted else "false"
    return f"dense_fill<{QUANTILES[quantile]}, {STORAGE[storage]}, {bounds}, {flag}, {unroll}>", unroll


def dense_kernels() -> list[str]:
    """The name expressions of all dense kernels."""
    every = itertools.product(QUANTILES, STORAGE, BOUNDS, (False, True))
    return [dense_kernel(*choice)[0] for choice in every if choice[:2] != ("shallow", "float64")]
