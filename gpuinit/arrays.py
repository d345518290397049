"""Constants given as values, lists, arrays or tensors: how they reach NumPy, cross JSON and change dtype."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuinit import dtypes

__all__ = ["cast", "decode", "encode", "to_numpy"]

_TAGS = ("__numpy__", "__tensor__")
_COMPLEX = "__complex__"
_EXTENDED = ("bfloat16", "float8_e4m3fn", "float8_e5m2")  # NumPy knows them by way of ml_dtypes


def to_numpy(value: Any, name: str) -> np.ndarray[Any, Any]:
    """A read-only copy of an array, a list of numbers or any framework's tensor, in a dtype that gpuinit knows.

    Raises:
        TypeError: it is not made of numbers. ValueError: a list is ragged.
    """
    if type(value).__module__.partition(".")[0] == "torch":
        value = value.detach().cpu().resolve_conj().resolve_neg()
        if str(value.dtype).removeprefix("torch.") in _EXTENDED:  # unknown to NumPy
            value = value.float().numpy().astype(dtypes.canonical(value.dtype))
    elif type(value).__module__.partition(".")[0] == "cupy":
        value = value.get()
    try:
        array = np.array(value)
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
    plain = np.ascontiguousarray(value)
    part = dtypes.component(plain.dtype)
    if part != plain.dtype:
        plain = plain.view(part).reshape(*value.shape, 2)
    elif part.name in _EXTENDED:
        plain = plain.astype(np.float32)
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
    array = np.array(config["value"])
    if array.size == 0:
        return np.zeros(config.get("shape", array.shape), kind)
    if part != kind and array.dtype.kind != "c":  # pairs of parts
        array = np.ascontiguousarray(array.astype(part).reshape(-1, 2)).view(kind).reshape(array.shape[:-1])
    return array.astype(kind)


def cast(value: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """A number or array in another dtype: rounded once to nearest even; toward zero into integers; bool is value != 0.

    Raises:
        ValueError: the dtype cannot hold a value: complex into real, nan or out of range into integers, a finite value
            that would become infinite, an infinity where the dtype has none.
    """
    array = value if isinstance(value, np.ndarray) else _scalar(value, dtype)
    if array.dtype == dtype:
        return array
    if array.dtype.kind == "c" and dtype.kind != "c":
        raise ValueError(f"dtype={dtype.name} cannot hold a complex value{_shown(array)}")
    if array.dtype.name in _EXTENDED:
        array = array.astype(np.float32)
    if dtype.kind in "iub":
        _check_integers(array, dtype)
        return array.astype(dtype)
    with np.errstate(all="ignore"):
        result = (_to_odd(array) if dtype.name in _EXTENDED else array).astype(dtype)
        changed = (np.isinf(result) != np.isinf(array)) | (np.isnan(result) != np.isnan(array))
    if changed.any():
        least = dtypes.largest(dtypes.component(dtype))
        raise ValueError(f"dtype={dtype.name} cannot hold {array[changed].flat[0]!r}: its finite values run to +-{least:.6g}")
    return result


def _scalar(value: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    array = np.asarray(value)
    if array.dtype != object:
        return array
    try:
        if dtype.kind not in "iu":
            return np.asarray(float(value))  # an integer of more than 64 bits
    except OverflowError:
        pass
    raise ValueError(f"dtype={dtype.name} cannot hold {value!r}")


def _check_integers(array: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> None:
    """Refuse what an integer dtype cannot hold."""
    if array.size == 0 or array.dtype.kind == "b":
        return
    least, greatest = array.min(), array.max()  # nan, if there is one
    bounds = np.iinfo(np.uint8 if dtype.kind == "b" else dtype)
    if dtype.kind == "b":
        fits = not np.isnan(least)
    elif array.dtype.kind == "f":
        fits = float(bounds.min) <= np.trunc(least) and np.trunc(greatest) < float(int(bounds.max) + 1)
    else:
        fits = bounds.min <= int(least) and int(greatest) <= bounds.max
    if not fits:
        raise ValueError(f"dtype={dtype.name} cannot hold values from {least} to {greatest}")


def _to_odd(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Float32 rounded to odd: rounding that again to a narrower type equals rounding once."""
    if array.dtype == np.float32:
        return array
    wide = array.astype(np.float64)
    near = wide.astype(np.float32)
    error = wide - near.astype(np.float64)
    inexact = (error != 0) & np.isfinite(near) & (near.view(np.uint32) & 1 == 0)
    return np.where(inexact, np.nextafter(near, np.where(error > 0, np.inf, -np.inf).astype(np.float32)), near)


def _shown(array: np.ndarray[Any, Any]) -> str:
    return f" such as {array[()]!r}" if array.ndim == 0 else ""
