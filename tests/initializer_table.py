"""Every initializer class once: arguments that are not the defaults, a shape, and its configuration's keys in order."""

from __future__ import annotations

from typing import Any, NamedTuple

import gpuinit


class Row(NamedTuple):
    """One class of the table."""

    name: str
    arguments: dict[str, Any]
    keys: str
    shape: tuple[int, ...] = (12, 9)

    def make(self, **more: Any) -> gpuinit.Initializer:
        made: gpuinit.Initializer = getattr(gpuinit, self.name)(**{**self.arguments, **more})
        return made


_FANS = {"input_axes": [1], "output_axes": [0]}
DETERMINISTIC = [
    Row("Zeros", {}, ""),
    Row("Ones", {}, ""),
    Row("Constant", {"value": 3.0}, "value"),
    Row("Identity", {"gain": 2.0}, "gain"),
    Row("STFT", {"side": "imag", "window": None}, "side window periodic scaling", (12, 3, 9)),
    Row("Dirac", {"groups": 2, "gain": 2.0}, "groups gain layout", (12, 3, 9)),
]
ELEMENTWISE = [
    Row("RandomNormal", {"mean": 1.0, "stddev": 0.5, "seed": 1}, "seed mean stddev"),
    Row("RandomUniform", {"minval": -1.0, "maxval": 3.0, "seed": 2}, "seed minval maxval"),
    Row("TruncatedNormal", {"mean": -1.0, "stddev": 0.5, "seed": 3}, "seed mean stddev"),
    Row(
        "VarianceScaling",
        {"scale": 3.0, "mode": "fan_avg", "distribution": "untruncated_normal", "seed": 4},
        "seed scale mode distribution input_axes output_axes",
    ),
    *(
        Row(name, {"seed": seed, **_FANS}, "seed input_axes output_axes")
        for seed, name in enumerate(("GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform"), 5)
    ),
]
RANDOM = [
    *ELEMENTWISE,
    Row("Orthogonal", {"gain": 0.5, "seed": 11}, "seed gain"),
    Row("DeltaOrthogonal", {"gain": 0.5, "seed": 12}, "seed gain", (12, 5, 9)),
    Row("DeltaOrthogonal", {"gain": 0.5, "seed": 12, "layout": "torch"}, "seed gain layout", (12, 5, 9)),
    Row("Sparse", {"sparsity": 0.3, "stddev": 0.5, "seed": 13}, "seed sparsity stddev"),
    Row("Orthogonal", {"gain": -2.0, "seed": 14, "batch_axes": [-1]}, "seed gain batch_axes", (12, 9, 8)),
]
ALL = [*DETERMINISTIC, *RANDOM]
FLOATS = ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float32", "float64", "complex64", "complex128"]
INTEGERS = ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


def name_of(row: Row) -> str:
    return row.name
