"""The framework modules keep the house's rules where the frameworks are there: who loads what, and what is documented."""

from __future__ import annotations

import importlib
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.frameworks

FOLDER = Path(__file__).parents[2] / "gpuinit"
FRAMEWORKS = ("torch", "jax", "keras", "tensorflow", "transformers", "flax")
LOADS = {"torch": {"torch"}, "jax": {"jax"}, "keras": {"keras", "torch"}}
"""What `import gpuinit.x` may load; Keras with its backend, here torch."""

for framework in ("torch", "jax", "keras"):
    pytest.importorskip(framework)


def loaded(code: str) -> set[str]:
    """The frameworks that a fresh interpreter has loaded after the code."""
    code += "\nimport sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split()) & set(FRAMEWORKS)


def modules(name: str) -> list[str]:
    found = sorted(path.relative_to(FOLDER.parent).with_suffix("") for path in (FOLDER / name).rglob("*.py"))
    return [".".join(path.parts).removesuffix(".__init__") for path in found]


@pytest.mark.parametrize("name", LOADS)
def test_a_module_loads_its_own_framework_alone(name: str) -> None:
    without = loaded("import keras" if name == "keras" else f"import {name}")  # what frameworks load of each other by themselves
    assert loaded(f"import gpuinit.{name}") <= LOADS[name] | without


def test_gpuinit_and_its_tables_load_no_framework() -> None:
    code = (
        "import gpuinit, gpuinit.interop; gpuinit.Table((9, 9), 'he_normal')[[1, 2]]; gpuinit.Orthogonal()((3, 3), device='cpu')"
    )
    assert loaded(code) == set()


def test_gpuinit_works_where_frameworks_cannot_be_imported() -> None:
    blocked = f"""
import sys
class Broken:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {FRAMEWORKS}:
            raise SystemError(name + " is broken here")
sys.meta_path.insert(0, Broken())
"""
    code = "import gpuinit, gpuinit.interop, gpuinit.cli.parser; gpuinit.get('he_normal')((3, 4))"
    assert loaded(blocked + code) == set()
    with pytest.raises(AssertionError, match="torch is broken here"):
        loaded(blocked + "import gpuinit.torch")


@pytest.mark.parametrize("name", LOADS)
def test_every_module_imports_alone(name: str) -> None:
    """In one interpreter a module, none counting on another having been imported before."""
    names = [module for module in modules(name) if ".on_" not in module or module.endswith("on_torch")]
    assert len(names) > 1
    for module in names:
        loaded(f"import {module}")


@pytest.mark.parametrize("name", LOADS)
def test_public_names_are_documented(name: str) -> None:
    if name == "keras" and os.environ.get("KERAS_BACKEND", "torch") == "tensorflow":
        pytest.skip("this process is for another backend")
    package = importlib.import_module(f"gpuinit.{name}")
    assert package.__all__ and package.__doc__
    for public in package.__all__:
        value = getattr(package, public)
        assert inspect.getdoc(value), public
        for attribute, member in inspect.getmembers(value, inspect.isfunction) if inspect.isclass(value) else []:
            if not attribute.startswith("_") and member.__module__.startswith("gpuinit"):
                assert inspect.getdoc(getattr(value, attribute)), f"{public}.{attribute}"
