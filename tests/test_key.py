"""Keys and generators of keys: their ranges, what tells two apart, and draws by threads, in copies and after a fork."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import json
import os
import pickle
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gpuinit
from gpuinit import Key, SeedGenerator
from gpuinit.key import CONTRACT, check_contract, integer, shown, word64

COPIES: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle {p}": lambda value, p=p: pickle.loads(pickle.dumps(value, p)) for p in range(pickle.HIGHEST_PROTOCOL + 1)},
}
WORDS = st.integers(0, 2**64 - 1)


# Keys


@pytest.mark.parametrize("number", [0, 1, 2**63, 2**64 - 1, np.uint64(2**64 - 1), np.int8(7), np.array(5)])
def test_words_in_range(number: Any) -> None:
    key = Key(number, number)
    assert (key.seed, key.stream) == (int(number), int(number))
    assert type(key.seed) is int and type(key.stream) is int  # NumPy's would overflow in arithmetic


@pytest.mark.parametrize("number", [-1, 2**64, np.int64(-1), -(2**64), 10**5000], ids=lambda number: shown(int(number)))
def test_words_out_of_range(number: Any) -> None:
    """Rejects reduction modulo 2^64, by which two seeds would give one stream."""
    message = f"={shown(int(number))} is out of range: it must be an integer in 0 .. 2^64 - 1"
    for name, make in (
        ("seed", Key),
        ("stream", lambda n: Key(0, n)),
        ("data", Key(0).fold_in),
        ("number", Key(0).draw),
        ("seed", SeedGenerator),
    ):
        with pytest.raises(ValueError, match="^" + re.escape(name + message)):
            make(number)


@pytest.mark.parametrize("value", [1.0, "1", None, b"1", True, np.True_, np.float64(1), [1], np.array([1, 2])], ids=repr)
def test_words_are_integers(value: Any) -> None:
    """Rejects int(value), which takes 1.5 and "1", and bools as 0 and 1."""
    for name, make in (("seed", Key), ("stream", lambda n: Key(0, n)), ("number", Key(0).draw)):
        with pytest.raises(TypeError, match=f"^{name}="):
            make(value)
    if not isinstance(value, str):
        with pytest.raises(TypeError, match=r"^data="):
            Key(0).fold_in(value)


def test_integers_are_checked_by_name() -> None:
    assert integer(np.int16(-3), "x") == -3 and type(integer(np.int16(-3), "x")) is int
    with pytest.raises(TypeError, match=r"^x=1\.5 is not an integer$"):
        integer(1.5, "x")
    with pytest.raises(TypeError, match=r"^x=True is a bool: it must be an integer$"):
        integer(True, "x")
    with pytest.raises(ValueError, match=r"^x=-1 is out of range"):
        word64(-1, "x")


@given(st.integers(0, 6000), st.sampled_from([-1, 1]))
def test_integers_are_shown(digits: int, sign: int) -> None:
    """Rejects str(number), which raises an error of its own beyond 4300 digits."""
    text = shown(sign * 10**digits)
    assert text == (str(sign * 10**digits) if digits <= 77 else f"about {'-' if sign < 0 else ''}10^{digits}")


@given(WORDS, WORDS)
def test_equal_keys(seed: int, stream: int) -> None:
    key = Key(seed, stream)
    assert key == Key(np.uint64(seed), np.uint64(stream))  # type: ignore[arg-type]
    assert hash(key) == hash(Key(seed, stream)) and {key: 1}[Key(seed, stream)] == 1
    assert key != Key(seed ^ 1, stream) and key != Key(seed, stream ^ 1) and key != (seed, stream)
    assert (key == Key(stream, seed)) == (seed == stream)
    assert eval(repr(key), {"Key": Key}) == key


def test_keys_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Key(1).seed = 2  # type: ignore[misc]


@pytest.mark.parametrize("name", COPIES)
def test_copies_of_a_key(name: str) -> None:
    assert COPIES[name](Key(3, 2**64 - 1)) == Key(3, 2**64 - 1)


# Folding and drawing


def test_domains_differ() -> None:
    """A name, an integer and a draw of the same bytes; rejects hashing the data without its kind."""
    key = Key(7)
    same_bytes = "\1\0\0\0\0\0\0\0"
    keys = [key.fold_in("1"), key.fold_in(1), key.draw(1), key.fold_in(same_bytes), key.fold_in("")]
    keys += [key, key.fold_in(0), key.fold_in("0"), key.fold_in("one"), key.fold_in("One"), key.fold_in("one ")]
    assert len(set(keys)) == len(keys)
    assert {folded.seed for folded in keys} == {7}


@given(WORDS, st.text(max_size=9), st.text(max_size=9))
def test_the_order_of_folding_matters(seed: int, first: str, second: str) -> None:
    """Rejects combining by addition or xor, and hashing the concatenated path ("ab" + "c" is not "a" + "bc")."""
    key = Key(seed)
    assert (key.fold_in(first).fold_in(second) == key.fold_in(second).fold_in(first)) == (first == second)
    assert key.fold_in(first).fold_in(second) != key.fold_in(first + second)
    assert (key.fold_in(first) == key.fold_in(second)) == (first == second)


def test_folding_starts_from_the_stream() -> None:
    """Rejects a hash of the data alone, by which every path that ends alike would be one stream."""
    assert Key(1, 0).fold_in("a") != Key(1, 1).fold_in("a")
    assert Key(1).fold_in("a").fold_in("w") != Key(1).fold_in("b").fold_in("w")
    assert Key(1).fold_in("a").stream == Key(2).fold_in("a").stream  # the seed is Philox's key, and stays


@given(WORDS, WORDS)
def test_draw_0_is_the_key_itself(seed: int, stream: int) -> None:
    key = Key(seed, stream)
    assert key.draw(0) == key
    assert len({key.draw(number) for number in range(5)}) == 5
    assert key.draw(np.int64(3)) == key.draw(3) != key.fold_in(3)  # type: ignore[arg-type]


# Configurations


@given(WORDS, WORDS)
def test_config_round_trip(seed: int, stream: int) -> None:
    key = Key(seed, stream)
    config = json.loads(json.dumps(key.get_config()))
    assert config == {"contract": CONTRACT, "seed": seed, "stream": stream}
    assert Key.from_config(config) == key
    assert SeedGenerator.from_config(config).next_key() == key
    assert SeedGenerator.from_config(SeedGenerator(key).get_config()).key == key


def test_configs_by_hand() -> None:
    assert Key.from_config({"seed": 5}) == Key(5)
    assert SeedGenerator.from_config({"seed": 5, "name": "seed_generator_1"}).key == Key(5)
    assert SeedGenerator.from_config({"seed": None}).key != SeedGenerator.from_config({"seed": None}).key
    with pytest.raises(TypeError, match="name"):
        Key.from_config({"seed": 5, "name": "x"})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match=r"unknown configuration \['state'\]"):
        SeedGenerator.from_config({"seed": 5, "state": 3})


@pytest.mark.parametrize("contract", [0, 2, "1", None, 99])
def test_another_contract_is_refused(contract: Any) -> None:
    """Rejects reading what a later release wrote as if its values were ours."""
    config = {"contract": contract, "seed": 1, "stream": 0}
    message = "^" + re.escape(f"contract={contract!r}: this release implements contract {CONTRACT} only")
    reads: list[Callable[[Any], Any]] = [Key.from_config, SeedGenerator.from_config, check_contract]
    for read in reads:
        with pytest.raises(ValueError, match=message):
            read(config)
    with pytest.raises(ValueError, match=message):
        gpuinit.HeNormal(seed={"class_name": "Key", "config": config})


# Generators of keys


@given(WORDS)
def test_the_first_draw_is_that_of_the_seed(seed: int) -> None:
    generator = SeedGenerator(seed)
    assert [generator.next_key() for _ in range(4)] == [Key(seed).draw(number) for number in range(4)]
    first = gpuinit.RandomUniform(seed=SeedGenerator(seed))((2, 3))
    assert np.array_equal(first, gpuinit.RandomUniform(seed=seed)((2, 3)))


def test_draws_of_neighbouring_seeds_differ() -> None:
    """Rejects counting up the seed: the second draw of 3 would be the first of 4."""
    draws = [generator.next_key() for generator in map(SeedGenerator, range(20)) for _ in range(20)]
    assert len(set(draws)) == 400
    generator = SeedGenerator(3)
    generator.next_key()
    second = gpuinit.RandomNormal(seed=generator)((50,))
    first = gpuinit.RandomNormal(seed=SeedGenerator(4))((50,))
    assert not np.any(first == second)


def test_none_is_a_seed_of_the_system() -> None:
    seeds = {SeedGenerator().key.seed for _ in range(8)}
    assert len(seeds) == 8 and max(seeds) >= 2**32  # 2^-256 if the seeds have all 64 bits


def test_a_generator_shows_how_far_it_is() -> None:
    generator = SeedGenerator(Key(3, 4))
    for number in range(3):
        for _ in range(2):  # looking does not draw
            assert repr(generator) == f"SeedGenerator(Key(seed=3, stream=4), draws={number})"
        assert generator.next_key() == Key(3, 4).draw(number)


@pytest.mark.parametrize("name", COPIES)
@pytest.mark.parametrize("draws", [0, 1, 5])
def test_copies_of_a_generator_go_on_by_themselves(name: str, draws: int) -> None:
    """Rejects copies that begin anew, that share the count, or that cannot be made (a lock cannot be pickled)."""
    generator = SeedGenerator(3)
    for _ in range(draws):
        generator.next_key()
    twin = COPIES[name](generator)
    assert repr(twin) == repr(generator)
    assert [twin.next_key() for _ in range(3)] == [Key(3).draw(draws + number) for number in range(3)]
    assert generator.next_key() == Key(3).draw(draws)
    assert COPIES[name](twin).next_key() == Key(3).draw(draws + 3)


def test_a_copied_initializer_has_a_generator_of_its_own() -> None:
    initializer = gpuinit.RandomNormal(seed=SeedGenerator(1))
    initializer((3,))
    for twin in (copy.deepcopy(initializer), pickle.loads(pickle.dumps(initializer))):
        expected = gpuinit.RandomNormal(seed=Key(1).draw(1))((3,))
        assert np.array_equal(twin((3,)), expected)
    assert np.array_equal(initializer((3,)), expected)


# Threads and forks


class Torn(SeedGenerator):
    """Wrong: between reading the count and writing it another thread may draw."""

    count = 0

    def next_key(self) -> Key:
        number = self.count
        self.count = number + 1
        return self.key.draw(number)


class Locked(Torn):
    """Wrong: a child forked while another thread draws has the lock, and nobody to release it."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.lock = threading.Lock()

    def next_key(self) -> Key:
        with self.lock:
            number = self.count
            self.count = number + 1
        return self.key.draw(number)


