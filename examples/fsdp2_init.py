"""A model that no process ever holds whole, sharded by FSDP2 and initialized where its shards lie.

    torchrun --nproc-per-node 4 examples/fsdp2_init.py

Each process writes its own shards, without communication. The weights, and so the hash that is printed, are the same on any
number of processes, and without torchrun. On GPUs: device "cuda", backend "nccl".
"""

from __future__ import annotations

import os

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from gpuinit.hashing import element_hash
from gpuinit.torch import accelerate

WORDS, WIDTH, LAYERS = 10_007, 192, 4
DEVICE, BACKEND = "cpu", "gloo"


class Layer(nn.Module):
    """A residual layer; its parts initialize themselves, as those of PyTorch do."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.up = nn.Linear(WIDTH, 4 * WIDTH)
        self.down = nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(nn.functional.gelu(self.up(self.norm(x))))


def initialize(module: nn.Module) -> None:
    """What a training program does to a module after `to_empty`; nothing in it knows of gpuinit."""
    if hasattr(module, "reset_parameters"):
        module.reset_parameters()
    if isinstance(module, nn.Embedding):
        nn.init.trunc_normal_(module.weight, std=0.02)


def main() -> None:
    with torch.device("meta"):
        model = nn.Sequential(nn.Embedding(WORDS, WIDTH), *(Layer() for _ in range(LAYERS)), nn.Linear(WIDTH, WORDS, bias=False))
    size = 1
    if "WORLD_SIZE" in os.environ:
        dist.init_process_group(BACKEND)
        size = dist.get_world_size()
        mesh = init_device_mesh(DEVICE, (size,))
        for layer in model:
            fully_shard(layer, mesh=mesh)
        fully_shard(model, mesh=mesh)
    model.to_empty(device=DEVICE)

    with accelerate(seed=0, module=model):
        model.apply(initialize)

    total = 0
    for parameter in model.parameters():
        whole = parameter.full_tensor() if size > 1 else parameter
        total = (total + element_hash(whole.detach().cpu().numpy())) % 2**64
    if size == 1 or dist.get_rank() == 0:
        print(f"weights {total:016x} on {size} process{'es' if size > 1 else ''}")
    if size > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
