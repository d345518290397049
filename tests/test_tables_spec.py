"""Lists of tables: what they may say, and for everything else an error that names file, line and value."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuinit.tables.spec import SpecError, check_name, read_specs

DLRM = Path(__file__).parent.parent / "examples" / "dlrm_dcnv2_criteo.csv"


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_the_example_is_dlrms_26_tables() -> None:
    tables = read_specs(DLRM).tables
    assert [table.name for table in tables] == [f"cat_{i}" for i in range(26)]
    assert sum(table.shape[0] for table in tables) == 204_184_588
    assert {table.shape[1] for table in tables} == {128}


def test_csv_with_mark_blank_lines_spaces_crlf_and_quotes(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbffeature, rows,dim\r\n\r\n"a,b", 3 ,4\r\n\xc3\xa9,0,1\r\n\r\n'
    specs = read_specs(written(tmp_path, "t.csv", content))
    assert [(table.name, table.shape) for table in specs.tables] == [("a,b", (3, 4)), ("é", (0, 1))]
    assert (specs.init, specs.dtype, specs.seed, dict(specs.args)) == (None, None, None, {})


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        ("", 1, "the file is empty; it must be 'feature,rows,dim'"),
        ("\n\n", 1, "the file is empty"),
        ("feature,rows,dim\n", 1, "lists no tables"),
        ("name,rows,dim\na,1,2\n", 1, "the header is 'name,rows,dim'"),
        ("a,1,2\n", 1, "the header is 'a,1,2'"),
        ("feature,rows\na,1\n", 1, "the header is 'feature,rows'"),
        ("feature,rows,dim\na,1\n", 2, "2 columns; there must be 3"),
        ("feature,rows,dim\na,1,2,3\n", 2, "4 columns; there must be 3"),
        ("feature,rows,dim\na,1,2\n\nb,x,2\n", 4, "rows='x' is not an integer"),
        ("feature,rows,dim\na,1.0,2\n", 2, "rows='1.0' is not an integer"),
        ("feature,rows,dim\na,1,\n", 2, "dim='' is not an integer"),
        ("feature,rows,dim\na,1_000,2\n", 2, "rows='1_000' is not an integer"),
        ("feature,rows,dim\na,٣,2\n", 2, "is not an integer"),
        ("feature,rows,dim\na,-1,2\n", 2, "rows=-1 is negative"),
        ("feature,rows,dim\na,1,-2\n", 2, "dim=-2 is negative"),
        ("feature,rows,dim\na,9223372036854775808,2\n", 2, "the most is 2^63"),
        ("feature,rows,dim\na," + "9" * 5000 + ",2\n", 2, "is too large"),
        ("feature,rows,dim\na,1,2\nb,1,2\na,3,4\n", 4, "table 'a' was already listed in line 2"),
        ('feature,rows,dim\n"a,1,2\n', 2, "not CSV"),
        ("feature,rows,dim\n../a,1,2\n", 2, "path separator"),
        (b"feature,rows,dim\na,1,2\nb\xff,1,2\n", 3, "byte 0xff is not UTF-8"),
        ("feature,rows,dim\na,1,2\n".encode("utf-16"), 1, "is not UTF-8"),
        (b"feature,rows,dim\na\0,1,2\n", 2, "control character"),
    ],
)
def test_wrong_csv(tmp_path: Path, content: str | bytes, line: int, says: str) -> None:
    path = written(tmp_path, "t.csv", content)
    with pytest.raises(SpecError) as caught:
        read_specs(path)
    assert str(caught.value).startswith(f"{path}:{line}: ") and says in str(caught.value)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        *[("", "empty"), (" ", "empty"), (" a", "white space"), (".", "dot"), ("..", "dot"), (".hidden", "dot")],
        *[
            ("a/b", "separator"),
            ("/etc/passwd", "separator"),
            ("..\\a", "separator"),
            ("a\0b", "control"),
            ("a\nb", "control"),
        ],
        *[("CON", "reserved"), ("nul.txt", "reserved"), ("com1", "reserved"), ("é" * 101, "longer than 200 bytes")],
    ],
)
def test_names_that_are_no_file_names(name: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        check_name(name)


@pytest.mark.parametrize("name", ["a", "cat_0", "user.clicks", "a b", "-x", "é" * 100, "console", "weights~1"])
def test_names_that_are(name: str) -> None:
    check_name(name)


def test_toml(tmp_path: Path) -> None:
    content = """
        init = "random_normal"
        dtype = "bfloat16"
        seed = 18446744073709551615
        args = { stddev = 0.02 }
        [tables.users]
        rows = 1_000_000
        dim = 128
        [tables."odd name"]   # comment
        shape = [2, 3, 4]
        init = "truncated_normal"
        dtype = "float32"
        args = { stddev = 0.5, upper = inf }
    """
    specs = read_specs(written(tmp_path, "t.toml", content))
    assert (specs.init, specs.dtype, specs.seed, dict(specs.args)) == (
        "random_normal",
        "bfloat16",
        2**64 - 1,
        {"stddev": 0.02},
    )
    users, odd = specs.tables
    assert (users.name, users.shape, users.init, users.dtype, dict(users.args)) == (
        "users",
        (1_000_000, 128),
        None,
        None,
        {},
    )
    assert (odd.name, odd.shape, odd.init, odd.dtype) == ("odd name", (2, 3, 4), "truncated_normal", "float32")
    assert dict(odd.args) == {"stddev": 0.5, "upper": float("inf")}
    assert users.where.endswith("t.toml:7") and odd.where.endswith("t.toml:10")


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        ("", 1, "lists no tables"),
        ("seed = 1\n", 1, "lists no tables"),
        ("seed = 1\nx = = 2\n", 2, "not TOML"),
        ('a = """', 1, "not TOML"),
        ("seed = 1\nrows = 5\n", 2, "unknown key 'rows'; known here: init, args, dtype, seed, tables"),
        (
            "[tables.a]\nrows = 1\ndim = 2\nrow = 3\n",
            4,
            "unknown key 'row'; known here: rows, dim, shape, init, args, dtype",
        ),
        ("[tables.a]\nrows = 1\ndim = 2\n[tables.a]\nrows = 1\n", 4, "first in line 1"),
        ("[other]\nx = 1\n", 1, "unknown key 'other'"),
        ("[tables.a]\nrows = 1\ndim = 2\n[tables . 'a']  # again\nrows = 1\n", 4, "first in line 1"),
        ("[tables.a]\nrows = 3\ndim = -4\n", 3, "dim=-4 is negative"),
        ('[tables.a]\nrows = 3\ndim = 4\ndtype = ""\n', 4, "dtype='' is empty"),
        ('seed = 1\ninit = ""\n', 2, "init='' is empty"),
        ("seed = 1\nx = " + "[" * 5000 + "]" * 5000, 2, "nested too deeply"),
        ("init = 'zeros'\nseed = " + "9" * 5000, 2, "a number has too many digits"),
        ("init = 'zeros'\nseed = " + str(["9" * 50] * 50), 2, "..."),
        ("[tables.a]\nrows = 1\n", 1, "table 'a' must have either rows and dim, or shape"),
        ("[tables.a]\nrows = 1\ndim = 1\nshape = [1]\n", 1, "either rows and dim, or shape"),
        ("[tables.a]\nrows = 1\nshape = [1]\n", 1, "either rows and dim, or shape"),
        ("\n[tables.a]\n", 2, "either rows and dim, or shape"),
        ("[tables.b]\nrows = 1\ndim = 2\n[tables.a]\n\nrows = -1\ndim = 2\n", 6, "rows=-1 is negative"),
        ("[tables.a]\nrows = 1\ndim = 2.0\n", 3, "dim=2.0 must be an integer"),
        ("[tables.a]\nrows = true\ndim = 2\n", 2, "rows=True must be an integer"),
        ("[tables.a]\nshape = [1, 2.5]\n", 2, "2.5"),
        ("[tables.a]\nshape = [1, -2]\n", 2, "must be >= 0"),
        ('[tables.a]\nshape = "1,2"\n', 2, "must be a list"),
        ("[tables.a]\nshape = [1]\ninit = 3\n", 3, "init=3 must be a string"),
        ("[tables.a]\nshape = [1]\nargs = 3\n", 3, "args=3 must be a table"),
        ("[tables.a]\nshape = [1]\n[tables.a.extra]\nx = 1\n", 3, "unknown key 'extra'"),
        ("tables = 3\n", 1, "must be sections [tables.NAME]"),
        ("[tables]\na = 3\n", 1, "tables.a must be a section"),
        ('[tables."../a"]\nshape = [1]\n', 2, "path separator"),
        ("[tables.a]\nrows = 9223372036854775808\ndim = 2\n", 2, "2^63"),
        ('seed = "x"\n', 1, "seed='x' must be an integer"),
        (b"[tables.a]\nshape = [1]\n# \xff\n", 3, "is not UTF-8"),
    ],
)
def test_wrong_toml(tmp_path: Path, content: str | bytes, line: int, says: str) -> None:
    path = written(tmp_path, "t.toml", content)
    with pytest.raises(SpecError) as caught:
        read_specs(path)
    assert str(caught.value).startswith(f"{path}:{line}: ") and says in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="No such file"):
        read_specs(tmp_path / "missing.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(SpecError, match="Is a directory"):
        read_specs(tmp_path / "folder.csv")
    with pytest.raises(SpecError, match=r"a list of tables is a \.csv or a \.toml file"):
        read_specs(written(tmp_path, "t.txt", "feature,rows,dim\n"))
