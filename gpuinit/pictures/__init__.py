"""Pictures of initial weights, by matplotlib (pip install 'gpuinit[plots]'), which is loaded with the first one.

    from gpuinit import pictures
    pictures.save(pictures.page("he_normal", (1024, 1024), "bfloat16"), "he_normal.png")

A function returns a Figure that belongs to no window and changes no setting of matplotlib's. A notebook shows one after
`%matplotlib inline`, or as `IPython.display.Image(pictures.png(figure))`.
"""

from gpuinit.pictures.figures import heat_map, histogram, page, png, qq, singular_values, variance
from gpuinit.pictures.output import save
from gpuinit.pictures.panels import KINDS
from gpuinit.pictures.standard import gallery, pictures

__all__ = [
    "KINDS",
    "gallery",
    "heat_map",
    "histogram",
    "page",
    "pictures",
    "png",
    "qq",
    "save",
    "singular_values",
    "variance",
]
