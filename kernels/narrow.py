"""Rounding float32 to the narrower types by bits, to nearest even: the same on every backend, whatever its flush-to-zero mode.

Input is finite and within the type's finite range (the clamp saw to that), so overflow, infinity and NaN do not arise.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuinit.kernels.primitives import add, bits, both, either, select, shift_right, subtract, unbits

__all__ = ["as_is", "to_bfloat16", "to_float8_e4m3fn", "to_float8_e5m2", "to_float16"]


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
    return _narrow(
        x, np.uint32(13), np.uint32(0xFFF), np.uint32(112 << 10), np.uint32(0x38800000), np.float32(0.5), np.uint32(16)
    )


def to_float8_e4m3fn(x: Any) -> Any:
    """The float8_e4m3fn pattern (Micikevicius et al., 2022, "FP8 formats for deep learning")."""
    return _narrow(
        x,
        np.uint32(20),
        np.uint32(0x7FFFF),
        np.uint32(120 << 3),
        np.uint32(0x3C800000),
        np.float32(2**14),
        np.uint32(24),
    )


def to_float8_e5m2(x: Any) -> Any:
    """The float8_e5m2 pattern (Micikevicius et al., 2022)."""
    return _narrow(
        x,
        np.uint32(21),
        np.uint32(0xFFFFF),
        np.uint32(112 << 2),
        np.uint32(0x38800000),
        np.float32(2**7),
        np.uint32(24),
    )


def _narrow(x: Any, shift: Any, half: Any, rebias: Any, least_normal: Any, anchor: Any, sign_shift: Any) -> Any:
    """Round to a type with `shift` fraction bits less: by bits if normal there, else by adding `anchor`, whose unit
    is the type's least."""
    pattern = bits(x)
    size = both(pattern, np.uint32(0x7FFFFFFF))
    odd = both(shift_right(size, shift), np.uint32(1))
    normal = subtract(shift_right(add(add(size, half), odd), shift), rebias)
    subnormal = subtract(bits(unbits(size) + anchor), bits(anchor))
    sign = shift_right(both(pattern, np.uint32(0x80000000)), sign_shift)
    return either(select(size < least_normal, subnormal, normal), sign)
