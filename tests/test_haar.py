"""Orthogonal matrices are Haar-distributed: signs, traces and eigenangles, each beside QR without the sign fix, which fails.

The wrong implementation is `numpy.linalg.qr` as LAPACK leaves it, whose R has diagonal elements of either sign; its Q is
orthogonal to rounding and in law not Haar. Bounds are 5 standard errors: a right implementation fails a comparison once in
1.7 million seeds, and the seeds are fixed.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import pytest

import gpuinit

SIZE, COUNT = 16, 4000
WAYS = ["auto", "qr", "svd", "batch"]


@functools.cache
def sample(way: str, dtype: str = "float64", size: int = SIZE, count: int = COUNT) -> Any:
    """Orthogonal matrices: a seed each, a batch of one seed, or the wrong implementation's."""
    if way == "batch":
        return gpuinit.Orthogonal(seed=2026, batch_axes=0)((count, size, size), dtype)
    if way == "not fixed":
        return np.linalg.qr(gpuinit.RandomNormal(0, 1, seed=2026)((count, size, size), dtype))[0]
    return np.array([gpuinit.Orthogonal(seed=seed, method=way)((size, size), dtype) for seed in range(count)])


def errors(values: Any, mean: float) -> float:
    """How many standard errors the mean of independent values lies from the expected one; infinite if all are alike and wrong."""
    with np.errstate(divide="ignore"):
        return float(np.abs(np.mean(values) - mean) / (np.std(values) / math.sqrt(len(values))))


def traces(matrices: Any, power: int = 1) -> Any:
    return np.trace(np.linalg.matrix_power(matrices, power), axis1=1, axis2=2)


REAL = {
    "E sign Q00 = 0": lambda q: errors(np.sign(q[:, 0, 0]), 0),
    "E Q00 = 0": lambda q: errors(q[:, 0, 0], 0),
    "E tr Q = 0": lambda q: errors(traces(q), 0),
    "E (tr Q)^2 = 1": lambda q: errors(traces(q) ** 2, 1),
    "E tr Q^2 = 1": lambda q: errors(traces(q, 2), 1),
    "E (tr Q^2 - 1)^2 = 2": lambda q: errors((traces(q, 2) - 1) ** 2, 2),
    "E tr Q^3 = 0": lambda q: errors(traces(q, 3), 0),
}
"""Moments of the orthogonal group's traces: tr Q^j is normal of mean 1 (j even) or 0 (j odd) and variance j up to the order
of the group's size (Diaconis and Shahshahani, 1994, theorem 4)."""
MOVED = ("E sign Q00 = 0", "E Q00 = 0", "E tr Q = 0", "E (tr Q)^2 = 1")
"""What the missing sign fix moves beyond doubt."""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", REAL)
def test_signs_and_traces(name: str, way: str) -> None:
    assert REAL[name](sample(way)) < 5


@pytest.mark.parametrize("name", MOVED)
def test_signs_and_traces_reject_qr_without_the_sign_fix(name: str) -> None:
    assert REAL[name](sample("not fixed")) > 8


def test_every_entry_has_variance_one_over_n() -> None:
    """E Q_ij^2 = 1 / n and E Q_ij = 0 for all n^2 entries at once (5.5 standard errors); the wrong implementation moves the
    diagonal's means."""

    def worst(q: Any) -> float:
        means = np.abs(q.mean(axis=0)) / (q.std(axis=0) / math.sqrt(len(q)))
        squares = np.abs((q**2).mean(axis=0) - 1 / SIZE) / ((q**2).std(axis=0) / math.sqrt(len(q)))
        return float(max(means.max(), squares.max()))

    for way in WAYS:
        assert worst(sample(way)) < 5.5, way
    assert worst(sample("not fixed")) > 8


def spacings(matrices: Any) -> Any:
    """Distances of neighbouring eigenangles around the circle, in units of their mean; a row a matrix."""
    angles = np.sort(np.angle(np.linalg.eigvals(matrices)), axis=1)
    size = angles.shape[1]
    return np.diff(angles, axis=1, append=angles[:, :1] + 2 * math.pi) * (size / (2 * math.pi))


