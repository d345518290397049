"""Keras on PyTorch: a tensor that Keras allocates on its device, filled where it lies."""

from __future__ import annotations

import keras
import torch

import gpuinit
from gpuinit.keras.request import Request
from gpuinit.torch.tensors import as_tensor, memory

__all__ = ["tensor"]


def tensor(request: Request) -> torch.Tensor:
    """A new tensor on Keras' PyTorch device, in the dtype that Keras has there (uint16 is int32, and so on).

    On the meta device, where Keras infers shapes, it has no values. Where gpuinit cannot fill on Keras' device, values are made
    on the CPU and copied.
    """
    out: torch.Tensor = keras.ops.empty(request.output_shape, dtype=request.dtype)
    state = request.next_state()
    if out.is_meta:
        return out
    initializer = request.initializer(None if state is None else state.cpu())
    if out.device.type == "cpu" or (out.device.type == "cuda" and gpuinit.default_device() != "cpu"):
        initializer.fill(memory(out), shape=request.shape)
        return out
    return out.copy_(as_tensor(initializer(request.shape, out.dtype, device="cpu")))
