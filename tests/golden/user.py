"""Writes user.json, the golden vectors of the gallery, which is written with quantile functions: docs/stream.md, section 13.

    python tests/golden/user.py

As for make.py: within version 1 of the contract the file never changes, it only grows.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import make
import numpy as np

from gpuinit import dtypes, gallery
from gpuinit.backends import specification

CASES: list[tuple[str, dict[str, float]]] = [
    ("cauchy", {"loc": 0.5, "scale": 1e-5}),
    ("exponential", {"scale": 0.75}),
    ("gumbel", {"loc": -0.1, "scale": 0.3}),
    ("laplace", {"loc": 0.0, "scale": 0.1}),
    ("logistic", {"loc": 1.0, "scale": 0.2}),
    ("log_normal", {"mean": -1.0, "stddev": 0.75}),
    ("random_sign", {"scale": 0.3}),
]


def main() -> None:
    """Each law in every dtype, at the indices of values.json."""
    key, found = make.KEYS[6], []
    for name, arguments in CASES:
        for dtype in map(dtypes.canonical, dtypes.RANDOM):
            bits = 64 if dtypes.component(dtype).name == "float64" else 32
            indices = sorted({*make.INDICES, *make.rare(key, bits)})
            law = getattr(gallery, name)(**arguments).distribution(()).sampler(dtype)
            values = specification.values(law, key, make.components(indices, dtype))
            case: dict[str, Any] = {"law": name, "arguments": {n: float(a).hex() for n, a in arguments.items()}}
            case |= {"dtype": dtype.name, "key": make.words_of(key), "indices": list(map(hex, indices))}
            found.append({**case, "values": make.patterns(np.asarray(values))})
    text = json.dumps({"cases": found}, separators=(",", ":")).replace('{"law', '\n{"law')
    (Path(__file__).parent / "user.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
