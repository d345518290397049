"""`init_module`: the parameters of a module by rules on their names, each from a stream of its own."""

from __future__ import annotations

import sys
from typing import Any

import torch

from gpuinit import Key
from gpuinit.torch.filling import Fill, planned
from gpuinit.torch.names import qualified_names
from gpuinit.torch.rules import InitReport, check_all_used, checked_rules, listed, matched
from gpuinit.torch.seeds import base_key

__all__ = ["init_module"]


def init_module(module: torch.nn.Module, rules: Any, seed: int | Key, *, strict: bool = True) -> InitReport:
    """Initialize a module's parameters in place, each by the first rule that matches its name and from a stream of its own.

        key of a parameter = Key(seed).fold_in(name)

    So a weight depends on the seed, its name, its shape and its initializer, and on no other parameter, order or sharding.

    Args:
        module: its parameters on the CPU or CUDA devices, DTensors too. Names are those of the plain model, without what
            torch.compile, FSDP and activation checkpointing put into them.
        rules: a mapping from patterns to initializers, or a sequence of such pairs. A pattern is a shell-style glob, where * also
            matches dots and case counts, or a compiled expression that matches the whole name. An initializer is what `init_`
            takes; None leaves the parameter as it is. One with a seed of its own draws from that in place of `seed`, with the
            name folded in all the same.
        seed: an integer in 0 .. 2^64 - 1 or a Key.
        strict: whether a pattern that gives no parameter anything is an error.

    Returns:
        An InitReport: which rule each parameter was given, and what was left. Buffers, and parameters that no rule matches,
        stay as they are. A tied parameter is initialized once, under its first name in `named_parameters()`. The `padding_idx`
        row of nn.Embedding and nn.EmbeddingBag is zero afterwards.

    Raises:
        TypeError, ValueError: an argument is wrong, a pattern is unused, a parameter is on the meta device (materialize the
            module first), or cannot be filled by its rule's initializer; the message names it. Nothing has been written then.
    """
    names = qualified_names(module)
    parsed, base = checked_rules(rules), base_key(seed)
    _check_not_flattened(module)
    same: dict[int, list[str]] = {}
    for name, parameter in names.items():
        same.setdefault(id(parameter), []).append(name)
    tied = {first: tuple(others) for first, *others in same.values()}
    given = matched(parsed, tied)
    if strict:
        check_all_used(parsed, given, tied)
    chosen = {name: rule for name, rule in given.items() if rule.initializer is not None}
    meta = [name for name in chosen if names[name].is_meta]
    if meta:
        raise ValueError(
            f"parameters on the meta device: {listed(meta)}; materialize the module first, module.to_empty(device=...)"
        )
    plans = {name: _planned(names[name], rule.initializer, name) for name, rule in chosen.items()}
    rows = _padding_rows(module)
    for name, plan in plans.items():
        plan.write(chosen[name].base(base).fold_in(name))
        for row in sorted(rows.get(id(names[name]), ())):
            plan.clear_row(row)
    return InitReport(
        {name: rule.pattern for name, rule in chosen.items()},
        {name: rule.pattern for name, rule in given.items() if rule.initializer is None},
        tuple(name for name in tied if name not in given),
        {first: others for first, others in tied.items() if others},
        tuple(rule.pattern for rule in parsed if all(used is not rule for used in given.values())),
    )


def _planned(parameter: torch.nn.Parameter, initializer: Any, name: str) -> Fill:
    label = f"parameter {name!r}"
    try:
        return planned(parameter, initializer, label)
    except (TypeError, ValueError) as error:
        if str(error).startswith(label):
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{label}: {error}") from error


def _padding_rows(module: torch.nn.Module) -> dict[int, set[int]]:
    """The rows that embeddings keep at zero, by the identity of their weights."""
    found: dict[int, set[int]] = {}
    for part in module.modules():
        if isinstance(part, (torch.nn.Embedding, torch.nn.EmbeddingBag)) and part.padding_idx is not None:
            found.setdefault(id(part.weight), set()).add(part.padding_idx)
    return found


def _check_not_flattened(module: torch.nn.Module) -> None:
    """Refuse FullyShardedDataParallel's parameters, which are flat pieces of several, or of one, whose shapes are gone."""
    fsdp = sys.modules.get("torch.distributed.fsdp")
    if fsdp is None:
        return
    for name, part in module.named_modules():
        if isinstance(part, fsdp.FullyShardedDataParallel) and part.training_state.name != "SUMMON_FULL_PARAMS":
            raise ValueError(
                f"module {name!r} is a FullyShardedDataParallel, which flattens parameters: initialize it before it is wrapped, "
                "or within FullyShardedDataParallel.summon_full_params, or shard by fully_shard"
            )
