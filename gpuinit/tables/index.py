"""The index of a set of safetensors files, as Hugging Face's tools read it: which tensor stands in which file.

    {"metadata": {"total_size": bytes of all tensors}, "weight_map": {tensor: file, ...}}

Source: the `model.safetensors.index.json` that huggingface_hub's `split_torch_state_dict_into_shards` describes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gpuinit.tables.contents import write_at
from gpuinit.tables.parts import replacing
from gpuinit.tables.plan import Job

__all__ = ["INDEX_NAME", "write_index"]

INDEX_NAME = "model.safetensors.index.json"


def write_index(path: Path, jobs: Sequence[Job]) -> None:
    """Write the index of the jobs' files, which lie in its folder; it appears complete or not at all."""
    index = {
        "metadata": {"total_size": sum(job.nbytes for job in jobs)},
        "weight_map": {job.tensor: job.path.name for job in sorted(jobs, key=lambda job: job.tensor)},
    }
    text = json.dumps(index, indent=2, ensure_ascii=False) + "\n"
    with replacing(path) as unfinished:
        write_at(unfinished.places[0], np.frombuffer(text.encode(), np.uint8), 0)
