"""Option values: texts become numbers, lists and names without anything being evaluated."""

from __future__ import annotations

import argparse
import json
from typing import Any

__all__ = ["argument", "integer", "shape"]

_WORDS = {"true": True, "false": False, "none": None, "null": None}


def argument(text: str) -> tuple[str, Any]:
    """`name=value`: an integer, a float (inf, nan), true, false, none, a JSON list or string, or else plain text."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} must be NAME=VALUE, as in stddev=0.02")
    return name, _value(value.strip(), text)


def integer(text: str) -> int:
    """An integer."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer") from None


def shape(text: str) -> tuple[int, ...]:
    """Integers separated by commas; nothing at all is the shape ()."""
    try:
        return tuple(int(part) for part in text.split(",")) if text.strip() else ()
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} must be integers separated by commas, as in 1000000,128") from None


def _value(text: str, source: str) -> Any:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if text[:1] in ("[", '"'):
        try:
            return json.loads(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{source!r} is not a JSON list or string: {error}") from None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text
