"""Pictures for the page of a report, if matplotlib is installed."""

from __future__ import annotations

__all__ = ["HOW_TO_GET_THEM", "pictures"]

HOW_TO_GET_THEM = "Pictures need matplotlib: install gpuinit[plots] and run the command again."


def pictures() -> list[tuple[str, bytes]]:
    """The standard pictures, each a caption and a PNG; none where matplotlib is missing."""
    from gpuinit.pictures import pictures as standard  # here: a report without a page needs none

    try:
        return standard()
    except ImportError:
        return []
