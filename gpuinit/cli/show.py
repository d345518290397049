"""`gpuinit show`: pictures of an initializer's tensor, or of a file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from gpuinit import registry
from gpuinit.cli import values
from gpuinit.cli.report import any_character
from gpuinit.key import Key
from gpuinit.tables import FORMATS
from gpuinit.tables.choice import Choice, initializer

__all__ = ["add", "run"]

_KINDS = "histogram, qq, heat_map, singular_values, variance"

_DESCRIPTION = f"""\
Draw what an initializer makes, or what a file holds, beside the exact law of its elements.

The pictures: {_KINDS}. By default one page with those that make
sense. Of a large tensor only a part is made or read. A file that gpuinit wrote carries the recipe that gives its law; of
another its own values are shown. Needs matplotlib: pip install 'gpuinit[plots]'."""

_EXAMPLES = """\
examples:
  gpuinit show he_normal --shape 1024,1024 --dtype bfloat16 --out he_normal.png
  gpuinit show truncated_normal --arg stddev=0.02 --shape 4096,1024 --what histogram,qq --out law.svg
  gpuinit show lecun_normal --what variance --out depth.png
  gpuinit show w.safetensors --out w.pdf
  gpuinit show --gallery pictures/"""

_SIDE = 1024
"""Rows and columns of the tensor where --shape is not given."""


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "show",
        help="draw an initializer's values, or a file's, beside their exact law",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
    )
    parser.add_argument(
        "target",
        metavar="INIT|FILE",
        nargs="?",
        type=values.text,
        help=f"an initializer's name, or a file ({', '.join(form.suffix for form in FORMATS.values())})",
    )
    parser.add_argument("--out", metavar="PATH", type=values.text, help="the picture's file: .png, .svg or .pdf")
    parser.add_argument("--what", metavar="NAME,NAME", type=values.text, help=f"which pictures, of {_KINDS}")
    parser.add_argument(
        "--shape", metavar="N,N", type=values.shape, help=f"the tensor's dimensions, of an initializer (default {_SIDE},{_SIDE})"
    )
    parser.add_argument("--dtype", metavar="NAME", type=values.text, help="the element type, of an initializer (default float32)")
    parser.add_argument("--seed", metavar="N", type=values.integer, help="0 .. 2^64 - 1, of an initializer (default 0)")
    parser.add_argument(
        "--arg", metavar="NAME=VALUE", type=values.argument, action="append", dest="args", help="an argument of it; repeatable"
    )
    parser.add_argument(
        "--device", metavar="NAME", type=values.text, help="cpu, cuda or cuda:N (default: GPUINIT_DEVICE, else cpu)"
    )
    parser.add_argument("--gallery", metavar="DIR", type=values.text, help="write the documentation's pictures into a folder")
    parser.add_argument("--force", action="store_true", help="replace files that exist")
    parser.add_argument("--quiet", action="store_true", help="no summary")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Draw and write; errors are exceptions whose messages are fit for the user."""
    from gpuinit.pictures import gallery  # here: other commands do not need it

    if options.gallery is not None:
        given = [name for name in ("target", "out", "what", *_OF_INITIALIZERS) if getattr(options, name) is not None]
        if given:
            raise ValueError(f"--gallery draws pictures of its own: leave out {_option(given[0])}")
        lines = [str(path) for path in gallery(options.gallery, force=options.force)]
    else:
        lines = _show(options)
    if not options.quiet:
        with any_character():
            print(*lines, sep="\n", flush=True)


_OF_INITIALIZERS = ("shape", "dtype", "seed", "args", "device")


def _show(options: argparse.Namespace) -> list[str]:
    """Draw the one page that is asked for; the summary."""
    from gpuinit.pictures import output, panels
    from gpuinit.pictures.canvas import rendered

    if options.target is None:
        raise ValueError("INIT|FILE is missing: name an initializer or a file, or --gallery DIR")
    if options.out is None:
        raise ValueError("--out is missing: name the picture's file, .png, .svg or .pdf")
    out = Path(options.out)
    form = output.check_out(out, options.force)
    shown = _exhibit(options)
    kinds = panels.usual(shown) if options.what is None else [kind.strip() for kind in options.what.split(",")]
    figure, found = panels.compose(shown, kinds)
    output.write({out: rendered(figure, form)}, force=options.force)
    return [f"{out}: {shown.title}", *(f"  {line}" for line in found)]


def _exhibit(options: argparse.Namespace) -> Any:
    from gpuinit.pictures.exhibit import exhibit

    target = options.target
    if registry.find(target) is None and (Path(target).suffix or "/" in target):  # a file; initializers' names have neither
        for name in _OF_INITIALIZERS:
            if getattr(options, name) is not None:
                raise ValueError(f"{_option(name)} is for initializers, and {target!r} is a file, whose recipe says all that")
        return exhibit(Path(target))
    args = dict(options.args or ())
    if len(args) != len(options.args or ()):
        names = [name for name, _ in options.args]
        raise ValueError(f"--arg {next(name for name in names if names.count(name) > 1)} is given twice")
    made = initializer(Choice(target, args, options.dtype), Key(0 if options.seed is None else options.seed))
    shape = (_SIDE, _SIDE) if options.shape is None else options.shape
    return exhibit(made, shape, options.dtype, device=options.device)


def _option(name: str) -> str:
    return {"target": "INIT|FILE", "args": "--arg"}.get(name, f"--{name}")
