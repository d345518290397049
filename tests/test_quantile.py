"""Quantile functions in plain Python: what they compute is what Python computes, and the same bits on every way of the CPU.

Each function here is computed by the specification and by compiled code, and called as it stands, on Python's floats.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from alone import by_numpy, in_registers, one_by_one
from conftest import poisoned, same_bits

import gpuinit
from gpuinit import dtypes, exact
from gpuinit.backends import compiled as compiled_way
from gpuinit.backends import specification
from gpuinit.kernels.exact import uniform
from gpuinit.kernels.programs import PROGRAMS
from gpuinit.key import Key
from gpuinit.region import Region
from gpuinit.sampler import Sampler
from gpuinit.user_quantile import compiled

COEFFICIENTS = (0.5, -0.25, 2, 1.5)
HALF = np.float64(0.5)
STEPS = 5
pi = 3.0  # not math.pi


def branches(u: Any, a: Any, b: Any) -> Any:
    """if, elif and else, with names set on each path, one of them a condition."""
    low = u < 0.25
    if low:
        x, far = a * u, True
    elif u < 0.5:
        x, far = b - u, u > 0.3
    else:
        x, far = 3, False
    if far:
        x += 10
    return x


def early_returns(u: Any, a: Any, b: Any) -> Any:
    """Values returned from within branches within branches, and after them."""
    if u < 0.5:
        if u < 0.125:
            return -u
        if u > 0.375:
            a = a + 1
        else:
            return a * u
    elif u > 0.9:
        return b
    x = a - b * u
    if x > 1:
        return x * x
    return x


def early_return_from_a_loop(u: Any, a: Any, b: Any) -> Any:
    total = a
    for i in range(4):
        total = total * u + i
        if total > 2.9:
            return total - b
        if i == 2:
            total -= 0.5
    return total + 100


def newton(u: Any, a: Any, b: Any) -> Any:
    """The root of x^3 + x = 4 u by Newton's method."""
    x = u + u
    for _ in range(STEPS):
        x = x - (x**3 + x - 4 * u) / (3 * x**2 + 1)
    return a + b * x


def horner(u: Any, a: Any, b: Any) -> Any:
    total = 0.0
    for c in COEFFICIENTS:
        total = total * u + c
    for place in range(len(COEFFICIENTS) - 1, -1, -2):
        total += COEFFICIENTS[place] / (a + 3)
    return total


def powers(u: Any, a: Any, b: Any) -> Any:
    return u**2 - u**7.0 + (a + 3) ** -3 + u**0 + (u + 1) ** 0.5 + 2**-3 - (-1) ** 3


def comparisons(u: Any, a: Any, b: Any) -> Any:
    """Chained, joined and negated."""
    inside = 0.25 < u <= 0.75
    same = a == u * 0 + a and a != u + 7
    either = u < 0.1 or u >= 0.9 or not inside
    return (1 if inside and same else 0) + (10 if either else 20) + (100 if not (u < 0.5) else 0) + (u if 1 < 2 else b)


def helper(x: Any, shift: Any = 0.25, *, factor: Any = 2) -> Any:
    if x > shift:
        return x * factor, shift
    return x, -shift


def calls(u: Any, a: Any, b: Any) -> Any:
    """Functions that call functions, with defaults, keywords, and two values returned."""
    x, s = helper(u)
    y, t = helper(b, shift=u, factor=a)
    return x + s * y - t


def names(u: Any, a: Any, b: Any) -> Any:
    """Names that mean something else than one might think."""
    max = pi * HALF
    abs = min(u, max, a)
    return abs + max


def extremes(u: Any, a: Any, b: Any) -> Any:
    return min(u, 1 - u, 0.3) + max((u, a)) + abs(u - 0.5) - math.fabs(b) + max(1, 2) + math.floor(8 * u) + math.ceil(a * u)


def a_constant(u: Any, a: Any, b: Any) -> Any:
    return a


def a_number(u: Any, a: Any, b: Any) -> Any:
    return 0.1


def of_parameters(u: Any, a: Any, b: Any) -> Any:
    return exact.exp(a) + (b if a > b else a)


def division(u: Any, a: Any, b: Any) -> Any:
    return (1 / u if u > 0.5 else u / 3) + a / b


def loops_in_loops(u: Any, a: Any, b: Any) -> Any:
    total = u
    for i in range(3):
        for j in range(i, 5, 2):
            total += i * a - j / 7 if j % 2 == 0 else u // 1 if False else b * j
    return total


def signs(u: Any, a: Any, b: Any) -> Any:
    return -(a * u) + b - -(u * u) - (-u) * a + (+u)


def both_products(u: Any, a: Any, b: Any) -> Any:
    return a * u + b * u - (u * u - a * a)


