"""The law of the Anderson-Darling statistic for a known distribution, with the relative accuracy that small p-values need.

A^2 is a sum of independent chi-square variables of one degree over j (j + 1), j = 1, 2, .. (Anderson and Darling, 1952), so that

    M(s) = E exp(s A^2) = sqrt(-2 pi s / cos(pi/2 sqrt(1 + 8 s)))       for s < 1

and the tail beyond z is the integral of M(s) exp(-s z) / s over a line to the right of 0 (to the left: minus the other tail) in
the complex plane, divided by 2 pi i. Near its saddle point the sum of a few thousand terms has six digits. Far out the first term
of the sum rules: P(A^2 >= z) = sqrt 3 P(chi^2 >= 2 z) (1 + 0.3 / z) (Zolotarev, 1961; 0.3 fitted to the integral). Published
approximations (Marsaglia and Marsaglia, 2004) end where the p-values of a battery begin.
"""

from __future__ import annotations

import math

import numpy as np

__all__ = ["anderson_tails"]

_TERMS = 4000
_REACH = 900.0
_FAR = 20.0
_NEAR = 0.05


def anderson_tails(value: float) -> tuple[float, float]:
    """P(A^2 >= value) and P(A^2 <= value) of infinitely many values; the smaller one has 3 digits, up to value = 20 six."""
    if value > _FAR:
        upper = math.sqrt(3) * math.erfc(math.sqrt(value)) * (1 + 0.3 / value)
        return upper, 1 - upper
    if value < _NEAR:  # of chance 1e-10
        return 1.0, _tail(_NEAR, -1)
    upper = _tail(value, 1) if value > 0.8 else 1 - _tail(value, -1)
    lower = _tail(value, -1) if value <= 0.8 else 1 - upper
    return upper, lower


def _tail(value: float, side: int) -> float:
    """The tail on one side (1: upper, -1: lower) by the trapezoidal rule on t = r sinh x, s = place + i t."""
    place = max(0.3, 1 - 0.75 / value) if side == 1 else -min(400.0, 0.6 / value**2 + 1 / value)
    scale = min(1 - place, abs(place)) / 2
    x = np.linspace(0.0, math.asinh(_REACH * (1 + abs(place)) / scale), _TERMS)
    t = scale * np.sinh(x)
    s = place + 1j * t
    root = np.sqrt(1 + 8 * s)
    half = math.pi / 2 * root
    # log cos, where cos itself would overflow: cos h = exp(-i h) (1 + exp(2 i h)) / 2 in the upper half plane
    log_cosine = -1j * half + np.log1p(np.exp(2j * half)) - math.log(2)
    log_m = 0.5 * (np.log(-2 * math.pi * s + 0j) - log_cosine)
    phase = np.unwrap(2 * log_m.imag) / 2  # a square root of a continuous quantity
    start = complex(s[0])
    ratio = -2 * math.pi * start / np.cos(math.pi / 2 * np.sqrt(1 + 8 * start + 0j))
    log_m = log_m.real + 1j * (phase - phase[0] + 0.5 * float(np.angle(ratio)))
    terms = np.exp(log_m - s * value) / s
    weights = scale * np.cosh(x) * (x[1] - x[0])
    weights[0] /= 2
    return side * float((terms.real * weights).sum()) / math.pi