@pytest.fixture
def at_each_step() -> Iterator[Callable[[Callable[[], None]], None]]:
    """Has threads that begin from now on call a function before each instruction of `next_key`."""

    def install(step: Callable[[], None]) -> None:
        def trace(frame: Any, event: str, _: Any) -> Any:
            if frame.f_code.co_name != "next_key":
                return None
            frame.f_trace_opcodes = True
            if event == "opcode":
                step()
            return trace

        threading.settrace(trace)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield install
    threading.settrace(None)  # type: ignore[arg-type]
    sys.setswitchinterval(interval)


def _drawn_by_threads(generator: SeedGenerator, count: int, each: int) -> list[Key]:
    keys: list[list[Key]] = [[] for _ in range(count)]
    together = threading.Barrier(count)

    def work(own: list[Key]) -> None:
        together.wait()
        own.extend(generator.next_key() for _ in range(each))

    workers = [threading.Thread(target=work, args=(own,)) for own in keys]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return list(itertools.chain(*keys))


def test_threads_draw_keys_of_their_own(at_each_step: Callable[[Callable[[], None]], None]) -> None:
    """Every other thread gets its turn between any two instructions of a draw; rejects Torn, and any other count in steps."""
    at_each_step(lambda: time.sleep(1e-6))
    keys = _drawn_by_threads(SeedGenerator(5), 4, 25)
    assert len(keys) == 100 and set(keys) == {Key(5).draw(number) for number in range(100)}
    assert len(set(_drawn_by_threads(Torn(5), 4, 25))) < 100


