"""Rounding float32 to the narrower types by bits, to nearest even: the same on every backend, whatever its flush-to-zero mode.

Input is finite and within the type's finite range (the clamp saw to that), so overflow, infinity and NaN do not arise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from gpuinit.kernels.primitives import add, bits, both, either, select, shift_right, subtract, unbits

__all__ = ["STORAGE", "as_is", "to_bfloat16", "to_float8_e4m3fn", "to_float8_e5m2", "to_float16"]


def as_is(x: Any) -> Any:
    """float32 and float64: their own bit pattern."""
    return bits(x)


def to_bfloat16(x: Any) -> Any:
    """The bfloat16 pattern: the upper 16 bits after adding half a unit, less one where the kept part is even."""
    pattern = bits(x)
    odd = both(shift_right(pattern, np.uint32(16)), np.uint32(1))
    return shift_right(add(add(pattern, np.uint32(0x7FFF)), odd), np.uint32(16))


def to_float16(x: Any) -> Any:
    """The IEEE binary16 pattern."""
    return _narrow(x, _FLOAT16)


def to_float8_e4m3fn(x: Any) -> Any:
    """The float8_e4m3fn pattern (Micikevicius et al., 2022, "FP8 formats for deep learning")."""
    return _narrow(x, _FLOAT8_E4M3FN)


def to_float8_e5m2(x: Any) -> Any:
    """The float8_e5m2 pattern (Micikevicius et al., 2022)."""
    return _narrow(x, _FLOAT8_E5M2)


class _Target(NamedTuple):
    """A narrower type: how far its fraction ends before float32's, and what rounding to it needs."""

    shift: Any
    below_half: Any
    rebias: Any
    least_normal: Any
    anchor: Any
    sign_shift: Any


def _target(exponent_bits: int, fraction_bits: int) -> _Target:
    shift, bias = 23 - fraction_bits, 2 ** (exponent_bits - 1) - 1
    return _Target(
        shift=np.uint32(shift),
        below_half=np.uint32(2 ** (shift - 1) - 1),
        rebias=np.uint32((127 - bias) << fraction_bits),
        least_normal=np.uint32((128 - bias) << 23),
        anchor=np.float32(2.0 ** (1 - bias + shift)),
        sign_shift=np.uint32(31 - exponent_bits - fraction_bits),
    )


_FLOAT16, _FLOAT8_E4M3FN, _FLOAT8_E5M2 = _target(5, 10), _target(4, 3), _target(5, 2)


def _narrow(x: Any, to: Any) -> Any:
    """Round by bits where the result is normal, else by adding `anchor`, whose unit is the type's least number."""
    pattern = bits(x)
    size = both(pattern, np.uint32(0x7FFFFFFF))
    odd = both(shift_right(size, to.shift), np.uint32(1))
    normal = subtract(shift_right(add(add(size, to.below_half), odd), to.shift), to.rebias)
    subnormal = subtract(bits(unbits(size) + to.anchor), bits(to.anchor))
    sign = shift_right(both(pattern, np.uint32(0x80000000)), to.sign_shift)
    return either(select(size < to.least_normal, subnormal, normal), sign)


STORAGE: dict[str, tuple[Callable[..., Any], Any]] = {
    "float32": (as_is, np.uint32),
    "float64": (as_is, np.uint64),
    "bfloat16": (to_bfloat16, np.uint16),
    "float16": (to_float16, np.uint16),
    "float8_e4m3fn": (to_float8_e4m3fn, np.uint8),
    "float8_e5m2": (to_float8_e5m2, np.uint8),
}
"""How each real dtype is rounded from what it is computed in, and the unsigned integer of its pattern."""
