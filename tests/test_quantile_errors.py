"""What cannot be a quantile function is refused when it is decorated: the error shows the line, and says what is wrong."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpuinit
from gpuinit import QuantileError
from gpuinit.backends import cpu


@pytest.fixture(autouse=True)
def by_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy draws, whatever the process has drawn before: no value here needs a compiled kernel."""
    monkeypatch.setattr(cpu, "BREAK_EVEN", 2**62)


CASES: list[tuple[str, str, str]] = [
    # the body, a part of the line that is shown, a part of the message
    ("while u > a:\n    u = u - a\nreturn u", "while u > a:", "`while u > a:` is not allowed"),
    ("x = [u, a]\nreturn x[0]", "x = [u, a]", "`[u, a]` is not allowed"),
    ("return max(x for x in (u, a))", "return max", "`(x for x in (u, a))` is not allowed"),
    ("return sum((u, a))", "return sum((u, a))", "sum cannot be called"),
    ("f = lambda x: x\nreturn f(u)", "f = lambda x: x", "a lambda is not allowed"),
    ("def f(x):\n    return x\nreturn f(u)", "def f(x):", "`def f(x):` is not allowed"),
    ("import math\nreturn math.log(u)", "import math", "`import math` is not allowed"),
    ("try:\n    return u\nexcept ValueError:\n    return a", "try:", "`try:` is not allowed"),
    ("global pi\npi = u\nreturn u", "global pi", "`global pi` is not allowed"),
    ("return print(u)", "return print(u)", "print cannot be called"),
    ("return np.random.rand() + u", "return np.random.rand() + u", "np.random.rand is a method: from outside come"),
    ("return u.real", "return u.real", ".real is not allowed"),
    ("return 'text'", "return 'text'", "'text' is not a real number"),
    ("return u + 1j", "return u + 1j", "1j is not a real number"),
    ("return (-1) ** a + (-1) ** 0.5", "return (-1)", "the result is not a real number"),
    ("return u % 2", "return u % 2", "// and % are for numbers alone"),
    ("return u // a", "return u // a", "// and % are for numbers alone"),
    ("return u & 1", "return u & 1", "this operator is not allowed"),
    ("return ~u", "return ~u", "~ is not allowed"),
    ("x = u > a\nreturn x + 1", "return x + 1", "a number is needed here, not a condition"),
    ("if u:\n    return a\nreturn u", "if u:", "a condition must be a comparison, not a number"),
    ("return u if u or a else a", "return u if u or a else a", "a condition must be a comparison"),
    ("return u is a", "return u is a", "`is` and `in` are not allowed"),
    ("return u > a", "def f(u, a):", "a number is needed here, not a condition"),
    ("return u, a", "def f(u, a):", "a number is needed here, not a tuple of 2"),
    ("x, y = u\nreturn x", "x, y = u", "2 values are needed for these names"),
    ("if u > a:\n    return u", "def f(u, a):", "it does not return a value on every path"),
    ("u + a", "u + a", "`u + a` is not allowed"),
    ("return", "return", "it must return a number"),
    ("if u > a:\n    x = 1\nreturn x", "return x", "x has no value here, or not on every path"),
    ("y = x\nx = u\nreturn y", "y = x", "x has no value here"),
    ("return missing(u)", "return missing(u)", "the name missing is not known when the function is decorated"),
    ("return array[0] + u", "return array[0] + u", "array is a ndarray: from outside come numbers"),
    ("for i in range(a):\n    u = u + i\nreturn u", "for i in range(a):", "range takes whole numbers that are known"),
    ("for i in range(10**6):\n    u = u + i\nreturn u", "for i in range(10**6):", "the loop has 1000000 turns"),
    ("for i in range(5):\n    for j in range(900):\n        u = u * u\nreturn u", "def f(u, a):", "more than 2000 operations"),
    ("for i in u:\n    a = a + i\nreturn a", "for i in u:", "a loop goes over range or a tuple of numbers"),
    ("for i in range(3):\n    break\nreturn u", "break", "`break` is not allowed"),
    ("return recursive(u)", "return recursive(x)", "recursive calls itself: recursion is not allowed"),
    ("return helper(u)", "return helper(u)", "helper: missing a required argument: 'y'"),
    ("return helper(u, 2, z=3)", "return helper(u, 2, z=3)", "helper: got an unexpected keyword argument 'z'"),
    ("return bad_helper(u)", "while x > 0:", "`while x > 0:` is not allowed"),
    ("return helper(*(u, a))", "return helper(*(u, a))", "* and ** arguments are not allowed"),
    ("return math.log(u, 2)", "return math.log(u, 2)", "this function takes 1 argument here, not 2"),
    ("return gpuinit.exact.fma(u, a)", "return gpuinit.exact.fma", "this function takes 3 arguments here, not 2"),
    ("return math.gamma(u)", "return math.gamma(u)", "math.gamma cannot be called"),
    ("return math.nothing(u)", "return math.nothing(u)", "the module math has no nothing"),
    ("return u + math.log(0)", "return u + math.log(0)", "log of [0]:"),
    ("return u + 1 / 0", "return u + 1 / 0", "division by zero"),
    ("return u + 10 ** 400", "return u + 10 ** 400", "too large for a float"),
    ("return u + 10 ** 10 ** 10", "return u + 10 ** 10 ** 10", "the exponent 10000000000 is too large"),
    ("return (u, a)[2]", "return (u, a)[2]", "there is no item 2 in a tuple of 2"),
    ("return (u, a)[u]", "return (u, a)[u]", "only a tuple has items here"),
    ("yield u", "yield u", "a generator is not allowed"),
    ("u.x = a\nreturn u", "u.x = a", "nothing can be assigned to u.x"),
    ("x = (u, a) if u > a else u\nreturn a", "x = (u, a) if u > a else u", "the two cases differ in kind"),
    ("return f'{u}'", "return f", "text is not allowed"),
]