def numpy_names(u: Any, a: Any, b: Any) -> Any:
    return np.where(u < 0.5, np.minimum(u, a), np.maximum(u, b)) + np.sqrt(u) + np.abs(b) + np.pi + np.floor(u * 4)


EXACT = [
    *(branches, early_returns, early_return_from_a_loop, newton, horner, powers, comparisons, calls, names, extremes),
    *(a_constant, a_number, of_parameters, division, loops_in_loops, signs, both_products, numpy_names),
]
PARAMETERS = [(0.75, -0.5), (-1.25, 2.0)]


def library(u: Any, a: Any, b: Any) -> Any:
    """Functions of math."""
    x = math.log(u) + math.exp(a) * math.sin(u) + math.atan2(u, b) + math.pow(u, 1.5) + u**0.3 + 2**u
    return x + math.erf(u) + math.erfc(u) + math.tanh(u) + math.hypot(u, a) + math.log1p(u) + math.expm1(u) + np.arctan(u)


def more_library(u: Any, a: Any, b: Any) -> Any:
    x = math.log2(u) + math.log10(u) + math.cos(u) + math.tan(u) + math.asin(u) + math.acos(u) + math.atan(u)
    return x + exact.sinpi(u) + math.sinh(u) + math.cosh(u) + math.asinh(u) + math.acosh(u + 1) + math.atanh(u)


def sampler_of(function: Callable[..., Any], parameters: tuple[float, ...], real: Any) -> Sampler:
    law: Sampler = gpuinit.quantile(function, package="tests")(*parameters).law((3,), np.dtype(real))
    return law


def words_of(bits: int, size: int = 401) -> np.ndarray[Any, Any]:
    """Words of the stream, those of the least and greatest u, and the two around 1/2."""
    ends = np.array([0, 2**bits - 1, 2 ** (bits - 1) - 1, 2 ** (bits - 1)], f"u{bits // 8}")
    return np.concatenate([ends, specification.words(Key(5), np.arange(size, dtype=np.uint64), bits)])


def uniforms(bits: int) -> list[float]:
    """u as docs/stream.md has it, from the words."""
    count = 23 if bits == 32 else 52
    return [((int(word) >> (bits - count)) + 0.5) / 2.0**count for word in words_of(bits)]


@pytest.mark.parametrize("real", [np.float32, np.float64])
@pytest.mark.parametrize("function", [*EXACT, library, more_library], ids=lambda f: f.__name__)
def test_it_computes_what_python_computes(function: Callable[..., Any], real: Any) -> None:
    """Within 1e-12 in float64; rejects a lost branch, a name that leaks out of one, and a loop with a turn too few."""
    bits = np.finfo(real).bits
    for parameters in PARAMETERS:
        wanted = np.array([float(function(u, *parameters)) for u in uniforms(bits)])
        assert np.isfinite(wanted).all()
        got = by_numpy(sampler_of(function, parameters, real), words_of(bits))
        assert got.dtype == real
        tolerance = 1e-12 if real is np.float64 else 3e-5
        np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("real", [np.float32, np.float64])
@pytest.mark.parametrize("function", EXACT, ids=lambda f: f.__name__)
def test_compiled_equals_specification(function: Callable[..., Any], real: Any) -> None:
    """Every bit, in registers and, as on a GPU, by itself; rejects a contraction and a widened float32."""
    words = words_of(np.finfo(real).bits)
    for parameters in PARAMETERS:
        sampler = sampler_of(function, parameters, real)
        assert not PROGRAMS[sampler.quantile].calls_math
        wanted = by_numpy(sampler, words)
        assert same_bits(in_registers(sampler, words), wanted)
        if real is np.float32:
            assert same_bits(one_by_one(sampler, words), wanted)


@pytest.mark.parametrize("real", [np.float32, np.float64])
@pytest.mark.parametrize("function", [library, more_library], ids=lambda f: f.__name__)
def test_functions_of_math_agree_within_the_stated_tolerance(function: Callable[..., Any], real: Any) -> None:
    """8 units in the last place of the largest intermediate value, here below 2^5 but where the logarithm and tanh are larger."""
    sampler, words = sampler_of(function, PARAMETERS[0], real), words_of(np.finfo(real).bits)
    assert PROGRAMS[sampler.quantile].calls_math
    a, b = by_numpy(sampler, words), one_by_one(sampler, words)
    assert (np.abs(a - b) <= 8 * 64 * np.finfo(real).eps).all()


