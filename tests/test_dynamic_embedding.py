"""examples/dynamic_embedding.py keeps its word: rows follow from ids alone, and those that were trained stay so."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from conftest import same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

import gpuinit
from gpuinit.hashing import element_hash

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples/dynamic_embedding.py"
ROWS, WIDTH = 2**59, 16
IDS = st.lists(st.lists(st.one_of(st.integers(0, 12), st.integers(0, 2**63 - 1)), max_size=9), max_size=12)


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("dynamic_embedding", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


DynamicEmbedding: Any = loaded().DynamicEmbedding


def table() -> gpuinit.Table:
    return gpuinit.Table((ROWS, WIDTH), "random_normal", "float32", seed=7, name="users")


def at_first(ids: Any) -> np.ndarray[Any, Any]:
    return np.asarray(table()[np.asarray(ids, np.int64) % ROWS])


@given(IDS, st.randoms())
@settings(max_examples=60, deadline=None)
def test_rows_depend_on_ids_alone(batches: list[list[int]], random: Any) -> None:
    """New ids and known ones in one batch, repeats, batches in another order and of another size: equal rows."""
    one, other = DynamicEmbedding(table()), DynamicEmbedding(table())
    for batch in batches:
        assert same_bits(one(batch), at_first(batch))
    flat = [number for batch in batches for number in batch]
    random.shuffle(flat)
    for start in range(0, len(flat), 5):
        other(np.array(flat[start : start + 5], np.int64))
    assert same_bits(one(flat), other(flat))
    assert len(one) == len(other) == len(set(flat))


def test_ids_of_any_shape() -> None:
    ids = np.array([[3, 2**63 - 1, 3], [0, 5, 2**62]])
    found = DynamicEmbedding(table())(ids)
    assert same_bits(found, at_first(ids)) and found.shape == (2, 3, WIDTH)


@given(st.integers(0, 2**59 - 1), st.integers(1, 15))
@settings(max_examples=30, deadline=None)
def test_ids_that_share_a_row_begin_equal_and_are_trained_apart(number: int, turn: int) -> None:
    embedding = DynamicEmbedding(table())
    twin = number + turn * ROWS
    assert same_bits(embedding([number]), embedding([twin])) and len(embedding) == 2
    embedding.add([twin], np.ones((1, WIDTH), np.float32))
    assert same_bits(embedding([number]), at_first([number]))


def test_a_row_that_was_updated_stays_so_while_the_storage_grows() -> None:
    """A repeated id adds up; rows beside it do not move; an id that is first met in training begins as any other."""
    embedding = DynamicEmbedding(table())
    rng = np.random.default_rng(1)
    expected: dict[int, np.ndarray[Any, Any]] = {}
    sizes = set()
    for _ in range(40):
        ids = rng.choice(2000, 60) * (2**63 // 2000)
        change = rng.standard_normal((60, WIDTH), np.float32)
        embedding.add(ids, change)
        for number, row in zip(ids.tolist(), change, strict=True):
            expected[number] = expected.get(number, at_first([number])[0]) + row
        sizes.add(len(embedding.storage))
    assert len(sizes) > 3, "the storage should have grown"
    assert same_bits(embedding(list(expected)), np.stack(list(expected.values())))
    untouched = [7, 11]
    assert same_bits(embedding(untouched), at_first(untouched))


def test_memory_follows_the_ids_seen() -> None:
    embedding = DynamicEmbedding(table())
    for start in range(0, 5000, 10):
        embedding(range(start, start + 10))
        embedding(range(start, start + 10))
    assert len(embedding) == 5000
    assert 5000 <= len(embedding.storage) <= 2 * 5000


def test_a_lookup_that_fails_leaves_no_trace() -> None:
    embedding = DynamicEmbedding(table())
    embedding([4])
    with pytest.raises(OverflowError):
        embedding([5, 2**63])
    assert list(embedding.slots) == [4] and same_bits(embedding([5, 4]), at_first([5, 4]))


def test_workers_in_processes_of_their_own(tmp_path: Path) -> None:
    """Each is given the config and the ids in an order of its own, and nothing else; rejects rows made in order of arrival."""
    rng = np.random.default_rng(2)
    ids = rng.integers(0, 2**63 - 1, 3000)
    code = f"""
import json, sys
import numpy as np
sys.path.insert(0, {str(EXAMPLE.parent)!r})
from dynamic_embedding import DynamicEmbedding
import gpuinit
from gpuinit.hashing import element_hash
config, ids = json.loads(sys.argv[1]), np.load(sys.argv[2])
embedding = DynamicEmbedding(gpuinit.Table.from_config(config))
for start in range(0, len(ids), 70):
    embedding(ids[start : start + 70])
print(element_hash(embedding(np.sort(ids))), element_hash(embedding.storage[: len(embedding)]))
"""
    printed = []
    for worker in range(2):
        np.save(tmp_path / f"{worker}.npy", rng.permutation(ids))
        command = [sys.executable, "-W", "error", "-c", code, json.dumps(table().get_config()), str(tmp_path / f"{worker}.npy")]
        result = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, result.stderr
        printed.append([int(word) for word in result.stdout.split()])
    assert printed[0][0] == printed[1][0] == element_hash(at_first(np.sort(ids)))
    assert printed[0][1] != printed[1][1], "the orders should differ"


def test_the_demonstration() -> None:
    result = subprocess.run([sys.executable, "-W", "error", EXAMPLE], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "rows equal, bit for bit: True"
    shown = (ROOT / "examples/README.md").read_text(encoding="utf-8")
    assert all(f"    {line}\n" in shown for line in result.stdout.splitlines())