HEAD = """
import math
import numpy as np
import gpuinit

array = np.zeros(3)

def helper(x, y):
    return x + y

def bad_helper(x):
    while x > 0:
        x = x - 1
    return x

def recursive(x):
    return recursive(x)

"""


def module(tmp_path: Path, text: str) -> tuple[Path, Any]:
    """The names of a module with this text, from a file."""
    path = tmp_path / "laws.py"
    path.write_text(text)
    scope: dict[str, Any] = {"__name__": "laws"}
    exec(compile(text, str(path), "exec"), scope)
    return path, scope


@pytest.mark.parametrize(("body", "line", "wrong"), CASES, ids=[body.splitlines()[0] for body, _, _ in CASES])
def test_the_error_shows_the_line(body: str, line: str, wrong: str, tmp_path: Path) -> None:
    text = HEAD + "def f(u, a):\n" + textwrap.indent(body, "    ") + "\n"
    path, scope = module(tmp_path, text)
    with pytest.raises(QuantileError) as caught:
        gpuinit.quantile(scope["f"])
    message = str(caught.value)
    _, place, shown, *rest = message.splitlines()
    name, _, number = place.strip().rpartition(", line ")
    assert name == str(path)
    assert text.splitlines()[int(number) - 1].strip() == shown.strip()
    assert line in shown
    assert wrong in "\n".join(rest), message
    if rest[0].endswith("` is not allowed") or "cannot be called" in rest[0]:
        assert "gpuinit.exact" in rest[-1] and "if, elif, else" in rest[-1]


def test_what_is_no_function() -> None:
    with pytest.raises(QuantileError, match="a quantile function is a function written with def"):
        gpuinit.quantile(math.log)
    with pytest.raises(QuantileError, match="a quantile function is a function written with def"):
        gpuinit.quantile(3)  # type: ignore[arg-type]
    with pytest.raises(QuantileError, match="a lambda cannot be a quantile function"):
        gpuinit.quantile(lambda u: u)


def test_signatures() -> None:
    def nothing() -> Any:
        return 1

    def starred(u: Any, *a: Any) -> Any:
        return u

    def keyword_only(u: Any, *, a: Any) -> Any:
        return u

    def many(u: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any) -> Any:
        return u

    for function in (nothing, starred, keyword_only):
        with pytest.raises(QuantileError, match="its first argument must be u, the others its parameters"):
            gpuinit.quantile(function)
    with pytest.raises(QuantileError, match="it has 8 parameters: at most 7"):
        gpuinit.quantile(many)


