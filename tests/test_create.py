"""`gpuinit create` end to end: the files are what Python makes, and whatever goes wrong leaves nothing behind."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import math
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
from conftest import peak_memory, started

import gpuinit
from gpuinit import Key, dtypes
from gpuinit.backends import cpu
from gpuinit.cli import main
from gpuinit.hashing import element_hash
from gpuinit.recipe import Recipe
from gpuinit.tables import contents, files, parts, pipeline, plan_tensor, writer

DLRM = Path(__file__).parent.parent / "examples" / "dlrm_dcnv2_criteo.csv"
COMMAND = [sys.executable, "-m", "gpuinit", "create"]


def create(*arguments: object) -> int:
    return main(["create", *map(str, arguments)])


def loaded(path: Path) -> tuple[bytes, Recipe]:
    """The elements' bytes and the recipe of a file, read without any of the code that wrote it."""
    if path.suffix == ".npy":
        return np.load(path).tobytes(), Recipe.from_json(json.loads(path.with_suffix(".json").read_text()))
    with safetensors.safe_open(path, framework="np") as opened:
        recipe = Recipe.from_json(json.loads(opened.metadata()["gpuinit"]))
    [(name, found)] = safetensors.deserialize(path.read_bytes())
    assert name == "weight"
    return bytes(found["data"]), recipe


