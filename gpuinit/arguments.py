"""Checks of constructor arguments: each returns a plain Python value or raises an error that names it."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from gpuinit.key import integer, shown

__all__ = ["at_least", "axes", "checked_batch_axes", "choice", "finite", "finite_complex", "normalized_axes", "real", "whole"]


def real(value: Any, name: str) -> float:
    """`value` as a float, infinities included.

    Raises:
        TypeError: it is not one real number (a bool is not a number). ValueError: it is nan, or too large for a float.
    """
    number = getattr(value, "ndim", 0) == 0 and hasattr(value, "__float__")
    if not number or _is_bool(value) or _is_complex(value):
        raise TypeError(f"{name}={value!r} is a {type(value).__name__}: it must be a real number")
    try:
        result = float(value)
    except OverflowError:
        result = math.nan
    if math.isnan(result):
        raise ValueError(f"{name}={value!r}: it must be a number that a float can hold, not nan")
    return result


def finite(value: Any, name: str) -> float:
    """`value` as a finite float; TypeError and ValueError as in `real`, and ValueError for infinities."""
    number = real(value, name)
    if math.isinf(number):
        raise ValueError(f"{name}={value!r}: it must be finite")
    return number


def at_least(least: float, value: Any, name: str) -> float:
    """`value` as a finite float >= least; TypeError and ValueError as in `finite`, and ValueError for smaller ones."""
    number = finite(value, name)
    if number < least:
        raise ValueError(f"{name}={value!r}: it must be >= {least:g}")
    return number


def whole(value: Any, name: str) -> int:
    """`value` as an int >= 1; TypeError for what is not an integer (a bool is none), ValueError for smaller ones."""
    number = integer(value, name)
    if number < 1:
        raise ValueError(f"{name}={shown(number)}: it must be an integer >= 1")
    return number


def finite_complex(value: Any, name: str) -> float | complex:
    """`value` as a finite float, or as a finite complex where its type is complex; errors as in `finite`."""
    if not _is_complex(value) or getattr(value, "ndim", 0) != 0:
        return finite(value, name)
    number = complex(value)
    if not (math.isfinite(number.real) and math.isfinite(number.imag)):
        raise ValueError(f"{name}={value!r}: it must be finite")
    return number


def choice(value: Any, name: str, allowed: tuple[str | None, ...]) -> Any:
    """`value`, one of the allowed ones; ValueError otherwise."""
    if not (value is None or isinstance(value, str)) or value not in allowed:
        raise ValueError(f"{name}={value!r}: it must be {' or '.join(map(repr, allowed))}")
    return value


def axes(value: Sequence[int] | None, name: str) -> list[int] | None:
    """A sequence of axes as a list of ints, or None; TypeError for anything else."""
    if value is None:
        return None
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        raise TypeError(f"{name}={value!r} is a {type(value).__name__}: it must be None or a sequence of axes")
    return [integer(axis, f"{name}={value!r}: axis") for axis in value]


def checked_batch_axes(value: int | Sequence[int] | None) -> int | list[int] | None:
    """An axis or a sequence of axes as an int or a list of ints, or None; TypeError for anything else."""
    if value is None or (hasattr(value, "__iter__") and getattr(value, "ndim", 1) != 0):
        return axes(value, "batch_axes")  # type: ignore[arg-type]
    return integer(value, "batch_axes")


def normalized_axes(shape: tuple[int, ...], batch_axes: int | list[int] | None) -> tuple[int, ...]:
    """The batch axes of a shape, ascending, none negative; ValueErrors as Orthogonal states them."""
    given = [] if batch_axes is None else [batch_axes] if isinstance(batch_axes, int) else batch_axes
    for axis in given:
        if not -len(shape) <= axis < len(shape):
            raise np.exceptions.AxisError(f"batch_axes={batch_axes}: shape={shape} has no axis {axis}")
    distinct = sorted({axis % len(shape) for axis in given})
    if len(distinct) < len(given):
        raise ValueError(f"batch_axes={batch_axes} names an axis of shape={shape} twice: each may stand there once")
    if len(shape) - len(distinct) < 2:
        raise ValueError(
            f"batch_axes={batch_axes} leaves {len(shape) - len(distinct)} axes of shape={shape}: a matrix needs at least 2"
        )
    return tuple(distinct)


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool) or "bool" in str(getattr(value, "dtype", ""))


def _is_complex(value: Any) -> bool:
    if isinstance(value, numbers.Number):
        return isinstance(value, numbers.Complex) and not isinstance(value, numbers.Real)
    return "complex" in str(getattr(value, "dtype", ""))
