"""Models on several processes, for the tests of gpuinit.torch: what each rank does, and how ranks are started."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.debug import CommDebugMode
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

from gpuinit.torch import accelerate

SIZE = 4
SEED = 5


class Plain(nn.Module):
    """Modules of torch.nn by their reset_parameters; sizes that 4 does not divide, and fewer rows than ranks."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.Embedding(2, 9)
        self.layers = nn.ModuleList([nn.Linear(9, 13), nn.Conv2d(5, 7, 3), nn.LSTM(6, 5), nn.Bilinear(3, 4, 6)])

    def initialize(self) -> None:
        for module in self.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()


def gpt2() -> nn.Module:
    """A GPT-2 of 1001 words whose input and output share their weight."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=1001, n_positions=33, n_embd=36, n_layer=2, n_head=4, bos_token_id=None, eos_token_id=None)
    return GPT2LMHeadModel(config)


def llama() -> nn.Module:
    """A Llama of 203 words, its MLP of 50."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=203, hidden_size=24, intermediate_size=50, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2
    )
    return LlamaForCausalLM(config)


MODELS: dict[str, Callable[[], nn.Module]] = {"plain": Plain, "gpt2": gpt2, "llama": llama}

CASES = [
    ("plain", "fsdp"),
    ("plain", "hsdp"),
    ("gpt2", "fsdp"),
    ("gpt2", "hsdp"),
    ("llama", "fsdp"),
    ("llama", "tp"),
    ("llama", "tp and fsdp"),
]


def initialize(model: Any, by_name: bool) -> None:
    """As its own code does it, inside of accelerate."""
    with accelerate(SEED, module=model if by_name else None):
        if isinstance(model, Plain):
            model.initialize()
        else:
            model.tie_weights()  # to_empty gives tied weights memory of their own
            model.apply(model._init_weights)


def reference(name: str, by_name: bool) -> dict[str, Any]:
    """The parameters of the model in one process."""
    model = MODELS[name]()
    initialize(model, by_name)
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def shard(model: Any, way: str) -> None:
    """Shard a model over 4 ranks: by FSDP2, with replicas, by tensor parallelism, by both."""
    layers = (
        model.layers if isinstance(model, Plain) else model.transformer.h if hasattr(model, "transformer") else model.model.layers
    )
    shape, names = {
        "fsdp": ((4,), ("data",)),
        "hsdp": ((2, 2), ("replica", "data")),
        "tp": ((4,), ("tensor",)),
        "tp and fsdp": ((2, 2), ("data", "tensor")),
    }[way]
    mesh = init_device_mesh("cpu", shape, mesh_dim_names=names)
    if "tensor" in names:
        across, down = ColwiseParallel(), RowwiseParallel()
        plan: dict[str, Any] = {f"self_attn.{each}_proj": across for each in "qkv"}
        plan |= {"self_attn.o_proj": down, "mlp.gate_proj": across, "mlp.up_proj": across, "mlp.down_proj": down}
        for layer in layers:
            parallelize_module(layer, mesh["tensor"], plan)
        parallelize_module(model, mesh["tensor"], {"lm_head": ColwiseParallel(), "model.embed_tokens": RowwiseParallel()})
    if way != "tp":
        data = mesh["data"] if way != "hsdp" else mesh
        for layer in layers:
            fully_shard(layer, mesh=data)
        fully_shard(model, mesh=data)


def report(name: str, way: str, by_name: bool, expected: dict[str, Any]) -> dict[str, Any]:
    """What a rank finds of a model that is built on meta, sharded, given memory and initialized."""
    with torch.device("meta"):
        model = MODELS[name]()
    shard(model, way)
    model.to_empty(device="cpu")
    for parameter in model.parameters():
        local = parameter.to_local() if isinstance(parameter, DTensor) else parameter
        local.detach().fill_(float("nan"))
    with CommDebugMode() as collectives:
        initialize(model, by_name)
    parameters = dict(model.named_parameters())
    whole = {key: value.full_tensor() if isinstance(value, DTensor) else value for key, value in parameters.items()}
    return {
        "names": list(whole) == list(expected),
        "different": [key for key in expected if not torch.equal(whole[key], expected[key])],
        "collectives": collectives.get_total_counts(),
        "placements": sorted({str(getattr(value, "placements", "whole")) for value in parameters.values()}),
        "empty": sum(isinstance(value, DTensor) and value.to_local().numel() == 0 for value in parameters.values()),
    }


def rank(number: int, folder: str) -> None:
    """One of the processes: every case in turn, its reports into a file."""
    torch.set_num_threads(1)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # wherever the host's own name leads
    path = Path(folder)
    dist.init_process_group(
        "gloo", init_method=f"file://{path / 'meeting'}", rank=number, world_size=SIZE, timeout=timedelta(seconds=120)
    )
    expected = torch.load(path / "expected.pt")
    reports = {
        (name, way, by_name): report(name, way, by_name, expected[name, by_name])
        for name, way in CASES
        for by_name in (True, False)
    }
    torch.save(reports, path / f"{number}.pt")
    dist.destroy_process_group()


def run(folder: Path, seconds: float) -> list[dict[Any, Any]]:
    """The reports of all ranks; processes that have not ended by then are killed, and a TimeoutError says so."""
    torch.save(
        {(name, by_name): reference(name, by_name) for name in MODELS for by_name in (True, False)}, folder / "expected.pt"
    )
    ranks = torch.multiprocessing.spawn(rank, (str(folder),), SIZE, join=False)
    deadline = time.monotonic() + seconds
    try:
        while not ranks.join(timeout=1):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{SIZE} ranks have not ended within {seconds} s")
    finally:
        for process in ranks.processes:
            process.kill()
    return [torch.load(folder / f"{number}.pt") for number in range(SIZE)]