def tables(folder: Path, content: str, name: str = "tables.csv") -> Path:
    path = folder / name
    path.write_text(content)
    return path


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of 4 KiB in buffers that hold poison first, so that what is not written shows."""

    def poisoned(nbytes: int) -> np.ndarray:
        return np.full(max(nbytes, 1), 0xCA, np.uint8)

    monkeypatch.setattr(pipeline, "CHUNK_BYTES", 4096)
    monkeypatch.setattr(cpu, "pages", poisoned)


# the files


def test_a_tables_file_is_what_python_makes(tmp_path: Path, small_chunks: None, capsys: pytest.CaptureFixture[str]) -> None:
    listed = tables(tmp_path, "feature,rows,dim\nusers,1000,16\nempty,0,16\nodd name,77,3\n")
    assert (
        create(
            "--tables",
            listed,
            "--out",
            tmp_path / "out",
            "--init",
            "truncated_normal",
            "--arg",
            "stddev=0.5",
            "--seed",
            7,
        )
        == 0
    )
    assert sorted(os.listdir(tmp_path / "out")) == ["empty.safetensors", "odd name.safetensors", "users.safetensors"]
    lines = capsys.readouterr().out.splitlines()
    for line, (name, shape) in zip(lines[1:], {"users": (1000, 16), "empty": (0, 16), "odd name": (77, 3)}.items(), strict=False):
        expected = gpuinit.TruncatedNormal(stddev=0.5, seed=Key(7).fold_in(name))(shape)
        elements, recipe = loaded(tmp_path / "out" / f"{name}.safetensors")
        assert elements == expected.tobytes()
        assert recipe.initializer()(recipe.shape, recipe.dtype).tobytes() == elements
        assert line.startswith(name) and line.endswith(f"{element_hash(expected):016x}") and f"{shape[0]}x{shape[1]}" in line
    assert lines[-1].startswith("3 files, ")


@pytest.mark.parametrize(
    ("init", "args", "shape"),
    [
        *[
            ("he_normal", {}, (300, 7)),
            ("glorot_uniform", {}, (5, 3, 30, 7)),
            ("random_uniform", {"minval": -1.0, "maxval": 3.0}, (3000,)),
        ],
        *[
            ("random_normal", {"mean": 1.0, "stddev": 2.0}, ()),
            ("identity", {"gain": 2.0}, (65, 33)),
            ("constant", {"value": 0.5}, (2, 3000)),
        ],
        *[
            ("constant", {"value": [1.0, 2.0, 3.0]}, (1000, 3)),
            ("orthogonal", {"gain": 3.0}, (90, 40)),
            ("stft", {}, (64, 3, 33)),
        ],
        *[
            ("delta_orthogonal", {"gain": 3.0}, (3, 4, 20, 30)),
            ("dirac", {"groups": 4, "layout": "keras"}, (3, 4, 20, 32)),
            ("sparse", {"sparsity": 0.7}, (400, 30)),
        ],
        *[
            ("lecun_normal", {}, (0, 7)),
            ("lecun_normal", {}, (7, 0)),
            ("zeros", {}, (1, 1, 1, 1)),
            ("random_uniform", {}, (3, 5000)),
        ],
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64", "float8_e4m3fn", "complex64"])
def test_one_tensor_for_every_kind(
    init: str, args: dict[str, Any], shape: tuple[int, ...], dtype: str, tmp_path: Path, small_chunks: None
) -> None:
    kind: Any = gpuinit.registry.find(init)
    seed = {"seed": 3} if issubclass(kind, gpuinit.RandomInitializer) else {}
    expected = kind(**args, **seed)(shape, dtype)
    given = [f"--arg={name}={json.dumps(value)}" for name, value in args.items()]
    out = tmp_path / "made" / "w.safetensors"
    sizes = ",".join(map(str, shape)) or "()"
    assert create("--shape", sizes, "--init", init, *given, "--dtype", dtype, "--seed", 3, "--out", out, "--quiet") == 0
    elements, recipe = loaded(out)
    assert elements == expected.tobytes()
    assert recipe.initializer()(recipe.shape, recipe.dtype).tobytes() == elements
    assert os.listdir(out.parent) == ["w.safetensors"]


def test_npy_has_its_recipe_beside_it(tmp_path: Path, small_chunks: None) -> None:
    out = tmp_path / "w.npy"
    assert create("--shape", "1000,12", "--init", "he_normal", "--dtype", "complex128", "--out", out, "--quiet") == 0
    elements, recipe = loaded(out)
    assert elements == gpuinit.HeNormal(seed=0)((1000, 12), "complex128").tobytes()
    assert recipe.initializer()(recipe.shape, recipe.dtype).tobytes() == elements
    assert sorted(os.listdir(tmp_path)) == ["w.json", "w.npy"]


def test_toml_tables_and_who_overrules_whom(tmp_path: Path, small_chunks: None) -> None:
    """A table's own settings, then the options, then the file's defaults; arguments stay with their initializer."""
    content = """
        init = "truncated_normal"
        args = { stddev = 0.5 }
        dtype = "float64"
        seed = 11
        [tables.plain]
        rows = 30
        dim = 4
        [tables.own]
        shape = [5, 6, 7]
        init = "random_normal"
        dtype = "bfloat16"
        [tables.more]
        rows = 3
        dim = 3
        args = { mean = 9 }
    """
    listed = tables(tmp_path, content, "t.toml")
    assert create("--tables", listed, "--out", tmp_path / "a", "--quiet", "--max-rows", 20) == 0
    key = Key(11)
    own = gpuinit.RandomNormal(seed=key.fold_in("own"))((5, 6, 7), "bfloat16").tobytes()
    plain = gpuinit.TruncatedNormal(stddev=0.5, seed=key.fold_in("plain"))((20, 4), "float64").tobytes()
    more = gpuinit.TruncatedNormal(mean=9, stddev=0.5, seed=key.fold_in("more"))((3, 3), "float64").tobytes()
    assert [loaded(tmp_path / "a" / f"{name}.safetensors")[0] for name in ("own", "plain", "more")] == [
        own,
        plain,
        more,
    ]

    options = ("--init", "random_uniform", "--arg", "maxval=0.25", "--dtype", "float32", "--seed", 12)
    (tmp_path / "t.toml").write_text(content.replace("args = { mean = 9 }", ""))
    assert create("--tables", listed, "--out", tmp_path / "b", "--quiet", *options) == 0
    own = gpuinit.RandomNormal(seed=Key(12).fold_in("own"))((5, 6, 7), "bfloat16").tobytes()
    plain = gpuinit.RandomUniform(maxval=0.25, seed=Key(12).fold_in("plain"))((30, 4), "float32").tobytes()
    assert [loaded(tmp_path / "b" / f"{name}.safetensors")[0] for name in ("own", "plain")] == [own, plain]


def test_the_default_gives_the_first_rows_of_the_larger_table(tmp_path: Path) -> None:
    listed = tables(tmp_path, "feature,rows,dim\na,1000,16\n")
    assert create("--tables", listed, "--out", tmp_path / "all", "--quiet") == 0
    assert create("--tables", listed, "--out", tmp_path / "some", "--quiet", "--max-rows", 10) == 0
    whole, part = (loaded(tmp_path / folder / "a.safetensors")[0] for folder in ("all", "some"))
    assert part == whole[: len(part)] and len(part) == 10 * 16 * 4


def test_dlrms_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ("--arg", "scale=0.3333333333333333", "--arg", "mode=fan_in", "--arg", "distribution=uniform")
    assert create("--tables", DLRM, "--max-rows", 500, "--init", "variance_scaling", *settings, "--out", tmp_path, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert len(facts) == 26 and len(os.listdir(tmp_path)) == 26
    for fact in facts:
        bound = 1 / math.sqrt(fact["shape"][0])
        assert -bound <= fact["min"] < 0 < fact["max"] < bound
        assert fact["std"] == pytest.approx(bound / math.sqrt(3), rel=0.12)
        elements, recipe = loaded(Path(fact["file"]))
        assert int(fact["hash"], 16) == element_hash(np.frombuffer(elements, np.float32))
        assert recipe.key == Key(0).fold_in(fact["table"])


@pytest.mark.parametrize("most", [1, 2, 5, 12, 60, 1000])
@pytest.mark.parametrize("shape", [(), (0,), (7,), (5, 12), (3, 1, 4), (3, 4, 5), (2, 0, 3), (1, 1)], ids=str)
def test_blocks_follow_each_other_and_are_all(shape: tuple[int, ...], most: int) -> None:
    index = np.arange(math.prod(shape)).reshape(shape)
    blocks = list(contents.blocks(shape, contents.grid(shape, most)))
    pieces = [index[block.slices].reshape(-1) for block in blocks]
    starts = [block.start for block in blocks]
    assert starts == [int(piece[0]) for piece in pieces]
    assert all(piece.size <= most for piece in pieces)
    assert np.array_equal(np.concatenate(pieces) if pieces else [], index.reshape(-1))


# the summary


def test_the_summary_when_piped_and_in_80_columns(tmp_path: Path) -> None:
    options = ["--tables", str(DLRM), "--max-rows", "100", "--out", str(tmp_path / "o")]
    environment = {**os.environ, "COLUMNS": "80"}
    done = subprocess.run([*COMMAND, *options], capture_output=True, text=True, env=environment, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    head, *rows, total = done.stdout.splitlines()
    assert head.split() == ["table", "shape", "dtype", "GB/s", "mean", "std", "min", "max", "hash"]
    assert len(rows) == 26 and total.startswith("26 files, ")
    assert all(len(row) <= 80 and len(row.split()) == 9 and len(row.split()[-1]) == 16 for row in rows)


@pytest.mark.parametrize("encoding", ["ascii", "ascii:surrogateescape", "latin-1"])
def test_a_summary_that_the_terminal_cannot_show(encoding: str, tmp_path: Path) -> None:
    listed = tmp_path / "t.csv"
    listed.write_bytes("feature,rows,dim\né中,3,4\n".encode())
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(
        [*COMMAND, "--tables", str(listed), "--out", str(tmp_path / "ö中")], capture_output=True, env=environment, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"")
    shown = done.stdout.decode("latin-1")
    assert shown.count("\\u4e2d") == 2 and ("é" if encoding == "latin-1" else "\\xe9") in shown
    assert os.listdir(tmp_path / "ö中") == ["é中.safetensors"]


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"gpuinit {gpuinit.__version__}\n"
    for arguments in (["--help"], ["create", "--help"]):
        assert main(arguments) == 0
        assert "gpuinit create --shape 1000000,128 --init he_normal --out w.npy" in capsys.readouterr().out


def test_values_are_never_evaluated() -> None:
    from gpuinit.cli.values import argument

    cases = {
        "3": 3,
        "-3": -3,
        "0.5": 0.5,
        "1e-3": 1e-3,
        "-inf": -math.inf,
        "true": True,
        "False": False,
        "none": None,
        "null": None,
    }
    cases |= {
        "[1, 2.5]": [1, 2.5],
        '"3"': "3",
        "uniform": "uniform",
        "__import__('os')": "__import__('os')",
        "a=b": "a=b",
        "": "",
        "1+2j": 1 + 2j,
        "-2.5j": -2.5j,
        "j": "j",
        "1+2i": "1+2i",
    }
    for text, value in cases.items():
        name, found = argument(f"x={text}")
        assert (name, found, type(found)) == ("x", value, type(value))


# bad input: exit status 2, one line, nothing written


def refused(capsys: pytest.CaptureFixture[str], status: int, arguments: tuple[object, ...]) -> str:
    """Run `create`, which must fail with the status; returns the one line that it says."""
    assert create(*arguments) == status
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("gpuinit: error: ") and said.err.count("\n") == 1
    return said.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("--shape -1,5", "shape=(-1, 5): dimensions must be >= 0"),
        ("--shape 5,x", "'5,x' must be integers separated by commas"),
        ("--shape 2.5", "'2.5' must be integers"),
        ("--shape 9223372036854775808,2", "the most is 2^63"),
        (f"--shape 1{'0' * 200}", "2^63"),
        (f"--shape 0,1{'0' * 200}", ""),
        ("--shape 5 --init he_norml", "init='he_norml' is not known; did you mean 'he_normal'?"),
        ("--shape 5 --init initializer", "init='initializer' is not known"),
        ("--shape 5 --init os.system", "init='os.system' is not known"),
        ("--shape 5 --arg stddev=2", "RandomUniform has no argument 'stddev'; it takes minval, maxval"),
        ("--shape 5,5 --init sparse", "args: Sparse needs the argument 'sparsity'; it takes sparsity, stddev"),
        ("--shape 5,5 --init sparse --arg sparsity=2", "sparsity=2: it must be a fraction of zeros in [0, 1]"),
        ("--shape 5 --init sparse --arg sparsity=0.9", "shape=(5,) has 1 axes: Sparse makes matrices"),
        ("--shape 5 --init zeros --arg value=2", "Zeros has no argument 'value'; it takes none"),
        ("--shape 5 --arg seed=2", "seed is set by the seed option"),
        ("--shape 5 --arg minval", "'minval' must be NAME=VALUE"),
        ("--shape 5 --arg minval=[1", "is not a JSON list"),
        ("--shape 5 --arg minval=0 --arg minval=0", "--arg minval is given twice"),
        ("--shape 5 --arg minval=1", "minval=1"),
        ("--shape 5 --arg minval=nan", "minval=nan"),
        ("--shape 5 --arg maxval=inf", "maxval=inf"),
        ("--shape 5 --arg minval=abc", "minval='abc'"),
        ("--shape 5 --init random_normal --arg stddev=-1", "stddev=-1"),
        ("--shape 5 --init variance_scaling --arg scale=0", "scale=0"),
        ("--shape 5 --init variance_scaling --arg mode=fan", "mode='fan'"),
        ("--shape 5 --init orthogonal", "at least 2"),
        ("--shape 5,5,5 --init identity", "shape=(5, 5, 5)"),
        ("--shape 5 --dtype float12", "dtype='float12' is not known"),
        ("--shape 5 --dtype int32", "dtype=int32"),
        ("--shape 5 --dtype bool", "dtype=bool"),
        ("--shape 5,5 --dtype int8 --init orthogonal", "dtype=int8"),
        ("--shape 5 --dtype float16 --arg maxval=1e6", "float16"),
        ("--shape 2 --dtype float16 --init constant --arg value=[1,1e6]", "dtype=float16 cannot hold"),
        ("--shape 2,2 --dtype int8 --init identity --arg gain=300", "dtype=int8 cannot hold"),
        ("--shape 2,2 --dtype float16 --init orthogonal --arg gain=1e6", "float16"),
        ("--shape 5 --init constant --arg value=[1,2]", "does not broadcast"),
        ("--shape 5 --init constant --arg value=abc", "value='abc'"),
        ("--shape 5 --seed -1", "seed=-1 is out of range"),
        ("--shape 5 --seed 18446744073709551616", "0 .. 2^64 - 1"),
        ("--shape 5 --seed true", "'true' is not an integer"),
        ("--shape 5 --max-rows 3", "--max-rows limits the rows of --tables"),
        ("--shape 5 --format npz", "format='npz' is not known"),
        ("--shape 5 --format safetensors", "does not go with out="),
        ("--shape 5 --dtype bfloat16", "format='npy' cannot hold dtype=bfloat16; format='safetensors' can"),
        ("--shape 5 --device gpu", "device='gpu' is not a device"),
        ("--shape 5 --tables t.csv", "not allowed with"),
        ("", "one of the arguments --tables --shape is required"),
        ("--shape 5 --bogus", "--bogus"),
        ("--shape 5 --quiet --json", "not allowed with"),
        *[(f"--shape 5 --{name}=", f"--{name}: the value is empty") for name in ("init", "dtype", "format", "device", "out")],
        ("--tables=", "--tables: the value is empty"),
        ("--shape=", "--shape: '' must be integers"),
        ("--shape 5 --arg stddev=" + "[" * 100_000, "is nested too deeply"),
        ("--shape 5 --init constant --arg value=" + "[" * 900 + "]" * 900, ""),
        *[(f"--shape 5 --{name}=" + "9" * 5000, f"--{name}: '99999") for name in ("shape", "seed", "max-rows")],
        ("--shape 5 --arg maxval=" + "9" * 5000, "--arg: 'maxval=99999"),
        ("--shape 5 --arg maxval=[" + "9" * 5000 + "]", "--arg: 'maxval=[99999"),
        ("--shape 5 --init " + "x" * 5000, "init='xxxxx"),
    ],
)
def test_bad_arguments(arguments: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, 2, ("--out", tmp_path / "folder" / "w.npy", *arguments.split()))
    assert says in said and len(said) < 1000 and os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "options", "says"),
    [
        ("feature,rows,dim\na,1,2\nb,-1,2\n", "", "tables.csv:3: rows=-1 is negative"),
        ("feature,rows,dim\na,1,2\na,1,2\n", "", "tables.csv:3: table 'a' was already listed in line 2"),
        ("feature,rows,dim\na,1,2\n../b,1,2\n", "", "tables.csv:3: name '../b' has a path separator"),
        ("feature,rows,dim\na:b,1,2\n", "", "tables.csv:2: name 'a:b' has a :, which some systems allow in no file name"),
        ("feature,rows,dim\nwhat?,1,2\n", "", "tables.csv:2: name 'what?' has a ?"),
        ("feature,rows,dim\n<a>,1,2\n", "", "tables.csv:2: name '<a>' has a <"),
        ("feature,rows,dim\na.,1,2\n", "", "tables.csv:2: name 'a.' begins or ends with a dot"),
        (
            "feature,rows,dim\na,9,9\nb,9,9\n",
            "--format npy --dtype float8_e5m2",
            "tables.csv:2: table 'a': format='npy' cannot hold",
        ),
        ("feature,rows,dim\na,9,9\n", "--max-rows -1", "max_rows=-1 is negative"),
        ("feature,rows,dim\na,9,9\n", "--init he_norml", "error: init='he_norml' is not known; did you mean"),
        ("feature,rows,dim\na,9,9\nb,4611686018427387905,2\n", "", "tables.csv:3: shape=(4611686018427387905, 2) has"),
        ("rows\n", "", "tables.csv:1: the header is 'rows'"),
    ],
)
def test_bad_tables(content: str, options: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = tables(tmp_path, content)
    said = refused(capsys, 2, ("--tables", listed, "--out", tmp_path / "out", *options.split()))
    assert says in said and os.listdir(tmp_path) == ["tables.csv"]


def test_bad_toml_says_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = tables(tmp_path, '[tables.a]\nshape = [3]\n\n[tables.b]\nshape = [3]\ninit = "he_norml"\n', "t.toml")
    said = refused(capsys, 2, ("--tables", listed, "--out", tmp_path / "out"))
    assert "t.toml:6: table 'b': init='he_norml' is not known; did you mean 'he_normal'?" in said
    assert os.listdir(tmp_path) == ["t.toml"]
    assert "No such file" in refused(capsys, 2, ("--tables", tmp_path / "none.toml", "--out", tmp_path / "out"))


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        ("seed = -1\n", 1, "seed=-1 is out of range"),
        ("seed = 1\ninit = 'foo'\n", 2, "init='foo' is not known"),
        ("seed = 1\nargs = { stddev = 2 }\n", 2, "RandomUniform has no argument 'stddev'"),
        ("init = 'random_normal'\n[args]\nstddev = -2\n", 2, "stddev=-2"),
        ("seed = 1\ndtype = 'float12'\n", 2, "dtype='float12' is not known"),
        ("seed = 1\ndtype = 'bfloat16'\n", 2, "format='npy' cannot hold dtype=bfloat16"),
    ],
)
def test_wrong_defaults_are_no_tables_fault(
    content: str, line: int, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = tables(tmp_path, f"{content}[tables.a]\nrows = 3\ndim = 4\n", "t.toml")
    said = refused(capsys, 2, ("--tables", listed, "--out", tmp_path / "out", "--format", "npy"))
    assert f"t.toml:{line}: " in said and says in said and "table 'a'" not in said and os.listdir(tmp_path) == ["t.toml"]


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        ("init = 'random_normal'\nargs = { mean = 1, stddev = -2 }", 5, "stddev=-2"),
        ("init = 'random_normal'\ndtype = 'float12'", 5, "dtype='float12'"),
        ("dtype = 'bfloat16'", 4, "format='npy' cannot hold"),
        ("init = 'he_normal'\ndtype = 'int8'", 5, "dtype=int8"),
        ("init = 'identity'\ndtype = 'float32'", 2, "shape=(3, 4, 5)"),
        ("args = { stddev = 2 }", 4, "RandomUniform has no argument 'stddev'"),
    ],
)
def test_a_tables_wrong_setting_says_its_line(
    content: str, line: int, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = tables(tmp_path, f"[tables.a]\nshape = [3, 4, 5]\n# they follow\n{content}\n", "t.toml")
    said = refused(capsys, 2, ("--tables", listed, "--out", tmp_path / "out", "--format", "npy"))
    assert f"t.toml:{line}: table 'a': " in said and says in said


def test_a_wrong_number_of_threads_is_met_in_the_plan(tmp_path: Path) -> None:
    environment = {**os.environ, "GPUINIT_NUM_THREADS": "abc"}
    arguments = ["--shape", "3000,3000", "--out", str(tmp_path / "new" / "w.npy")]
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, env=environment, timeout=60)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.count("\n") == 1
    assert "GPUINIT_NUM_THREADS='abc'" in done.stderr and os.listdir(tmp_path) == []


def test_standard_error_closed(tmp_path: Path) -> None:
    out = tmp_path / "w.npy"
    command = "exec " + " ".join(COMMAND) + ' "$@" 2>&-'
    good = subprocess.run(["sh", "-c", command, "sh", "--shape", "3", "--out", str(out)], stdout=subprocess.PIPE, timeout=60)
    assert good.returncode == 0 and b"1 file, " in good.stdout and out.exists()
    for wrong in ("--shape=x", "--init=x"):
        arguments = ["sh", "-c", command, "sh", "--shape=3", wrong, "--out", str(tmp_path / "v.npy")]
        done = subprocess.run(arguments, stdout=subprocess.PIPE, timeout=60)
        assert (done.returncode, done.stdout) == (2, b"")


class Terminal(io.StringIO):
    """A terminal that keeps what it is sent."""

    def isatty(self) -> bool:
        return True


def test_names_are_shown_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    listed = tables(tmp_path, "[tables.'[red]x']\nshape=[3]\n[tables.'[b]']\nshape=[3]\n", "t.toml")
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    assert create("--tables", listed, "--out", tmp_path / "out") == 0
    shown = capsys.readouterr().out
    assert "[red]x " in shown and "[b] " in shown
    assert "[red]x" in re.sub("\x1b.*?[a-zA-Z]", "", sys.stderr.getvalue())
    assert create("--shape", 3, "--out", tmp_path / ":dog:.npy") == 0
    assert ":dog: " in capsys.readouterr().out and ":dog:" in sys.stderr.getvalue()


def test_numbers_that_json_has_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Recipes and the summary are strict JSON, which knows no Infinity and no NaN."""

    def never(name: str) -> None:
        raise AssertionError(name)

    out = tmp_path / "w.npy"
    assert create("--shape", 3, "--init", "constant", "--arg", "value=-inf", "--json", "--out", out) == 0
    [fact] = json.loads(capsys.readouterr().out, parse_constant=never)
    assert fact["mean"] is None and fact["std"] is None
    recipe = Recipe.from_json(json.loads(out.with_suffix(".json").read_text(), parse_constant=never))
    assert recipe.initializer()(recipe.shape).tobytes() == np.load(out).tobytes() == np.full(3, -np.inf, np.float32).tobytes()
    bounds = ("--init", "truncated_normal", "--arg", "lower=-inf", "--shape", 3, "--out", tmp_path / "w.safetensors")
    assert create(*bounds, "--quiet") == 0
    with safetensors.safe_open(tmp_path / "w.safetensors", framework="np") as opened:
        assert "lower" in json.loads(opened.metadata()["gpuinit"], parse_constant=never)["initializer"]["config"]


