"""Constants given as values, lists, arrays or tensors: how they reach NumPy, cross JSON and change dtype."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from gpuinit import dtypes

__all__ = ["as_array", "cast", "check", "decode", "encode", "rounded", "to_numpy"]

_TAGS = ("__numpy__", "__tensor__")
_COMPLEX = "__complex__"
_EXTENDED = ("bfloat16", "float8_e4m3fn", "float8_e5m2")  # NumPy knows them by way of ml_dtypes
_RUN = 2**13


def to_numpy(value: Any, name: str, *, copy: bool = True) -> np.ndarray[Any, Any]:
    """A read-only copy of an array, a list of numbers or any framework's tensor, in a dtype that gpuinit knows.

    With `copy=False` it is a read-only view of the memory that there is, where NumPy can look at it.

    Raises:
        TypeError: it is not made of numbers. ValueError: a list is ragged.
    """
    if type(value).__module__.partition(".")[0] == "torch":
        value = value.detach().cpu().resolve_conj().resolve_neg()
        if str(value.dtype).removeprefix("torch.") in _EXTENDED:  # unknown to NumPy
            value = value.float().numpy().astype(dtypes.canonical(value.dtype))
        else:
            value = value.numpy()  # NumPy would ask it for a copy in words that it does not know
    elif type(value).__module__.partition(".")[0] == "cupy":
        value = value.get()
    try:
        array = np.array(value, copy=copy or None).view()
    except ValueError as error:
        raise ValueError(f"{name} is not a rectangular array of numbers: {error}") from None
    if array.dtype in (np.longdouble, np.clongdouble):
        array = array.astype(np.float64 if array.dtype.kind == "f" else np.complex128)
    try:
        array = array.astype(dtypes.canonical(array.dtype.newbyteorder("=")), copy=False)
    except ValueError:
        shown = f"{name}={value!r}" if array.ndim == 0 else f"{name} has dtype {array.dtype}"
        raise TypeError(f"{shown}: it must be made of numbers") from None
    array.flags.writeable = False
    return array


def encode(value: Any) -> Any:
    """An array or a complex number as JSON can hold it; anything else as it is.

    Arrays take Keras' form, {"class_name": "__numpy__", "config": {"value": nested lists, "dtype": name}}; complex
    numbers are pairs [real part, imaginary part], and an array without elements also has its "shape".
    """
    if isinstance(value, complex):
        return {"class_name": _COMPLEX, "config": {"value": [value.real, value.imag]}}
    if not isinstance(value, np.ndarray):
        return value
    part = dtypes.component(value.dtype)
    if part != value.dtype:
        plain = np.ascontiguousarray(value).reshape(-1).view(part).reshape(*value.shape, 2)
    else:
        plain = value.astype(np.float32) if part.name in _EXTENDED else value
    config = {"value": plain.tolist(), "dtype": value.dtype.name}
    return {"class_name": _TAGS[0], "config": config if value.size else {**config, "shape": list(value.shape)}}


def decode(value: Any) -> Any:
    """What `encode` was given; arrays and tensors that Keras wrote too."""
    tag = value.get("class_name") if isinstance(value, dict) else None
    if tag == _COMPLEX:
        return complex(*value["config"]["value"])
    if tag not in _TAGS:
        return value
    config = value["config"]
    kind = dtypes.canonical(config["dtype"])
    part = dtypes.component(kind)
    array = np.array(config["value"], kind if kind.kind in "iub" else None)  # some uint64 would become float64
    if array.size == 0:
        return np.zeros(config.get("shape", array.shape), kind)
    if part != kind and array.dtype.kind != "c":  # pairs of parts
        array = np.ascontiguousarray(array.astype(part).reshape(-1, 2)).view(kind).reshape(array.shape[:-1])
    return array.astype(kind)


def cast(value: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """A number or array in another dtype: rounded once to nearest even; toward zero into integers; bool is value != 0.

    Raises:
        ValueError: the dtype cannot hold a value, as in `check`.
    """
    check(value, dtype)
    return rounded(value, dtype)


def check(value: Any, dtype: np.dtype[Any]) -> None:
    """Refuse a dtype that cannot hold a number or array; runs of the array are looked at, no copy of it is made.

    Raises:
        ValueError: complex into real, nan or out of range into integers, a finite value that would become infinite, an
            infinity where the dtype has none.
    """
    if type(value) in (bool, int, float, complex):
        _check_number(value, dtype)
    else:
        _check(as_array(value, dtype), dtype)


@functools.lru_cache(maxsize=256, typed=True)
def _check_number(value: complex, dtype: np.dtype[Any]) -> None:
    _check(as_array(value, dtype), dtype)


def _check(array: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> None:
    if np.can_cast(array.dtype, dtype, "safe"):
        return
    if array.dtype.kind == "c" and dtype.kind != "c":
        raise ValueError(f"dtype={dtype.name} cannot hold a complex value{_shown(array)}")
    unfit = _unfit_integers if dtype.kind in "iub" else _unfit
    for run in _runs(array):
        wrong = unfit(run, dtype)
        if wrong is not None:
            raise ValueError(f"dtype={dtype.name} cannot hold {wrong}: its {_range(dtype)}")


def rounded(value: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """What `cast` gives for a value that `check` has passed."""
    array = as_array(value, dtype)
    if array.dtype == dtype:
        return array
    if array.dtype.name in _EXTENDED:
        array = array.astype(np.float32)
    with np.errstate(all="ignore"):
        return (_to_odd(array) if dtype.name in _EXTENDED else array).astype(dtype)


def as_array(value: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """`value` as an array that NumPy can round once to the dtype; integers of any size."""
    array = np.asarray(value)
    if array.dtype != object:
        return array
    if dtype.kind == "b":
        return np.asarray(value != 0)
    try:
        if dtype.kind not in "iu":  # an integer of more than 64 bits
            return np.asarray(float(value if dtypes.component(dtype) == np.float64 else _integer_to_odd(value)))
    except OverflowError:
        pass
    raise ValueError(f"dtype={dtype.name} cannot hold {_brief(value)}: its {_range(dtype)}")


def _runs(array: np.ndarray[Any, Any]) -> Any:
    """All elements in contiguous 1-D runs, in whatever order costs least."""
    return np.nditer(array, ["external_loop", "buffered", "zerosize_ok"], [["readonly", "contig"]], buffersize=_RUN)  # type: ignore[list-item]


def _unfit(run: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> Any:
    """A value that a floating or complex dtype cannot hold, or None."""
    if run.dtype.kind == "c":
        run, dtype = run.view(dtypes.component(run.dtype)), dtypes.component(dtype)
    result = rounded(run, dtype)
    with np.errstate(all="ignore"):
        wrong = np.isnan(result) != np.isnan(run)
        wrong |= np.isinf(result) != np.isinf(run)
    return run[wrong][0].item() if wrong.any() else None


def _unfit_integers(run: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> Any:
    """A value that an integer dtype or bool cannot hold, or None."""
    if run.dtype.name in _EXTENDED:
        run = run.astype(np.float32)
    least, greatest = run.min().item(), run.max().item()  # both nan, if there is one
    if math.isnan(least):
        return least
    if dtype.kind == "b":
        return None
    bounds = np.iinfo(dtype)
    if least <= int(bounds.min) - 1:
        return least
    return greatest if greatest >= int(bounds.max) + 1 else None


def _range(dtype: np.dtype[Any]) -> str:
    """What a message says that the dtype can hold."""
    if dtype.kind == "b":
        return "values are False and True"
    if dtype.kind in "iu":
        return f"values run from {np.iinfo(dtype).min} to {np.iinfo(dtype).max}"
    return f"finite values run to +-{dtypes.largest(dtypes.component(dtype)):.6g}"


def _to_odd(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Float32 rounded to odd: rounding that again to a narrower type equals rounding once."""
    if array.dtype == np.float32:
        return array
    wide = _integers_to_odd(array) if array.dtype in (np.int64, np.uint64) else array.astype(np.float64)
    near = wide.astype(np.float32)
    error = wide - near.astype(np.float64)
    inexact = (error != 0) & np.isfinite(near) & (near.view(np.uint32) & 1 == 0)
    return np.where(inexact, np.nextafter(near, np.where(error > 0, np.inf, -np.inf).astype(np.float32)), near)


def _integers_to_odd(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """64-bit integers as float64; those beyond 53 bits are rounded to odd multiples of 2^11."""
    low = array & 0x7FF
    coarse = (array - low) | (low != 0).astype(array.dtype) << 11
    high = array >> 53
    return np.where((high == 0) | (high == -1), array, coarse).astype(np.float64)


def _integer_to_odd(value: Any) -> Any:
    """An integer of any size rounded to odd at 53 bits; other numbers as they are."""
    if not isinstance(value, int):
        return value
    shift = max(value.bit_length() - 53, 0)
    high = value >> shift
    return (high | (high << shift != value)) << shift


def _shown(array: np.ndarray[Any, Any]) -> str:
    return f" such as {array.item()!r}" if array.ndim == 0 else ""


def _brief(value: Any) -> str:
    """A number as a message shows it; Python refuses to write integers of some thousand digits."""
    big = isinstance(value, int) and value.bit_length() > 512
    return f"an integer of {value.bit_length()} bits" if big else repr(value)
