"""docs/files.md says of each format what the code says."""

from __future__ import annotations

import re
from pathlib import Path

from gpuinit.dtypes import RANDOM
from gpuinit.tables import FORMATS
from gpuinit.tables.pipeline import CHECKPOINT_BYTES, CHUNK_BYTES
from gpuinit.tables.writer import KEPT_FROM

TEXT = (Path(__file__).parent.parent / "docs/files.md").read_text(encoding="utf-8")


def test_the_table_of_formats_is_complete_and_right() -> None:
    """A dtype that a format gains or loses, a suffix, a sidecar or a format that is missing here is found."""
    rows = re.findall(r"^\| `(\w+)` \| `(\.\w+)`(.*?) \| all but ([\w, ]+) \| (.*?) \|", TEXT, re.MULTILINE)
    assert [row[0] for row in rows] == list(FORMATS)
    known = {*RANDOM, *(f"{kind}int{bits}" for kind in ("", "u") for bits in (8, 16, 32, 64)), "bool"}
    for name, suffix, folder, missing, recipe in rows:
        form = FORMATS[name]
        assert suffix == form.suffix and ("folder" in folder) == form.folder and ("beside" in recipe) == form.sidecar
        assert set(missing.split(", ")) == known - set(form.dtypes)


def test_sizes_are_those_of_the_code() -> None:
    assert f"Every {CHECKPOINT_BYTES >> 20} MiB" in TEXT and f"chunk of {CHUNK_BYTES >> 20} MiB" in TEXT
    assert f"from {KEPT_FROM >> 20} MiB on" in TEXT and f"before {KEPT_FROM >> 20} MiB" in TEXT
