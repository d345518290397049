"""Golden vectors in the installed package: what every backend must give, bit for bit.

`golden.json` is a part of tests/golden/, in the same form; tests/golden/subset.py writes it.
"""

from __future__ import annotations

import functools
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import gpuinit
from gpuinit import dtypes
from gpuinit.backends import Backend, compiled, specification, structures
from gpuinit.backends.cpu import CPU
from gpuinit.distributions import Distribution, Normal, TruncatedNormal, Uniform
from gpuinit.hashing import element_hash
from gpuinit.key import Key
from gpuinit.region import Region
from gpuinit.sampler import Sampler

__all__ = ["check", "cpu_ways", "golden", "total"]

_WHOLE = (2**63,)
_PARTS: tuple[tuple[str, tuple[int, ...], tuple[slice, ...], list[int] | None], ...] = (
    ("a block", (2**31, 2**32), (slice(0, 2), slice(0, 2)), None),
    ("rows of a block", (4, 2**34), (slice(None), slice(0, 2)), [3, 0, 1]),
)
"""Parts of logical tensors whose elements the golden files have; without a block they would take exabytes."""

_Case = tuple[str, Callable[[Backend], bool]]


@functools.cache
def golden() -> dict[str, Any]:
    """The content of golden.json: `keys`, `words`, `values` and `tensors`, each in the form of its file in tests/golden/."""
    found: dict[str, Any] = json.loads(Path(__file__).with_name("golden.json").read_text(encoding="utf-8"))
    return found


def check(backend: Backend, seconds: float = math.inf, vectors: dict[str, Any] | None = None) -> list[tuple[str, bool]]:
    """Recompute golden vectors on a backend.

    Args:
        backend: of any device.
        seconds: no further vector is begun after this time: where kernels have to be compiled, that takes longest.
        vectors: other ones than `golden()`.

    Returns:
        A name and whether every bit is right, of each vector that was recomputed; `total` says how many there are.

    Raises:
        What the backend raises.
    """
    results = []
    end = time.monotonic() + seconds
    for name, right in _cases(vectors or golden()):
        if time.monotonic() > end:
            break
        results.append((name, right(backend)))
    return results


def total(vectors: dict[str, Any] | None = None) -> int:
    """How many vectors there are to check."""
    return len(_cases(vectors or golden()))


def cpu_ways() -> dict[str, Backend]:
    """The ways of the CPU, each as a backend: NumPy, and compiled code where that works."""
    ways: dict[str, Backend] = {"cpu, NumPy": _Way(specification.fill, False)}
    if compiled.usable():
        ways["cpu, compiled"] = _Way(compiled.fill, True)
    return ways


class _Way(CPU):
    """The CPU by one of its ways alone."""

    def __init__(self, way: Callable[..., None], is_compiled: bool) -> None:
        super().__init__()
        self._way, self._is_compiled = way, is_compiled

    def fill(self, out: np.ndarray[Any, Any], law: Any, region: Region, key: Key | None) -> None:
        if isinstance(law, Sampler):
            self._way(out, law, region, key)
        else:
            structures.write(out, law, region, key, self._normals_of, self.fill)

    def _normals_of(self, dtype: np.dtype[Any], key: Key, work: int) -> _Normals:
        return _Normals(self, Normal(0.0, 1.0).sampler(dtype), key, self._is_compiled)


