"""Initializers that users write, by name: serialized, found again, pickled, redefined, in other processes and threads."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import same_bits

import gpuinit
from gpuinit import gallery
from gpuinit.backends import cpu


@pytest.fixture(autouse=True)
def by_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy draws, whatever the process has drawn before: no value here needs a compiled kernel."""
    monkeypatch.setattr(cpu, "BREAK_EVEN", 2**62)


@gpuinit.quantile(package="tests", nonnegative=("width",))
def triangle(u: Any, width: Any, middle: Any = 0.0) -> Any:
    """Triangular on middle +- width."""
    side = gpuinit.exact.sqrt(2 * min(u, 1 - u)) - 1
    return middle + width * (side if u < 0.5 else -side)


def test_what_the_decorator_returns() -> None:
    """A class of the function's name, documentation and parameters; the function itself stays at hand."""
    assert issubclass(triangle, gpuinit.RandomInitializer)
    assert (triangle.__name__, triangle.__module__, triangle.__doc__) == ("triangle", __name__, "Triangular on middle +- width.")
    assert str(__import__("inspect").signature(triangle)) == "(width, middle=0.0, seed=None)"
    assert triangle.quantile_function(0.5, 1.0) == 0.0
    made = triangle(2, middle=1, seed=3)
    assert (made.width, made.middle, made.seed) == (2.0, 1.0, 3)
    assert repr(made) == "triangle(width=2.0, middle=1.0, seed=3)"
    assert same_bits(made((20,)), triangle(2.0, 1.0, 3)((20,)))
    assert str(__import__("inspect").signature(gallery.random_sign)) == "(scale=1.0, seed=None)"
    with pytest.raises(TypeError, match=r"triangle\(width, middle=0.0, seed=None\): missing a required argument: 'width'"):
        triangle()


def test_config_clone_and_json() -> None:
    for seed in (None, 7, gpuinit.Key(3, 4)):
        made = triangle(0.5, seed=seed)
        config = json.loads(json.dumps(gpuinit.serialize(made)))
        assert (config["class_name"], config["registered_name"], config["module"]) == ("triangle", "tests>triangle", __name__)
        for again in (gpuinit.deserialize(config), made.clone(), gpuinit.get(config), triangle.from_config(config["config"])):
            assert type(again) is triangle and again.width == 0.5
            if seed is not None:
                assert same_bits(again((9, 5), "float64"), made((9, 5), "float64"))
    for again in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert same_bits(again((9,)), made((9,)))
    generator = triangle(0.5, seed=gpuinit.SeedGenerator(1))
    assert not same_bits(generator((9,)), generator((9,)))


def test_by_name() -> None:
    assert type(gpuinit.get("laplace")) is gallery.laplace
    assert type(gpuinit.get("gpuinit>laplace")) is gallery.laplace
    assert type(gpuinit.get({"class_name": "log_normal", "config": {"stddev": 2.0}})) is gallery.log_normal
    custom = gpuinit.deserialize({"class_name": "laplace", "config": {}}, {"laplace": gallery.cauchy})
    assert type(custom) is gallery.cauchy
    with pytest.raises(TypeError, match="tests>triangle|triangle could not be made|missing a required argument: 'width'"):
        gpuinit.get("tests>triangle")
    with pytest.raises(ValueError, match="Could not interpret initializer identifier: triangle"):
        gpuinit.get("triangle")  # a user's goes by its full name


def test_one_that_is_not_registered() -> None:
    config = {"module": "mylib.laws", "class_name": "law", "config": {}, "registered_name": "mylib>law"}
    with pytest.raises(ValueError, match=r"'mylib>law' is not registered: import the module .* \(mylib.laws\) first"):
        gpuinit.deserialize(config)
    assert "mylib" not in sys.modules
    config = {**gpuinit.serialize(gallery.laplace()), "registered_name": "other>laplace", "module": "other.laws"}
    with pytest.raises(ValueError, match="'other>laplace' is not registered"):
        gpuinit.deserialize(config)  # though the gallery has one of that name


def named(number: float) -> Any:
    def law(u: Any) -> Any:
        return u + number

    return law


def test_redefinition_and_clash() -> None:
    """The same module's later function takes the name, and instances of the earlier one stay; another module's may not."""
    first = gpuinit.quantile(named(1.0), package="tests")(seed=1)
    before = first((50,), "float64")
    second = gpuinit.quantile(named(2.0), package="tests")(seed=1)
    assert same_bits(first((50,), "float64"), before)
    assert same_bits(first.clone()((50,), "float64"), before)
    np.testing.assert_allclose(second((50,), "float64"), before + 1, rtol=1e-15)
    assert type(gpuinit.get("tests>law")) is type(second)
    foreign = named(3.0)
    foreign.__module__ = "elsewhere"
    with pytest.raises(ValueError, match=r"'tests>law' is registered by test_quantile_registry, so elsewhere cannot have it"):
        gpuinit.quantile(foreign, package="tests")
    assert gpuinit.quantile(foreign)().registered_name == "elsewhere>law"
    foreign.__module__ = "__main__"
    assert gpuinit.quantile(foreign)().registered_name == "Custom>law"


SCRIPT = """
import sys
import gpuinit
from gpuinit.backends import compiled
from gpuinit.hashing import element_hash
from gpuinit.region import Region
import numpy as np

@gpuinit.quantile
def law(u, a=1.0):
    return a * u {sign} 0.5

made = law(a=2.0, seed=3)
out = np.empty(1000, np.float32)
compiled.fill(out, made.law(out.shape, out.dtype), Region.of(out.shape), gpuinit.Key(3))
assert out.tobytes() == made((1000,), device="cpu").tobytes()
print(f"{{element_hash(out):016x}}")
"""


def test_two_functions_of_one_name_in_one_cache(tmp_path: Path) -> None:
    """Four processes at once, two files with a function `law` each, one cache folder; then all again from that folder.

    Rejects a cache that goes by the function's name, and by its line.
    """
    scripts = [tmp_path / "one.py", tmp_path / "two.py"]
    for path, sign in zip(scripts, "+-", strict=True):
        path.write_text(textwrap.dedent(SCRIPT).format(sign=sign))
    environment = {**os.environ, "GPUINIT_CACHE_DIR": str(tmp_path / "cache")}
    hashes = []
    for _ in range(2):
        running = [
            subprocess.Popen([sys.executable, path], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for path in scripts
        ]
        for process in running:
            printed, errors = process.communicate(timeout=300)
            assert process.returncode == 0, errors
            hashes.append(printed)
    assert hashes[0] == hashes[2] != hashes[1] == hashes[3]
    assert len(list((tmp_path / "cache").glob("*fill-user-*.nbi"))) == 2


def test_threads() -> None:
    """Eight threads that decorate and draw one law and another by turns: right values always."""
    wanted = [gpuinit.quantile(named(n), package="threads")(seed=1)((100,), "float64") for n in (5.0, 6.0)]
    wrong = []

    def work(number: int) -> None:
        for turn in range(10):
            which = (number + turn) % 2
            made = gpuinit.quantile(named((5.0, 6.0)[which]), package="threads")(seed=1)
            if not same_bits(made((100,), "float64"), wanted[which]):
                wrong.append((number, turn))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
