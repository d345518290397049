"""A hash-map embedding whose rows come into being when their ids are first looked up: `python examples/dynamic_embedding.py`.

Ids are any 63-bit numbers, such as hashes of names; the table has 2^59 rows, of which those of the ids seen are stored. What a
row begins with follows from its id: not from the order in which ids came, nor from the process that saw them. So workers need
not tell each other which rows they have made, and a row that was dropped can be made again.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

import gpuinit

Array = np.ndarray[Any, Any]


class DynamicEmbedding:
    """Rows of a table, made at the first look-up of their ids and trained from there.

    Args:
        table: of any number of rows; id i begins as its row i modulo that number. Ids that share a row begin equal, no more.
    """

    def __init__(self, table: gpuinit.Table) -> None:
        self.table = table
        self.slots: dict[int, int] = {}
        self.storage: Array = np.empty((0, *table.shape[1:]), table.dtype)

    def __len__(self) -> int:
        """How many ids it has seen."""
        return len(self.slots)

    def __call__(self, ids: Any) -> Array:
        """A copy of the rows of ids, an array of any shape; new ones are made."""
        slots = self.find(ids)
        rows: Array = self.storage[slots]
        return rows

    def add(self, ids: Any, change: Array) -> None:
        """A step of training: add to the rows of ids, as often as an id is repeated; new ones are made first."""
        slots = self.find(ids)
        np.add.at(self.storage, slots, change)

    def find(self, ids: Any) -> Array:
        """Where in `storage` the rows of ids are; new ones are made there."""
        numbers = np.asarray(ids, np.int64)
        flat = numbers.ravel().tolist()
        new = [number for number in dict.fromkeys(flat) if number not in self.slots]
        seen, total = len(self.slots), len(self.slots) + len(new)
        self._reserve(total)
        self.table.rows_into(self.storage[seen:total], np.array(new, np.int64) % self.table.shape[0])
        self.slots.update(zip(new, range(seen, total), strict=True))
        return np.array([self.slots[number] for number in flat], np.intp).reshape(numbers.shape)

    def _reserve(self, rows: int) -> None:
        """Make room for so many rows, doubling it where it does not suffice."""
        if rows > len(self.storage):
            larger = np.empty((max(rows, 2 * len(self.storage)), *self.storage.shape[1:]), self.storage.dtype)
            larger[: len(self.slots)] = self.storage[: len(self.slots)]
            self.storage = larger


def work(config: dict[str, Any], ids: Array, seed: int) -> tuple[Array, int, int]:
    """A worker: it sees the ids in an order of its own, 1000 at a time. Their rows, their number and the bytes they take."""
    embedding = DynamicEmbedding(gpuinit.Table.from_config(config))
    order = np.random.default_rng(seed).permutation(ids)
    for start in range(0, len(order), 1000):
        embedding(order[start : start + 1000])
    return embedding(ids), len(embedding), embedding.storage.nbytes


def main() -> None:
    """Two workers, in processes of their own, see the same ids in different orders."""
    table = gpuinit.Table((2**59, 16), "random_normal", "float32", seed=7, name="users")
    ids = np.random.default_rng(0).integers(0, 2**63 - 1, 20_000)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = [pool.submit(work, table.get_config(), ids, seed) for seed in (1, 2)]
        (first, count, held), (second, _, _) = (result.result() for result in found)
    print(f"a table of {table.shape[0]:,} rows, {table.nbytes / 2**60:,.0f} EiB if it were there")
    print(f"each worker has seen {count:,} ids and holds {held / 2**20:.1f} MiB")
    print("rows equal, bit for bit:", first.tobytes() == second.tobytes() == table[ids % table.shape[0]].tobytes())


if __name__ == "__main__":
    main()