@pytest.mark.parametrize("dtype", ["float32", "complex128", "bfloat16"])
def test_a_function_of_math_fills_whole_tensors(dtype: str) -> None:
    """The compiled fill element by element: odd sizes, a complex dtype's parts, strides; against the specification's."""

    def tail(u: Any, a: Any) -> Any:
        return a - math.log(u)

    initializer = gpuinit.quantile(tail, package="tests")(0.5)
    kind = dtypes.canonical(dtype)
    law, region = initializer.law((77, 131), kind), Region.of((77, 131), (slice(3, 70), slice(1, 130)))
    one, two = (poisoned((67, 258), kind)[:, ::2] for _ in range(2))
    specification.fill(one, law, region, Key(3))
    compiled_way.fill(two, law, region, Key(3))
    coarse = 2.0**-7 if dtype == "bfloat16" else 1e-6
    assert (np.abs(one.astype(complex) - two.astype(complex)) <= coarse * np.abs(one.astype(complex))).all()


def test_u_is_as_the_contract_says() -> None:
    """Least and greatest included: rejects the word's low bits, and u = 0 or 1."""

    def identity(u: Any) -> Any:
        return u

    for real, bits in ((np.float32, 32), (np.float64, 64)):
        sampler = sampler_of(identity, (), real)
        assert by_numpy(sampler, words_of(bits)).tolist() == uniforms(bits)
        assert in_registers(sampler, words_of(bits)).tolist() == uniforms(bits)
    for real, word, bits in ((np.float32, np.uint32, 32), (np.float64, np.uint64, 64)):
        ends = uniform(np.array([0, 2**bits - 1], word))
        fraction = np.finfo(real).nmant
        assert ends.dtype == real and ends.tolist() == [2.0 ** -(fraction + 1), 1 - 2.0 ** -(fraction + 1)]
        assert (1 - ends + ends == 1).all() and (1 - ends).tolist() == ends[::-1].tolist()


def test_a_product_that_feeds_a_sum_is_one_fma() -> None:
    """However it is named, first or second, added or subtracted; rejects a product rounded first, which differs in one of 4."""

    def in_line(u: Any, a: Any, b: Any) -> Any:
        return b - u * a

    def by_name(u: Any, a: Any, b: Any) -> Any:
        product = u * a
        return b - product

    u = np.array(uniforms(32), np.float32)
    a, b = np.float32(0.7), np.float32(0.3)
    fused = (float(b) - u.astype(np.float64) * float(a)).astype(np.float32)
    rounded = b - u * a
    for function in (in_line, by_name):
        for evaluate in (by_numpy, in_registers):
            got = evaluate(sampler_of(function, (0.7, 0.3), np.float32), words_of(32))
            assert (got == fused).mean() > 0.999  # float64 rounds twice
            assert (rounded != fused).mean() > 0.1
    assert compiled(in_line) == compiled(by_name)


def test_literals_are_rounded_to_the_computing_precision() -> None:
    """0.1 in float32 is float32's; numbers alone are computed first: (1 + 2^-40) - 1 is 2^-40 in float32 too."""

    def tenth(u: Any) -> Any:
        return u * 0 + 0.1

    def small(u: Any) -> Any:
        return u * 0 + ((1 + 2**-40) - 1)

    words = words_of(32, 5)
    assert set(in_registers(sampler_of(tenth, (), np.float32), words).tolist()) == {float(np.float32(0.1))}
    assert set(by_numpy(sampler_of(tenth, (), np.float64), words_of(64, 5)).tolist()) == {0.1}
    assert set(in_registers(sampler_of(small, (), np.float32), words).tolist()) == {2.0**-40}


def test_what_comes_from_outside_is_frozen() -> None:
    """A closure's number and a module's, as they were when the function was decorated."""
    outside = 2.0

    def scaled(u: Any) -> Any:
        return u * 0 + outside

    first = gpuinit.quantile(scaled, package="frozen")(seed=1)
    outside = 3.0
    assert set(first((5,)).tolist()) == {2.0}
    second = _made(3.0)(seed=1)
    assert set(second((5,)).tolist()) == {3.0} and set(first((5,)).tolist()) == {2.0}


def _made(number: float) -> Any:
    def scaled(u: Any) -> Any:
        return u * 0 + number

    return gpuinit.quantile(scaled, package="frozen")


def test_equal_functions_are_one_kernel_and_others_never() -> None:
    """A program's name is that of its operations and numbers: not of the function's name, nor of its file."""

    def laplace(u: Any, a: Any, b: Any) -> Any:
        return a + b * u

    def other(v: Any, first: Any, second: Any) -> Any:
        x = second * v
        return first + x

    def laplace_2(u: Any, a: Any, b: Any) -> Any:
        return b + a * u

    assert compiled(laplace) == compiled(other) != compiled(laplace_2)
    assert compiled(_number(1.0)) != compiled(_number(1.0000000000000002))


def _number(number: float) -> Any:
    def constant(u: Any) -> Any:
        return u + number

    return constant