def test_parameters() -> None:
    """Names that initializers have, and defaults that are no finite numbers."""

    def seeded(u: Any, seed: Any) -> Any:
        return u

    def filled(u: Any, fill: Any) -> Any:
        return u

    def endless(u: Any, a: Any = math.inf) -> Any:
        return u

    def named(u: Any, a: Any = "text") -> Any:
        return u

    def fine(u: Any, a: Any = 1) -> Any:
        return u

    for function, name in ((seeded, "seed"), (filled, "fill")):
        with pytest.raises(ValueError, match=f"the parameter {name} of {function.__name__} must have another name"):
            gpuinit.quantile(function)
    with pytest.raises(ValueError, match="a=inf: it must be finite"):
        gpuinit.quantile(endless)
    with pytest.raises(TypeError, match="a='text' is a str: it must be a real number"):
        gpuinit.quantile(named)
    for wrong in ("a", ("b",)):
        with pytest.raises(ValueError, match="it must be a tuple of names of parameters of fine"):
            gpuinit.quantile(fine, nonnegative=wrong)


def test_arguments_of_what_comes_out() -> None:
    def scaled(u: Any, scale: Any) -> Any:
        return u * scale

    kind = gpuinit.quantile(scaled, package="errors", nonnegative=("scale",))
    for wrong in (math.nan, math.inf, "1", None, 1j, True):
        with pytest.raises((TypeError, ValueError), match="scale="):
            kind(wrong)
    with pytest.raises(ValueError, match="scale=-1.0 of scaled: it must be >= 0"):
        kind(-1)
    with pytest.raises(TypeError, match=r"scaled\(scale, \*, seed=None\): missing a required argument: 'scale'"):
        kind()
    with pytest.raises(TypeError, match="got an unexpected keyword argument 'size'"):
        kind(1.0, size=3)
    with pytest.raises(ValueError, match="seed"):
        kind(1.0, seed=-1)


def test_values_that_are_none() -> None:
    """nan at some u, and values beyond the dtype: refused before anything is written, with u, the value and the parameters."""

    def root(u: Any, a: Any) -> Any:
        return gpuinit.exact.sqrt(u - a)

    kind = gpuinit.quantile(root, package="errors")
    with pytest.raises(ValueError, match=r"root\(a=0.5\) is nan at u=.*, computed in float32: it must be a number"):
        kind(0.5, seed=1)((3,))
    kind(0.0, seed=1)((3,))

    def inverse(u: Any, a: Any) -> Any:
        return a / u

    kind = gpuinit.quantile(inverse, package="errors")
    assert np.isfinite(kind(1.0, seed=1)((100,), "float32")).all()
    wrong = r"dtype=float16 cannot represent inverse\(a=1.0\): its value at u=5.96.*e-08 is 1.67.*e\+07, .* \+-65504"
    out = np.full(5, 7, np.float16)
    with pytest.raises(ValueError, match=wrong):
        kind(1.0, seed=1).fill(out)
    assert (out == 7).all()
    with pytest.raises(ValueError, match="cannot represent"):
        kind(1e38, seed=1)((3,))
    with pytest.raises(ValueError, match=r"a=1e\+300 of inverse is beyond float32, which bfloat16 is computed in"):
        kind(1e300, seed=1)((3,), "bfloat16")
    assert np.isfinite(kind(1e280, seed=1)((3,), "float64")).all()
    with pytest.raises(ValueError, match="dtype=int32"):
        kind(1.0, seed=1)((3,), "int32")


def test_no_source() -> None:
    """From exec: the error says what to do."""
    scope: dict[str, Any] = {"__name__": "nowhere"}
    exec("def g(u):\n    return u\n", scope)
    with pytest.raises(QuantileError, match="g from <string>: its source is not to be had.*Write it in a file or a notebook"):
        gpuinit.quantile(scope["g"])


def test_a_file_that_has_changed(tmp_path: Path) -> None:
    path, scope = module(tmp_path, "\n\ndef f(u):\n    return u\n")
    path.write_text("def f(u):\n    return u\n")
    with pytest.raises(QuantileError, match="no def of this name stands in .* line 3; has the file changed"):
        gpuinit.quantile(scope["f"])
