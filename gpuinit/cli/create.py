"""`gpuinit create`: embedding tables, or one tensor, as files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from gpuinit.cli import values
from gpuinit.cli.report import progress, report
from gpuinit.tables import FORMATS, Job, plan_tables, plan_tensor, read_specs, write
from gpuinit.tables.choice import DEFAULT_INIT
from gpuinit.tables.index import INDEX_NAME

__all__ = ["add", "run"]

_DESCRIPTION = """\
Write initialized tables to files, with constant memory however large they are.

A file holds the same bits as init((rows, dim), dtype) in Python, on every machine. It appears under its name
only when it is complete, and carries the recipe that it was made from."""

_EXAMPLES = """\
examples:
  gpuinit create --tables tables.csv --out tables/
  gpuinit create --tables tables.toml --out tables/ --format npy --seed 7
  gpuinit create --tables tables.csv --out tables/ --init truncated_normal --arg stddev=0.02 --dtype bfloat16
  gpuinit create --shape 1000000,128 --init he_normal --out w.npy
  gpuinit create --tables tables.csv --out tables/ --resume
  gpuinit create --shape 1000000000,128 --out w.safetensors --shard $RANK/$WORLD_SIZE

tables.csv has the header feature,rows,dim and a line a table. tables.toml has a section a table:
  init = "random_uniform"          # defaults, if wanted: init, args, dtype, seed
  [tables.users]
  rows = 1_000_000
  dim = 128                        # or shape = [1_000_000, 128]
  init = "truncated_normal"        # what a table sets itself rules over the options above
  args = { stddev = 0.02 }
  dtype = "bfloat16"
"""


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("create", help="write initialized tables to files", description=_DESCRIPTION, epilog=_EXAMPLES)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--tables",
        metavar="FILE",
        type=values.text,
        help="a .csv or .toml file that lists the tables; each key has its table's name folded in",
    )
    what.add_argument("--shape", metavar="N,N", type=values.shape, help="make one tensor of this shape; () makes a single number")
    parser.add_argument(
        "--out", metavar="PATH", type=values.text, required=True, help="the folder for the tables, or the one tensor's file"
    )
    parser.add_argument(
        "--format", metavar="NAME", type=values.text, help=f"{' or '.join(FORMATS)}; by default the first, or by --out's suffix"
    )
    parser.add_argument("--init", metavar="NAME", type=values.text, help=f"the initializer (default {DEFAULT_INIT})")
    parser.add_argument(
        "--arg",
        metavar="NAME=VALUE",
        type=values.argument,
        action="append",
        dest="args",
        help="an argument of it; repeatable",
    )
    parser.add_argument("--dtype", metavar="NAME", type=values.text, help="the element type (default float32)")
    parser.add_argument("--seed", metavar="N", type=values.integer, help="0 .. 2^64 - 1 (default 0: the same bits at every run)")
    parser.add_argument(
        "--max-rows", metavar="N", type=values.integer, help="make at most N rows of each table, as if it had no more"
    )
    parser.add_argument(
        "--device", metavar="NAME", type=values.text, help="cpu, cuda or cuda:N (default: GPUINIT_DEVICE, else cpu)"
    )
    parser.add_argument(
        "--shard",
        metavar="RANK/WORLD",
        type=values.shard,
        help="write the rows of one of WORLD processes alone, ranks from 0; its file has -0000R-of-0000W in its name, from 1",
    )
    parser.add_argument(
        "--index",
        action="store_true",
        help=f"also write {INDEX_NAME}, which Hugging Face's tools read; each tensor then has its table's name",
    )
    parser.add_argument("--force", action="store_true", help="replace files that exist")
    parser.add_argument(
        "--resume", action="store_true", help="go on where an earlier run was stopped; files that it finished stay as they are"
    )
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--quiet", action="store_true", help="no progress bar and no summary")
    shown.add_argument("--json", action="store_true", help="the summary as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Plan, check and write; errors are exceptions whose messages are fit for the user."""
    jobs = _plan(options)
    index = Path(options.out) / INDEX_NAME if options.index else None
    with progress(jobs, options.quiet) as advance:
        written = write(jobs, force=options.force, resume=options.resume, index=index, progress=advance)
    if not options.quiet:
        report(written, options.out, options.json)


def _plan(options: argparse.Namespace) -> list[Job]:
    args = dict(options.args or ())
    if len(args) != len(options.args or ()):
        names = [name for name, _ in options.args]
        raise ValueError(f"--arg {next(name for name in names if names.count(name) > 1)} is given twice")
    common = {name: getattr(options, name) for name in ("init", "dtype", "seed", "device", "shard")}
    if options.index and options.shard:
        raise ValueError("--index lists whole tensors, and --shard writes a part of each")
    if options.tables is None:
        if options.max_rows is not None:
            raise ValueError("--max-rows limits the rows of --tables; with --shape give the rows themselves")
        if options.index:
            raise ValueError("--index lists the files of --tables; with --shape there is one file")
        return plan_tensor(options.shape, options.out, format=options.format, args=args, **common)
    form = options.format or next(iter(FORMATS))
    if options.index and form != "safetensors":
        raise ValueError(f"--index lists safetensors files, and --format is {form}")
    specs = read_specs(options.tables)
    return plan_tables(specs, options.out, format=form, args=args, max_rows=options.max_rows, named=options.index, **common)
