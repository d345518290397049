"""Writes gpuinit/golden.json, the part of the golden vectors that is installed and that `gpuinit doctor` recomputes.

    python tests/golden/subset.py

It copies from the files beside it and computes nothing. `tests/test_doctor.py` fails when they have changed since.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TARGET = HERE.parent.parent / "gpuinit" / "golden.json"

LAWS = [
    ("uniform", (-0.05, 0.05)),
    ("uniform:shared", (-0.125, 0.125)),
    ("normal", (0.0, 0.0, 0.02)),
    ("truncated", (0.0, 0.0, 1.0, -2.0, 2.0)),
    ("truncated", (0.0, 0.0, 1.0, -5.0, 5.0)),
    ("truncated", (0.0, 0.0, 1.0, -1.0, 3.0)),
]
TENSORS = [
    ("RandomUniform", [101, 99]),
    ("RandomNormal", [9999]),
    ("TruncatedNormal", [64, 64, 2]),
    ("TruncatedNormal", [1000]),
    ("VarianceScaling", [8, 9, 10]),
]
KEYS = 4
DTYPES = ["float32", "bfloat16", "float64", "float16", "complex64", "float8_e4m3fn", "float8_e5m2", "complex128"]
"""In the order in which they are checked."""


def load(name: str) -> Any:
    return json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))


def subset() -> dict[str, Any]:
    """keys.json, and the chosen cases of words.json, values.json and tensors.json, in their own form."""
    words, values = load("words"), load("values")
    wanted = [(law, [float(a).hex() for a in arguments], dtype) for dtype in DTYPES for law, arguments in LAWS]
    cases = [case for law in wanted for case in values["cases"] if (case["law"], case["arguments"], case["dtype"]) == law]
    return {
        "keys": load("keys"),
        "words": {**words, "words": words["words"][:KEYS]},
        "values": {"indices": {case["indices"]: values["indices"][case["indices"]] for case in cases}, "cases": cases},
        "tensors": [
            case
            for dtype in DTYPES
            for case in load("tensors")
            if (case["initializer"], case["shape"]) in TENSORS and case["dtype"] == dtype
        ],
    }


def text() -> str:
    """The content of gpuinit/golden.json."""
    return json.dumps(subset(), separators=(",", ":")).replace('{"', '\n{"') + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
    print(f"{TARGET}: {TARGET.stat().st_size} bytes")
