"""File formats for one tensor: a header, and behind it the elements in C order, written as they are made.

    format        suffix        holds                                      the recipe is
    safetensors   .safetensors  every dtype but complex128                 in its metadata, under "gpuinit"
    npy           .npy          every dtype but bfloat16 and the float8s   in NAME.json beside it

Elements are little-endian. Sources: the format section of github.com/huggingface/safetensors; numpy.lib.format.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpuinit import dtypes
from gpuinit.recipe import Recipe

__all__ = ["FORMATS", "Format", "by_suffix"]

TENSOR_NAME = "weight"
"""What the one tensor of a safetensors file is called."""

_ALIGNMENT = 64

_SAFETENSORS = {
    **{"bool": "BOOL", "float16": "F16", "float32": "F32", "float64": "F64", "bfloat16": "BF16"},
    **{"float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "complex64": "C64"},
    **{f"{kind}int{bits}": f"{code}{bits}" for kind, code in (("", "I"), ("u", "U")) for bits in (8, 16, 32, 64)},
}
_NPY = (*(name for name in _SAFETENSORS if name != "bfloat16" and not name.startswith("float8")), "complex128")


@dataclass(frozen=True, slots=True)
class Format:
    """How a tensor stands in a file.

    Attributes:
        name, suffix: "npy" and ".npy". dtypes: the names of the dtypes it can hold.
        header: from a recipe and the tensor's dimensions, the bytes before the elements.
        sidecar: whether the recipe stands in a JSON file beside it.
    """

    name: str
    suffix: str
    dtypes: tuple[str, ...]
    header: Callable[[Recipe, tuple[int, ...]], bytes]
    sidecar: bool = False

    def check(self, dtype: np.dtype[Any]) -> None:
        """Refuse (ValueError) a dtype that the format cannot hold, naming a format that can."""
        if dtype.name not in self.dtypes:
            able = next(other.name for other in FORMATS.values() if dtype.name in other.dtypes)
            raise ValueError(f"format={self.name!r} cannot hold dtype={dtype.name}; format={able!r} can")

    def companion(self, path: Path) -> Path | None:
        """The file beside `path` that carries its recipe, if the format needs one."""
        return path.with_name(path.name.removesuffix(self.suffix) + ".json") if self.sidecar else None


def by_suffix(path: Path) -> Format:
    """The format that a file name asks for by its suffix (ValueError if none does)."""
    for form in FORMATS.values():
        if path.name.endswith(form.suffix) and path.name != form.suffix:
            return form
    raise ValueError(f"out={str(path)!r}: the suffix must be {' or '.join(form.suffix for form in FORMATS.values())}")


def _safetensors_header(recipe: Recipe, shape: tuple[int, ...]) -> bytes:
    nbytes = math.prod(shape) * dtypes.canonical(recipe.dtype).itemsize
    tensor = {"dtype": _SAFETENSORS[recipe.dtype], "shape": list(shape), "data_offsets": [0, nbytes]}
    metadata = {"gpuinit": json.dumps(recipe.to_json(), allow_nan=False)}
    text = json.dumps({"__metadata__": metadata, TENSOR_NAME: tensor}, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def _npy_header(recipe: Recipe, shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(dtypes.canonical(recipe.dtype))
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    return stream.getvalue()


FORMATS = {
    form.name: form
    for form in (
        Format("safetensors", ".safetensors", tuple(_SAFETENSORS), _safetensors_header),
        Format("npy", ".npy", _NPY, _npy_header, sidecar=True),
    )
}
"""The formats by name, the default one first."""
