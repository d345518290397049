"""The framework modules on the device: no copy, the framework's streams and memory, the CPU's bits."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import gpuinit
from gpu.rig import Rig
from gpu.test_foreign import jax_on_the_gpu, load, torch_bits
from gpuinit import dtypes

pytestmark = pytest.mark.gpu

SHAPE = (300, 128)
INIT = gpuinit.TruncatedNormal(0.0, 0.05, seed=41)


@pytest.fixture
def torch(gpu: Rig) -> Any:
    gpu.needs_hardware("PyTorch on the GPU")
    return load("torch")


def cpu(init: gpuinit.Initializer, shape: Any, dtype: Any) -> bytes:
    return init(shape, dtype, device="cpu").tobytes()


@pytest.mark.parametrize("dtype", dtypes.RANDOM)
def test_torch_shares_what_gpuinit_made(torch: Any, dtype: str) -> None:
    from gpuinit.torch import as_tensor

    made = INIT(SHAPE, dtype, device="cuda")
    tensor = as_tensor(made)
    assert tensor.is_cuda and tensor.data_ptr() == made.data.ptr and str(tensor.dtype) == f"torch.{dtype}"
    assert torch_bits(tensor) == cpu(INIT, SHAPE, dtype)


@pytest.mark.parametrize("dtype", dtypes.RANDOM)
def test_torch_tensors_are_filled_where_they_lie(torch: Any, dtype: str) -> None:
    from gpuinit.torch import init_

    held = torch.full((SHAPE[1], 2 * SHAPE[0]), 1.0, device="cuda").to(getattr(torch, dtype))
    view = held[:, ::2].t()
    assert init_(view, INIT) is view
    assert torch_bits(view) == cpu(INIT, SHAPE, dtype)
    assert torch_bits(held[:, 1::2]) == torch_bits(torch.ones_like(held[:, 1::2]))


def test_a_fill_is_ordered_with_torchs_side_streams_under_a_busy_allocator(torch: Any) -> None:
    """Memory goes back and forth between streams, and each tensor is read at once: rejects a fill on a stream of its own."""
    from gpuinit.torch import init_

    shape = (2**22,)
    expected = torch.from_numpy(INIT(shape, device="cpu")).cuda()
    streams = [torch.cuda.Stream() for _ in range(3)]
    differing = []
    for turn in range(60):
        with torch.cuda.stream(streams[turn % 3]):
            torch.empty(shape, device="cuda").fill_(float(turn))  # freed at once: the next tensor gets this memory
            tensor = torch.empty(shape, device="cuda")
            init_(tensor, INIT)
            expected.record_stream(streams[turn % 3])
            differing.append((tensor != expected).sum())
            tensor.zero_()
    torch.cuda.synchronize()
    assert [int(each) for each in differing] == [0] * 60


def test_generators_of_both_kinds_govern(torch: Any) -> None:
    from gpuinit.torch import normal_

    def drawn(generator: Any) -> bytes:
        return torch_bits(normal_(torch.empty(SHAPE, device="cuda"), generator=generator))

    on_device = [drawn(torch.Generator("cuda").manual_seed(seed)) for seed in (1, 1, 2)]
    assert on_device[0] == on_device[1] != on_device[2]
    torch.manual_seed(7)
    first = drawn(None)
    torch.manual_seed(7)
    assert drawn(None) == first
    torch.manual_seed(7)
    assert torch_bits(normal_(torch.empty(SHAPE))) == first, "the same on the CPU"


def test_unchanged_models_have_the_cpus_weights(torch: Any) -> None:
    from gpuinit.torch import accelerate

    def built(device: str) -> Any:
        with accelerate(seed=3), torch.device(device):
            return torch.nn.TransformerEncoderLayer(64, 4, 128)

    weights = built("cuda").state_dict()
    for name, other in built("cpu").state_dict().items():
        assert weights[name].is_cuda and torch_bits(weights[name]) == torch_bits(other), name


def test_modules_from_meta_to_the_device(torch: Any) -> None:
    from gpuinit.torch import init_module

    def built(device: str) -> Any:
        with torch.device("meta"):
            module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Linear(8, 4), torch.nn.Embedding(9, 4, padding_idx=2))
        init_module(module.to_empty(device=device), {"*bias": "zeros", "1.weight": "orthogonal", "*": "he_normal"}, seed=5)
        return module.state_dict()

    ours = built("cuda")
    for name, other in built("cpu").items():
        if name == "1.weight":  # small, alone: made by panels, whose products differ in the last places
            assert torch.allclose(ours[name].cpu(), other, atol=1e-5)
        else:
            assert torch_bits(ours[name]) == torch_bits(other), name


FSDP = """
import torch, torch.distributed as dist
from torch.distributed.fsdp import fully_shard
from gpuinit.torch import init_module
import sys
dist.init_process_group("nccl", init_method="file://" + sys.argv[1], rank=0, world_size=1)
with torch.device("meta"):
    model = torch.nn.Sequential(torch.nn.Linear(37, 64), torch.nn.Linear(64, 11))
