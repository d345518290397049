"""What stands before the elements in a safetensors or .npy file, written and read.

Sources: the format section of github.com/huggingface/safetensors; numpy.lib.format.
"""

from __future__ import annotations

import io
import json
import math
import os
import warnings
from io import FileIO
from typing import Any, NamedTuple

import numpy as np

from gpuinit import dtypes

__all__ = ["NPY", "SAFETENSORS", "DamagedError", "Header", "npy_header", "read_npy", "read_safetensors", "safetensors_header"]

_NPY_BEGIN = 10
"""Bytes before a .npy file's text: a magic string, the version, and the text's length."""

_LONGEST = 100 << 20
"""Bytes of a header; the safetensors library reads no longer ones either."""

_METADATA = "__metadata__"

_CODES = {
    **{"bool": "BOOL", "float16": "F16", "float32": "F32", "float64": "F64", "bfloat16": "BF16"},
    **{"float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "complex64": "C64"},
    **{f"{kind}int{bits}": f"{code}{bits}" for kind, code in (("", "I"), ("u", "U")) for bits in (8, 16, 32, 64)},
}
_NAMES = {code: name for name, code in _CODES.items()}

SAFETENSORS = tuple(_CODES)
NPY = (*(name for name in _CODES if name != "bfloat16" and not name.startswith("float8")), "complex128")
"""The names of the dtypes that each holds."""


class DamagedError(OSError):
    """A file is not what its name or its own header says."""


class Header(NamedTuple):
    """What a file says of itself: its tensor's dimensions and dtype, the bytes before the elements, its recipe and the tensor's
    name, None where it has none."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    nbytes: int
    recipe: str | None = None
    tensor: str | None = None


def safetensors_header(recipe: str, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], alignment: int) -> bytes:
    """The header of a file with one tensor of this name, the recipe in its metadata under "gpuinit".

    The elements begin at a multiple of `alignment` bytes.
    """
    if name == _METADATA:
        raise ValueError(f"tensor={name!r}: no tensor of a safetensors file can have this name")
    nbytes = math.prod(shape) * dtype.itemsize
    tensor = {"dtype": _CODES[dtype.name], "shape": list(shape), "data_offsets": [0, nbytes]}
    text = json.dumps({_METADATA: {"gpuinit": recipe}, name: tensor}, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % alignment)
    return len(text).to_bytes(8, "little") + text


def read_safetensors(file: FileIO) -> Header:
    """The header of a file with one tensor; DamagedError if it is none."""
    size = int.from_bytes(os.pread(file.fileno(), 8, 0), "little")
    text = os.pread(file.fileno(), size, 8) if size <= _LONGEST else b""
    try:
        if len(text) < size or not text:
            raise ValueError(f"its header has {size} bytes")
        found = json.loads(text)
        recipe = found.pop(_METADATA, {}).get("gpuinit")
        [(name, tensor)] = found.items()
        dtype, shape = dtypes.canonical(_NAMES[tensor["dtype"]]), _shape(tensor["shape"])
        if tensor["data_offsets"] != [0, math.prod(shape) * dtype.itemsize]:
            raise ValueError(f"data_offsets are {tensor['data_offsets']}")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedError(f"its header is not that of a safetensors file with one tensor ({error})") from None
    return Header(shape, dtype, 8 + size, recipe, name)


def _shape(found: Any) -> tuple[int, ...]:
    if not isinstance(found, (list, tuple)) or any(type(length) is not int or length < 0 for length in found):
        raise ValueError(f"the shape is {found}")
    return tuple(found)


def npy_header(shape: tuple[int, ...], dtype: np.dtype[Any], alignment: int) -> bytes:
    """The header of a .npy file; the elements begin at a multiple of `alignment` bytes."""
    stream = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(dtype)
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    header = stream.getvalue()
    room = b" " * (-len(header) % alignment)
    size = len(header) - _NPY_BEGIN + len(room)
    return header[: _NPY_BEGIN - 2] + size.to_bytes(2, "little") + header[_NPY_BEGIN:-1] + room + b"\n"


def read_npy(file: FileIO) -> Header:
    """The header of a .npy file whose elements stand in C order; DamagedError if it is none."""
    stream = io.BytesIO(os.pread(file.fileno(), 1 << 16, 0))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # as that it was written by Python 2
            version = np.lib.format.read_magic(stream)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, transposed, dtype = read(stream)
        if transposed and len(shape) > 1:
            raise ValueError("its elements are in Fortran order")
        return Header(_shape(shape), dtypes.canonical(dtype), stream.tell())
    except Exception as error:  # NumPy takes the text for Python: its tokenizer and parser have errors of their own
        raise DamagedError(f"its header is not that of a .npy file ({error})") from None
