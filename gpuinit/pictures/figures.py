"""The pictures as functions for a notebook or a script: each returns a matplotlib Figure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from gpuinit.pictures import canvas, depths
from gpuinit.pictures.exhibit import exhibit
from gpuinit.pictures.panels import compose, laid_out, usual
from gpuinit.pictures.propagation import NAMES, propagate

__all__ = ["heat_map", "histogram", "page", "png", "qq", "singular_values", "variance"]


def histogram(what: Any, shape: Any = None, dtype: Any = None, *, seed: Any = 0, device: str | None = None) -> Any:
    """A histogram of values on the density that they were drawn from, plainly and in logarithms, with Pearson's chi-square.

    The height of a bin is its count / (number of elements * width). Edges lie midway between neighbouring values of the dtype, so
    that the chance of a bin is exact in narrow dtypes too. On the right is the band that a bin lies in 99 % of the time.

    Args:
        what: an initializer's name, class, config or instance; a `gpuinit.Table` or `Shard`; the path of a .safetensors, .npy or
            .zarr file; an array or a tensor. Of a file with a recipe the law is known; of others there is no law to compare with.
        shape: the tensor's dimensions, integers >= 0, where `what` is an initializer, and only there.
        dtype: its element type, likewise; None means `gpuinit.default_dtype()`.
        seed: an integer in 0 .. 2^64 - 1 or a Key, for a name or a class; an instance has its own.
        device: where elements of an initializer are made, as in its call.

    Returns:
        A matplotlib Figure, 8 inches wide, that belongs to no window: `gpuinit.pictures.png` gives its bytes. At most 2^20
        elements are looked at, of a larger tensor in 16 runs spread over it. Of complex elements the real parts are shown.

    Raises:
        TypeError, ValueError: an argument is wrong. OSError: the file cannot be read. ImportError: matplotlib is not installed.
    """
    return compose(exhibit(what, shape, dtype, seed=seed, device=device), ["histogram"])[0]


def qq(what: Any, shape: Any = None, dtype: Any = None, *, seed: Any = 0, device: str | None = None) -> Any:
    """Order statistics on the exact quantiles of their law, with the band that each lies in 99 % of the time, by itself.

    The k-th least of n values lies between quantile(B_.005) and quantile(B_.995), B_p the quantile of Beta(k, n + 1 - k), rounded
    as the values are. Arguments, what comes back, and errors: as for `histogram`; ValueError too where there is no law.
    """
    return compose(exhibit(what, shape, dtype, seed=seed, device=device), ["qq"])[0]


def heat_map(what: Any, shape: Any = None, dtype: Any = None, *, seed: Any = 0, device: str | None = None) -> Any:
    """A matrix in colours, white at 0: up to 192 rows and columns whole, else 8 runs of 24 neighbours along each axis.

    The rows are all axes but the last, in C order. What is not shown is not read from a file. Of a structure that is zero nearly
    everywhere (identity, sparse, ..) each dot is the element of greatest magnitude in its cell. Arguments, what comes back, and
    errors: as for `histogram`; ValueError too where there are no elements.
    """
    return compose(exhibit(what, shape, dtype, seed=seed, device=device), ["heat_map"])[0]


def singular_values(what: Any, shape: Any = None, dtype: Any = None, *, seed: Any = 0, device: str | None = None) -> Any:
    """The singular values of a matrix, and where elements are independent of mean 0 the law of Marchenko and Pastur.

    Of a matrix with more than 1024 rows and columns, or 2^22 elements, those of a corner are computed. Arguments, what comes
    back, and errors: as for `histogram`; ValueError too where the tensor is no matrix.
    """
    return compose(exhibit(what, shape, dtype, seed=seed, device=device), ["singular_values"])[0]


def variance(
    initializers: Sequence[str] = depths.PRESETS, activation: str = "relu", *, depth: int = 50, width: int = 256, seed: Any = 0
) -> Any:
    """Mean squares of the signal and of its gradient at each layer of a stack of dense layers, for several initializers.

    Args:
        initializers: names that `gpuinit.get` knows, one or more.
        activation: "relu", "tanh" or "selu", between the layers.
        depth, width: layers and units of each, >= 1. seed: an integer in 0 .. 2^64 - 1 or a Key.

    Returns:
        A matplotlib Figure, 8 inches wide.

    Raises:
        TypeError, ValueError: an argument is wrong. ImportError: matplotlib is not installed.
    """
    if isinstance(initializers, str) or not initializers:
        raise ValueError(f"initializers={initializers!r}: it must be a sequence of one or more names")
    signals = {name: propagate(name, activation, depth=depth, width=width, seed=seed) for name in initializers}
    subject = f"{NAMES[activation]}, {depth} layers"
    return laid_out([[partial(_depths, signals, subject)]], [3.8])[0]


def _depths(signals: Any, subject: str, figure: Any, columns: int) -> str:
    return depths.draw(figure, signals, subject, columns)


def page(
    what: Any,
    shape: Any = None,
    dtype: Any = None,
    *,
    kinds: Sequence[str] | None = None,
    seed: Any = 0,
    device: str | None = None,
) -> Any:
    """Several pictures of a tensor on one page.

    Args:
        kinds: names among histogram, qq, heat_map, singular_values, variance; None means those that make sense of `what`.
        what, shape, dtype, seed, device: as for `histogram`.

    Returns:
        A matplotlib Figure, 8 inches wide.

    Raises:
        TypeError, ValueError: as `histogram`, or a kind is not known or does not fit `what`. OSError, ImportError: as there.
    """
    shown = exhibit(what, shape, dtype, seed=seed, device=device)
    return compose(shown, usual(shown) if kinds is None else kinds)[0]


def png(figure: Any) -> bytes:
    """A figure as the bytes of a PNG file, 100 dots an inch: the same at every call with one release of matplotlib."""
    return canvas.rendered(figure)
