"""The stream contract, version 1: golden vectors on every way, published ones, and implementations that share no code.

Each element of the golden files is checked by the NumPy specification and by the compiled path, and a part of them by
`reimplementation`, which is written from docs/stream.md alone and reads its constants from that page.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import reimplementation
from conftest import drawn
from hypothesis import strategies as st

import gpuinit
from gpuinit import dtypes
from gpuinit.backends import compiled, cpu, specification
from gpuinit.distributions import Distribution, Normal, TruncatedNormal, Uniform
from gpuinit.hashing import element_hash
from gpuinit.kernels.philox import constants, philox, philox_pairs
from gpuinit.key import Key
from gpuinit.region import Region

GOLDEN = Path(__file__).parent / "golden"


def load(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


KEYS, WORDS, VALUES, TENSORS = load("keys"), load("words"), load("values"), load("tensors")
STACKS = load("orthogonal")
CASES = VALUES["cases"]
NAMES = [f"{case['law']}-{','.join(str(float.fromhex(a)) for a in case['arguments'])}-{case['dtype']}" for case in CASES]


def key_of(words: list[str]) -> Key:
    return Key(*(int(word, 16) for word in words))


def distribution_of(case: dict[str, Any]) -> Distribution:
    law, arguments = case["law"], [float.fromhex(a) for a in case["arguments"]]
    if law.startswith("uniform"):
        return Uniform(arguments[0], arguments[1], shared_variance=law.endswith(":shared"))
    real, imaginary, *rest = arguments
    mean = complex(real, imaginary) if case["dtype"].startswith("complex") else real
    return Normal(mean, *rest) if law == "normal" else TruncatedNormal(mean, *rest)


def indices_of(case: dict[str, Any]) -> list[int]:
    return [int(index, 16) for index in VALUES["indices"][case["indices"]]]


def patterns(values: np.ndarray[Any, Any]) -> str:
    real = values.view(dtypes.component(values.dtype))
    unsigned = f"u{real.itemsize}"
    return real.view(unsigned).astype(f">{unsigned}").tobytes().hex()


def elements(case: dict[str, Any]) -> list[str]:
    """The golden hexadecimal patterns, one string an element."""
    digits = 2 * dtypes.canonical(case["dtype"]).itemsize
    text = case["values"]
    return [text[start : start + digits] for start in range(0, len(text), digits)]


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_values(case: dict[str, Any], way: Callable[..., None]) -> None:
    ids = np.array(indices_of(case), np.int64)
    region = Region.of((2**63,), rows=ids)
    made = drawn(way, distribution_of(case), key_of(case["key"]), region, dtypes.canonical(case["dtype"]))
    assert patterns(made) == case["values"]


def test_values_cover_every_law_and_dtype() -> None:
    """Every random dtype has every kind of law; every index range of the contract is there."""
    assert {case["dtype"] for case in CASES} == set(dtypes.RANDOM)
    for name in dtypes.RANDOM:
        assert {case["law"] for case in CASES if case["dtype"] == name} == {
            "uniform",
            "uniform:shared",
            "normal",
            "truncated",
        }
    for case in CASES:
        indices = set(indices_of(case))
        assert {0, 2**31, 2**32, 2**34, 2**62, 2**63 - 1} <= indices
        assert len(elements(case)) == len(indices)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_values_by_the_page(case: dict[str, Any]) -> None:
    """docs/stream.md says enough: a part of the elements, the rarest words among them, in exact rational arithmetic."""
    arguments = tuple(float.fromhex(a) for a in case["arguments"])
    key = tuple(int(word, 16) for word in case["key"])
    pairs = list(zip(indices_of(case), elements(case), strict=True))
    near = [pair for pair in pairs if 8 < pair[0] < 2**20]
    for index, expected in [*pairs[:3], *near[::2], pairs[-9], pairs[-1]]:
        assert reimplementation.element(case["law"], arguments, case["dtype"], key, index) == expected, hex(index)


def test_keys() -> None:
    for case in KEYS:
        data = case["data"] if not case["data"].startswith("0x") else int(case["data"], 16)
        made = getattr(key_of(case["key"]), case["operation"])(data)
        assert [hex(made.seed), hex(made.stream)] == case["gives"], case
        encoded = data.encode() if isinstance(data, str) else data.to_bytes(8, "little")
        domain = 1 if isinstance(data, str) else 2 if case["operation"] == "fold_in" else 3
        base = tuple(int(word, 16) for word in case["key"])
        expected = base if (domain, data) == (3, 0) else reimplementation.fold(base, domain, encoded)
        assert list(map(hex, expected)) == case["gives"], case


def test_seed_generator_draws_the_golden_keys() -> None:
    generator = gpuinit.SeedGenerator(42)
    found = [generator.next_key() for _ in range(256)]
    for case in KEYS:
        if case["operation"] == "draw" and case["key"] == ["0x2a", "0x0"] and int(case["data"], 16) < 256:
            assert found[int(case["data"], 16)] == key_of(case["gives"])


@pytest.mark.parametrize("bits", [32, 64])
def test_words(bits: int) -> None:
    indices = [int(index, 16) for index in WORDS["indices"]]
    for case in WORDS["words"]:
        key = key_of(case["key"])
        assert patterns(specification.words(key, np.array(indices, np.uint64), bits)) == case[str(bits)]
        by_page = "".join(f"{reimplementation.word((key.seed, key.stream), i, bits):0{bits // 4}x}" for i in indices)
        assert by_page == case[str(bits)]


@pytest.mark.parametrize("case", TENSORS, ids=lambda case: f"{case['initializer']}-{case['dtype']}")
def test_tensors(case: dict[str, Any]) -> None:
    init = getattr(gpuinit, case["initializer"])(seed=case["seed"], **case["arguments"])
    assert f"{element_hash(init(tuple(case['shape']), case['dtype'])):#018x}" == case["hash"]


SCALED = {"Glorot": (1.0, "avg"), "He": (2.0, "in"), "Lecun": (1.0, "in")}


@pytest.mark.parametrize("name", ["GlorotUniform", "HeNormal", "LecunUniform", "LecunNormal"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "complex64"])
def test_initializers_by_the_page(name: str, dtype: str) -> None:
    """Sections 10 and 12: from a shape to values, and to their hash."""
    shape = (3, 2, 5)  # receptive field 3
    fan_in, fan_out = 6, 15
    scale, fan = SCALED[name.removesuffix("Normal").removesuffix("Uniform")]
    law, arguments = reimplementation.variance_scaling(
        scale,
        (fan_in + fan_out) / 2 if fan == "avg" else fan_in,
        "uniform" if name.endswith("Uniform") else "truncated_normal",
    )
    expected = [reimplementation.element(law, arguments, dtype, (11, 0), i) for i in range(30)]
    made = getattr(gpuinit, name)(seed=11)(shape, dtype)
    assert patterns(made.reshape(-1)) == "".join(expected)
    digits = len(expected[0]) // (2 if dtype.startswith("complex") else 1)
    parts = "".join(expected)
    mixed = sum(reimplementation.mix(j, int(parts[j * digits : (j + 1) * digits], 16)) for j in range(len(parts) // digits))
    assert element_hash(made) == mixed % 2**64


# Philox itself: the published answers, and a second implementation of any width.


def test_philox_gives_the_published_answers() -> None:
    for case in load("philox4x32_10"):
        counter, key, expected = ([int(word, 16) for word in case[name].split()] for name in ("counter", "key", "words"))
        assert [int(word) for word in philox(*map(np.uint64, (*counter, *key)))] == expected
        assert list(reimplementation.philox(tuple(counter), tuple(key))) == expected
        assert philox_of_width(32, counter, key) == expected


@hypothesis.given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_pairs_of_a_schedule_are_the_same_words(seed: int, stream: int, counter: int) -> None:
    """What compiled code computes; rejects a first or second round whose constants are off, and halves in the wrong order."""
    first, rest = (list(map(np.uint64, words)) for words in constants(seed, stream, counter >> 32))
    pairs = philox_pairs(np.array([counter % 2**32], np.uint64), first, rest)
    made = [int(word) for pair in pairs for word in pair.astype("<u8").view("<u4")]
    words = (counter % 2**32, counter >> 32, stream % 2**32, stream >> 32)
    assert made == list(reimplementation.philox(words, (seed % 2**32, seed >> 32)))


CONSTANTS = {
    32: (0xD2511F53, 0xCD9E8D57, 0x9E3779B9, 0xBB67AE85),
    64: (0xD2E7470EE14C6C93, 0xCA5A826395121157, 0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B),
}


def philox_of_width(width: int, counter: list[int], key: list[int], rounds: int = 10) -> list[int]:
    """Philox4x32 or Philox4x64 from the paper's figure: words of any width in Python integers."""
    first, second, *weyl = CONSTANTS[width]
    words, keys, modulus = list(counter), list(key), 2**width
    for _ in range(rounds):
        (high, low), (other_high, other_low) = divmod(first * words[0], modulus), divmod(second * words[2], modulus)
        words = [other_high ^ words[1] ^ keys[0], other_low, high ^ words[3] ^ keys[1], low]
        keys = [(old + step) % modulus for old, step in zip(keys, weyl, strict=True)]
    return words


