"""Derive kernels/coefficients.py: the polynomials behind the normal quantile kernels.

    python benchmarks/fit_coefficients.py          # fit and write (minutes)
    python benchmarks/fit_coefficients.py --check  # fit and compare with the file, bit for bit

Method. References come from mpmath. Polynomials are minimax fits (Lawson-weighted least squares in longdouble) whose
coefficients are rounded one by one from the constant term up, refitting the rest each time. CENTRAL32 and TAIL32 are
searched harder: a beam over the roundings, each partial rounding ranked by the linear program of its best real
completion, with weights taken from the rounding error that x and w already carry; then a local search on the true
float32 error at the worst inputs. What comes out is measured by benchmarks/accuracy.py and tests/test_accuracy.py.

Formulas (fma = one rounding; neglog(y) = fma(float(bits(1) - bits(y)), LN2_ULP, NEG_LOG(mant - 1.5))):
  m = low bits of the word, n = ~m, p2 = fma(m, a1, a0) = 2p, x = fma(n, a1, b0) = 1 - 2p,
  y = fma(p2, x, p2) = 4p(1-p), w = neglog(y), z = x * P(w) with P a polynomial in w (CENTRAL32),
  w - 6.25 (TAIL32) or w - 3.125 (CENTRAL64).
  SHALLOW32 is a P for truncation at +-2 alone: v, u = the word and the word less 2^31, both signed;
  t = fma(v, 2^-31, 2^-32), h = SHALLOW_HALF32(|u|) = (1 - B |t| / sqrt(A)) / 2, y = fma(-h, h, h) = (A - (B t)^2) / (4 A),
  w = neglog(y) by SHORT_LOG32, counted from y = 1.5 2^-4, z = t * P(w). With A = 1 that y is p (1 - p); A = 1.00336 makes
  degree 5 nearly as good as degree 6 is for A = 1: the error of degree 5 has a sharp minimum there, where the coefficient of w^6
  changes sign. Neither table is searched: plain fits leave 0.55 ulp (P) and 0.85 ulp (the logarithm) of the promised 4.
  Tail by Newton from T = -log Q(z): K = 2T - log(2 pi), l = log K, y = K - l + (l + A) / (K + B l + C),
  two steps of s = 1/y, G = s g(s), F = (y - K) + (log y - 2G), y -= F exp(G); z = sqrt(y). What rounding takes from K
  is added to F.
  dK/dy = 1/M = exp(-G), so exp(G) (Taylor to G^2 in float32, G^4 in float64) is the exact slope.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import mpmath as mp
import numba as nb
import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.polynomial import chebyshev
from scipy import optimize, special

mp.mp.dps = 40
F, LD, njit = np.float32, np.longdouble, nb.njit
LN2_32, LN2_64 = F(math.log(2) * 2.0**-23), math.log(2) * 2.0**-52
LOG2PI = math.log(2 * math.pi)
SHALLOW_A, SHALLOW_ORIGIN = mp.mpf("1.00336"), 1.5 * 2.0**-4
ONE32, ONE64 = np.int32(0x3F800000), np.int64(0x3FF0000000000000)
CASES = {c: mp.erf(mp.mpf(c) / mp.sqrt(2)) for c in (0.5, 1, 2, 3, 4, 5, math.inf)}  # c -> B
OUTPUT = Path(__file__).resolve().parents[1] / "kernels" / "coefficients.py"


# References and real fits


def to_mp(v: Any) -> Any:
    return mp.mpf(float(v)) + mp.mpf(float(v - LD(float(v))))


def sampled(function: Callable[[Any], Any], t: Any) -> Any:
    values = [function(to_mp(v)) for v in t]
    return np.array([LD(float(v)) + LD(float(v - mp.mpf(float(v)))) for v in values])


def nodes(a: float, b: float, n: int = 600) -> Any:
    return (LD(a) + LD(b)) / 2 + (LD(b) - LD(a)) / 2 * np.cos(np.pi * (2 * np.arange(n) + 1) / (2 * n)).astype(LD)


def quantile(p: Any, x: Any) -> Any:
    """Phi^-1(1-p) with x = 1 - 2p."""
    z = mp.mpf(float(-special.ndtri(float(p))) if x > 0.5 else math.sqrt(2) * float(special.erfinv(float(x))))
    for _ in range(2):
        error = mp.erfc(z / mp.sqrt(2)) / 2 - p if x > 0.5 else (x - mp.erf(z / mp.sqrt(2))) / 2
        step = error * mp.sqrt(2 * mp.pi) * mp.exp(z * z / 2)
        z += step / (1 - z * step / 2)
    return z


def central_ratio(w: Any) -> Any:
    """P(w) = Phi^-1(1-p) / (1-2p) where 4p(1-p) = exp(-w)."""
    x = mp.sqrt(-mp.expm1(-w))
    return quantile(mp.exp(-w) / (2 * (1 + x)), x) / x


def shallow_ratio(w: Any) -> Any:
    """P(w) = z / t where A - (B t)^2 = A exp(-w), for truncation at +-2."""
    x = mp.sqrt(-SHALLOW_A * mp.expm1(-w))
    return quantile((1 - x) / 2, x) * CASES[2] / x


def neg_log(s: Any) -> Any:
    return (mp.mpf(0.5) + s) * mp.log(2) - mp.log(mp.mpf(1.5) + s)


def log_mills_over_s(s: Any) -> Any:
    z = 1 / mp.sqrt(s)
    return (mp.log(mp.erfc(z / mp.sqrt(2)) / 2 * z * mp.sqrt(2 * mp.pi)) + z * z / 2) / s


def minimax_constant(t: Any, f: Any, weight: Any, degree: int) -> tuple[Any, Any]:
    """Value at t = 0 of the weighted minimax polynomial of f (Lawson iteration), and its error."""
    unit = (2 * t - t.min() - t.max()) / (t.max() - t.min())
    basis = chebyshev.chebvander(unit, degree)
    c, lam, best = np.zeros(degree + 1, LD), np.ones(len(t)), (np.inf, None)
    for _ in range(60):
        row = np.sqrt(lam) * (weight / weight.max()).astype(float)
        for _ in range(2):
            r = f - basis @ c
            top = max(np.abs(r).max(), LD(1e-300))
            c = c + np.linalg.lstsq(basis.astype(float) * row[:, None], (r / top).astype(float) * row)[0] * top
        e = np.abs((f - basis @ c) * weight)
        if e.max() < best[0]:
            best = e.max(), c
        lam = np.maximum(lam * (e / e.max()).astype(float), 1e-300)
        lam /= lam.max()
    at_zero = (-t.min() - t.max()) / (t.max() - t.min())
    return chebyshev.chebval(at_zero, best[1]), best[0]


def rounded_fit(t: Any, f: Any, weight: Any, degree: int, dtype: Any) -> tuple[Any, float]:
    """Ascending coefficients rounded to dtype, and the weighted maximum error with them."""
    coefs, r, tk = [], f, np.ones_like(t)
    for d in range(degree, -1, -1):
        coefs.append(float(dtype(minimax_constant(t, r / tk, weight * np.abs(tk), d)[0])))
        r, tk = r - LD(coefs[-1]) * tk, tk * t
    return np.array(coefs, dtype), float(np.abs(r * weight).max())


# Kernels. They are kernels/quantiles.py once more, because that needs the coefficients to be there already.


@intrinsic
def fma(ctx: Any, a: Any, b: Any, c: Any) -> Any:
    return a(a, a, a), lambda cg, builder, sig, args: builder.fma(*args)


@intrinsic
def bits(ctx: Any, x: Any) -> Any:
    pairs = {types.float64: types.int64, types.float32: types.int32}
    to = {**pairs, **{integer: real for real, integer in pairs.items()}}[x]
    return to(x), lambda cg, builder, sig, args: builder.bitcast(args[0], cg.get_value_type(to))


@njit
def horner(c: Any, t: Any) -> Any:
    p = c[-1]
    for i in range(len(c) - 2, -1, -1):
        p = fma(p, t, c[i])
    return p


@njit
def neglog32(y: Any, c: Any) -> Any:
    b = bits(y)
    s = bits(np.int32((b & np.int32(0x7FFFFF)) | ONE32)) - F(1.5)
    return fma(F(np.int32(ONE32 - b)), LN2_32, horner(c, s))


@njit
def neglog64(y: Any, c: Any) -> Any:
    b = bits(y)
    s = bits(np.int64((b & np.int64(0xFFFFFFFFFFFFF)) | ONE64)) - 1.5
    return fma(np.float64(ONE64 - b), LN2_64, horner(c, s))


@njit
def newton64(T: Any, log_c: Any, g_c: Any, start: Any) -> Any:
    K = fma(2.0, T, -LOG2PI)
    rest = fma(2.0, T, -K) - LOG2PI
    log_K = -neglog64(K, log_c)
    y = (K - log_K) + (log_K + start[0]) / fma(np.float64(start[1]), log_K, K + start[2])
    for _ in range(2):
        s = 1 / y
        G = s * horner(g_c, s)
        M = fma(G, fma(G, fma(G, fma(G, 1 / 24, 1 / 6), 0.5), 1.0), 1.0)
        y = fma(-(((y - K) - rest) - fma(2.0, G, neglog64(y, log_c))), M, y)
    return math.sqrt(y)


@njit
def quantile64(p2: Any, x: Any, t64: Any) -> Any:
    log_c, central, g_c, start = t64
    w = neglog64(fma(p2, x, p2), log_c)
    if w <= 6.25:
        return x * horner(central, w - 3.125)
    return newton64(neglog64(0.5 * p2, log_c), log_c, g_c, start)


@njit
def x_and_w(m: Any, a1: Any, a0: Any, b0: Any, log_c: Any) -> Any:
    p2 = fma(F(m), a1, a0)
    x = fma(F(m ^ np.int32(0x7FFFFFFF)), a1, b0)
    return x, neglog32(fma(p2, x, p2), log_c)


@njit
def ulps_off(z: Any, true: Any) -> Any:
    return (np.float64(z) - true) / (bits(np.int64(bits(true) & np.int64(0x7FF0000000000000))) * 2.0**-23)


@njit
def measure(
    words: Any, k32: Any, B: Any, alpha2: Any, t64: Any, log_c: Any, central: Any, tail: Any, exact: Any,
    err: Any, xs: Any, ws: Any, ref: Any,
) -> None:  # fmt: skip
    """Signed ulp error of each word; exact: with P itself correctly rounded (the error x and w carry)."""
    h = B * 2.0**-31
    for i in range(len(words)):
        m = words[i]
        x, w = x_and_w(m, k32[0], k32[1], k32[2], log_c)
        if exact:
            W = np.float64(w)
            X = math.sqrt(-math.expm1(-W))
            P = F(horner(t64[1], W - 3.125) if W <= 6.25 else quantile64(math.exp(-W) / (1 + X), X, t64) / X)
        else:
            P = horner(central, w) if w <= F(6.25) else horner(tail, w - F(6.25))
        ref[i] = quantile64(fma(m + 0.5, h, alpha2), ((m ^ np.int32(0x7FFFFFFF)) + 0.5) * h, t64)
        xs[i], ws[i], err[i] = x, w, ulps_off(x * P, ref[i])


def run_measure(words: Any, B: Any, t64: Any, t32: Any, exact: bool) -> list[Any]:
    h = mp.ldexp(1, -31)
    k32 = tuple(F(float(v)) for v in (B * h, 1 - B + B * h / 2, B * h / 2))
    out = [np.empty(len(words), d) for d in (float, F, F, float)]
    measure(words, k32, float(B), float(1 - B), t64, *t32, exact, *out)
    return out


# The search for float32 coefficients


def sample_words(stride: int) -> Any:
    """Every word with p or x small, and a stride over the rest."""
    ends = np.arange(1 << 22)
    return np.concatenate([np.arange(5, 2**31, stride), ends, 2**31 - 1 - ends]).astype(np.int32)


def worst_inputs(t64: Any, t32: Any, edges: Any, exact: bool, keep: int = 30) -> tuple[Any, Any, list[Any]]:
    """Inputs of the largest errors per bin of w, and the bounds of that error."""
    up, down, points = np.full(len(edges) - 1, 1.5), np.full(len(edges) - 1, 1.5), []
    words = sample_words(211)
    for B in CASES.values():
        err, x, w, ref = run_measure(words, B, t64, t32, exact)
        inside = np.flatnonzero((w > edges[0]) & (w <= edges[-1]))
        bin_ = np.searchsorted(edges, w[inside]) - 1
        order = inside[np.lexsort((err[inside], bin_))]
        cut = np.searchsorted(np.sort(bin_), np.arange(len(edges)))
        for i in np.flatnonzero(np.diff(cut)):
            a, b = cut[i], cut[i + 1]
            up[i], down[i] = max(up[i], err[order[b - 1]]), max(down[i], -err[order[a]])
            pick = np.unique(np.r_[order[a : min(b, a + keep)], order[max(a, b - keep) : b]])
            points.append((x[pick], w[pick], ref[pick]))
    return up, down, [np.concatenate(p) for p in zip(*points, strict=True)]


def best_completion(t: Any, r: Any, weight: Any, up: Any, down: Any, degree: int) -> tuple[float, Any]:
    """LP: real polynomial q minimising max(weight (q - r) + up, weight (r - q) + down); (value, q(0))."""
    if degree < 0:
        return float(max((up - weight * r).max(), (down + weight * r).max())), None
    unit = (2 * t - t.min() - t.max()) / (t.max() - t.min())
    size = weight.max()
    basis = chebyshev.chebvander(unit.astype(float), degree) * (weight / size).astype(float)[:, None]
    base = np.linalg.lstsq(basis, (r * weight / size).astype(float))[0]
    rest = ((r - chebyshev.chebval(unit, base.astype(LD))) * weight).astype(float)
    ones = np.ones((len(t), 1))
    lp = optimize.linprog(
        np.r_[np.zeros(degree + 1), 1],
        A_ub=np.block([[basis, -ones], [-basis, -ones]]),
        b_ub=np.r_[rest - up, -rest - down],
        bounds=(None, None),
        method="highs",
    )
    at_zero = float((-t.min() - t.max()) / (t.max() - t.min()))
    return lp.x[-1], chebyshev.chebval(at_zero, base + lp.x[:-1] / size)


def neighbours(c: Any) -> tuple[Any, Any, Any]:
    """The float32 numbers next to a real one: the nearest, and one on either side of that."""
    near = F(c)
    return near, np.nextafter(near, F(np.copysign(np.inf, c - near))), np.nextafter(near, F(np.copysign(np.inf, near - c)))


def beam_fit(t: Any, f: Any, weight: Any, up: Any, down: Any, degree: int, width: int = 12) -> list[Any]:
    states: list[Any] = [(*best_completion(t, f, weight, up, down, degree), ())]
    for k in range(degree + 1):
        found = {}
        for _, c, coefs in states:
            for v in neighbours(c):
                new = (*coefs, float(v))
                r = f - sum(LD(a) * t**i for i, a in enumerate(new))
                tk = t ** (k + 1)
                found[new] = (*best_completion(t, r / tk, weight * tk, up, down, degree - k - 1), new)
        states = sorted(found.values(), key=lambda s: s[0])[: width if k < degree else 40]
    return [np.array(s[2], F) for s in states]


@njit
def worst_ulps(c: Any, shift: Any, x: Any, w: Any, ref: Any) -> Any:
    worst = 0.0
    for i in range(len(x)):
        worst = max(worst, abs(ulps_off(x[i] * horner(c, w[i] - shift), ref[i])))
    return worst


def search32(t64: Any, log_c: Any, lo: float, hi: float, shift: float, degree: int, rounds: int = 4, moves: int = 20000) -> Any:
    from_zero = np.r_[np.geomspace(1e-9, 0.05, 40), np.linspace(0.05, hi, 160)[1:]]
    edges = from_zero if lo == 0 else np.linspace(lo, hi, 200)
    none = np.zeros(degree + 1, F)
    up, down, points = worst_inputs(t64, (log_c, none, none), edges, exact=True)
    w = nodes(lo, hi, 400)
    P = sampled(central_ratio, w)
    z = (np.sqrt(-np.expm1(-w)) * P).astype(float)
    weight = z / P / 2.0 ** (np.floor(np.log2(z)) - 23)
    i = np.searchsorted(edges, w.astype(float)) - 1
    up_w, down_w, small = up[i], down[i], w < 0.05  # small w meets every binade phase of z: take the envelope
    weight[small] = 2.0**24 / P[small]
    if small.any():
        up_w[small], down_w[small] = up[edges[:-1] < 0.05].max(), down[edges[:-1] < 0.05].max()
    pool, rng = beam_fit(w - LD(shift), P, weight, up_w, down_w, degree), np.random.default_rng(0)
    for round_ in range(rounds):
        value, _, coefs = min((worst_ulps(c, F(shift), *points), -i, c) for i, c in enumerate(pool))
        for _ in range(moves):
            trial = coefs.copy()
            j = rng.choice(degree + 1, rng.integers(1, 5), replace=False)
            trial[j] += np.spacing(trial[j]) * rng.integers(-3, 4, len(j)).astype(F)
            got = worst_ulps(trial, F(shift), *points)
            if got <= value:
                value, coefs = got, trial
        pool.append(coefs)
        print(f"  search [{lo}, {hi}] degree {degree}: {value:.3f} ulp on {len(points[0])} inputs", flush=True)
        if round_ < rounds - 1:
            more = worst_inputs(t64, (log_c, coefs, coefs), edges, exact=False)[2]
            points = [np.concatenate(pair) for pair in zip(points, more, strict=True)]
    return coefs


def fit_shallow() -> tuple[Any, Any, float]:
    """SHALLOW_HALF32, SHALLOW32 and the relative error of the latter."""
    slope = CASES[2] / mp.sqrt(SHALLOW_A)
    half = np.array([F(float((1 - slope) / 2)), F(float(mp.ldexp(slope, -32)))])
    w = nodes(0, float(-mp.log(1 - slope * slope)), 300)
    ratio = sampled(shallow_ratio, w)
    origin = LD(1.5) * np.log(LD(2))  # from y = 1/4 to 1.5 2^-4 the linear part of neglog counts 1.5 log 2
    return half, *rounded_fit(w - origin, ratio, 1 / ratio, 5, F)


def fit_start() -> tuple[Any, float]:
    """(A, B, C) of the Newton start, by relative error of y for z from 3.24 to 1500."""
    T = -np.array([float(mp.log(mp.erfc(z / mp.sqrt(2)) / 2)) for z in np.geomspace(3.24, 1500, 500)])
    y, K = np.geomspace(3.24, 1500, 500) ** 2, 2 * T - LOG2PI

    def off(q: Any) -> float:
        return float(np.abs((K - np.log(K) + (np.log(K) + q[0]) / (K + q[1] * np.log(K) + q[2])) / y - 1).max())

    q = np.array([-1.8, 2.1, -4.6])
    for _ in range(5):
        q = optimize.minimize(off, q, method="Nelder-Mead", options={"maxiter": 4000, "xatol": 1e-8, "fatol": 1e-13}).x
    return q.astype(F), off(q.astype(F))


# Output


def scalar(name: str, value: float, comment: str) -> str:
    return f"# {comment}\n{name} = {float(value)!r}\n"


def table(name: str, coefs: Sequence[float], comment: str) -> str:
    body = "".join(f"    {float(v)!r},\n" for v in coefs)
    return f"# {comment}\n{name} = (\n{body})\n"


HEAD = '''"""Constants of the quantile kernels, ascending powers; written by benchmarks/fit_coefficients.py,
which gives the formulas that use them."""
'''


def derive() -> str:
    """The text of kernels/coefficients.py."""
    s, c, g = nodes(-0.5, 0.5), nodes(0, 6.25), nodes(0, 0.0945)
    fs, fc, fg = sampled(neg_log, s), sampled(central_ratio, c), sampled(log_mills_over_s, g)
    log32, log32_err = rounded_fit(s, fs, np.ones_like(s), 8, F)
    log64, log64_err = rounded_fit(s, fs, np.ones_like(s), 19, np.float64)
    central64, central64_err = rounded_fit(c - LD(3.125), fc, 1 / fc, 23, np.float64)
    short32, short32_err = rounded_fit(s, fs, np.ones_like(s), 7, F)
    half, shallow32, shallow32_err = fit_shallow()
    mills32, mills32_err = rounded_fit(g, fg, g * g, 5, F)
    mills64, mills64_err = rounded_fit(g, fg, g * g, 17, np.float64)
    start, start_err = fit_start()
    print("fitted; the searches take minutes", flush=True)
    t64 = log64, central64, mills64, start
    central32 = search32(t64, log32, 0, 6.25, 0, 9)
    tail32 = search32(t64, log32, 6.25, 21.6, 6.25, 10)
    parts = [
        scalar("LN2_ULP32", LN2_32, "ln 2 * 2^-23, float32"),
        scalar("LN2_ULP64", LN2_64, "ln 2 * 2^-52, float64"),
        scalar("LOG_2PI32", F(LOG2PI), "log(2 pi), float32"),
        scalar("LOG_2PI64", LOG2PI, "log(2 pi), float64"),
        scalar("CENTRAL_MAX", 6.25, "w up to here uses CENTRAL*, above it the tail; also the shift of TAIL32"),
        scalar("CENTRAL64_SHIFT", 3.125, "CENTRAL64 is a polynomial in w - CENTRAL64_SHIFT"),
        table("NEG_LOG32", log32, f"(0.5+s) ln2 - log(1.5+s), s in [-0.5, 0.5]; float32; fit error {log32_err:.2e} absolute"),
        table("NEG_LOG64", log64, f"The same, float64; fit error {log64_err:.2e} absolute"),
        table("SHORT_LOG32", short32, f"The same as NEG_LOG32, for truncation at +-2; fit error {short32_err:.2e} absolute"),
        table("CENTRAL32", central32, "Phi^-1(1-p)/(1-2p) in w = -log 4p(1-p), w in [0, 6.25]; float32"),
        table("TAIL32", tail32, "The same ratio in t = w - 6.25, w in (6.25, 21.6]; float32"),
        table("CENTRAL64", central64, f"The same in t = w - 3.125, w in [0, 6.25]; float64; error {central64_err:.1e} relative"),
        scalar("SHALLOW_ORIGIN", SHALLOW_ORIGIN, "Truncation at +-2: the y from which w counts"),
        table("SHALLOW_HALF32", half, "h = (1 - B |t| / sqrt A) / 2 in |u| = 2^31 (1 - |t|); float32"),
        table("SHALLOW32", shallow32, f"z / t in w; float32; fit error {shallow32_err:.1e} relative"),
        table("NEWTON_START", start, "(A, B, C): y0 = K - l + (l + A)/(K + B l + C), l = log K, z >= 3.24; "
              f"float32 values;\n# relative error {start_err:.1e}"),
        table("GMILLS32", mills32, "g(s) with log M(s) = s g(s), Q(z) = phi(z)/z M(1/z^2), s in [0, 0.0945]; float32;\n"
              f"# error of 2G relative to y = 1/s {2 * mills32_err:.1e}"),
        table("GMILLS64", mills64, f"The same, float64; error {2 * mills64_err:.1e}"),
    ]  # fmt: skip
    return HEAD + "\n" + "\n".join(parts)


def values(text: str) -> dict[str, Any]:
    """The constants that a text of Python assigns."""
    found: dict[str, Any] = {}
    exec(compile(text, "coefficients", "exec"), found)
    return {name: value for name, value in found.items() if name.isupper()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with kernels/coefficients.py instead of writing it")
    check = parser.parse_args().check
    text = derive()
    if not check:
        OUTPUT.write_text(text)
        return 0
    made, there = values(text), values(OUTPUT.read_text())
    different = [name for name in made if made[name] != there.get(name)]
    print(f"differs from {OUTPUT.name}: {', '.join(different)}" if different else "the same, bit for bit")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