def test_a_complex_argument(tmp_path: Path) -> None:
    options = ("--init", "constant", "--arg", "value=1+2j", "--dtype", "complex64")
    assert create("--shape", 3, *options, "--out", tmp_path / "w.npy", "--quiet") == 0
    assert np.load(tmp_path / "w.npy").tolist() == [1 + 2j] * 3


def test_the_device_is_what_tensors_are_made_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is settled once, in the plan; a tensor made in one piece is asked of it."""
    monkeypatch.setenv("GPUINIT_DEVICE", "cpu")
    [job] = plan_tensor((4, 3), tmp_path / "w.npy", init="orthogonal")
    assert job.device == "cpu" and not job.table.divisible
    asked = []
    real = gpuinit.Table.make

    def make(self: Any, device: Any = None) -> Any:
        asked.append(device)
        return real(self, device)

    monkeypatch.setattr(gpuinit.Table, "make", make)
    writer.write([job])
    assert asked == ["cpu"]
    [job] = plan_tensor((4, 3), tmp_path / "w.npy", init="identity", device="cpu")
    assert job.device == "cpu" and job.table.divisible


def test_an_unusable_device_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "device='cuda:99'" in refused(capsys, 1, ("--shape", 5, "--device", "cuda:99", "--out", tmp_path / "w.npy"))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("taken", ["b.npy", "b.json"])
def test_files_that_exist_are_kept_unless_forced(taken: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of several tables none is made when one is there already."""
    listed, out = tables(tmp_path, "feature,rows,dim\na,9,9\nb,9,9\n"), tmp_path / "out"
    out.mkdir()
    (out / taken).write_text("mine")
    said = refused(capsys, 2, ("--tables", listed, "--out", out, "--format", "npy"))
    assert f"{taken}' exists already; --force" in said
    assert os.listdir(out) == [taken] and (out / taken).read_text() == "mine"
    assert create("--tables", listed, "--out", out, "--format", "npy", "--force", "--quiet") == 0
    assert loaded(out / "b.npy")[0] == gpuinit.RandomUniform(seed=Key(0).fold_in("b"))((9, 9)).tobytes()