def test_many_threads_draw_many_keys() -> None:
    generator = SeedGenerator(5)
    keys = _drawn_by_threads(generator, 16, 500)
    assert set(keys) == {Key(5).draw(number) for number in range(8000)}
    assert repr(generator).endswith("draws=8000)")


def _child_draws(generator: SeedGenerator, seconds: float) -> bool:
    """Whether a child forked now draws one of the first two keys in that time; a child that waits longer is killed."""
    expected = {generator.key.draw(0), generator.key.draw(1)}
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, seconds)
            status = 0 if generator.next_key() in expected else 2
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _draws_in_every_fork(generate: Callable[[], SeedGenerator], seconds: float, install: Any) -> bool:
    """Forks while another thread stands before its first, second .. instruction of a draw, to the last."""
    for wanted in itertools.count(1):
        drew, ended = _draws_in_a_fork(generate(), wanted, seconds, install)
        if not drew or ended:
            return drew and wanted > 3
    raise AssertionError


def _draws_in_a_fork(generator: SeedGenerator, wanted: int, seconds: float, install: Any) -> tuple[bool, bool]:
    """Whether the child draws, and whether the other thread's draw has fewer instructions than wanted."""
    steps: list[None] = []
    ended: list[None] = []
    stands, go_on = threading.Event(), threading.Event()

    def step() -> None:
        steps.append(None)
        if len(steps) == wanted:
            stands.set()
            go_on.wait()

    def work() -> None:
        generator.next_key()
        ended.append(None)
        stands.set()

    install(step)
    worker = threading.Thread(target=work)
    worker.start()
    stands.wait()
    result = _child_draws(generator, seconds), bool(ended)
    go_on.set()
    worker.join()
    return result


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_forked_while_another_thread_draws(at_each_step: Callable[[Callable[[], None]], None]) -> None:
    """Wherever that thread stands; rejects a lock that the child inherits locked (Locked)."""
    assert _draws_in_every_fork(lambda: SeedGenerator(5), 60, at_each_step)
    assert not _draws_in_every_fork(lambda: Locked(5), 1, at_each_step)
