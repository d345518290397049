"""The two precisions that values are computed in, and the constants of each; the twin of formats.cuh."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gpuinit.kernels import coefficients

__all__ = ["FLOAT32", "FLOAT64", "FORMATS", "LOG_2", "Format", "descending", "format_of"]

LOG_2 = 0.6931471805599453
_EXPONENTIAL = (1.0, 1.0, 1 / 2, 1 / 6, 1 / 24)


class Format(NamedTuple):
    """The constants of one precision, as scalars of that precision."""

    one_bits: Any
    fraction: Any
    sign: Any
    magnitude: Any
    unit_shift: Any
    none: Any
    ones: Any
    zero: Any
    one: Any
    two: Any
    three_halves: Any
    log2: Any
    log_unit: Any
    minus_log_two_pi: Any
    negative_log: tuple[Any, ...]
    center: Any
    central: tuple[Any, ...]
    mills: tuple[Any, ...]
    exponential: tuple[Any, ...]
    start: tuple[Any, ...]


def _format(real: Any, unsigned: Any, fraction_bits: int, center: float, log_unit: float, log_2pi: float, *tables: Any) -> Format:
    width = np.dtype(unsigned).itemsize * 8
    log, central, mills, exponential = (descending(real, table) for table in tables)
    return Format(
        one_bits=np.ones(1, real).view(unsigned)[0],
        fraction=unsigned(2**fraction_bits - 1),
        sign=unsigned(2 ** (width - 1)),
        magnitude=unsigned(2 ** (width - 1) - 1),
        unit_shift=unsigned(width - 1 - fraction_bits),
        none=unsigned(0),
        ones=unsigned(2**width - 1),
        zero=real(0),
        one=real(1),
        two=real(2),
        three_halves=real(1.5),
        log2=real(LOG_2),
        log_unit=real(log_unit),
        minus_log_two_pi=real(-log_2pi),
        negative_log=log,
        center=real(center),
        central=central,
        mills=mills,
        exponential=exponential,
        start=tuple(map(real, coefficients.NEWTON_START)),
    )


def descending(real: Any, ascending: tuple[float, ...]) -> tuple[Any, ...]:
    """A polynomial's coefficients in a precision, the highest power's first, as Horner's rule takes them."""
    return tuple(map(real, reversed(ascending)))


FLOAT32 = _format(
    *(np.float32, np.uint32, 23, 0.0, coefficients.LN2_ULP32, coefficients.LOG_2PI32),
    *(coefficients.NEG_LOG32, coefficients.CENTRAL32, coefficients.GMILLS32, _EXPONENTIAL[:3]),
)
FLOAT64 = _format(
    *(np.float64, np.uint64, 52, coefficients.CENTRAL64_SHIFT, coefficients.LN2_ULP64, coefficients.LOG_2PI64),
    *(coefficients.NEG_LOG64, coefficients.CENTRAL64, coefficients.GMILLS64, _EXPONENTIAL),
)
FORMATS = {"float32": FLOAT32, "uint32": FLOAT32, "float64": FLOAT64, "uint64": FLOAT64}
"""The constants by the name of a float's or a word's dtype."""


def format_of(x: Any) -> Format:
    """The constants for the precision of `x`, a float or a word."""
    return FORMATS[x.dtype.name]
