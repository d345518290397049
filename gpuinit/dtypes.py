"""The element types: their names, their real components, and the arithmetic that each is computed in."""

from __future__ import annotations

import functools
import math
from typing import Any

import ml_dtypes
import numpy as np

__all__ = [
    "EXTENDED",
    "RANDOM",
    "at_least",
    "at_most",
    "below",
    "canonical",
    "component",
    "computed_in",
    "default_dtype",
    "is_random",
    "largest",
    "set_default_dtype",
]

_EXTENDED = {
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float8_e4m3fn": np.dtype(ml_dtypes.float8_e4m3fn),
    "float8_e5m2": np.dtype(ml_dtypes.float8_e5m2),
}
_REAL = ("float16", "float32", "float64", *_EXTENDED)
_COMPONENT: dict[str, np.dtype[Any]] = {"complex64": np.dtype(np.float32), "complex128": np.dtype(np.float64)}
_INTEGER = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_BY_NAME: dict[str, np.dtype[Any]] = {
    **{name: np.dtype(name) for name in (*_REAL, *_COMPONENT, *_INTEGER) if name not in _EXTENDED},
    **_EXTENDED,
}
_ALIASES = {"half": "float16", "float": "float32", "double": "float64"}

EXTENDED = tuple(_EXTENDED)
"""The names of those that NumPy has from ml_dtypes."""
RANDOM = (*_REAL, *_COMPONENT)
"""The names of the dtypes that random initializers produce."""
_COMPONENT_OF: dict[np.dtype[Any], np.dtype[Any]] = {_BY_NAME[name]: _COMPONENT.get(name, _BY_NAME[name]) for name in RANDOM}

_default = np.dtype(np.float32)


def default_dtype() -> np.dtype[Any]:
    """The dtype meant by `dtype=None`: float32 unless `set_default_dtype` said otherwise."""
    return _default


def set_default_dtype(dtype: Any) -> None:
    """Choose the dtype meant by `dtype=None`; it must be a floating one (ValueError otherwise)."""
    global _default
    chosen = canonical(dtype)
    if chosen.name not in _REAL:
        raise ValueError(f"dtype={chosen.name!r} cannot be the default: it must be one of {', '.join(_REAL)}")
    _default = chosen


def canonical(dtype: Any) -> np.dtype[Any]:
    """The NumPy dtype that `dtype` names: None, a name, a NumPy, ml_dtypes, PyTorch, JAX or TensorFlow dtype.

    Python's `float` means float32, as in Keras.

    Raises:
        ValueError: no such dtype here, or not in native byte order.
    """
    if dtype is None:
        return _default
    try:
        return _canonical(dtype)
    except TypeError:  # unhashable
        raise ValueError(_unknown(dtype)) from None


@functools.lru_cache(maxsize=256)
def _canonical(dtype: Any) -> np.dtype[Any]:
    if isinstance(dtype, str) and dtype.removeprefix("torch.") in (*_BY_NAME, *_ALIASES):
        name = dtype.removeprefix("torch.")
    elif dtype is float:
        name = "float32"
    elif str(dtype).startswith("torch."):
        name = str(dtype).removeprefix("torch.")
    else:
        try:
            found = np.dtype(getattr(dtype, "as_numpy_dtype", dtype))
        except TypeError:
            raise ValueError(_unknown(dtype)) from None
        if not found.isnative:
            raise ValueError(f"dtype={found.str!r} is not in native byte order; ask for {found.newbyteorder('=').name!r}")
        name = found.name
    name = _ALIASES.get(name, name)
    if name not in _BY_NAME:
        raise ValueError(_unknown(dtype))
    return _BY_NAME[name]


def _unknown(dtype: Any) -> str:
    return f"dtype={dtype!r} is not known: it must be one of {', '.join(_BY_NAME)}"


def is_random(dtype: np.dtype[Any]) -> bool:
    """Whether random initializers produce it."""
    return dtype in _COMPONENT_OF


def component(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type of the real and imaginary parts of a complex dtype; a real dtype is its own."""
    return _COMPONENT_OF.get(dtype, dtype)


def computed_in(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The precision a real dtype is computed in: float64 for float64, float32 for all that is rounded from it."""
    return np.dtype(np.float64) if dtype == np.float64 else np.dtype(np.float32)


def largest(dtype: np.dtype[Any]) -> float:
    """The largest finite value of a real dtype."""
    return float(ml_dtypes.finfo(dtype).max)  # type: ignore[no-untyped-call]


def at_least(x: float, dtype: np.dtype[Any]) -> float:
    """The least finite value of a real dtype that is >= x, or inf if there is none."""
    return -at_most(-x, dtype)


def at_most(x: float, dtype: np.dtype[Any]) -> float:
    """The greatest finite value of a real dtype that is <= x, or -inf if there is none."""
    if x >= largest(dtype):
        return largest(dtype)
    if x < -largest(dtype):
        return -math.inf
    nearest = np.asarray(x).astype(dtype)
    return _number(nearest) if _number(nearest) <= x else _neighbour_below(nearest)


def below(x: float, dtype: np.dtype[Any]) -> float:
    """The greatest finite value of a real dtype that is < x, or -inf if there is none."""
    found = at_most(x, dtype)
    return _neighbour_below(np.asarray(found).astype(dtype)) if found == x else found


def _number(value: Any) -> float:
    return float(value.astype(np.float64))


def _neighbour_below(value: Any) -> float:
    """The next smaller value: one bit pattern down for positive numbers, one up for negative ones."""
    number = _number(value)
    if number == -largest(value.dtype):
        return -math.inf
    unsigned = np.dtype(f"u{value.dtype.itemsize}")
    pattern = int(value.view(unsigned))
    if number == 0:
        pattern = 1 | 1 << (8 * value.dtype.itemsize - 1)
    else:
        pattern += -1 if number > 0 else 1
    return _number(np.asarray(pattern, unsigned).view(value.dtype))
