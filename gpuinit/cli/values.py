"""Option values: texts become numbers, lists and names without anything being evaluated."""

from __future__ import annotations

import argparse
import json
from typing import Any

__all__ = ["argument", "integer", "shape", "shard", "share", "text"]

_WORDS = {"true": True, "false": False, "none": None, "null": None}


_SHOWN = 60
_DIGITS = 40
"""As many make an integer that is a size or a seed, and then some."""


def text(given: str) -> str:
    """Any text but an empty one."""
    if not given.strip():
        raise argparse.ArgumentTypeError("the value is empty; leave the option out for its default")
    return given


def argument(text: str) -> tuple[str, Any]:
    """`name=value`: an integer, a float (inf), a complex number (1+2j), true, false, none, a JSON list or string, or text."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{_shown(text)} must be NAME=VALUE, as in stddev=0.02")
    return name, _value(value.strip(), text)


def integer(text: str) -> int:
    """An integer."""
    try:
        if len(text.strip()) > _DIGITS:
            raise argparse.ArgumentTypeError(f"{_shown(text)} is not an integer, or too large")
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{_shown(text)} is not an integer") from None


def shape(text: str) -> tuple[int, ...]:
    """Integers separated by commas; `()` is the shape of a single number."""
    if text.strip() == "()":
        return ()
    parts = text.split(",")
    try:
        if any(len(part.strip()) > _DIGITS for part in parts):
            raise argparse.ArgumentTypeError(f"{_shown(text)} is too large, or no shape; a tensor has at most 2^63 elements")
        return tuple(map(int, parts))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{_shown(text)} must be integers separated by commas, as in 1000000,128") from None


def shard(text: str) -> tuple[int, int]:
    """`rank/world`: which of how many parts, counted from 0."""
    rank, slash, world = text.partition("/")
    if not slash or not rank.strip().isdecimal() or not world.strip().isdecimal() or len(text) > _DIGITS:
        raise argparse.ArgumentTypeError(f"{_shown(text)} must be RANK/WORLD, as 0/8 for the first of eight")
    return int(rank), int(world)


def share(text: str) -> float:
    """A share of a whole, greater than 0: `1%` or `0.01`."""
    number, percent = text.strip().removesuffix("%"), text.strip().endswith("%")
    try:
        found = float(number) / (100 if percent else 1)
    except ValueError:
        found = 0.0
    if not 0 < found <= 1:
        raise argparse.ArgumentTypeError(f"{_shown(text)} must be a share of the whole, as 1% or 0.01, more than 0 and at most 1")
    return found


def _value(text: str, source: str) -> Any:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if text[:1] in ("[", '"'):
        try:
            return json.loads(text)
        except RecursionError:
            raise argparse.ArgumentTypeError(f"{_shown(source)} is nested too deeply") from None
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{_shown(source)} is not a JSON list or string: {error}") from None
    for kind in (int, float, complex):
        try:
            if kind is not complex or any(map(str.isdigit, text)):  # j alone is a name
                return kind(text)
        except ValueError:
            if kind is int and text.lstrip("+-").isdecimal():
                raise argparse.ArgumentTypeError(f"{_shown(source)} has too many digits") from None
    return text


def _shown(text: str) -> str:
    """The text as an error shows it."""
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
