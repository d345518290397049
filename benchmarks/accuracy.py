"""How far off is the float32 quantile at worst? All 2^32 words of the normal and of the normal truncated at +-2.

    python benchmarks/accuracy.py               # every word; a few minutes for each law on one core
    python benchmarks/accuracy.py --every 1009  # every 1009th word

The compiled kernels of the stream are measured, both signs, in units in the last place of the exact value. The
reference is the float64 quantile at the word's exact probability; it is checked against mpmath first. Writes
benchmarks/results/accuracy.json.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import platform
import sys
import time
from pathlib import Path
from typing import Any

import mpmath
import numba
import numpy as np
from numba import njit

from gpuinit import sampler
from gpuinit.backends import specification
from gpuinit.gaussian import central_mass, upper_tail
from gpuinit.kernels import formats, numba_source, quantiles  # noqa: F401  (teaches Numba the source)
from gpuinit.kernels.primitives import bits, both, fma, polynomial, unbits

RESULTS = Path(__file__).parent / "results" / "accuracy.json"
LAWS = {"normal": math.inf, "normal truncated at +-2": 2.0}
WORDS = 2**32
CHUNK = 2**26
LIMIT = 4.0  # what docs/stream.md promises

negative_log, mills_tail = quantiles.negative_log, quantiles.mills_tail
CENTRAL64, SHIFT64, DEEPEST, LOG_2 = formats.FLOAT64.central, 3.125, quantiles.CENTRAL_DEPTH, formats.LOG_2
EXPONENT = np.uint64(0x7FF0000000000000)


@njit(nogil=True)
def true_value(m: Any, step: Any, outside: Any) -> Any:
    """The quantile in float64 for lower bits m: 2 p = (2 m + 1) step + outside, 1 - 2 p = (2 n + 1) step, n = ~m."""
    twice_p = fma(2.0 * m + 1.0, step, outside)
    x = (2.0 * (2147483647.0 - m) + 1.0) * step
    w = negative_log(fma(twice_p, x, twice_p))
    if w <= DEEPEST:
        return x * polynomial(CENTRAL64, w - SHIFT64)
    return mills_tail(negative_log(twice_p) + LOG_2)


def measured(quantile: str) -> Any:
    """The compiled measurement of a quantile."""
    depth_of, central, tail = quantiles.QUANTILES[quantile, 32]
    ascending = quantile == "shallow"  # in each half of the words; else they go from each end to the middle

    @njit(nogil=True)
    def measure(first: Any, last: Any, every: Any, c: Any, k: Any, step: Any, outside: Any) -> Any:
        """The largest error in ulp, its word, the sum of errors and the count, over the words first, first + every, .."""
        worst, where, total, count = 0.0, first, 0.0, 0
        for index in range(first, last, every):
            word = np.uint32(index)
            depth = depth_of(word, c, k)
            z = central(word, depth, c, k) if depth <= c[5] else tail(word, depth, c, k)
            above = index >> 31 == 0
            m = index & 0x7FFFFFFF
            true = true_value(np.float64(m ^ 0x7FFFFFFF if ascending and above else m), step, outside)
            ulp = unbits(both(bits(true), EXPONENT)) * 2.0**-23
            error = abs((np.float64(z) if above else -np.float64(z)) - true) / ulp
            total += error
            count += 1
            if error > worst:
                worst, where = error, index
        return worst, where, total, count

    return measure


def constants(bound: float) -> tuple[Any, ...]:
    """The quantile, its constants in float32, and the reference's in float64: mass 2^-32 and the probability outside."""
    law = sampler.truncated_normal(np.dtype(np.float32), 0.0, 1.0, -bound, bound)
    c, k = tuple(law.reals[7:]), tuple(law.integers)
    return law.quantile, c, k, float(central_mass(bound) / WORDS), float(2 * upper_tail(bound))


def check_reference(bound: float) -> float:
    """The reference's largest error against mpmath, in float32 ulp, over 4,000 words from both ends and everywhere."""
    *_, step, outside = constants(bound)
    worst = 0.0
    with mpmath.workdps(40):
        mass = mpmath.erf(bound / mpmath.sqrt(2))
        random = np.random.default_rng(0).integers(0, 2**31, 2000)
        for m in (*range(1000), *range(2**31 - 1000, 2**31), *map(int, random)):
            z = true_value(float(m), step, outside)
            x = mass * (2 * (2**31 - 1 - m) + 1) / WORDS
            p = mpmath.erfc(bound / mpmath.sqrt(2)) / 2 + mass * (2 * m + 1) / (2 * WORDS)
            off = (x - mpmath.erf(z / mpmath.sqrt(2))) / 2 if z < 0.5 else mpmath.erfc(z / mpmath.sqrt(2)) / 2 - p
            error = abs(off) * mpmath.sqrt(2 * mpmath.pi) * mpmath.exp(mpmath.mpf(z) ** 2 / 2)
            worst = max(worst, float(error) / 2.0 ** (math.frexp(z)[1] - 24))
    return worst


def run(name: str, bound: float, every: int) -> dict[str, Any]:
    reference = check_reference(bound)
    quantile, c, k, step, outside = constants(bound)
    measure = measured(quantile)
    worst, where, total, count, begun = 0.0, 0, 0.0, 0, time.perf_counter()
    for start in range(0, WORDS, CHUNK):
        first = start + -start % every
        found = measure(first, start + CHUNK, every, c, k, step, outside)
        if found[0] > worst:
            worst, where = found[:2]
        total, count = total + found[2], count + found[3]
        done = (start + CHUNK) / WORDS
        left = (time.perf_counter() - begun) * (1 - done) / done
        if sys.stderr.isatty():
            print(f"\r{name}: {done:4.0%}, max {worst:.4f} ulp, {left:4.0f} s left ", end="", file=sys.stderr, flush=True)
    drawn = np.full(1, where, np.uint32)
    z = float(specification._standard(quantile, drawn, c, k)[0])
    return {
        "law": name,
        "quantile": quantile,
        "words": count,
        "max_ulp": round(worst, 4),
        "at_word": f"{where:#010x}",
        "at_z": z,
        "mean_ulp": round(total / count, 4),
        "reference_error_ulp": float(f"{reference:.1g}"),
        "seconds": round(time.perf_counter() - begun),
    }


def processor() -> str:
    """The processor's name, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="measure every N-th word and write no results")
    every = parser.parse_args().every
    results = [run(name, bound, every) for name, bound in LAWS.items()]
    for result in results:
        print(
            f"{result['law']}: max {result['max_ulp']} ulp at word {result['at_word']} (z = {result['at_z']:.6g}), "
            f"mean {result['mean_ulp']} ulp over {result['words']} words"
        )
    if every == 1:
        about = {"date": f"{datetime.date.today()}", "machine": f"{processor()}, {platform.machine()}, one core"}
        versions = {"python": platform.python_version(), "numpy": np.__version__, "numba": numba.__version__}
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps({**about, **versions, "limit_ulp": LIMIT, "results": results}, indent=2) + "\n")
    return 0 if all(result["max_ulp"] <= LIMIT for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
