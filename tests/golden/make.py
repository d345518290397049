"""Writes the golden vectors of docs/stream.md, section 13, from the NumPy specification.

    python tests/golden/make.py

Run it only for a new version of the stream contract: within version 1 the files never change, they only grow.
`tests/test_golden.py` checks them against the specification, the compiled path and an independent implementation.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np

import gpuinit
from gpuinit import dtypes
from gpuinit.backends import specification
from gpuinit.distributions import Distribution, Normal, TruncatedNormal, Uniform
from gpuinit.hashing import element_hash

HERE = Path(__file__).parent
Key = gpuinit.Key

NAMES: list[Any] = ["", "w", "layers.0.kernel", "t_cat_25", "Größe", "重み", "x" * 300]
NUMBERS = [0, 1, 255, 256, 2**31, 2**32, 2**53 + 1, 2**63, 2**64 - 1]
BASES = [Key(0), Key(42), Key(2**64 - 1, 2**64 - 1), Key(0x0123456789ABCDEF, 0xFEDCBA9876543210)]
KEYS = [*BASES, Key(1), Key(2**32), Key(7).fold_in("layers.0.kernel"), Key(7).fold_in(3), Key(7).draw(3)]
EDGES = [2**31, 2**32, 2**33, 2**34, 3 * 2**34, 2**40, 2**53, 2**62]
INDICES = [*range(9), *(edge + step for edge in EDGES for step in (-1, 0, 1)), 2**63 - 2, 2**63 - 1]
SEARCHED = 2**20  # the rarest words of this many join the indices: they reach the tails and the middle
RARE = 4

LAWS: dict[str, list[tuple[float, ...]]] = {
    "uniform": [(0.0, 1.0), (-0.05, 0.05), (0.3, 0.7), (-1e-20, 3e-20), (0.3, 0.3), (-448.0, 448.0)],
    "uniform:shared": [(-0.125, 0.125)],
    "normal": [(0.0, 0.0, 1.0), (0.0, 0.0, 0.02), (1.5, -2.5, 0.5), (0.1, 0.0, 0.0), (0.0, 0.0, 60.0)],
    "truncated": [
        *((0.0, 0.0, 1.0, -c, c) for c in (0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 1e-9, 2.0**-60)),
        *((0.0, 0.0, 1.0, a, b) for a, b in ((-1.0, 3.0), (-3.0, 1.0), (-0.001, 8.0), (5.0, 6.0), (-6.0, -5.0))),
        *((0.0, 0.0, 1.0, a, b) for a, b in ((0.0, np.inf), (-np.inf, -1.5), (3.4, 3.6), (3.5, np.inf), (20.0, 24.0))),
        *(
            (0.0, 0.0, 1.0, a, b)
            for a, b in ((-np.inf, np.inf), (-(2.0**-50), 2.0**-49), (40.0, 40.0), (-300.0, -200.0))
        ),
        (0.25, 0.75, 2.0, -1.0, 2.0),
        (0.1, -0.1, 0.05, -2.0, 2.0),
        (-7.0, 7.0, 1e-3, -1.0, 2.0**-30),
        (0.0, 0.0, 1e-9, 1e10, np.inf),
    ],
}
TENSORS: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    *((name, {}, (300, 130)) for name in ("GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal")),
    ("LecunUniform", {}, (3, 3, 7, 5)),
    ("RandomNormal", {"mean": 0.5, "stddev": 0.01}, (9999,)),
    ("RandomUniform", {"minval": -1.0, "maxval": 3.0}, (101, 99)),
    ("TruncatedNormal", {"stddev": 0.02}, (64, 64, 2)),
    ("TruncatedNormal", {"stddev": 1.0, "lower": 1.0, "upper": 4.0}, (1000,)),
    ("VarianceScaling", {"scale": 1 / 3, "mode": "fan_out", "distribution": "uniform"}, (127, 31)),
    ("VarianceScaling", {"distribution": "untruncated_normal", "input_axes": [0], "output_axes": [1, 2]}, (8, 9, 10)),
]

STACKS: list[tuple[dict[str, Any], tuple[int, ...]]] = [
    ({"batch_axes": 0}, (300, 8, 8)),
    ({"batch_axes": 0, "gain": -3.0}, (7, 64, 64)),
    ({"batch_axes": [1]}, (24, 5, 9)),
    ({"batch_axes": -1}, (5, 17, 40)),
    ({"batch_axes": [0, 2]}, (3, 2, 4, 33)),
    ({"batch_axes": 0}, (2, 1100, 3)),
    ({"batch_axes": 0, "gain": 0.1}, (9, 1, 1)),
]


def distribution(law: str, arguments: tuple[float, ...], dtype: np.dtype[Any]) -> Distribution:
    """The distribution that a golden case names; a mean is given as its real and imaginary part."""
    if law.startswith("uniform"):
        return Uniform(arguments[0], arguments[1], shared_variance=law.endswith(":shared"))
    real, imaginary, *rest = arguments
    mean = complex(real, imaginary) if dtype.kind == "c" else real
    return Normal(mean, *rest) if law == "normal" else TruncatedNormal(mean, *rest)


def components(indices: list[int], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """The indices of the real numbers that the elements consist of."""
    elements = np.array(indices, np.uint64)
    if dtype.kind != "c":
        return elements
    return (elements[:, None] * np.uint64(2) + np.arange(2, dtype=np.uint64)).reshape(-1)


def patterns(values: np.ndarray[Any, Any]) -> str:
    """The bit patterns of real numbers in hexadecimal digits, each of the type's width."""
    return values.view(f"u{values.itemsize}").astype(f">u{values.itemsize}").tobytes().hex()