def ks(first: Any, second: Any) -> float:
    """The two-sample Kolmogorov-Smirnov distance."""
    both = np.concatenate([first, second])
    found = [np.searchsorted(np.sort(each), both, side="right") / len(each) for each in (first, second)]
    return float(np.abs(found[0] - found[1]).max())


def reference(size: int, count: int, kind: str) -> Any:
    """Haar matrices from NumPy's own generator, by QR with the signs (phases) fixed."""
    parts = np.random.default_rng(7).standard_normal((2, count, size, size))
    q, r = np.linalg.qr(parts[0] + 1j * parts[1] if kind == "complex128" else parts[0])
    diagonal = np.diagonal(r, axis1=1, axis2=2)
    return q * (diagonal / np.abs(diagonal))[:, None, :]


@pytest.mark.parametrize("way", ["auto", "batch"])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_eigenangles(dtype: str, way: str) -> None:
    """The eigenangles' density and one nearest-neighbour spacing a matrix, against a reference sample of as many.

    KS with n = 2500 against 2500 has the critical value 0.0552 at 1e-3, and 0.07 at 1e-5. The wrong implementation's
    angles lie at a distance of 0.1 and more: without the fix, eigenvalues crowd around -1.
    """
    size, count = 16, 2500
    expected, right, wrong = (
        reference(size, count, dtype),
        sample(way, dtype, size, count),
        sample("not fixed", dtype, size, count),
    )
    for matrices, accepted in ((right, True), (wrong, False)):
        angle = [np.abs(np.angle(np.linalg.eigvals(each)[:, 0])) for each in (matrices, expected)]
        if accepted:
            assert ks(*angle) < 0.07
            assert ks(spacings(matrices)[:, 3], spacings(expected)[:, 3]) < 0.07
        else:
            assert ks(*angle) > 0.1
            assert ks(spacings(matrices)[:, 3], spacings(expected)[:, 3]) > 0.1


def test_spacings_of_unitary_matrices_follow_the_surmise() -> None:
    """E s^2 of the Wigner surmise for beta = 2 is 3 pi / 8 = 1.178, the limit law 1.180; a Poisson process has 2, and QR without
    the sign fix 1.29."""
    found = (spacings(sample("auto", "complex128", 16, 2500)) ** 2).mean(axis=1)
    assert abs(found.mean() - 3 * math.pi / 8) < 0.03
    assert (spacings(sample("not fixed", "complex128", 16, 2500)) ** 2).mean() > 3 * math.pi / 8 + 0.06
    uniform = np.sort(np.random.default_rng(1).uniform(-math.pi, math.pi, (2500, 16)), axis=1)
    poisson = np.diff(uniform, axis=1, append=uniform[:, :1] + 2 * math.pi) * (16 / (2 * math.pi))
    assert (poisson**2).mean() > 1.6


def spacing_law(size: int, s: float) -> float:
    """P(spacing <= s) of a Haar-distributed unitary matrix: with arc x = 2 pi s / size, E(x) = det(I - K) the chance that it
    has no eigenangle, K_jk = sin((j - k) x / 2) / (pi (j - k)), it is 1 + (2 pi / size) E'(x), a Toeplitz determinant's slope."""
    mean = 2 * math.pi / size
    apart = np.subtract.outer(np.arange(size), np.arange(size))
    empty = np.eye(size) - s * mean / (2 * math.pi) * np.sinc(apart * s / size)
    slope = -np.cos(apart * s * mean / 2) / (2 * math.pi)
    return 1 + mean * float(np.linalg.det(empty) * np.trace(np.linalg.solve(empty, slope)))


GRID = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)


def test_the_law_of_spacings_is_near_the_surmise() -> None:
    """Within 0.002 of the distribution function of Wigner's p(s) = 32 / pi^2 s^2 exp(-4 s^2 / pi), at any size."""
    for s in GRID:
        surmise = math.erf(2 * s / math.sqrt(math.pi)) - 4 * s / math.pi * math.exp(-4 * s * s / math.pi)
        for size in (8, 16, 32):
            assert abs(spacing_law(size, s) - surmise) < 0.002


