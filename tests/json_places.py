"""Every place in a JSON value, and the value with something else there: what damages a recipe or other metadata in a test."""

from __future__ import annotations

from typing import Any

__all__ = ["places", "replaced"]


def places(value: Any) -> list[tuple[Any, ...]]:
    """The ways to each place: names and numbers, from the outside in."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(), *((name, *rest) for name, item in inside for rest in places(item))]


def replaced(value: Any, way: tuple[Any, ...], new: Any) -> Any:
    """A copy with `new` in that place."""
    if not way:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[way[0]] = replaced(copy[way[0]], way[1:], new)
    return copy