@functools.cache
def rare(key: Key, bits: int) -> tuple[int, ...]:
    """The indices whose words are nearest to 0, to the middle from both sides and to the end."""
    words = np.concatenate(
        [specification.words(key, np.arange(a, a + 2**16, dtype=np.uint64), bits) for a in range(0, SEARCHED, 2**16)]
    )
    half = words.dtype.type(2 ** (bits - 1))
    distances = (words, ~words, words - half, half - words)
    return tuple({int(i) for distance in distances for i in np.argsort(distance, kind="stable")[:RARE]})


def keys() -> list[dict[str, Any]]:
    found = []
    for base in BASES:
        made = [("fold_in", data, base.fold_in(data)) for data in (*NAMES, *NUMBERS)]
        made += [("draw", number, base.draw(number)) for number in NUMBERS]
        found += [
            {
                "key": words_of(base),
                "operation": operation,
                "data": data if isinstance(data, str) else hex(data),
                "gives": words_of(key),
            }
            for operation, data, key in made
        ]
    return found


def words_of(key: Key) -> list[str]:
    return [hex(key.seed), hex(key.stream)]


def words() -> dict[str, Any]:
    index = np.array(INDICES, np.uint64)
    return {
        "indices": list(map(hex, INDICES)),
        "words": [
            {"key": words_of(key), **{str(bits): patterns(specification.words(key, index, bits)) for bits in (32, 64)}}
            for key in KEYS
        ],
    }


def values() -> dict[str, Any]:
    lists: dict[str, list[str]] = {}
    cases = []
    for number, (law, arguments) in enumerate((law, arguments) for law, rows in LAWS.items() for arguments in rows):
        key = KEYS[number % len(KEYS)]
        for name in dtypes.RANDOM:
            dtype = dtypes.canonical(name)
            try:
                sampler = distribution(law, arguments, dtype).sampler(dtype)
            except ValueError:  # no value of the dtype lies in the interval
                continue
            bits = 64 if dtypes.component(dtype).name == "float64" else 32
            label = f"{words_of(key)[0]},{words_of(key)[1]},{bits}"
            lists.setdefault(label, list(map(hex, sorted({*INDICES, *rare(key, bits)}))))
            indices = [int(i, 16) for i in lists[label]]
            made = specification.values(sampler, key, components(indices, dtype))
            case = {"law": law, "arguments": [float(a).hex() for a in arguments], "dtype": name, "key": words_of(key)}
            cases.append({**case, "indices": label, "values": patterns(made)})
    return {"indices": lists, "cases": cases}


def tensors() -> list[dict[str, Any]]:
    found = []
    for name, arguments, shape in TENSORS:
        for dtype in (
            "float32",
            "float64",
            "bfloat16",
            "float16",
            "float8_e4m3fn",
            "float8_e5m2",
            "complex64",
            "complex128",
        ):
            made = getattr(gpuinit, name)(seed=2026, **arguments)(shape, dtype)
            case = {"initializer": name, "arguments": arguments, "seed": 2026, "shape": shape, "dtype": dtype}
            found.append({**case, "hash": f"{element_hash(made):#018x}"})
    return found


def orthogonal() -> list[dict[str, Any]]:
    found = []
    for arguments, shape in STACKS:
        for dtype in ("float32", "float64", "bfloat16", "float16", "float8_e4m3fn"):
            made = gpuinit.Orthogonal(seed=2026, **arguments)(shape, dtype)
            case = {"arguments": arguments, "seed": 2026, "shape": shape, "dtype": dtype}
            found.append({**case, "hash": f"{element_hash(made):#018x}"})
    return found


def main() -> None:
    makers = {"keys": keys, "words": words, "values": values, "tensors": tensors, "orthogonal": orthogonal}
    for name, make in makers.items():
        text = json.dumps(make(), ensure_ascii=False, separators=(",", ":")).replace('{"', '\n{"')
        (HERE / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        print(f"{name}.json: {len(text)} bytes")


if __name__ == "__main__":
    main()
