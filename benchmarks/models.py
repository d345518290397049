"""How long does building a model take inside `accelerate`, beside plain PyTorch? `python -m benchmarks.models`.

Models of transformers, from their configurations, in float32 on the CPU, by their own code: constructors, reset_parameters, then
`_init_weights`, so that most values are drawn twice. In every round, one after the other: built without initialization
(`no_init_weights` of transformers), plain, and inside `accelerate(seed=0)`, each at its default number of threads; the memory of
the one before has been given back. A ratio is plain PyTorch's time over gpuinit's; for the ratio of initialization alone the time
without it is taken off both. What is not initialized is not touched either, so the first touch of memory, which takes both sides
the same time, counts as initialization. The load average beforehand tells whether the machine was shared.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
from collections.abc import Callable
from typing import Any

import torch
import transformers
from transformers.initialization import no_init_weights

from benchmarks.pairs import save, seconds
from gpuinit.torch import accelerate

Build = Callable[[], torch.nn.Module]


def vit_large() -> torch.nn.Module:
    """ViT-L/16: truncated normals."""
    config = transformers.ViTConfig(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096)
    return transformers.ViTModel(config)


def gpt2() -> torch.nn.Module:
    """GPT-2, the small one: normals."""
    return transformers.GPT2LMHeadModel(transformers.GPT2Config())


def llama() -> torch.nn.Module:
    """A Llama of the shape of Llama 3.2 1B: normals, and an embedding of 128,256 words."""
    config = transformers.LlamaConfig(
        vocab_size=128_256,
        hidden_size=2048,
        intermediate_size=8192,
        num_hidden_layers=16,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=64,
        tie_word_embeddings=True,
    )
    return transformers.LlamaForCausalLM(config)


MODELS: dict[str, Build] = {"ViT-Large": vit_large, "GPT-2": gpt2, "Llama, 1B": llama}


def without(build: Build) -> Build:
    """The same without initialization."""

    def built() -> torch.nn.Module:
        with no_init_weights():
            return build()

    return built


def parameters(build: Build) -> int:
    """How many parameters a model has; tied ones count once."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build().parameters())


def timed(build: Build) -> float:
    """Seconds of a build; its memory is given back."""
    found = seconds(build)
    gc.collect()
    return found


def one_model(name: str, rounds: int) -> dict[str, Any]:
    """The figures of one model."""
    build, load = MODELS[name], os.getloadavg()[0]
    ways: dict[str, Build] = {"without": without(build), "PyTorch": build, "gpuinit": accelerate(0)(build)}
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, built in ways.items():
            times[way].append(timed(built))
    pairs = list(zip(times["PyTorch"], times["gpuinit"], times["without"], strict=True))
    ratios = [theirs / ours for theirs, ours, _ in pairs]
    alone = [(theirs - none) / (ours - none) for theirs, ours, none in pairs]
    row = {
        "name": name,
        "parameters": parameters(build),
        "rounds": rounds,
        "load average": round(load, 1),
        **{f"{way}, s": round(statistics.median(found), 3) for way, found in times.items()},
        "ratio": round(statistics.median(ratios), 2),
        "least": round(min(ratios), 2),
        "most": round(max(ratios), 2),
        "initialization alone": round(statistics.median(alone), 2),
        "its least": round(min(alone), 2),
        "its most": round(max(alone), 2),
    }
    print(json.dumps(row), flush=True)
    return row


def main() -> None:
    """Measure, and write benchmarks/results/models.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--models", default=",".join(MODELS).replace(", ", " "), help="some of them, by the first word of the name"
    )
    options = parser.parse_args()
    chosen = [name for name in MODELS if any(name.startswith(each.split()[0]) for each in options.models.split(","))]
    transformers.logging.set_verbosity_error()
    with accelerate(0):  # warm: kernels compiled or loaded
        transformers.GPT2LMHeadModel(transformers.GPT2Config(n_layer=1))
        torch.nn.init.trunc_normal_(torch.empty(2**22))
    rows = [
        {"threads": torch.get_num_threads(), "torch": torch.__version__, **one_model(name, options.rounds)} for name in chosen
    ]
    save("models", rows)


if __name__ == "__main__":
    main()
