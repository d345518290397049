"""The constants that a backend needs to draw from a distribution in a dtype.

    value = cast(clamp(fma(scale, quantile(word), location), low, high))

They are computed in decimal to 90 digits or in correctly rounded float64, so they are the same on every machine.
"""

from __future__ import annotations

import cmath
import functools
import math
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal, localcontext
from typing import Any

import numpy as np

from gpuinit import dtypes
from gpuinit.gaussian import CONTEXT, central_mass, log_upper_tail, tail_ratio, upper_tail
from gpuinit.kernels.formats import LOG_2
from gpuinit.kernels.quantiles import CENTRAL_DEPTH, SHALLOW_BOUND

__all__ = ["Sampler", "normal", "truncated_normal", "uniform", "user"]

_FAR = 3.5  # the Mills polynomial holds from 3.26 on
_TINY = 2.0**-40
_REMOTE = 2.0**32
_NEVER_DEEP = (0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_REACH = {"float32": 6.34, "float64": 9.2}


@dataclass(frozen=True, slots=True, eq=False)
class Sampler:
    """How to draw one dtype: the quantile's name and constants in the computing precision.

    `reals` holds scale; location of the real and of the imaginary part; low and high of the real part, low and high of
    the imaginary part; then the quantile's seven constants. `integers` holds its three. (A real dtype uses the real
    part's alone.)
    """

    quantile: str
    dtype: np.dtype[Any]
    reals: np.ndarray[Any, Any]
    integers: np.ndarray[Any, Any]


@functools.lru_cache(maxsize=1024, typed=True)
def uniform(dtype: np.dtype[Any], low: float, high: float) -> Sampler:
    """Uniform on [low, high), a complex dtype's parts alike."""
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ValueError(f"Uniform(low={low}, high={high}): both must be finite, and low <= high")
    low, high = low + 0.0, high + 0.0  # -0.0 means 0.0
    if low == high:
        return _constant(dtype, (low, low))
    bounds = _bounds(dtype, low, high, "[{}, {})")
    if high - low > dtypes.largest(_computed_in(dtype)):
        raise ValueError(f"the interval [{low}, {high}) is too wide for {dtype.name}: its length overflows")
    step = (high - low) / 2.0 ** (24 if _word_bits(dtype) == 32 else 53)
    if step < float(np.finfo(_computed_in(dtype)).tiny):
        raise ValueError(
            f"the interval [{low}, {high}) is too narrow for {dtype.name}: {step:.3g}, the step of its grid, underflows"
        )
    return _sampler("unit", dtype, step, (low, low), (*bounds, *bounds), _NEVER_DEEP)


@functools.lru_cache(maxsize=1024, typed=True)
def normal(dtype: np.dtype[Any], mean: complex, std: float) -> Sampler:
    """Normal(mean, std); a complex dtype's parts have std / sqrt 2 each."""
    means, std = _parts(dtype, mean, std)
    if std == 0:
        return _constant(dtype, means)
    most = dtypes.largest(dtypes.component(dtype))
    for center in means:
        _check_reach(dtype, center, std, -_reach(dtype), _reach(dtype))
    return _sampler("symmetric", dtype, std, means, (-most, most, -most, most), _symmetric(math.inf, dtype))


@functools.lru_cache(maxsize=1024, typed=True)
def truncated_normal(dtype: np.dtype[Any], mean: complex, std: float, lower: float, upper: float) -> Sampler:
    """Normal(mean, std) on mean + lower std .. mean + upper std; a complex dtype's parts with their own std."""
    if not lower <= upper or lower == math.inf or upper == -math.inf:
        raise ValueError(
            f"truncation to lower={lower}, upper={upper}: lower <= upper is needed, and one of them finite or both infinite"
        )
    if lower == -math.inf and upper == math.inf:
        return normal(dtype, mean, std)
    lower, upper = lower + 0.0, upper + 0.0  # -0.0 means 0.0
    means, std = _parts(dtype, mean, std)
    if std == 0 or lower == upper:
        return _constant(dtype, tuple(center + (std * lower if std else 0.0) for center in means))
    bounds: list[float] = []
    for center in means:
        _check_reach(dtype, center, std, max(lower, -_reach(dtype, -upper)), min(upper, _reach(dtype, lower)))
        bounds += _bounds(dtype, center + lower * std, center + upper * std, "[{}, {}]")
    if max(lower, -upper) > _REMOTE:  # nothing but the nearer end is left of the interval at this precision
        near = lower if lower > 0 else upper
        location = (means[0] + near * std, means[1] + near * std)
        return _sampler("unit", dtype, 0.0, location, tuple(bounds), _NEVER_DEEP)
    furthest = max(abs(lower), abs(upper))
    if furthest < _TINY:  # the quantile is linear there: a power of two lifts the interval away from underflow
        lift = -40 - math.frexp(furthest)[1]
        lower, upper, std = math.ldexp(lower, lift), math.ldexp(upper, lift), std * 2.0**-lift
    if lower == -upper:
        if upper == SHALLOW_BOUND and _word_bits(dtype) == 32:
            return _sampler("shallow", dtype, std, means, tuple(bounds), _NEVER_DEEP)
        return _sampler("symmetric", dtype, std, means, tuple(bounds), _symmetric(upper, dtype))
    constants, integers = _interval(lower, upper, dtype)
    return _sampler("interval", dtype, std, means, tuple(bounds), constants, integers)


def user(dtype: np.dtype[Any], quantile: str, parameters: tuple[float, ...]) -> Sampler:
    """What an installed program draws with these parameters, held in the dtype's finite range."""
    most = dtypes.largest(dtypes.component(dtype))
    constants = (*parameters, *(0.0,) * (7 - len(parameters)))
    return _sampler(quantile, dtype, 1.0, (0.0, 0.0), (-most, most, -most, most), constants)


def _symmetric(bound: float, dtype: np.dtype[Any]) -> tuple[float, ...]:
    """The seven constants of the normal truncated at +-bound: see kernels/quantiles.py."""
    with localcontext(CONTEXT):
        mass = central_mass(bound)
        half_step = mass / 2 ** _word_bits(dtype)
        return (float(2 * half_step), float(1 - mass + half_step), float(half_step), 0.0, 0.0, CENTRAL_DEPTH, 0.0)


def _interval(lower: float, upper: float, dtype: np.dtype[Any]) -> tuple[tuple[float, ...], tuple[int, int, int]]:
    """The seven real and three integer constants of the normal truncated to an interval: see kernels/quantiles.py."""
    words = 2 ** _word_bits(dtype)
    mirror = words - 1 if abs(lower) > abs(upper) else 0
    a, b = (-upper, -lower) if mirror else (lower, upper)
    with localcontext(CONTEXT):
        if a >= _FAR:
            ratio = tail_ratio(a, b)
            step = (1 - ratio) / words
            constants = (float(step), 0.0, 0.0, float(ratio + step / 2), 0.0, -1.0, -float(log_upper_tail(a)))
            return constants, (0, mirror, 0)
        step = (central_mass(b) - central_mass(a)) / words
        if a >= 0:
            pivot, above = 0, central_mass(a) + step / 2
        else:
            zero = -central_mass(a) / step - Decimal("0.5")
            pivot = int(zero.to_integral_value(ROUND_CEILING))
            above = (pivot - zero) * step
        ends = (2 * upper_tail(b) + step / 2, 2 * upper_tail(-a) + step / 2)
        near = (step, above, step - above, *ends)
        return (*(float(c) for c in near), CENTRAL_DEPTH, LOG_2), (pivot, mirror, -pivot % words)


def _sampler(
    quantile: str,
    dtype: np.dtype[Any],
    scale: float,
    location: tuple[float, ...],
    bounds: tuple[float, ...],
    constants: tuple[float, ...],
    integers: tuple[int, int, int] = (0, 0, 0),
) -> Sampler:
    real = _computed_in(dtype)
    reals = np.array((scale, *location, *bounds, *constants), np.float64).astype(real)
    return Sampler(quantile, dtype, reals, np.array(integers, np.uint64).astype(f"u{real.itemsize}"))


def _constant(dtype: np.dtype[Any], value: tuple[float, ...]) -> Sampler:
    for part in value:
        _check_reach(dtype, part, 0.0, 0.0, 0.0)
    most = dtypes.largest(_computed_in(dtype))
    return _sampler("unit", dtype, 0.0, value, (-most, most, -most, most), _NEVER_DEEP)


def _parts(dtype: np.dtype[Any], mean: complex, std: float) -> tuple[tuple[float, float], float]:
    """The means of both parts and the std of each."""
    if not (cmath.isfinite(mean) and math.isfinite(std) and std >= 0):
        raise ValueError(f"a normal of mean={mean} and std={std}: both must be finite, and std >= 0")
    is_complex = dtypes.component(dtype) != dtype
    if isinstance(mean, complex) and not is_complex:
        raise ValueError(f"mean={mean!r} is complex, and dtype={dtype.name} is not")
    real, imaginary = mean.real + 0.0, mean.imag + 0.0  # -0.0 means 0.0
    return (real, imaginary if is_complex else real), std / math.sqrt(2.0) if is_complex else std


def _bounds(dtype: np.dtype[Any], low: float, high: float, interval: str) -> tuple[float, float]:
    """The least and greatest value of the dtype inside the interval."""
    real = dtypes.component(dtype)
    least = dtypes.at_least(low, real)
    greatest = dtypes.below(high, real) if interval.endswith(")") else dtypes.at_most(high, real)
    most = dtypes.largest(real)
    if (math.isfinite(low) and low < -most) or (math.isfinite(high) and high > most) or least > greatest:
        raise ValueError(
            f"dtype={dtype.name} cannot represent the interval {interval.format(low, high)}: "
            f"its finite values run to +-{most:.6g}, and at least one must lie inside"
        )
    return least, greatest


def _check_reach(dtype: np.dtype[Any], mean: float, std: float, lower: float, upper: float) -> None:
    low, high = mean + lower * std, mean + upper * std
    most = dtypes.largest(dtypes.component(dtype))
    if not -most <= low <= high <= most:
        raise ValueError(
            f"dtype={dtype.name} cannot represent the interval [{low:.6g}, {high:.6g}]: its finite values run to +-{most:.6g}"
        )


def _reach(dtype: np.dtype[Any], start: float = 0.0) -> float:
    """How far from the mean a draw can get, in standard deviations, in an interval from `start` to infinity.

    From Q(z) >= Q(a) 2^-(n + 1) and Q(z) <= Q(a) exp((a^2 - z^2) / 2), words of n bits: z^2 <= a^2 + 2 (n + 1) log 2.
    """
    if start <= 0:
        return _REACH[_computed_in(dtype).name]
    return math.hypot(start, math.sqrt(2 * (_word_bits(dtype) + 1) * LOG_2))


def _computed_in(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return dtypes.computed_in(dtypes.component(dtype))


def _word_bits(dtype: np.dtype[Any]) -> int:
    return _computed_in(dtype).itemsize * 8