def test_places_that_are_taken_by_something_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "w.npy").mkdir()
    assert "is a file; a folder is needed" in refused(capsys, 2, ("--shape", 5, "--out", tmp_path / "file" / "x" / "w.npy"))
    assert "is a folder; a file is to be" in refused(capsys, 2, ("--shape", 5, "--out", tmp_path / "w.npy", "--force"))
    assert sorted(os.listdir(tmp_path)) == ["file", "w.npy"] and os.listdir(tmp_path / "w.npy") == []


@pytest.mark.parametrize("kind", ["link", "dangling link", "folder", "pipe"])
@pytest.mark.parametrize(("suffix", "late"), [(".part", False), (".part", True), (".old.part", False)])
def test_what_is_no_regular_file_is_left_alone(
    suffix: str, late: bool, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused before anything is made; one that comes after the check is refused too."""
    precious, place = tmp_path / "p.txt", tmp_path / f"z.npy{suffix}"
    precious.write_text("precious")
    if kind.endswith("link"):
        place.symlink_to(precious if kind == "link" else tmp_path / "q.txt")
    elif kind == "folder":
        place.mkdir()
    else:
        os.mkfifo(place)
    if late:
        monkeypatch.setattr(writer, "check_free", lambda *arguments: None)
    said = refused(capsys, 2, ("--shape", 3, "--out", tmp_path / "z.npy"))
    assert "is no regular file" in said or kind == "folder"
    assert "out: " in said and sorted(os.listdir(tmp_path)) == ["p.txt", place.name] and precious.read_text() == "precious"


def test_the_final_file_is_named_where_it_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for length in (244, 248, 260):
        out = tmp_path / "new" / ("x" * length + ".npy")
        said = refused(capsys, 1, ("--shape", 3, "--out", out))
        assert f"out: {str(out)!r} cannot be written: File name too long" in said and os.listdir(tmp_path) == []
    said = refused(capsys, 1, ("--shape", 3, "--out", tmp_path / "new" / ("x" * 256) / "w.npy"))
    assert "out: the folder " in said and "cannot be made: File name too long" in said and os.listdir(tmp_path) == []

    def denied(path: Any, *rest: Any, real: Any = os.open) -> Any:
        if str(path).endswith(".part"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *rest)

    monkeypatch.setattr(os, "open", denied)
    said = refused(capsys, 1, ("--shape", 3, "--out", tmp_path / "w.npy"))
    assert f"out: {str(tmp_path / 'w.npy')!r} cannot be written: Permission denied" in said


# what happens while running


def test_only_empty_folders_of_its_own_are_removed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopping(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(gpuinit.Table, "chunks", stopping)
    (tmp_path / "old").mkdir()
    for out in ("old/w.npy", "old/new/newer/w.npy", "new/../newer/w.npy"):
        assert create("--shape", 3, "--out", tmp_path / out) == 130
        assert os.listdir(tmp_path) == ["old"] and os.listdir(tmp_path / "old") == []


def test_a_disk_too_small_for_all_is_refused_before_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files.shutil, "disk_usage", lambda path: files.shutil._ntuple_diskusage(0, 0, 6000))
    listed, out = tables(tmp_path, "feature,rows,dim\na,10,100\nb,5,100\n"), tmp_path / "out"
    said = refused(capsys, 1, ("--tables", listed, "--out", out))
    assert "bytes are needed" in said and "6,000 bytes are free" in said and os.listdir(tmp_path) == ["tables.csv"]
    assert create("--tables", listed, "--out", out, "--max-rows", 5, "--quiet") == 0
    # replacing one file after the other needs room for one, as each makes room for the next
    monkeypatch.setattr(files.shutil, "disk_usage", lambda path: files.shutil._ntuple_diskusage(0, 0, 3000))
    assert create("--tables", listed, "--out", out, "--max-rows", 5, "--quiet", "--force") == 0


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], capture_output=True).returncode
    ):
        pytest.skip("needs the right to mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_disk_that_fills_up_in_the_middle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        arguments = ("--shape", "1000,500", "--out", disk / "w.npy")
        assert "bytes are free" in refused(capsys, 1, arguments)
        monkeypatch.setattr(writer, "check_space", lambda sizes: None)  # as if another process filled it meanwhile
        monkeypatch.setattr(pipeline, "CHUNK_BYTES", 1 << 16)
        said = refused(capsys, 1, arguments)
        assert "w.npy' needs 2,000,128 bytes: the disk is full" in said and "--resume goes on" in said
        assert sorted(os.listdir(disk)) == ["w.json.part", "w.npy.journal", "w.npy.part"]
        assert "--force (force=True) starts over" in refused(capsys, 2, arguments)
        subprocess.run(["mount", "-o", "remount,size=4m", disk], check=True)
        assert create(*arguments, "--resume", "--quiet") == 0 and sorted(os.listdir(disk)) == ["w.json", "w.npy"]
        assert loaded(disk / "w.npy")[0] == gpuinit.RandomUniform(seed=0)((1000, 500)).tobytes()


def test_a_file_larger_than_the_limit(tmp_path: Path) -> None:
    arguments = ["--shape", "20000,500", "--out", str(tmp_path / "w.npy")]

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, preexec_fn=limited, timeout=60)
    assert done.returncode == 1 and done.stdout == "" and "larger than allowed here" in done.stderr
    assert done.stderr.startswith("gpuinit: error: ") and done.stderr.count("\n") == 1 and os.listdir(tmp_path) == []


def test_an_error_while_writing_or_making_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_chunks: None
) -> None:
    """The first table stays, the second is removed, the third never begun."""
    listed = tables(tmp_path, "feature,rows,dim\na,100,100\nb,100,100\nc,100,100\n")
    real, calls = contents.write_at, []

    def failing(file: Any, array: np.ndarray, offset: int) -> None:
        calls.append(array.nbytes)
        if len(calls) == 18:
            raise OSError(errno.EIO, "Input/output error")
        real(file, array, offset)

    monkeypatch.setattr(contents, "write_at", failing)
    assert create("--tables", listed, "--out", tmp_path / "out") == 1
    assert os.listdir(tmp_path / "out") == ["a.safetensors"]


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("failing", [1, 2])
def test_an_npy_and_its_recipe_appear_together_or_not_at_all(
    failing: int, old: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rename fails: what was there before, nothing or an older pair, is there again."""
    arguments = ("--shape", "30,4", "--out", tmp_path / "w.npy", "--quiet", "--force")
    if old:
        assert create(*arguments, "--seed", 1) == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(before) == (["w.json", "w.npy"] if old else [])
    real, calls = os.replace, []

    def replace(source: Any, target: Any) -> None:
        calls.append(target)
        if len(calls) == failing:
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    assert create(*arguments, "--seed", 2) == 130 and len(calls) == failing
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert create(*arguments, "--seed", 2) == 0
    elements, recipe = loaded(tmp_path / "w.npy")
    assert recipe.key == Key(2) and elements == gpuinit.RandomUniform(seed=2)((30, 4)).tobytes()
    assert sorted(os.listdir(tmp_path)) == ["w.json", "w.npy"]


def test_interrupted_as_the_old_files_step_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt after each rename of an old file, and what a killed process left, never mixes old and new."""
    paths = [tmp_path / name for name in ("a", "b", "c")]
    for done in range(7):
        for path in paths:
            path.write_text("old")
            path.with_name(path.name + ".old.part").write_text("older")
        with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
            calls: list[Any] = []

            def counted(source: Any, target: Any, real: Any, limit: int = done, calls: list[Any] = calls) -> None:
                real(source, target)
                calls.append(target)
                if len(calls) == limit:
                    raise KeyboardInterrupt

            patch.setattr(os, "rename", partial(counted, real=os.rename))
            patch.setattr(os, "replace", partial(counted, real=os.replace))
            with parts.replacing(*paths) as opened:
                for file in opened.places:
                    file.write(b"new")
        assert sorted(os.listdir(tmp_path)) == ["a", "b", "c"]
        assert {path.read_text() for path in paths} == {"new" if done in (0, 6) else "old"}


def test_a_second_signal_does_not_stop_the_cleaning_up(tmp_path: Path) -> None:
    """Three signals while the unfinished file is being removed: it is removed, and the first decides the status."""
    code = f"""
import os, pathlib, signal, sys
from gpuinit.cli import main
import gpuinit
def stopping(*arguments):
    os.kill(os.getpid(), signal.SIGINT)
def removing(path, missing_ok=False, real=pathlib.Path.unlink):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
        os.kill(os.getpid(), number)
    real(path, missing_ok=missing_ok)
signal.signal(signal.SIGINT, signal.default_int_handler)
gpuinit.Table.chunks = stopping
pathlib.Path.unlink = removing
sys.exit(main(["create", "--shape", "9,9", "--out", {str(tmp_path / "w.npy")!r}]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "gpuinit: error: interrupted\n")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_interrupted_in_the_middle(number: int, status: int, tmp_path: Path) -> None:
    part = tmp_path / "w.safetensors.part"
    arguments = ["--shape", "4194304,256", "--out", str(tmp_path / "w.safetensors")]
    process = started([*COMMAND, *arguments], lambda: part.exists() and part.stat().st_size > 1 << 20)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (status, "")
    assert err.startswith("gpuinit: error: ") and err.count("\n") == 1
    assert os.listdir(tmp_path) == []


def test_killed_in_the_middle_and_a_second_writer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No final name appears; meanwhile a second writer is refused; the next one takes over what was left."""
    out = tmp_path / "w.safetensors"
    part = tmp_path / "w.safetensors.part"
    process = started(
        [*COMMAND, "--shape", "4194304,256", "--out", str(out)], lambda: part.exists() and part.stat().st_size > 1 << 20
    )
    assert "is being written by another process" in refused(capsys, 1, ("--shape", "3,3", "--out", out))
    process.kill()
    process.communicate(timeout=60)
    assert os.listdir(tmp_path) == [part.name]
    assert create("--shape", "3,3", "--out", out, "--quiet") == 0
    assert os.listdir(tmp_path) == [out.name]
    assert loaded(out)[0] == gpuinit.RandomUniform(seed=0)((3, 3)).tobytes()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from Linux's /proc")
def test_memory_does_not_grow_with_the_table(tmp_path: Path) -> None:
    """A table of 640 MiB is made in less than 400 MiB, the interpreter included."""
    peak = peak_memory("create", "--shape", "1310720,128", "--out", tmp_path / "w.safetensors", "--quiet")
    assert (tmp_path / "w.safetensors").stat().st_size > 640 << 20
    assert peak < 400 << 20


def test_dtypes_default_is_float32(tmp_path: Path) -> None:
    assert create("--shape", "3", "--out", tmp_path / "w.npy", "--quiet") == 0
    assert np.load(tmp_path / "w.npy").dtype == dtypes.canonical("float32")