@pytest.mark.parametrize("way", ["auto", "batch", "not fixed"])
def test_spacings_of_unitary_matrices_have_the_exact_law(way: str) -> None:
    """The share of spacings up to s, of each matrix by itself since they are not independent, at seven s: 5 standard errors, a
    false alarm in 250,000 seeds. Without the sign fix the shares near the mean spacing are off by 20 and more."""
    values = spacings(sample(way, "complex128", 16, 2500))
    found = [errors((values <= s).mean(axis=1), spacing_law(16, s)) for s in GRID]
    assert max(found) > 20 if way == "not fixed" else max(found) < 5


def upper(matrices: Any) -> Any:
    """Of each orthogonal matrix, the shares of spacings up to each s of GRID between neighbouring eigenangles in (0, pi)."""
    shares = []
    for angles in np.angle(np.linalg.eigvals(matrices)):
        between = np.diff(np.sort(angles[(angles > 1e-9) & (angles < math.pi - 1e-9)])) * (len(angles) / (2 * math.pi))
        shares.append((between[:, None] <= GRID).mean(axis=0))
    return np.array(shares)


@pytest.mark.parametrize("way", ["auto", "batch", "not fixed"])
def test_spacings_of_orthogonal_matrices(way: str) -> None:
    """Neighbours in the open upper half circle, all of them, beside the reference sample: two-sample differences within 5
    standard errors; without the sign fix, 20 and more."""
    ours, theirs = upper(sample(way, "float64", 16, 2500)), upper(reference(16, 2500, "float64"))
    spread = np.sqrt((ours.var(axis=0) + theirs.var(axis=0)) / 2500)
    worst = float((np.abs(ours.mean(axis=0) - theirs.mean(axis=0)) / spread).max())
    assert worst > 20 if way == "not fixed" else worst < 5


def linked(first: Any, second: Any) -> float:
    """The largest correlation, in standard errors, of any entry of one matrix with any entry of the next."""
    count, size = first.shape[:2]
    products = first.reshape(count, -1).T @ second.reshape(count, -1)
    return float(np.abs(products).max()) * size / math.sqrt(count)


def test_no_entry_of_a_batch_tells_of_the_next_matrix() -> None:
    """All 65,536 pairs of entries within 6.5 standard errors, a false alarm in 190,000 seeds. Rejects a batch whose matrices
    share words: each drawn a row after the one before, when a stack counts rows in place of matrices."""
    q = sample("batch")
    assert linked(q[:-1], q[1:]) < 6.5
    words = gpuinit.RandomNormal(0, 1, seed=1)((COUNT + SIZE, SIZE), "float64")
    factors, rest = np.linalg.qr(np.lib.stride_tricks.sliding_window_view(words, SIZE, 0)[:COUNT].swapaxes(1, 2))
    shared = factors * np.sign(np.diagonal(rest, axis1=1, axis2=2))[:, None, :]
    assert linked(shared[:-1], shared[1:]) > 20


def test_neighbours_of_a_batch_are_independent() -> None:
    """Q_b' Q_(b+1) is Haar again, so its trace has mean 0 and variance 1; a batch that repeats matrices has trace n, and one
    drawn by QR without the sign fix keeps a mean."""
    q = sample("batch")
    both = np.einsum("bij,bij->b", q[0::2], q[1::2])
    assert errors(both, 0) < 5
    assert errors(both**2, 1) < 5
    repeated = np.einsum("bij,bij->b", q[0::2], q[0::2])
    assert repeated.min() > SIZE - 1e-6
    wrong = sample("not fixed")
    assert errors(np.einsum("bij,bij->b", wrong[0::2], wrong[1::2]), 0) > 8


@pytest.mark.parametrize("way", ["auto", "qr", "svd", "batch"])
def test_complex_entries_have_every_phase(way: str) -> None:
    """E U_ii = 0 and E U_ii^2 = 0: rejects real signs in place of phases, as numpy.linalg.qr leaves them."""
    for name, accepted in ((way, True), ("not fixed", False)):
        entry = sample(name, "complex128", 3, 600)[:, 0, 0]
        parts = (entry.real, entry.imag, (entry**2).real, (entry**2).imag)
        found = [errors(part, 0) if np.std(part) > 0 else 0 for part in parts]
        if accepted:
            assert max(found) < 5
            assert errors(np.abs(entry) ** 2, 1 / 3) < 5
        else:
            assert max(found) > 8
