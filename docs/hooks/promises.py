"""What the built site promises: every public name is in the reference, and no page loads anything from the network."""

from __future__ import annotations

import ast
import logging
import re
import zlib
from pathlib import Path
from typing import Any

__all__ = ["PUBLIC", "missing", "offered", "on_post_build", "remote"]

ROOT = Path(__file__).parents[2]

PUBLIC = (
    "gpuinit",
    "gpuinit.battery",
    "gpuinit.distributions",
    "gpuinit.exact",
    "gpuinit.gallery",
    "gpuinit.hashing",
    "gpuinit.interop",
    "gpuinit.jax",
    "gpuinit.keras",
    "gpuinit.pictures",
    "gpuinit.recipe",
    "gpuinit.structures",
    "gpuinit.tables",
    "gpuinit.torch",
)
"""The modules that users import; what `__all__` offers in others is for this package."""

FOREIGN = ("gpuinit.torch.calculate_gain",)
"""Names of other packages that are offered as they are; the reference says whose."""

REMOTE = re.compile(r"""<(?:script|link|img|iframe|source|video)\b[^>]*?\b(?:src|href)=["']?((?:https?:)?//[^"'\s>]*)""")
REMOTE_STYLE = re.compile(r"""(?:@import\s+|url\()["']?((?:https?:)?//[^"')\s]*)""")

_log = logging.getLogger("mkdocs.hooks.promises")


def on_post_build(config: Any) -> None:
    """Warn, which ends a strict build, of each name and each address that should not be so."""
    site = Path(config.site_dir)
    for name in missing(site / "objects.inv"):
        _log.warning("%s is public, and not in the reference", name)
    for page, address in remote(site):
        _log.warning("%s loads %s from the network", page, address)


def missing(inventory: Path) -> list[str]:
    """The public names that the inventory (Sphinx' objects.inv, version 2) lacks.

    Where a module and a function of it have one name, as tables.check, the inventory knows the function as tables.check.check; a
    module that is not public is not what its name means to a user.
    """
    lines = inventory.read_bytes().split(b"\n", 4)
    entries = (line.split(" ", 2)[:2] for line in zlib.decompress(lines[4]).decode().splitlines())
    documented = {name for name, role in entries if role != "py:module" or name in PUBLIC}
    names = [(f"{module}.{name}", f"{module}.{name}.{name}") for module in PUBLIC for name in offered(module)]
    return [name for name, shadowing in names if name not in FOREIGN and not {name, shadowing} & documented]


def offered(module: str) -> list[str]:
    """A module's `__all__`, read and not imported: the frameworks need not be installed."""
    stem = ROOT.joinpath(*module.split("."))
    path = stem / "__init__.py" if stem.is_dir() else stem.with_suffix(".py")
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(isinstance(name, ast.Name) and name.id == "__all__" for name in node.targets):
            return list(ast.literal_eval(node.value))
    raise ValueError(f"{module} has no __all__")


def remote(site: Path) -> list[tuple[str, str]]:
    """What pages and style sheets of the site would load from other hosts: (file, address)."""
    found = []
    for path in sorted([*site.rglob("*.html"), *site.rglob("*.css")]):
        pattern = REMOTE if path.suffix == ".html" else REMOTE_STYLE
        found += [(path.relative_to(site).as_posix(), address) for address in pattern.findall(path.read_text(encoding="utf-8"))]
    return found
