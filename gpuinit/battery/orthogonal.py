"""Orthogonal matrices: their Gram matrix, and signs of the Haar law, of stacks by each method and of matrices made one by one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import gpuinit
from gpuinit.battery import statistic
from gpuinit.battery.statistic import Moments, Statistic
from gpuinit.battery.suite import Suite, Test
from gpuinit.battery.trial import Trial

__all__ = ["ORTHOGONAL", "Matrices"]

Array = np.ndarray[Any, Any]
LARGE = ((300, 260), (40, 300))
"""Shapes of matrices that take more than one panel, or are wide."""
_SIZE = 16
_TOLERANCE = {"float32": 2e-6, "float64": 1e-14, "complex64": 4e-6, "complex128": 1e-14}
"""Of max |Q*Q - I|; the largest matrix here has 300 rows."""
_TRACE_POWERS = (1, 2)


@dataclass(frozen=True, slots=True, eq=False)
class Matrices:
    """A stack of matrices of a shape (count, rows, columns), in double precision; `dtype` is the one they were made in."""

    q: Array
    dtype: str

    @property
    def haar(self) -> bool:
        """Whether there are enough square real ones for a law."""
        return len(self.q) > 1

    def gram(self) -> Statistic:
        """max |Q*Q - I|, of rows where they are fewer."""
        q = self.q if self.q.shape[1] >= self.q.shape[2] else self.q.swapaxes(1, 2)
        defect = float(np.abs(q.conj().swapaxes(1, 2) @ q - np.eye(q.shape[2])).max())
        return statistic.exact(defect <= _TOLERANCE[self.dtype], defect, f"{_TOLERANCE[self.dtype]:g} is allowed")


def _samples(trial: Trial) -> Iterator[tuple[str, Matrices]]:
    def made(name: str, shape: tuple[int, ...], dtype: str, **options: Any) -> tuple[str, Matrices]:
        init = gpuinit.Orthogonal(seed=trial.key("orthogonal", name), **options)
        q = trial.draw(init, shape, dtype).reshape(-1, *shape[-2:])
        return name, Matrices(q.astype(np.result_type(q.dtype, np.float64)), dtype)

    for dtype in ("float32", "float64", "complex64"):
        yield made(f"stack of {_SIZE} x {_SIZE} {dtype}", (trial.effort.matrices, _SIZE, _SIZE), dtype, batch_axes=0)
    for method in ("qr", "svd"):
        yield made(
            f"stack of {_SIZE} x {_SIZE} float32, by {method}",
            (trial.effort.matrices, _SIZE, _SIZE),
            "float32",
            batch_axes=0,
            method=method,
        )
    each = [made(f"one by one {number}", (_SIZE, _SIZE), "float32")[1].q for number in range(trial.effort.single)]
    yield f"{_SIZE} x {_SIZE} float32, one by one", Matrices(np.concatenate(each), "float32")
    for shape in LARGE:
        for dtype in _TOLERANCE if trial.backend.device == "cpu" else ("float32", "float64"):
            yield made(f"{shape[0]} x {shape[1]} {dtype}", shape, dtype)


def _of_real(test: Callable[[Array], Statistic]) -> Callable[[Matrices], Statistic | None]:
    return lambda sample: test(sample.q) if sample.haar and sample.q.dtype.kind == "f" else None


def _of_complex(test: Callable[[Array], Statistic]) -> Callable[[Matrices], Statistic | None]:
    return lambda sample: test(sample.q) if sample.haar and sample.q.dtype.kind == "c" else None


def _sign(q: Array) -> Statistic:
    return statistic.count(int((q[:, 0, 0] > 0).sum()), len(q), 0.5, "share of positive Q[0, 0]")


def _first_column(q: Array) -> Statistic:
    """The sum of the fourth powers of a uniform point of the sphere, whose squares are a Dirichlet variable.

    E prod q_i^(2 a_i) = prod (2 a_i - 1)!! / (n (n + 2) .. (n + 2 A - 2)), A the sum of the a_i.
    """
    n = q.shape[1]
    fourth, eighth, twelfth = (math.prod(range(n, n + 2 * a, 2)) for a in (2, 4, 6))
    first = n * 3 / fourth
    second = (n * 105 + n * (n - 1) * 9) / eighth
    third = (n * 10395 + 3 * n * (n - 1) * 315 + n * (n - 1) * (n - 2) * 27) / twelfth
    variance = second - first**2
    known = Moments(first, variance, (third - 3 * first * second + 2 * first**3) / variance**1.5)
    return statistic.mean(float((q[:, :, 0] ** 4).sum(axis=1).mean()), len(q), known)


def _entries(q: Array) -> Statistic:
    """The means of all entries and of their squares, E Q_ij = 0 and E Q_ij^2 = 1 / n, in standard errors."""
    size = q.shape[1]
    fourth = 3 / (size * (size + 2))
    z = [q.mean(axis=0) * math.sqrt(size), (np.square(q).mean(axis=0) - 1 / size) / math.sqrt(fourth - 1 / size**2)]
    return statistic.largest(np.concatenate(z) * math.sqrt(len(q)))


def _trace(power: int) -> Callable[[Array], Statistic]:
    """tr Q^j is normal of mean 1 (j even) or 0 and variance j, but for what decays faster than exponentially in n / j (Diaconis
    and Shahshahani, 1994; Johansson, 1997)."""

    def run(q: Array) -> Statistic:
        from scipy import special

        traces = np.einsum("bij,bji->b", q, q) if power == 2 else np.einsum("bii->b", q)
        return statistic.kolmogorov(np.sort(special.ndtr((traces - (power % 2 == 0)) / math.sqrt(power))))

    return run


def _complex_trace(q: Array) -> Statistic:
    """tr U of a unitary matrix is complex normal: E |tr U|^2 = 1, and its real and imaginary parts are normal of variance 1/2."""
    from scipy import special

    traces = np.einsum("bii->b", q)
    parts = np.concatenate([traces.real, traces.imag]) * math.sqrt(2.0)
    return statistic.kolmogorov(np.sort(special.ndtr(parts)))


def _neighbours(q: Array) -> Statistic:
    """Q_b' Q_(b + 1) is Haar again, so its trace is standard normal."""
    from scipy import special

    even = len(q) // 2 * 2
    traces = np.einsum("bij,bij->b", q[0:even:2], q[1:even:2])
    return statistic.kolmogorov(np.sort(special.ndtr(traces)))


ORTHOGONAL = Suite(
    "orthogonal matrices",
    _samples,
    (
        Test("Gram matrix", "columns that are not orthonormal", Matrices.gram),
        Test("sign of the first entry", "QR without Mezzadri's sign fix, where Q[0, 0] has one sign", _of_real(_sign)),
        Test(
            "first column", "a first column that is not uniform on the sphere, as one of uniform numbers", _of_real(_first_column)
        ),
        Test(
            "entries", "an entry that has a mean, as the diagonal without the sign fix, or another variance", _of_real(_entries)
        ),
        Test("trace", "eigenvalues that crowd, as around -1 without the sign fix", _of_real(_trace(1))),
        Test("trace of the square", "eigenvalue angles that do not repel as the Haar law's do", _of_real(_trace(2))),
        Test("complex trace", "phases that are not uniform, as real signs in place of them", _of_complex(_complex_trace)),
        Test("neighbours of a stack", "matrices of a stack that share words or repeat", _of_real(_neighbours)),
    ),
)
