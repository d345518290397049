"""Casts round once, checked in exact fractions; what a dtype cannot hold is refused; arrays survive JSON."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

import gpuinit
from gpuinit import arrays, dtypes
from gpuinit.arrays import cast, decode, encode

FLOATS = [np.dtype(kind) for kind in ("float16", "float32", "float64", "complex64", "complex128")] + [
    np.dtype(kind) for kind in (ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2)
]
ALL = [*FLOATS, *(np.dtype(f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)), np.dtype(bool)]


def nearest(x: Fraction, dtype: np.dtype[Any]) -> Fraction | None:
    """x rounded to nearest even in a floating dtype, None if that is beyond its finite values: by exact fractions alone."""
    info: Any = ml_dtypes.finfo(dtypes.component(dtype))  # type: ignore[no-untyped-call]
    if x == 0:
        return x
    exponent = x.numerator.bit_length() - x.denominator.bit_length()
    if Fraction(2) ** exponent > abs(x):
        exponent -= 1
    step = Fraction(2) ** (max(exponent, int(info.minexp)) - int(info.nmant))
    result = round(x / step) * step
    return result if abs(result) <= Fraction(float(info.max)) else None


def number(value: Any) -> Fraction:
    """The value of an array of one real element; a complex one's imaginary part must be 0."""
    part = complex(value.astype(np.complex128 if value.dtype.kind == "c" else np.float64).item())
    assert part.imag == 0
    return Fraction(part.real)


def assert_rounded_once(value: Any, exact: Fraction, dtype: np.dtype[Any]) -> None:
    wanted = nearest(exact, dtype)
    if wanted is None:
        with pytest.raises(ValueError, match=f"dtype={dtype.name} cannot hold"):
            cast(value, dtype)
    else:
        assert number(cast(value, dtype)) == wanted


@st.composite
def integers_beside_midpoints(draw: st.DrawFn) -> int:
    """Some leading bits, zeros, and perhaps a last one: where rounding twice goes wrong."""
    bits = draw(st.integers(1, 130))
    leading = draw(st.integers(0, 27))
    value = ((1 << leading | draw(st.integers(0, 2**leading - 1))) << bits) + draw(st.integers(-1, 1))
    return draw(st.sampled_from([-1, 1])) * value


@settings(deadline=None, max_examples=500)
@given(integers_beside_midpoints() | st.integers(-(2**80), 2**80), st.sampled_from(FLOATS))
@example(2**62 + 2**54 + 1, np.dtype(ml_dtypes.bfloat16))
@example(2**70 + 2**46 + 1, np.dtype(np.float32))
@example(-(2**64) + 1, np.dtype(np.float32))
def test_integers_are_rounded_once(value: int, dtype: np.dtype[Any]) -> None:
    assert_rounded_once(value, Fraction(value), dtype)
    for kind in (np.int64, np.uint64):
        if np.iinfo(kind).min <= value <= np.iinfo(kind).max:
            assert_rounded_once(np.array([value], kind), Fraction(value), dtype)


@settings(deadline=None, max_examples=500)
@given(
    st.floats(allow_nan=False, allow_infinity=False) | st.floats(-1e3, 1e3) | integers_beside_midpoints().map(float),
    st.integers(-160, 10),
    st.sampled_from(FLOATS),
)
def test_floats_are_rounded_once(value: float, power: int, dtype: np.dtype[Any]) -> None:
    for x in (value, math.ldexp(value, power) if abs(value) < 1e300 else value):
        assert_rounded_once(x, Fraction(x), dtype)
    with np.errstate(over="ignore"):
        single = np.float32(value)
    if np.isfinite(single):
        assert_rounded_once(single, Fraction(float(single)), dtype)


def test_the_issue() -> None:
    assert int(gpuinit.Constant(2**62 + 2**54 + 1)((1,), "bfloat16")[0]) == 2**62 + 2**55
    assert int(gpuinit.Constant(2**70 + 2**46 + 1)((1,), "float32")[0]) == 2**70 + 2**47
    assert int(gpuinit.Constant([2**62 + 2**54 + 1])((1,), "bfloat16")[0]) == 2**62 + 2**55


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_the_integers_that_are_refused(dtype: np.dtype[Any]) -> None:
    most = int(dtypes.largest(dtypes.component(dtype)))
    assert number(cast(most, dtype)) == most
    for beyond in (2 * most, -2 * most, 2**2000, 10**5000):
        with pytest.raises(ValueError, match=f"dtype={dtype.name} cannot hold"):
            cast(beyond, dtype)


def test_other_dtypes_of_huge_integers() -> None:
    assert cast(2**2000, np.dtype(bool))
    with pytest.raises(ValueError, match="int64 cannot hold"):
        cast(2**64, np.dtype(np.int64))


@pytest.mark.parametrize("place", [0, 1, 70_000])
@pytest.mark.parametrize(
    ("dtype", "value", "shown"),
    [
        *(("float16", 1e6, "1000000.0"), ("uint8", -1.0, "-1.0"), ("int8", math.nan, "nan"), ("int8", 128.0, "128.0")),
        *(("float8_e4m3fn", math.inf, "inf"), ("float8_e4m3fn", 1e4, "10000.0"), ("bool", math.nan, "nan")),
    ],
)
def test_one_value_anywhere_is_found(place: int, dtype: str, value: float, shown: str) -> None:
    array = np.ones((2, 70_001)).T  # some runs long, in either order
    arrays.check(array, dtypes.canonical(dtype))
    array[place, 1] = value
    for given_ in (array, array.T, array[::-1], array[:, ::-1].astype(np.float32)):
        with pytest.raises(ValueError, match=f"dtype={dtype} cannot hold {shown}: its"):
            arrays.check(given_, dtypes.canonical(dtype))


def test_each_part_of_a_complex_value_counts() -> None:
    arrays.check(complex(math.inf, 1.0), np.dtype(np.complex64))
    with pytest.raises(ValueError, match="complex64 cannot hold"):
        arrays.check(complex(math.inf, 1e300), np.dtype(np.complex64))
    with pytest.raises(ValueError, match="float32 cannot hold a complex value"):
        arrays.check(np.ones((2, 2), np.complex64), np.dtype(np.float32))


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_arrays_survive_json(data: st.DataObject) -> None:
    """Every dtype, any bits, any shape: the same shape, dtype, values and signs of zero; any nan for a nan."""
    dtype = data.draw(st.sampled_from(ALL))
    shape = data.draw(numpy_strategies.array_shapes(min_dims=0, min_side=0, max_side=3))
    size = math.prod(shape) * dtype.itemsize
    bits = np.frombuffer(data.draw(st.binary(min_size=size, max_size=size)), np.uint8)
    array = (bits & 1 if dtype.kind == "b" else bits).view(dtype).reshape(shape)
    if data.draw(st.booleans()):
        array = array.T
    back = decode(json.loads(json.dumps(encode(array))))
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    part = dtypes.component(dtype)
    given_, found = (np.ascontiguousarray(each).reshape(-1).view(part) for each in (array, back))
    with np.errstate(invalid="ignore"):  # a signalling nan of bfloat16
        nan = given_ != given_
        assert (nan == (found != found)).all()
    assert given_[~nan].tobytes() == found[~nan].tobytes()


@given(st.complex_numbers() | st.floats() | st.integers() | st.booleans())
def test_numbers_survive_json(value: complex) -> None:
    back = decode(json.loads(json.dumps(encode(value))))
    assert type(back) is type(value)
    assert repr(back) == repr(value)
