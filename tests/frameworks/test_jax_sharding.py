"""Arrays over several devices: eight CPU devices in a process of its own, and two processes of four that share one mesh."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("jax")

pytestmark = pytest.mark.frameworks

FOLDER = Path(__file__).parent
DEVICES = "--xla_force_host_platform_device_count="

PROCESS = """
import sys
import jax, numpy as np
number, address = int(sys.argv[1]), sys.argv[2]
jax.distributed.initialize(address, num_processes=2, process_id=number)
import gpuinit, gpuinit.jax
from jax.sharding import NamedSharding, PartitionSpec as P
assert jax.device_count() == 8 and jax.local_device_count() == 4
mesh = jax.make_mesh((2, 4), ("x", "y"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
whole = gpuinit.RandomNormal(0.0, 0.05, seed=5)((16, 24))
made = []
empty = gpuinit.backends.cpu.CPU.empty
gpuinit.backends.cpu.CPU.empty = lambda self, shape, dtype: (made.append(shape), empty(self, shape, dtype))[1]
for spec in (P("x", "y"), P("y"), P(None, "x"), P(), P(("x", "y"))):
    made.clear()
    array = gpuinit.jax.make_sharded(gpuinit.jax.normal(0.05), (16, 24), NamedSharding(mesh, spec), key=jax.random.key(5))
    assert not array.is_fully_addressable and array.shape == (16, 24) and len(array.addressable_shards) == 4
    assert set(made) == {array.sharding.shard_shape((16, 24))} and len(made) <= 4
    for shard in array.addressable_shards:
        assert np.asarray(shard.data).tobytes() == whole[shard.index].tobytes()
try:
    gpuinit.jax.make_sharded("he_normal", (16, 24), NamedSharding(mesh, P("x")))
except ValueError as error:
    print(error)
print("process", number, "done")
"""


def environment(devices: int) -> dict[str, str]:
    return {**os.environ, "XLA_FLAGS": f"{DEVICES}{devices}", "JAX_PLATFORMS": "cpu"}


def test_on_eight_devices() -> None:
    """Everything in jax_on_eight_devices.py; its devices must be asked for before JAX starts."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "frameworks"]
    done = subprocess.run(
        [*command, str(FOLDER / "jax_on_eight_devices.py")], env=environment(8), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout and "skipped" not in done.stdout


def test_two_processes_make_their_own_shards_alone() -> None:
    """Each knows the mesh of both, and none makes the other's. A seed that they do not share is refused."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, "-P", "-c", PROCESS]
    processes = [
        subprocess.Popen(
            [*command, str(number), address], env=environment(4), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for number in range(2)
    ]
    try:
        said = [process.communicate(timeout=120)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    for number, text in enumerate(said):
        assert processes[number].returncode == 0, text
        assert f"process {number} done" in text
        assert "key=None: the seed of HeNormal" in text and "is another in each of the 2 processes" in text
