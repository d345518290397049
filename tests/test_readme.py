"""README.md keeps its word: its blocks run, its commands work, its hashes, tables, links and targets are right."""

from __future__ import annotations

import inspect
import linecache
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import gpuinit
from gpuinit.hashing import element_hash
from gpuinit.registry import find
from gpuinit.tables import plan_tables, read_specs

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
OPTIONAL = ("torch", "jax", "keras", "safetensors", "zarr", "dask")
MOST_ROWS = 1000


class Block(NamedTuple):
    """A fenced block of the README, with the line that it starts in."""

    line: int
    language: str
    code: str


def blocks() -> Iterator[Block]:
    for found in re.finditer(r"^```(\w+)\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE):
        yield Block(TEXT[: found.start()].count("\n") + 2, found[1], found[2])


def of(language: str) -> list[Block]:
    return [block for block in blocks() if block.language == language]


def commands() -> list[list[str]]:
    """The `gpuinit create` commands of the README, continued lines joined."""
    lines = "\n".join(block.code for block in of("sh")).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if line.startswith("gpuinit create ")]


def smaller(command: list[str]) -> list[str]:
    """The command with at most MOST_ROWS rows a table."""
    words = list(command)
    if "--shape" in words:
        place = words.index("--shape") + 1
        rows, *rest = words[place].split(",")
        words[place] = ",".join((str(min(int(rows), MOST_ROWS)), *rest))
    elif "--max-rows" in words:
        words[words.index("--max-rows") + 1] = str(MOST_ROWS)
    else:
        words += ["--max-rows", str(MOST_ROWS)]
    return words


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the README's commands read."""
    made = tmp_path_factory.mktemp("readme")
    (made / "examples").symlink_to(ROOT / "examples")
    [toml] = of("toml")
    (made / "tables.toml").write_text(toml.code)
    return made


@pytest.fixture(scope="module")
def ran(folder: Path) -> list[tuple[list[str], str]]:
    """Every command, run in order, with what it printed."""
    done = []
    for command in commands():
        argv = [sys.executable, "-m", "gpuinit", *smaller(command)[1:]]
        result = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, (command, result.stderr)
        assert result.stderr == "", command
        done.append((command, result.stdout))
    return done


@pytest.fixture(scope="module")
def namespace() -> dict[str, Any]:
    return {"__name__": "readme"}


def test_the_readme_has_what_is_tested_here() -> None:
    assert len(of("python")) >= 7
    assert len(commands()) >= 4
    assert len(of("toml")) == 1


def test_every_command_is_known() -> None:
    lines = "\n".join(block.code for block in of("sh")).splitlines()
    assert {line.split()[1] for line in lines if line.startswith("gpuinit ")} == {"check", "create", "doctor", "show", "verify"}


def test_files_that_are_checked_are_right(ran: object, folder: Path) -> None:
    lines = [shlex.split(line)[1:] for block in of("sh") for line in block.code.splitlines() if line.startswith("gpuinit check ")]
    assert lines
    for line in lines:
        done = subprocess.run([sys.executable, "-m", "gpuinit", *line], cwd=folder, capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stderr) == (0, "") and done.stdout.count(": equal") == len(line) - 1


def test_verify_and_show_work(folder: Path) -> None:
    """Each line as it stands, but for one test of the battery in place of all; it writes the file that it names."""
    lines = [
        shlex.split(line)[1:]
        for block in of("sh")
        for line in block.code.splitlines()
        if re.match("gpuinit (verify|show) ?", line)
    ]
    assert len(lines) >= 3
    for line in lines:
        argv = [sys.executable, "-m", "gpuinit", *line, *(["--only", "golden*"] if line[0] == "verify" else [])]
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stderr) == (0, ""), line
        for option in {"--html", "--out"} & set(line):
            assert (folder / line[line.index(option) + 1]).stat().st_size > 10_000


def test_commands_write_their_files(ran: list[tuple[list[str], str]], folder: Path) -> None:
    for command, printed in ran:
        assert (folder / command[command.index("--out") + 1]).exists()
        assert re.search(r"^\d+ files?, .* in .* s: ", printed, re.MULTILINE), printed


