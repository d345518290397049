"""The standard set of pictures: those of the documentation and of reports, the same at every run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from gpuinit.initializers import Orthogonal, RandomNormal
from gpuinit.pictures import canvas, figures, spectra
from gpuinit.pictures.exhibit import exhibit
from gpuinit.pictures.output import write
from gpuinit.pictures.panels import laid_out
from gpuinit.tables.files import check_free, folders

__all__ = ["gallery", "pictures"]

_SIDE = 512


def pictures() -> list[tuple[str, bytes]]:
    """The standard set: a caption and the bytes of a PNG file, 800 pixels wide, of each; the same at every call.

    It takes a few seconds. ImportError: matplotlib is not installed.
    """
    return [(caption, canvas.rendered(make())) for _, caption, make in _standard()]


def gallery(folder: str | Path, *, force: bool = False) -> list[Path]:
    """Write the standard set into a folder, which is made if it is not there, as NAME.png; the files' paths.

    Args:
        force: replace files that exist.

    Raises:
        FileExistsError: one exists, and then nothing is written. OSError: the folder cannot be made or written to.
        ImportError: matplotlib is not installed.
    """
    every = _standard()
    paths = [Path(folder) / f"{name}.png" for name, _, _ in every]
    check_free(paths, force)
    made = [canvas.rendered(make()) for _, _, make in every]
    with folders(paths):
        write(dict(zip(paths, made, strict=True)), force=force)
    return paths


def _standard() -> list[tuple[str, str, Callable[[], Any]]]:
    """Of each picture a file's name, a caption and what makes it."""
    return [
        (
            "variance-relu",
            "With ReLU, he_normal and he_uniform keep the signal and its gradient through 50 layers; glorot_* and lecun_* halve "
            "it at every layer.",
            partial(figures.variance, activation="relu"),
        ),
        (
            "variance-tanh",
            "With tanh, glorot_* and lecun_* lose little of the signal and of its gradient through 50 layers; a fixed standard "
            "deviation loses both.",
            partial(figures.variance, activation="tanh"),
        ),
        (
            "variance-selu",
            "With SELU, lecun_* hold the signal at 1 through 50 layers; he_* let it grow, and its gradient more.",
            partial(figures.variance, activation="selu"),
        ),
        (
            "singular-values",
            "Singular values of a normal matrix spread from 0 to 2, those of an orthogonal one are all 1.",
            _spectra,
        ),
        (
            "histogram",
            "The values of he_normal lie on their exact density, which ends at two standard deviations.",
            partial(figures.histogram, "he_normal", (1024, 1024)),
        ),
        (
            "tails",
            "A normal distribution in bfloat16, on its density down to single elements in the last bins.",
            partial(figures.histogram, "random_normal", (1024, 1024), "bfloat16"),
        ),
        (
            "float8",
            "he_normal in float8_e4m3fn: each bar is one value of the dtype, drawn as often as all numbers that round to it.",
            partial(figures.histogram, "he_normal", (1024, 1024), "float8_e4m3fn"),
        ),
        (
            "qq",
            "Order statistics of a million normal values on their exact quantiles, within their 99 % bands.",
            partial(figures.qq, "random_normal", (1024, 1024)),
        ),
        (
            "heat-map",
            "Blocks of a random matrix: no rows, columns or blocks stand out.",
            partial(figures.heat_map, "he_normal", (1024, 1024)),
        ),
    ]


def _spectra() -> Any:
    """A normal matrix beside an orthogonal one whose columns have the same lengths on average."""
    normal = exhibit(RandomNormal(0.0, _SIDE**-0.5, seed=0), (_SIDE, _SIDE))
    orthogonal = exhibit(Orthogonal(seed=0), (_SIDE, _SIDE))
    return laid_out([[partial(_spectrum, normal), partial(_spectrum, orthogonal)]], [3.6])[0]


def _spectrum(shown: Any, figure: Any, columns: int) -> str:
    return spectra.draw(figure, shown, columns)
