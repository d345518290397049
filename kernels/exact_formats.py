"""The constants of `kernels.exact` in the two precisions, as `kernels.formats` has those of the quantiles."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gpuinit.kernels import exact_coefficients as tables
from gpuinit.kernels.formats import LOG_2, descending
from gpuinit.kernels.quantiles import CENTRAL_DEPTH

__all__ = ["EXACT32", "EXACT64", "ExactFormat", "exact_format_of"]

_LOG_2_REST = 2.3190468138462996e-17
"""log 2 less its float64."""


class ExactFormat(NamedTuple):
    """The constants of one precision, as scalars of that precision."""

    log: tuple[Any, ...]
    exp: tuple[Any, ...]
    sine: tuple[Any, ...]
    cosine: tuple[Any, ...]
    half: Any
    nan: Any
    infinity: Any
    largest: Any
    tiny: Any
    lift: Any
    lifted: Any
    root_bits: Any
    to_root: Any
    exponent_shift: Any
    bias: Any
    log2: Any
    log2_rest: Any
    log2_e: Any
    exp_low: Any
    exp_high: Any
    exp_origin: Any
    exp_bias: Any
    magic: Any
    magic_bits: Any
    whole: Any
    turns: Any
    unit: Any
    two: Any
    sign_shift: Any
    deepest: Any
    least: Any
    middle_shift: Any
    middle: Any


def _exact_format(real: Any, unsigned: Any, limits: tuple[float, float, float], *rows: tuple[float, ...]) -> ExactFormat:
    info = np.finfo(real)
    width, fraction = info.bits, info.nmant
    bias = int(info.maxexp) - 1
    one, root = (int(np.ones(1, real).view(unsigned)[0]), int(np.array([0.5**0.5], real).view(unsigned)[0]))
    log, exp, sine, cosine = (descending(real, row) for row in rows)
    log2 = real(LOG_2)
    origin = 16 * (bias + 1)
    return ExactFormat(
        log=log,
        exp=exp,
        sine=sine,
        cosine=cosine,
        half=real(0.5),
        nan=real(np.nan),
        infinity=real(np.inf),
        largest=real(info.max),
        tiny=real(info.tiny),
        lift=real(2.0 ** (fraction + 1)),
        lifted=real(fraction + 1),
        root_bits=unsigned(root),
        to_root=unsigned(one - root),
        exponent_shift=unsigned(fraction),
        bias=real(bias),
        log2=log2,
        log2_rest=real((LOG_2 - float(log2)) + _LOG_2_REST),
        log2_e=real(1.4426950408889634),
        exp_low=real(limits[0]),
        exp_high=real(limits[1]),
        exp_origin=unsigned(origin),
        exp_bias=unsigned((bias - origin // 2) % 2**width),
        magic=real(1.5 * 2.0**fraction),
        magic_bits=np.array([1.5 * 2.0**fraction], real).view(unsigned)[0],
        whole=real(2.0 ** (fraction - 1)),
        turns=real(2.0 ** (fraction - 3)),
        unit=unsigned(1),
        two=unsigned(2),
        sign_shift=unsigned(width - 2),
        deepest=real(CENTRAL_DEPTH),
        least=real(limits[2]),
        middle_shift=unsigned(width - 1 - fraction),
        middle=real(2.0 ** -(fraction + 1)),
    )


EXACT32 = _exact_format(
    np.float32, np.uint32, (-110.0, 90.0, 2.0**-32), tables.LOG32, tables.EXP32, tables.SINE32, tables.COSINE32
)
EXACT64 = _exact_format(
    np.float64, np.uint64, (-760.0, 720.0, 2.0**-1021), tables.LOG64, tables.EXP64, tables.SINE64, tables.COSINE64
)
_EXACT = {"float32": EXACT32, "uint32": EXACT32, "float64": EXACT64, "uint64": EXACT64}


def exact_format_of(x: Any) -> ExactFormat:
    """The constants for the precision of `x`, a float or a word."""
    return _EXACT[x.dtype.name]
