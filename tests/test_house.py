"""The house is as CONTRIBUTING.md says: order of imports, what is loaded when, public names, docstrings, the wheel."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from graphlib import TopologicalSorter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest

import gpuinit

ROOT = Path(__file__).parent.parent

LAYERS = {
    "arithmetic": "version kernels kernels.coefficients kernels.primitives kernels.philox kernels.formats "
    "kernels.quantiles kernels.narrow kernels.exact_coefficients kernels.exact_formats kernels.exact kernels.programs "
    "kernels.trigonometry kernels.mixing kernels.folder kernels.memory kernels.cuda_source",
    "compiled kernels": "kernels.cache kernels.numba_lanes kernels.numba_lane_access kernels.numba_primitives "
    "kernels.numba_source kernels.numba_memory kernels.cpu_draw kernels.cuda_parts kernels.cuda_fill "
    "kernels.cuda_copy kernels.cuda_hash kernels.cuda_sparse kernels.cuda_fourier kernels.cuda_structures "
    "kernels.cuda_reflectors kernels.cuda_orthogonal kernels.cuda_orthogonal_kernels kernels.cuda_kernels kernels.*",
    "values": "key dtypes region gaussian sampler exact tracing.* tracing user_quantile distributions arrays stack structures",
    "backends": "backends.errors backends.layout backends.dlpack backends.cuda.launch backends.cuda.arrays backends.cuda.libcuda "
    "backends.cuda.blas backends.cuda.probe backends.threads backends.compiled backends.specification backends.digest "
    "backends.orthogonal backends.reflectors backends.stacks backends.sparse backends.structures backends.cpu "
    "backends.cuda.geometry backends.cuda.parts backends.cuda.dense "
    "backends.cuda.driver backends.cuda.draw backends.cuda.sparse backends.cuda.orthogonal "
    "backends.cuda.structures backends.cuda.staging backends.cuda.backend backends.cuda.devices backends.cuda "
    "backends.* backends",
    "initializers": "arguments fans measure initializers.seeds initializers.base initializers.* gallery registry initializers",
    "tables": "growth indexing virtual recipe table",
    "package": "__init__",
    "frameworks": "interop.* interop torch.* torch jax.* jax keras.* keras",
    "files": "hashing verification tables.* tables",
    "pictures": "pictures.laws pictures.cells pictures.reading pictures.exhibit pictures.canvas pictures.propagation "
    "pictures.densities pictures.* pictures.output pictures.panels pictures.figures pictures.standard pictures",
    "battery": "battery.anderson battery.statistic battery.* battery",
    "command line": "cli.* cli __main__",
}
"""From the bottom up, each with its modules from the bottom up; a module stands where a pattern first fits it."""

ALLOWED = {
    "numba": "kernels.* backends.*",
    "llvmlite": "kernels.*",
    "cupy": "kernels.* backends.*",
    "cuda": "kernels.*",
    "ml_dtypes": "dtypes",
    "scipy": "backends.orthogonal initializers.stft battery.* pictures.*",
    "matplotlib": "pictures.*",
    "rich": "cli.*",
    "zarr": "tables.zarr",
    "dask": "tables.dask",
    "torch": "torch.* torch keras.on_torch",
    "jax": "jax.* jax keras.on_jax",
    "keras": "keras.* keras",
    "tensorflow": "keras.on_tensorflow",
    "numpy": "*",
}
"""Every package outside the standard library, and the modules that may import it."""

LAZY = ("numba", "llvmlite", "cupy", "cuda", "scipy", "rich", "dask", "zarr", "matplotlib")
"""What `import gpuinit` must not load; outside the compiled kernels, imported inside functions."""

FRAMEWORKS = ("torch", "jax", "keras", "tensorflow")
"""Imported by their own modules alone, at the top of these: who imports gpuinit.torch has PyTorch."""
LONGEST = 250
LONGER = {
    "benchmarks/fit_coefficients.py": "a script, not a part of the package",
}

Import = tuple[str, bool]


@cache
def sources() -> dict[str, Path]:
    """Every module by its name below `gpuinit`; packages by the package's name, gpuinit itself as __init__."""
    found = {}
    for folder, prefix in (("gpuinit", ""), ("kernels", "kernels.")):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            name = prefix + ".".join(parts)
            found[name.removesuffix(".__init__") if name != "__init__" else name] = path
    return found


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(sources()[module].read_text(encoding="utf-8"))


