"""Singular values of a matrix: those of an orthogonal one are its gain, those of a random one spread as Marchenko and Pastur say.

A matrix of n x k independent elements with mean 0 and variance v, n >= k, has singular values of density

    f(s) = sqrt((b - s^2) (s^2 - a)) / (pi k v s),   sqrt a .. sqrt b = sqrt v (sqrt n -+ sqrt k)

in the limit of large n and k (Marchenko and Pastur, 1967; Bai and Silverstein, 2010, sec. 3.1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuinit import dtypes
from gpuinit.pictures import canvas
from gpuinit.pictures.exhibit import Exhibit
from gpuinit.stack import Stack
from gpuinit.structures import Haar

__all__ = ["Spectrum", "check", "draw", "spectrum_of"]

Array = np.ndarray[Any, Any]

_SIDE, _ELEMENTS = 1024, 2**22
"""Of a matrix with a longer short side, or more elements, a corner is taken."""
_FEWEST, _MOST = 8, 32
"""Bins; between those twice the square root of the number of singular values."""
_SPREAD, _COMPUTED = 4.0, 1e-5
"""What rounding may spread the singular values of an orthogonal matrix by, relative to the gain: units of the dtype's last place,
or what making it in float32 leaves."""


@dataclass(frozen=True)
class Spectrum:
    """Singular values, ascending, of a matrix or of the matrices of a stack, and what is known of them.

    Attributes:
        values: the singular values. rows, columns: of the matrix that they are of. whole: whether it is not a corner.
        variance: of an element, for the law of Marchenko and Pastur; None where that does not hold.
    """

    values: Array
    rows: int
    columns: int
    whole: bool
    variance: float | None

    @property
    def edges(self) -> tuple[float, float] | None:
        """Between which the law has its values."""
        if self.variance is None:
            return None
        n, k = max(self.rows, self.columns), min(self.rows, self.columns)
        scale = math.sqrt(self.variance)
        return scale * (math.sqrt(n) - math.sqrt(k)), scale * (math.sqrt(n) + math.sqrt(k))

    def density(self, s: Any) -> Array | None:
        """The law's density at s."""
        if self.edges is None or self.variance is None:
            return None
        s = np.asarray(s, np.float64)
        low, high = (end**2 for end in self.edges)
        inside = np.maximum((high - s**2) * (s**2 - low), 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.sqrt(inside) / (math.pi * min(self.rows, self.columns) * self.variance * s)
        if low == 0:  # a square matrix: the quarter circle
            found = np.sqrt(np.maximum(high - s**2, 0.0)) / (math.pi * self.rows * self.variance)
        return np.where(np.isfinite(found), found, 0.0)


def check(shown: Exhibit) -> None:
    """Refuse (ValueError) a tensor that is no matrix."""
    if len(shown.shape) < 2 or not shown.size:
        raise ValueError(f"singular_values: {shown.title} is no matrix; it must have 2 axes or more, and elements")


def spectrum_of(shown: Exhibit) -> Spectrum:
    """The singular values of the matrix that a tensor is shown as, or of a corner of it; of a stack those of all its matrices.

    Raises:
        ValueError: the tensor has fewer than 2 axes or no elements, or an element that is not finite.
    """
    check(shown)
    if isinstance(shown.statement, Haar) and shown.statement.batch:
        stack = Stack(shown.shape, shown.statement.batch)
        tensor = shown.block((0, shown.rows), (0, shown.columns)).reshape(shown.shape)
        rows, columns, whole = stack.rows, stack.columns, True
        matrices = tensor.transpose(stack.order).reshape(stack.count, rows, columns)
    else:
        rows, columns = _corner(shown.rows, shown.columns)
        whole = (rows, columns) == (shown.rows, shown.columns)
        matrices = shown.block((0, rows), (0, columns))[None]
    double = matrices.astype(np.complex128 if matrices.dtype.kind == "c" else np.float64)
    if not np.isfinite(double).all():
        raise ValueError(f"singular_values: {shown.title} has elements that are not finite")
    values = np.sort(np.linalg.svd(double, compute_uv=False).ravel())
    return Spectrum(values, rows, columns, whole, _variance(shown))


def _corner(rows: int, columns: int) -> tuple[int, int]:
    if min(rows, columns) > _SIDE:
        return _SIDE, _SIDE
    most = max(_SIDE, _ELEMENTS // min(rows, columns))
    return min(rows, most), min(columns, most)


def _variance(shown: Exhibit) -> float | None:
    """That of an element with mean zero and independent ones beside it."""
    law = shown.law
    if law is None or law.std is None or law.mean is None or abs(law.mean) > 1e-9 * law.std:
        return None
    parts = 2 if dtypes.component(shown.dtype) != shown.dtype else 1
    return parts * law.std**2


def draw(figure: Any, shown: Exhibit, columns: int = canvas.COLUMNS) -> str:
    """Draw into a figure, or a part of one so many characters wide; what was found, in words."""
    found = spectrum_of(shown)
    axes = figure.subplots()
    canvas.plain(axes)
    axes.set_xlabel("singular value")
    least, most = float(found.values[0]), float(found.values[-1])
    if most - least <= _rounding(shown, found) * most:
        _one_value(axes, found)
        heading = f"all singular values are {most:.3g}" + ("" if shown.gain is None else ", but for rounding")
    else:
        _spread(axes, found)
        heading = f"singular values spread from {least:.3g} to {most:.3g}"
    what = f"{canvas.counted(len(found.values), 'singular value')} from {least:.8g} to {most:.8g}"
    corner = "" if found.whole else f" Of the first {found.rows:,} rows and {found.columns:,} columns."
    law = " Orange: the law of Marchenko and Pastur, and its ends." if found.edges is not None else ""
    canvas.headed(figure, shown.title, heading, f"{what}.{corner}{law}", columns)
    return what


def _rounding(shown: Exhibit, found: Spectrum) -> float:
    """The relative spread up to which singular values count as one number."""
    orthogonal = shown.gain is not None and found.whole and dtypes.is_random(shown.dtype)
    return max(_COMPUTED, _SPREAD * _step(shown.dtype)) if orthogonal else 1e-9


def _step(dtype: np.dtype[Any]) -> float:
    """The distance from 1 to the next greater value of a floating or complex dtype."""
    part = dtypes.component(dtype)
    return -dtypes.below(-1.0, part) - 1.0


def _one_value(axes: Any, found: Spectrum) -> None:
    """How many singular values there are up to each place: all at one."""
    count, most = len(found.values), float(found.values[-1])
    end = 2 * most or 1.0
    places, counts = [0.0, *found.values, end], [0, *range(1, count + 1), count]
    axes.plot(places, counts, color=canvas.COLOURS["line"], linewidth=2, drawstyle="steps-post", label="singular values")
    axes.set_xlim(0, end)
    axes.set_ylabel("how many are not greater")


def _spread(axes: Any, found: Spectrum) -> None:
    """A histogram, and the law where there is one."""
    least, most = float(found.values[0]), float(found.values[-1])
    low, high = found.edges or (least, most)
    low, high = min(low, least), max(high, most)
    bins = np.linspace(low, high, min(_MOST, max(_FEWEST, 2 * math.isqrt(len(found.values)))) + 1)
    axes.hist(found.values, bins, density=True, color=canvas.COLOURS["data"], label="singular values")
    axes.set_ylabel("density (1 / singular value)")
    if found.edges is not None:
        s = np.linspace(low, high, 801)
        axes.plot(s, found.density(s), color=canvas.COLOURS["law"], linewidth=1.5, label="law")
        canvas.ended(axes, found.edges)