def test_philox_of_64_bits_is_numpys() -> None:
    """The second implementation is right: at 64 bits it is numpy.random.Philox, whose first counter is one up."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        counter = [int(word) for word in rng.integers(0, 2**63, 4, np.uint64)]
        key = [int(word) for word in rng.integers(0, 2**63, 2, np.uint64)]
        theirs = np.random.Philox(counter=np.array(counter, np.uint64), key=np.array(key, np.uint64)).random_raw(4)
        counter[0] += 1
        assert philox_of_width(64, counter, key) == [int(word) for word in theirs]


def test_philox_of_32_bits_is_ours() -> None:
    rng = np.random.default_rng(1)
    inputs = rng.integers(0, 2**32, (6, 200), np.uint64)
    inputs[:, :4] = [[0], [0], [0], [0], [0], [2**32 - 1]]
    ours = np.stack(philox(*inputs))
    for column in range(inputs.shape[1]):
        words = [int(word) for word in inputs[:, column]]
        assert philox_of_width(32, words[:4], words[4:]) == [int(word) for word in ours[:, column]]


def test_nine_rounds_are_refused() -> None:
    """The published answers tell ten rounds from nine."""
    case = load("philox4x32_10")[2]
    counter, key, expected = ([int(word, 16) for word in case[name].split()] for name in ("counter", "key", "words"))
    assert philox_of_width(32, counter, key, rounds=9) != expected


def test_page_and_kernels_have_the_same_tables() -> None:
    """Every constant of section 14 is the kernels' own."""
    from gpuinit.kernels import coefficients

    names = {"GMILLS32": "MILLS32", "GMILLS64": "MILLS64"}
    for name, given in vars(coefficients).items():
        if name.isupper() and name not in ("CENTRAL_MAX", "CENTRAL64_SHIFT", "SHALLOW_ORIGIN"):
            expected = given if isinstance(given, tuple) else (given,)
            assert reimplementation.table(names.get(name, name)) == expected, name
    assert (coefficients.CENTRAL_MAX, coefficients.CENTRAL64_SHIFT) == (6.25, 3.125)


@pytest.mark.parametrize("numba", [True, False])
def test_orthogonal_stacks(numba: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled, and by NumPy alone."""
    monkeypatch.setattr(cpu.BACKEND, "_drawn", 2**40)
    monkeypatch.setattr(compiled, "usable", lambda: numba)
    for case in STACKS:
        if numba or np.prod(case["shape"]) < 10**4:
            made = gpuinit.Orthogonal(seed=case["seed"], **case["arguments"])(tuple(case["shape"]), case["dtype"])
            assert f"{element_hash(made):#018x}" == case["hash"], case
