"""Probabilities of the normal distribution to 60 digits, the same on every machine (no libm): constants of a fill."""

from __future__ import annotations

import functools
import math
from decimal import Context, Decimal, localcontext

__all__ = ["CONTEXT", "central_mass", "log_upper_tail", "tail_ratio", "upper_tail"]

CONTEXT = Context(prec=90, Emax=10**9, Emin=-(10**9))
_PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534211706798214808651")


@functools.lru_cache(maxsize=1024)
def central_mass(z: float) -> Decimal:
    """2 Phi(z) - 1: P(|Z| <= z) for z >= 0, its negative for -z; infinities included."""
    if z < 0:
        return -central_mass(-z)
    with localcontext(CONTEXT):
        if z > 9:
            return 1 - 2 * upper_tail(z)
        # 2 phi(z) (z + z^3/3 + z^5/(3 5) + ...): every term positive (Abramowitz and Stegun, 1964, 26.2.11)
        square = Decimal(z) ** 2
        term = total = Decimal(z)
        odd = 1
        while term > total * Decimal("1e-88"):
            odd += 2
            term = term * square / odd
            total += term
        return 2 * _density(z) * total


@functools.lru_cache(maxsize=1024)
def upper_tail(z: float) -> Decimal:
    """Q(z) = P(Z > z), to 60 digits in relative terms, infinities included; 0 from z = 67,000 on."""
    if math.isinf(z):
        return Decimal(0 if z > 0 else 1)
    with localcontext(CONTEXT):
        if z <= 9:
            return (1 - central_mass(z)) / 2
        return _density(z) / _inverse_mills(z)


def log_upper_tail(z: float) -> Decimal:
    """log Q(z) for finite z > 0, to 60 digits however far z lies."""
    with localcontext(CONTEXT):
        return -(Decimal(z) ** 2) / 2 - (2 * _PI).ln() / 2 - _inverse_mills(z).ln()


def tail_ratio(a: float, b: float) -> Decimal:
    """Q(b) / Q(a) for 0 < a < b, a finite, to 60 digits however far both lie."""
    if math.isinf(b):
        return Decimal(0)
    with localcontext(CONTEXT):
        near, far = Decimal(a), Decimal(b)
        return ((near - far) * (near + far) / 2).exp() * _inverse_mills(a) / _inverse_mills(b)


def _inverse_mills(z: float) -> Decimal:
    """phi(z) / Q(z) for z > 0."""
    x = Decimal(z)
    if z <= 9:
        return _density(z) / upper_tail(z)
    # z + 1/(z + 2/(z + 3/...)), from the far end (Abramowitz and Stegun, 1964, 26.2.14)
    fraction = x
    for level in range(600, 0, -1):
        fraction = x + level / fraction
    return fraction


def _density(z: float) -> Decimal:
    return (-(Decimal(z) ** 2) / 2).exp() / (2 * _PI).sqrt()
