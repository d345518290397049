"""`gpuinit check`: whether files hold what their recipes say."""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

from gpuinit import backends
from gpuinit.cli import values
from gpuinit.cli.report import any_character, bar, size_text
from gpuinit.tables import Checked, Difference, check

__all__ = ["add", "run"]

_DESCRIPTION = """\
Make the elements of files again from the recipes that they carry, compare them bit by bit, and say exactly where
they differ.

Exit status: 0 all are equal; 1 one differs, is cut off or cannot be read; 2 bad input, or a file without a recipe."""

_EXAMPLES = """\
examples:
  gpuinit check w.npy
  gpuinit check tables/*.safetensors --sample 1%"""

_SHOWN = 20


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "check", help="compare files with what their recipes say", description=_DESCRIPTION, epilog=_EXAMPLES
    )
    parser.add_argument("files", metavar="FILE", nargs="+", type=values.text, help="what create wrote: .safetensors, .npy, .zarr")
    parser.add_argument(
        "--sample",
        metavar="SHARE",
        type=values.share,
        help="compare about this share of each, as 1%% or 0.01, in blocks spread over it whose places are drawn anew every time",
    )
    parser.add_argument(
        "--device", metavar="NAME", type=values.text, help="cpu, cuda or cuda:N (default: GPUINIT_DEVICE, else cpu)"
    )
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--quiet", action="store_true", help="no progress bar and no report; the exit status tells")
    shown.add_argument("--json", action="store_true", help="the report as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Check the files and report; the exit status."""
    paths, device = list(map(Path, options.files)), backends.select(options.device).device
    share = 1 if options.sample is None else options.sample
    checked: list[Checked] = []
    failed: list[OSError | ValueError] = []
    with bar(int(share * sum(map(_size, paths))), paths[0].name, options.quiet) as advance:
        for path in paths:
            progress = None if advance is None else partial(advance, path.name)
            try:
                checked.append(check(path, sample=options.sample, device=device, progress=progress))
            except (OSError, ValueError) as error:  # the others are checked nevertheless
                failed.append(error)
    if options.json:
        print(json.dumps([_facts(result) for result in checked], indent=1, allow_nan=False), flush=True)
    elif not options.quiet:
        with any_character():
            for result in checked:
                print(*_lines(result), sep="\n", flush=True)
    if failed:
        raise failed[0] if len(failed) == 1 else type(failed[0])("; ".join(map(str, failed)))
    return 0 if all(result.equal for result in checked) else 1


def _size(path: Path) -> int:
    """The bytes that stand at a path; 0 if there is nothing, which the check will say."""
    try:
        return sum(inside.stat().st_size for inside in path.rglob("*")) if path.is_dir() else path.stat().st_size
    except OSError:
        return 0


def _lines(result: Checked) -> list[str]:
    itemsize = result.dtype.itemsize
    nbytes = result.compared * itemsize
    whole = result.compared == result.elements
    part = "all" if whole else f"{result.compared / result.elements:.3%}"
    what = f"{result.path}: {part} of {size_text(result.elements * itemsize)} compared"
    rate = f" in {result.seconds:.1f} s" + (f", {nbytes / result.seconds / 1e9:.2f} GB/s" if result.seconds else "")
    if result.equal:
        return [f"{what}{rate}: equal"]
    lines = [f"{what}{rate}: {_count(result.differing, 'element')} not as the recipe says"]
    lines += [f"  {_described(result, difference)}" for difference in result.differences[:_SHOWN]]
    if result.ranges > _SHOWN:
        lines.append(f"  and {_count(result.ranges - _SHOWN, 'range')} more")
    if result.excess:
        lines.append(f"  {_count(result.excess, 'byte')} behind the last element")
    return lines


def _described(result: Checked, difference: Difference) -> str:
    """A line about a range."""
    first, last = (list(result.index(element)) for element in (difference.start, difference.stop - 1))
    count = difference.stop - difference.start
    where = f"element {first}" if count == 1 else f"elements {first} .. {last}, {count:,} in C order"
    kind = "missing" if difference.missing else "different"
    return f"{kind}: {where}, from {difference.place} on"


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _facts(result: Checked) -> dict[str, Any]:
    return {
        "file": str(result.path),
        "shape": list(result.shape),
        "dtype": result.dtype.name,
        "elements": result.elements,
        "compared": result.compared,
        "seconds": result.seconds,
        "equal": result.equal,
        "differing": result.differing,
        "ranges": result.ranges,
        "excess_bytes": result.excess,
        "differences": [
            {
                "start": difference.start,
                "stop": difference.stop,
                "index": list(result.index(difference.start)),
                "place": difference.place,
                "missing": difference.missing,
            }
            for difference in result.differences
        ],
    }
