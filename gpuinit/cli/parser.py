"""What the command line consists of: the top level, its errors, and the list of commands."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import gpuinit
from gpuinit.backends import DeviceError
from gpuinit.cli import check, create, doctor, show, verify, words

__all__ = ["run"]

COMMANDS = (create, check, show, verify, words, doctor)
"""Modules with `add(commands)`, which declares a command and sets its `run`; what that returns is the exit status, None 0."""

_DESCRIPTION = "Initial weights whose values belong to their elements: the same bits on every machine."
_EXAMPLES = """\
examples:
  gpuinit create --tables tables.csv --out tables/
  gpuinit create --shape 1000000,128 --init he_normal --out w.npy
  gpuinit check w.npy
  gpuinit show he_normal --out he_normal.png
  gpuinit create --help
  gpuinit doctor
  gpuinit verify"""


_LONG = re.compile(r"([^\s/]{60})[^\s/]{240,}")
"""A value, not part of a path, that is too long to be shown."""

_LONGEST = 6000
"""Characters of an error; longer than what names a file and says what is known."""


class _BadInput(Exception):
    pass


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line and that takes `-1,2` for a value."""

    def __init__(self, **settings: Any) -> None:
        settings = {"allow_abbrev": False, "formatter_class": argparse.RawDescriptionHelpFormatter, **settings}
        super().__init__(**settings)
        self._negative_number_matcher = re.compile(r"-\.?\d")

    def error(self, message: str) -> NoReturn:
        raise _BadInput(f"{message} (see {self.prog} --help)")


def run(argv: Sequence[str] | None) -> int:
    """Parse the arguments and run the command; its errors become one line and an exit status."""
    parser = _Parser(prog="gpuinit", description=_DESCRIPTION, epilog=_EXAMPLES)
    parser.add_argument("--version", action="version", version=f"gpuinit {gpuinit.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    try:
        options = parser.parse_args(argv)
        return int(options.run(options) or 0)
    except SystemExit as done:  # --help, --version
        return int(done.code or 0)
    except BrokenPipeError:
        raise
    except (_BadInput, ValueError, TypeError, OverflowError, FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        return _fail(error, 2)
    except RecursionError:
        return _fail("a value is nested too deeply", 2)
    except MemoryError as error:
        return _fail(f"not enough memory: {error}", 1)
    except (OSError, DeviceError, ImportError) as error:
        return _fail(error, 1)


def _fail(error: object, status: int) -> int:
    if sys.stderr is not None:  # None: it was closed, and print would take standard output
        line = _LONG.sub(lambda found: found[1] + "...", " ".join(str(error).split()))
        print("gpuinit: error:", line if len(line) <= _LONGEST else line[:_LONGEST] + "...", file=sys.stderr)
    return status
