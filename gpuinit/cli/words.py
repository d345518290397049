"""`gpuinit words`: the raw random words, for test batteries that read them from a pipe."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from gpuinit.battery.stream import MOST, word_bytes
from gpuinit.cli import values
from gpuinit.key import Key

__all__ = ["add", "run"]

_DESCRIPTION = """\
Write the random words of a stream to standard output as raw little-endian bytes: word i is what element i of a tensor
with this key is made of. A word of 64 bits is two of 32, the lower half first."""

_EXAMPLES = """\
examples:
  gpuinit words --seed 1 | dieharder -g 200 -a
  gpuinit words --seed 1 | RNG_test stdin32 -tlmax 64GB        (PractRand)
  gpuinit words --seed 1 --count 4 | od -A d -t x4"""


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "words", help="write raw random words, for test batteries", description=_DESCRIPTION, epilog=_EXAMPLES
    )
    parser.add_argument("--seed", metavar="N", type=values.integer, default=0, help="0 .. 2^64 - 1 (default 0)")
    parser.add_argument(
        "--stream", metavar="N", type=values.integer, default=0, help="0 .. 2^64 - 1 (default 0), as Key(seed, stream)"
    )
    parser.add_argument("--start", metavar="N", type=values.integer, default=0, help="the first word's number (default 0)")
    parser.add_argument("--count", metavar="N", type=values.integer, help="how many words (default: until the reader stops)")
    parser.add_argument("--bits", type=int, choices=(32, 64), default=32, help="of a word (default 32, float64 takes 64)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the words; a reader that leaves ends the command as it ends others."""
    key = Key(options.seed, options.stream)
    most = MOST
    count = most - options.start if options.count is None else options.count
    if not 0 <= options.start <= most:
        raise ValueError(f"--start {options.start} is out of range: words are numbered 0 .. 2^63 - 1")
    if not 0 <= count <= most - options.start:
        raise ValueError(
            f"--count {options.count} is out of range: from --start {options.start} there are {most - options.start} words"
        )
    if sys.stdout is None:
        raise OSError("words go to standard output, and that is closed")
    if sys.stdout.isatty():
        raise ValueError("words are raw bytes, and standard output is a terminal: send them to a file or a pipe, as | od -t x4")
    for piece in word_bytes(key, options.start, count, options.bits):
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()
