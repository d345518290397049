"""The fixture of the GPU tests, which skips them where no GPU can be used.

GPUINIT_REHEARSE=1 runs them over the host's memory instead (tests/host), at small sizes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpu.rehearsal import Rehearsal
from gpu.rig import Rig
from gpuinit.backends.cuda import probe

REHEARSED = os.environ.get("GPUINIT_REHEARSE", "0") not in ("", "0")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What other packages deprecate is no failure of the GPU."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.filterwarnings("default"))


@pytest.fixture(scope="session")
def rig() -> Iterator[Rig]:
    """The GPU, or what stands for it; probed once."""
    if REHEARSED:
        pytest.importorskip("cupy", reason="the rehearsal needs CuPy")
        from host import machine

        if machine.compiler() is None:
            pytest.skip("the rehearsal needs a C++ compiler")
        rehearsal = Rehearsal()
        with rehearsal.installed():
            yield rehearsal
        return
    found = probe.status()
    if not found.usable:
        pytest.skip(f"no GPU: {found.problem}")
    yield Rig()


@pytest.fixture
def gpu(rig: Rig) -> Iterator[Rig]:
    """The GPU, with nothing left in CuPy's pool by the test before."""
    if not rig.rehearsal:
        rig.cupy.get_default_memory_pool().free_all_blocks()
    yield rig
    if isinstance(rig, Rehearsal):
        rig.driver.room = float("inf")
        rig.driver.launched.clear()