def imports(module: str) -> Iterator[Import]:
    """What a module imports, and whether at its top level; of `from a import b`, a.b where that is a module of ours."""
    for node in ast.walk(tree(module)):
        top = node in tree(module).body
        if isinstance(node, ast.Import):
            yield from ((alias.name, top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield (whole if inside(whole) in sources() else str(node.module)), top


def inside(name: str) -> str:
    """The name below gpuinit of an imported module of ours; "" for others."""
    return "__init__" if name == "gpuinit" else name.removeprefix("gpuinit.") if name.startswith("gpuinit.") else ""


def own_imports(module: str) -> set[str]:
    return {inside(name) for name, _ in imports(module) if inside(name)}


@cache
def rank(module: str) -> tuple[int, int]:
    """The number of the module's layer, and its place there."""
    for number, patterns in enumerate(LAYERS.values()):
        for place, pattern in enumerate(patterns.split()):
            if fnmatchcase(module, pattern):
                return number, place
    raise AssertionError(f"{module} belongs to no layer: say in LAYERS, and in docs/architecture.md, where it stands")


def layer(module: str) -> str:
    return list(LAYERS)[rank(module)[0]]


def python(code: str, *, path: Path | None = None) -> str:
    """What a fresh interpreter prints, which does not look into the current folder."""
    environment = {**os.environ, **({"PYTHONPATH": str(path)} if path else {})}
    result = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", code], capture_output=True, text=True, env=environment, timeout=120
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.parametrize("module", sources())
def test_imports_point_down(module: str) -> None:
    for imported in own_imports(module):
        assert rank(imported) <= rank(module), f"{module} ({layer(module)}) imports {imported} ({layer(imported)})"


def test_imports_make_no_cycle() -> None:
    order = list(TopologicalSorter({module: own_imports(module) - {module} for module in sources()}).static_order())
    assert set(order) == set(sources())


def test_compiled_kernels_serve_backends_alone_and_when_used() -> None:
    compiled = {module for module in sources() if layer(module) == "compiled kernels"}
    assert compiled
    for module in set(sources()) - compiled:
        for name, top in imports(module):
            if inside(name) in compiled:
                assert module.startswith("backends."), f"{module} imports {name}"
                assert not top, f"{module} imports {name} before it is needed"


def test_the_arithmetic_imports_numpy_alone() -> None:
    for module in sources():
        if layer(module) == "arithmetic":
            outside = {name.partition(".")[0] for name, _ in imports(module) if not inside(name)}
            assert outside - set(sys.stdlib_module_names) <= {"numpy"}, module


@pytest.mark.parametrize("module", sources())
def test_packages_are_imported_where_they_belong(module: str) -> None:
    for name, top in imports(module):
        package = name.partition(".")[0]
        if package == "gpuinit" or package in sys.stdlib_module_names:
            continue
        if package in FRAMEWORKS:
            assert layer(module) == "frameworks", f"{module} imports {package}"
        assert any(fnmatchcase(module, pattern) for pattern in ALLOWED.get(package, "").split()), f"{module} imports {package}"
        if package in LAZY and layer(module) != "compiled kernels":
            assert not top, f"{module} imports {package} before it is needed"


def test_import_loads_numpy_and_little_else() -> None:
    code = "import sys, gpuinit; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = set(python(code).split())
    assert not loaded & {*LAZY, *FRAMEWORKS, "concurrent", "argparse", "logging"}
    foreign = loaded - set(sys.stdlib_module_names)
    before = set(python(code.replace(", gpuinit", ", numpy, ml_dtypes")).split())
    assert foreign - before == {"gpuinit"}


def test_numpy_serves_where_other_packages_break() -> None:
    """Numba raises when imported, as where it does not fit NumPy: NumPy then serves, beyond the break-even too."""
    blocked = """
import sys
class Broken:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names}:
            raise SystemError(name + " is broken here")
sys.meta_path.insert(0, Broken())
"""
    code = """
import gpuinit, gpuinit.cli.parser
from gpuinit.backends.cpu import BREAK_EVEN
from gpuinit.hashing import element_hash
print(gpuinit.get("he_normal"), gpuinit.default_device())
big = gpuinit.RandomUniform(seed=1)((BREAK_EVEN // 64 + 1, 64))
print(f"{element_hash(big):016x}", gpuinit.Identity()((2, 2)).tolist())
"""
    broken = python(blocked.format(names=(*LAZY, *FRAMEWORKS)) + code)
    assert broken == python(code)
    assert "is broken here" in python(
        blocked.format(names=("scipy",))
        + "import gpuinit\ntry: gpuinit.Orthogonal(seed=1)((3, 3))\nexcept SystemError as e: print(e)"
    )


def public_definitions(module: str) -> tuple[set[str], set[str]]:
    """Public functions and classes that a module defines, and all names that it binds otherwise."""
    defined, bound = set(), set()
    for node in tree(module).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            bound |= {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
        elif isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
    return {name for name in defined if name[0] != "_"}, bound


def declared(module: str) -> list[str] | None:
    """The module's `__all__`, or None."""
    for node in tree(module).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            return list(ast.literal_eval(node.value))  # type: ignore[union-attr]
    return None


@pytest.mark.parametrize("module", sources())
def test_all_is_what_a_module_offers(module: str) -> None:
    """`__all__` has every public function and class, sorted, and nothing that is not there; constants as wanted."""
    defined, bound = public_definitions(module)
    offered = declared(module)
    if offered is None:
        assert not defined, f"{module} has no __all__"
        return
    assert len(offered) == len(set(offered))
    assert sorted(defined - set(offered)) == [], f"{module}: public, and not in __all__"
    assert sorted(set(offered) - defined - bound) == [], f"{module}: in __all__, and not defined"


@pytest.mark.parametrize("module", sources())
def test_modules_take_from_others_what_those_offer(module: str) -> None:
    """A name imported from a module of ours, or read from it, stands in its `__all__`; none is private."""
    aliases = {}
    for node in ast.walk(tree(module)):
        if not isinstance(node, ast.ImportFrom) or not inside(str(node.module)):
            continue
        for alias in node.names:
            whole = inside(f"{node.module}.{alias.name}")
            if whole in sources():
                aliases[alias.asname or alias.name] = whole
            else:
                assert_offered(module, inside(str(node.module)), alias.name)
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
            assert_offered(module, aliases[node.value.id], node.attr)


def assert_offered(module: str, other: str, name: str) -> None:
    if name.startswith("__"):
        return
    offered = declared(other)
    assert not name.startswith("_"), f"{module} takes the private {other}.{name}"
    assert offered is None or name in offered, f"{module} takes {other}.{name}, which is not in __all__ there"


def test_public_names() -> None:
    assert sorted(gpuinit.__all__) == sorted(set(gpuinit.__all__))
    assert all(hasattr(gpuinit, name) for name in gpuinit.__all__)
    assert set(gpuinit.initializers.__all__) <= set(gpuinit.__all__)
    namespace: dict[str, Any] = {}
    exec("from gpuinit import *", namespace)
    assert set(gpuinit.__all__) <= set(namespace)


@pytest.mark.parametrize("module", sources())
def test_docstrings(module: str) -> None:
    """Every module, public function and class has one; of a family of functions the module's may speak, by `part(`."""
    about = ast.get_docstring(tree(module)) or ""
    assert about, f"{module} has no docstring"
    for node in tree(module).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name[0] != "_":
            family = re.sub(r"\d+$", "", node.name).rpartition("_")[2] + "("
            assert ast.get_docstring(node) or family in about, f"{module}.{node.name} has no docstring"


@pytest.mark.parametrize("name", gpuinit.__all__)
def test_docstrings_of_public_methods(name: str) -> None:
    """Own or inherited."""
    value = getattr(gpuinit, name)
    assert inspect.getdoc(value), name
    for attribute, member in inspect.getmembers(value, inspect.isroutine) if inspect.isclass(value) else []:
        if not attribute.startswith("_") and (getattr(member, "__module__", None) or "").startswith("gpuinit"):
            assert inspect.getdoc(getattr(value, attribute)), f"{name}.{attribute}"


def test_files_are_short() -> None:
    for path in [*sources().values(), *(ROOT / "benchmarks").glob("*.py"), *(ROOT / "examples").glob("*.py")]:
        name = path.relative_to(ROOT).as_posix()
        length = len(path.read_text(encoding="utf-8").splitlines())
        assert length <= LONGEST or name in LONGER, f"{name} has {length} lines"


def test_one_version() -> None:
    text = (ROOT / "gpuinit/version.py").read_text()
    [stated] = re.findall(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    assert gpuinit.__version__ == stated
    everywhere = [name for name, path in sources().items() if f'"{stated}"' in path.read_text()]
    assert everywhere == ["version"]
    assert f'"{stated}"' not in (ROOT / "pyproject.toml").read_text()
    assert f"## [{stated}]" in (ROOT / "CHANGELOG.md").read_text()


def test_modules_import_alone() -> None:
    """Each by itself in a fresh interpreter's order: none counts on another having been imported before."""
    for module in sources():
        framework = module.partition(".")[0]
        if framework in FRAMEWORKS:
            continue  # tests/frameworks/ does that, where they are installed
        if module not in ("__init__", "__main__"):
            importlib.import_module(f"gpuinit.{module}")
    for name in ("kernels.quantiles", "registry", "hashing", "tables.plan"):
        python(f"import gpuinit.{name}")


def test_import_time() -> None:
    """A loose guard, median of 5 pairs: importing gpuinit takes less than 3 times what NumPy does alone."""

    def seconds(module: str) -> float:
        began = time.perf_counter()
        python(f"import {module}")
        return time.perf_counter() - began

    pairs = [(seconds("numpy"), seconds("gpuinit")) for _ in range(5)]
    assert statistics.median(ours / numpys for numpys, ours in pairs) < 3, pairs


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built, without network, from a copy of the sources."""
    try:
        if int(version("setuptools").partition(".")[0]) < 77:
            pytest.skip("building a wheel offline needs setuptools >= 77 in the environment")
        version("pip")
    except PackageNotFoundError as error:
        pytest.skip(f"building a wheel offline needs {error.name} in the environment")
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "sources"
    copy.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in ("gpuinit", "kernels", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.part"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    result = subprocess.run([*command, "-w", folder, copy], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    [built] = folder.glob("*.whl")
    return built


def test_the_wheel_has_every_module_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    packaged = {name for name in names if ".dist-info/" not in name}
    wanted = {"gpuinit/py.typed"}
    for folder, target in (("gpuinit", "gpuinit"), ("kernels", "gpuinit/kernels")):
        for path in (path for ending in ("py", "cu", "cuh", "json") for path in (ROOT / folder).rglob(f"*.{ending}")):
            wanted.add(f"{target}/{path.relative_to(ROOT / folder).as_posix()}")
    assert packaged == wanted
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_wheel_works(wheel: Path, tmp_path: Path) -> None:
    """Unpacked, it is imported from there, and draws the same bits."""
    zipfile.ZipFile(wheel).extractall(tmp_path)
    [about] = tmp_path.glob("*.dist-info")
    assert f"\nVersion: {gpuinit.__version__}\n" in (about / "METADATA").read_text()
    assert "gpuinit = gpuinit.cli:main" in (about / "entry_points.txt").read_text()
    code = "import gpuinit; print(gpuinit.__file__, gpuinit.HeNormal(seed=1)((8, 8)).tobytes().hex())"
    place, drawn = python(code, path=tmp_path).split()
    assert Path(place) == tmp_path / "gpuinit" / "__init__.py"
    assert drawn == gpuinit.HeNormal(seed=1)((8, 8)).tobytes().hex()


def test_the_license_is_apache_2() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
