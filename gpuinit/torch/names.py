"""What a module's parameters are called: the names of the plain model, whatever it is wrapped in."""

from __future__ import annotations

import torch

__all__ = ["qualified_names"]

_WRAPPERS = frozenset(
    {
        "_orig_mod",  # torch.compile
        "_fsdp_wrapped_module",  # FullyShardedDataParallel
        "_checkpoint_wrapped_module",  # checkpoint_wrapper and offload_wrapper of torch.distributed
    }
)
"""Attributes under which wrappers keep the module that they wrap. DistributedDataParallel's is "module", which models use too."""


def qualified_names(module: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """Every name of every parameter, in the order of `module.named_parameters()`.

    The parts that torch.compile, FSDP and activation checkpointing put into names are left out, so a name is that of the plain
    model. A parameter that is tied has several; its first one is that of `named_parameters()`.

    Raises:
        TypeError: it is not a torch.nn.Module.
        ValueError: without those parts two parameters have the same name.
    """
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"module is a {type(module).__name__}: it must be a torch.nn.Module")
    found: dict[str, torch.nn.Parameter] = {}
    for path, parameter in module.named_parameters(remove_duplicate=False):
        name = ".".join(part for part in path.split(".") if part not in _WRAPPERS)
        if found.setdefault(name, parameter) is not parameter:
            raise ValueError(
                f"module has two parameters of the name {name!r} when the parts {', '.join(sorted(_WRAPPERS))} are left out; "
                f"one is {path!r}: rename it"
            )
    return found