class _Normals(NamedTuple):
    """Standard normal elements of a stream, by one of the two ways, as orthogonal matrices are made of them."""

    backend: _Way
    sampler: Sampler
    key: Key
    compiled: bool

    def fill(self, out: np.ndarray[Any, Any], region: Region) -> None:
        """Write the region of the stream's tensor into `out`."""
        self.backend.fill(out, self.sampler, region, self.key)

    def empty(self, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        """A new array of the dtype."""
        return self.backend.empty(shape, self.sampler.dtype)


def _cases(vectors: dict[str, Any]) -> list[_Case]:
    """Every vector, those of one dtype together, so that each kernel is compiled when the first needs it."""
    words, values = vectors["words"], vectors["values"]
    found: dict[str, list[_Case]] = {case["dtype"]: [] for case in values["cases"]}
    for case in values["cases"]:
        name = f"{case['law']}({', '.join(f'{float.fromhex(a):g}' for a in case['arguments'])}) {case['dtype']}"
        ids = _integers(values["indices"][case["indices"]])
        mine = found[case["dtype"]]
        mine.append((f"{name}, rows", functools.partial(_values, case, ids, _WHOLE, None, ids)))
        for part, shape, block, rows in _PARTS:
            mine.append((f"{name}, {part}", functools.partial(_values, case, ids, shape, block, rows)))
    for case in words["words"]:
        for bits in (32, 64):
            name = f"words of {bits} bits, Key({', '.join(case['key'])})"
            found[f"float{bits}"].append((name, functools.partial(_words, case, bits, _integers(words["indices"]))))
    for case in vectors["tensors"]:
        size = "x".join(map(str, case["shape"]))
        found[case["dtype"]].append((f"{case['initializer']} {size} {case['dtype']}", functools.partial(_tensor, case)))
    keys = functools.partial(_foldings, vectors["keys"])
    return [("keys", keys), *(case for cases in found.values() for case in cases)]


def _foldings(cases: list[dict[str, Any]], _: Backend) -> bool:
    """The keys of names, integers and draws, which no backend has a part in."""
    return all(getattr(_key(case["key"]), case["operation"])(_data(case["data"])) == _key(case["gives"]) for case in cases)


def _data(text: str) -> str | int:
    """A name, or the integer that hexadecimal digits state."""
    return int(text, 16) if text.startswith("0x") else text


def _words(case: dict[str, Any], bits: int, ids: list[int], backend: Backend) -> bool:
    """A uniform on [0, 1) is the upper bits of its word: 24 of 32, 53 of 64."""
    dtype, kept = dtypes.canonical(f"float{bits}"), 24 if bits == 32 else 53
    digits = bits // 4
    expected = [int(case[str(bits)][digits * i :][:digits], 16) >> (bits - kept) for i in range(len(ids))]
    made = _on_host(backend, Uniform(0.0, 1.0).sampler(dtype), Region.of(_WHOLE, None, ids), case["key"])
    return [float(value) for value in made] == [word * 2.0**-kept for word in expected]


def _values(
    case: dict[str, Any],
    ids: list[int],
    shape: tuple[int, ...],
    block: tuple[slice, ...] | None,
    rows: list[int] | None,
    backend: Backend,
) -> bool:
    """Every element of a part, by its index in the logical tensor."""
    dtype = dtypes.canonical(case["dtype"])
    digits = 2 * dtype.itemsize
    known = {index: case["values"][digits * place :][:digits] for place, index in enumerate(ids)}
    region = Region.of(shape, block, rows)
    made = _on_host(backend, _distribution(case).sampler(dtype), region, case["key"])
    real = made.reshape(-1).view(f"u{dtypes.component(dtype).itemsize}")
    pattern = real.astype(real.dtype.newbyteorder(">")).tobytes().hex()
    return pattern == "".join(known[int(index)] for index in region.indices(0, region.size))


def _tensor(case: dict[str, Any], backend: Backend) -> bool:
    """The hash of a whole tensor, and that of its upper and its lower part."""
    initializer = getattr(gpuinit, case["initializer"])(seed=case["seed"], **case["arguments"])
    shape, dtype = tuple(case["shape"]), dtypes.canonical(case["dtype"])
    law, key, expected = initializer.law(shape, dtype), [hex(case["seed"])], int(case["hash"], 16)
    if element_hash(_made(backend, law, Region.of(shape), key)) != expected:
        return False
    cut, total = shape[0] // 3, 0
    for rows in (slice(0, cut), slice(cut, shape[0])):
        part = _made(backend, law, Region.of(shape, (rows,)), key)
        total += element_hash(part, rows.start * math.prod(shape[1:]))
    return total % 2**64 == expected


def _made(backend: Backend, law: Sampler, region: Region, key: list[str]) -> Any:
    """The region of a tensor, where the backend makes it."""
    array = backend.empty(region.counts, law.dtype)
    backend.fill(array, law, region, _key(key))
    return array


def _on_host(backend: Backend, law: Sampler, region: Region, key: list[str]) -> np.ndarray[Any, Any]:
    """The region of a tensor, in host memory."""
    [made] = backend.chunks(law, _key(key), law.dtype, [region], region.size * law.dtype.itemsize)
    return made


def _key(words: list[str]) -> Key:
    return Key(*(int(word, 16) for word in words))


def _distribution(case: dict[str, Any]) -> Distribution:
    law, arguments = case["law"], [float.fromhex(a) for a in case["arguments"]]
    if law.startswith("uniform"):
        return Uniform(arguments[0], arguments[1], shared_variance=law.endswith(":shared"))
    real, imaginary, *rest = arguments
    mean = complex(real, imaginary) if case["dtype"].startswith("complex") else real
    return Normal(mean, *rest) if law == "normal" else TruncatedNormal(mean, *rest)


def _integers(texts: list[str]) -> list[int]:
    return [int(text, 16) for text in texts]
