"""Which initializer each parameter of a module gets: patterns on names, the first that matches, and a report of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from gpuinit import Key, SeedGenerator
from gpuinit.initializers import Initializer
from gpuinit.torch.initialize import initializer_of
from gpuinit.torch.seeds import base_key, has_own_seed

__all__ = ["InitReport", "Rule", "check_all_used", "checked_rules", "listed", "matched"]

_SHOWN = 4


@dataclass(frozen=True, eq=False)
class Rule:
    """A pattern and what its parameters get.

    Attributes:
        pattern: as text. matcher: a shell-style glob, or a compiled expression that must match the whole name.
        initializer: None leaves the parameters as they are.
    """

    pattern: str
    matcher: str | re.Pattern[str]
    initializer: Initializer | None

    def matches(self, name: str) -> bool:
        """Whether it speaks of the parameter of this name."""
        if isinstance(self.matcher, str):
            return fnmatchcase(name, self.matcher)
        return self.matcher.fullmatch(name) is not None

    def base(self, key: Key) -> Key:
        """The key from which its parameters' names are folded: the initializer's own if it was given one, else `key`."""
        if self.initializer is not None and has_own_seed(self.initializer):
            return base_key(self.initializer.key_source())
        return key


@dataclass(frozen=True)
class InitReport:
    """What `init_module` did with each parameter.

    Attributes:
        initialized: the pattern by which each initialized parameter was, by the parameter's name.
        left: the same of those that a rule says to leave as they are.
        unmatched: the names that no rule matches; they are as they were.
        tied: the further names of parameters that have several, by the first name, under which they were treated.
        unused: the patterns that gave no parameter anything.
    """

    initialized: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    unmatched: tuple[str, ...] = ()
    tied: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unused: tuple[str, ...] = ()

    def __repr__(self) -> str:
        lines = [f"InitReport: {len(self.initialized)} initialized, {len(self.left)} left, {len(self.unmatched)} unmatched"]
        for title, given in (("", self.initialized), ("left by ", self.left)):
            for pattern in dict.fromkeys(given.values()):
                lines.append(f"  {title}{pattern!r}: {listed([name for name, by in given.items() if by == pattern])}")
        if self.unmatched:
            lines.append(f"  unmatched: {listed(self.unmatched)}")
        lines += [f"  tied: {name} = {' = '.join(others)}" for name, others in self.tied.items()]
        if self.unused:
            lines.append(f"  unused: {', '.join(map(repr, self.unused))}")
        return "\n".join(lines)


def listed(names: Iterable[str]) -> str:
    """How many names there are, and the first few of them."""
    names = list(names)
    rest = f", .. ({len(names)} in all)" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + rest


def checked_rules(rules: Any) -> list[Rule]:
    """The rules of a mapping or of (pattern, initializer) pairs, in order.

    Raises:
        TypeError, ValueError: not such, a pattern is neither a string nor a compiled expression, or what it gives is no
            initializer, or one with a SeedGenerator.
    """
    pairs = list(rules.items()) if isinstance(rules, Mapping) else rules
    if isinstance(pairs, (str, bytes)) or not isinstance(pairs, Iterable):
        raise TypeError(f"rules is a {type(rules).__name__}: it must be a mapping, or a sequence of (pattern, initializer) pairs")
    return [_rule(pair, number) for number, pair in enumerate(pairs)]


def _rule(pair: Any, number: int) -> Rule:
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise TypeError(f"rules[{number}]={pair!r}: it must be a pair (pattern, initializer)")
    pattern, identifier = pair
    text = pattern.pattern if isinstance(pattern, re.Pattern) else pattern
    if not isinstance(text, str):
        raise TypeError(
            f"rules[{number}]: pattern {pattern!r} must be a string, a shell-style glob, or a compiled re.Pattern of one"
        )
    if identifier is None:
        return Rule(text, pattern, None)
    initializer = initializer_of(identifier, f"rules[{number}], {text!r}: initializer")
    if has_own_seed(initializer) and isinstance(initializer.key_source(), SeedGenerator):
        raise ValueError(
            f"rules[{number}], {text!r}: {initializer!r} has a SeedGenerator, whose draws depend on the order of parameters; "
            "give it an integer, a Key, or no seed"
        )
    return Rule(text, pattern, initializer)


def matched(rules: list[Rule], names: Iterable[str]) -> dict[str, Rule]:
    """The first rule that matches each name; names that none matches are left out."""
    found = {name: next((rule for rule in rules if rule.matches(name)), None) for name in names}
    return {name: rule for name, rule in found.items() if rule is not None}


def check_all_used(rules: list[Rule], given: Mapping[str, Rule], tied: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse (ValueError) rules that give no parameter anything, and say why they do not.

    `given`: the rule of each first name. `tied`: the further names of the parameter of each first name.
    """
    problems = []
    for rule in rules:
        if any(used is rule for used in given.values()):
            continue
        earlier = [f"{name} is taken by {given[name].pattern!r}" for name in given if rule.matches(name)]
        others = [f"{name} is tied to {first}" for first in tied for name in tied[first] if rule.matches(name)]
        reason = listed(earlier or others) or f"the names are {listed(tied)}"
        problems.append(f"{rule.pattern!r} matches no parameter that is left to it: {reason}")
    if problems:
        raise ValueError("rules: " + "; ".join(problems) + "; correct the pattern, or pass strict=False")
