"""Pictures for the page of a report, if what draws them is installed."""

from __future__ import annotations

import importlib

__all__ = ["HOW_TO_GET_THEM", "pictures"]

HOW_TO_GET_THEM = "Pictures need matplotlib: install gpuinit[plots] and run the command again."
_DRAWS = "gpuinit.pictures"


def pictures() -> list[tuple[str, bytes]]:
    """The standard pictures, each a caption and a PNG; none where the module that draws them, or matplotlib, is missing."""
    try:
        found: list[tuple[str, bytes]] = importlib.import_module(_DRAWS).pictures()
    except ImportError:
        return []
    return found
