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

__all__ = ["INDEX_NAME", "index_text", "is_written", "write_index"]

INDEX_NAME = "model.safetensors.index.json"


def index_text(jobs: Sequence[Job]) -> str:
    """The index of the jobs' files."""
    index = {
        "metadata": {"total_size": sum(job.nbytes for job in jobs)},
        "weight_map": {job.tensor: job.path.name for job in sorted(jobs, key=lambda job: job.tensor)},
    }
    return json.dumps(index, indent=2, ensure_ascii=False) + "\n"


def is_written(path: Path, jobs: Sequence[Job]) -> bool:
    """Whether the index of the jobs' files is there already."""
    try:
        return path.read_bytes() == index_text(jobs).encode()
    except OSError:
        return False


def write_index(path: Path, jobs: Sequence[Job]) -> None:
    """Write the index of the jobs' files, which lie in its folder; it appears complete or not at all."""
    try:
        with replacing(path) as unfinished:
            write_at(unfinished.places[0], np.frombuffer(index_text(jobs).encode(), np.uint8), 0)
    except OSError as error:
        if error.errno is None:  # its message is for the user already
            raise
        raise type(error)(f"out: {str(path)!r} cannot be written: {error.strerror}") from error