@pytest.mark.parametrize("block", of("python"), ids=lambda block: f"line{block.line}")
def test_python(
    block: Block,
    namespace: dict[str, Any],
    ran: object,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each block on top of those before it, in the folder where the commands were run."""
    for name in OPTIONAL:
        if re.search(rf"^(import|from) {name}\b", block.code, re.MULTILINE) and find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    monkeypatch.chdir(folder)
    text, file = "\n" * (block.line - 1) + block.code, f"README.md, the block of line {block.line}"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)  # as a notebook's cell has its source there
    exec(compile(text, file, "exec"), namespace)


def test_the_summary_shows_true_hashes(ran: list[tuple[list[str], str]]) -> None:
    """Every line of the shown summary: the tensor in Python has that hash; and the command prints such a table."""
    command, printed = ran[0]
    assert "--max-rows" in command
    [shown] = [block.code.splitlines() for block in of("text")]
    assert shown[0].split() == printed.splitlines()[0].split()
    lines = [line.split() for line in shown if line.startswith("cat_")]
    assert len(lines) >= 5
    args = {"scale": 1 / 3, "mode": "fan_in", "distribution": "uniform"}
    assert [f"{name}={value}" for name, value in args.items()] == [
        command[place + 1] for place, word in enumerate(command) if word == "--arg"
    ]
    jobs = plan_tables(
        read_specs(ROOT / "examples/dlrm_dcnv2_criteo.csv"),
        "unused",
        init="variance_scaling",
        args=args,
        max_rows=int(command[command.index("--max-rows") + 1]),
    )
    assert [line[0] for line in lines] == [job.name for job in jobs if job.name in {line[0] for line in lines}]
    for name, shape, dtype, *_, digest in lines:
        rows, dim = map(int, shape.split("x"))
        [job] = [job for job in jobs if job.name == name]
        assert job.shape == (rows, dim)
        if rows * dim < 2**21:  # the large ones take time; their rule is the same
            init = gpuinit.VarianceScaling(**args, seed=gpuinit.Key(0).fold_in(name))
            assert f"{element_hash(init((rows, dim), dtype)):016x}" == digest
        if rows <= MOST_ROWS:
            assert digest in printed


def test_the_table_of_initializers_is_complete_and_right() -> None:
    """Every class stands in it, with the defaults of its constructor and a name that `get` knows."""
    seen = set()
    section = TEXT.partition("\n## The initializers\n")[2].partition("\n## ")[0]
    for line in re.findall(r"^\| `.*$", section, re.MULTILINE):
        signatures, names = (re.findall(r"`([^`]+)`", cell) for cell in line.split("|")[1:3])
        assert len(signatures) == len(names)
        for signature, name in zip(signatures, names, strict=True):
            kind, _, arguments = signature.rstrip(")").partition("(")
            seen.add(kind)
            assert find(name) is getattr(gpuinit, kind)
            defaults = inspect.signature(getattr(gpuinit, kind)).parameters
            for given in filter(None, arguments.split(", ")):
                argument, _, value = given.partition("=")
                if defaults[argument].default is inspect.Parameter.empty:
                    assert value == "", line
                    continue
                assert repr(defaults[argument].default).strip("'") in (value.strip('"'), f"{value}.0"), line
    classes = {name for name in gpuinit.initializers.__all__ if name[0].isupper()}
    assert seen == classes - {"Initializer", "QuantileInitializer", "RandomInitializer"}


def test_links_lead_somewhere() -> None:
    headings = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.*)$", TEXT, re.M)}
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXT):
        if target.startswith("#"):
            assert target[1:] in headings, target
        elif "://" not in target:
            assert (ROOT / target.partition("#")[0]).exists(), target


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    mentioned = set(re.findall(r"(?:^|`)make ([a-z-]+)", TEXT, re.MULTILINE))
    assert {"demo", "test", "lint", "bench"} <= mentioned <= targets


def test_environment_variables_are_read_somewhere() -> None:
    sources = "".join(path.read_text() for folder in ("gpuinit", "kernels") for path in (ROOT / folder).rglob("*.py"))
    assert set(re.findall(r"GPUINIT_[A-Z_]+", TEXT)) == set(re.findall(r"GPUINIT_[A-Z_]+", sources))


def test_the_demo_of_the_makefile_is_the_one_shown() -> None:
    recipe = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    [made] = [shlex.split(line.strip()) for line in recipe.splitlines() if "gpuinit create" in line]
    shown = next(command for command in commands() if "--max-rows" in command)
    assert sorted({os.path.basename(word) for word in made} - {"--force"}) == sorted(map(os.path.basename, set(shown)))