fully_shard(model)
model.to_empty(device="cuda")
init_module(model, {"*bias": "zeros", "*": "he_normal"}, seed=5)
plain = torch.nn.Sequential(torch.nn.Linear(37, 64), torch.nn.Linear(64, 11))
init_module(plain, {"*bias": "zeros", "*": "he_normal"}, seed=5)
for name, value in plain.state_dict().items():
    assert torch.equal(model.state_dict()[name].full_tensor().cpu(), value), name
dist.destroy_process_group()
print("equal")
"""


def test_fsdp2_on_one_rank(torch: Any, tmp_path: Any) -> None:
    if not torch.distributed.is_nccl_available():
        pytest.skip("this PyTorch has no NCCL")
    command = [sys.executable, "-c", FSDP, str(tmp_path / "rendezvous")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0 and done.stdout.split() == ["equal"], done.stderr


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float8_e4m3fn"])
def test_jax_gets_the_cpus_bits_outside_and_inside_jit(gpu: Rig, dtype: str) -> None:
    gpu.needs_hardware("JAX on the GPU")
    jax = jax_on_the_gpu()
    import gpuinit.jax

    init, key = gpuinit.jax.normal(0.05), jax.random.key(9)
    expected = cpu(gpuinit.RandomNormal(0.0, 0.05, seed=9), SHAPE, dtype)
    made = init(key, SHAPE, dtype)
    assert {device.platform for device in made.devices()} == {"gpu"} and np.asarray(made).tobytes() == expected
    staged = jax.jit(lambda key: init(key, SHAPE, dtype))(key)
    assert {device.platform for device in staged.devices()} == {"gpu"} and np.asarray(staged).tobytes() == expected
    array = INIT(SHAPE, dtype, device="cuda")
    assert gpuinit.jax.from_array(array).unsafe_buffer_pointer() == array.data.ptr


KERAS = """
import keras, numpy as np, gpuinit, gpuinit.keras
made = gpuinit.keras.HeNormal(seed=3)((64, 32))
assert made.is_cuda, made.device
assert made.cpu().numpy().tobytes() == gpuinit.HeNormal(seed=3)((64, 32), device="cpu").tobytes()
layer = keras.layers.Dense(8, kernel_initializer=gpuinit.keras.GlorotUniform(seed=1))
layer.build((None, 4))
assert layer.kernel.value.is_cuda
print("equal")
"""


def test_keras_on_torch(torch: Any) -> None:
    pytest.importorskip("keras", reason="Keras is not installed")
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    environment.pop("GPUINIT_DEVICE", None)
    done = subprocess.run([sys.executable, "-c", KERAS], capture_output=True, text=True, env=environment, timeout=200)
    assert done.returncode == 0 and done.stdout.split() == ["equal"], done.stderr
