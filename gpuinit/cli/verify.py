"""`gpuinit verify`: whether the random numbers are what they should be, on every device that is here."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gpuinit
from gpuinit import battery
from gpuinit.battery.pictures import HOW_TO_GET_THEM, pictures
from gpuinit.cli import values
from gpuinit.cli.verify_page import page
from gpuinit.cli.verify_report import Run, facts, show
from gpuinit.key import CONTRACT, Key
from gpuinit.tables.parts import replacing

__all__ = ["add", "run"]

_DESCRIPTION = """\
Test the random numbers of every backend that is here: golden vectors, the law of each distribution in each dtype,
bounds, tails, the presets' variances, independence, the raw words, orthogonal matrices. All p-values are judged
together, so that a right engine is accused once in a million seeds; the default seed is fixed, so a pass stays one.

It takes seconds; --thorough takes minutes. Where kernels have to be compiled first, that takes a minute or two, once.

Exit status: 0 nothing was found; 1 something is wrong; 2 bad input."""

_KEYS = """\
examples:
  gpuinit verify
  gpuinit verify --seed 7 --html report.html
  gpuinit verify --only "avalanche" --only "bit*" --each
  gpuinit verify --json | jq -r '.wrong[].test'

--json prints one object:
  ok, seed, thorough, rate, hypotheses, threshold (the p-value below which the least is rejected), seconds
  versions        gpuinit, stream (the version of the contract)
  ways            the names of what was tested
  wrong           of each finding: way, test, sample, reason, catches
  tests           of each test: name, suite, catches
  outcomes        of each: way, test, sample, statistic, p, regular (the chance of being as even), right, note; null where
                  there is none

What each test is and what it can find: docs/verification.md."""


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "verify", help="test the quality of the random numbers on every device", description=_DESCRIPTION, epilog=_KEYS
    )
    parser.add_argument("--seed", metavar="N", type=values.integer, default=0, help="0 .. 2^64 - 1: other samples (default 0)")
    parser.add_argument("--thorough", action="store_true", help="samples for minutes in place of seconds")
    parser.add_argument(
        "--device",
        metavar="NAME",
        type=values.text,
        action="append",
        help="cpu or cuda:N; repeatable (default: all that are here)",
    )
    parser.add_argument(
        "--only", metavar="TEST", type=values.text, action="append", help="a test's name, * for anything; repeatable"
    )
    parser.add_argument(
        "--rate", metavar="P", type=_rate, default=battery.RATE, help="the chance of any false alarm of a run (default 1e-6)"
    )
    parser.add_argument("--html", metavar="FILE", type=values.text, help="also write a page with every result, and pictures")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--each", action="store_true", help="a line for every sample, not for the worst of each test alone")
    shown.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Test, print, write the page, and return the exit status."""
    seed = Key(options.seed).seed
    target = None if options.html is None else _target(options.html)
    began = time.perf_counter()
    with contextlib.redirect_stdout(sys.stderr), _progress() as progress:  # what libraries have to say is not the report
        trials = battery.trials(options.device, seed, options.thorough)
        outcomes = list(battery.run(trials, options.only or (), progress))
    done = Run(
        tuple(trial.way for trial in trials),
        seed,
        options.thorough,
        tuple(outcomes),
        battery.judge(outcomes, options.rate),
        time.perf_counter() - began,
        {"gpuinit": gpuinit.__version__, "stream": CONTRACT},
    )
    if target is not None:
        text = page(done, pictures(), HOW_TO_GET_THEM)
        with replacing(target) as parts:
            parts.places[0].write(text.encode())
    if options.json:
        print(json.dumps(facts(done), indent=1, allow_nan=False), flush=True)
    else:
        show(done, options.each)
    return 0 if done.verdict.ok else 1


def _target(name: str) -> Path:
    path = Path(name)
    if path.is_dir():
        raise IsADirectoryError(f"--html {name!r} is a folder: it must be the name of a file")
    if not path.parent.is_dir():
        raise NotADirectoryError(f"--html {name!r}: there is no folder {str(path.parent)!r}")
    return path


def _rate(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a chance, more than 0 and less than 1, as 1e-6")
    return found


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str, str, str], None] | None]:
    """What is at work, on standard error where that is a terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.markup import escape

    with Console(file=sys.stderr).status("verify") as status:
        yield lambda way, suite, sample: status.update(escape(f"{way}: {suite}" + (f", {sample}" if sample else "")))
