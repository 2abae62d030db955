"""How rules are registered, and what several of them need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from eva.rf.algebra import Algebra, Seen
from eva.rf.rules import (
    Geometry,
    Op,
    Rule,
)

RULES: dict[str, Rule] = {}  # every rule of this package, by the name of its operation


def rule(*names: str) -> Callable[[Rule], Rule]:
    """A decorator that registers a function as the rule of these ATen operations."""

    def register(function: Rule) -> Rule:
        for name in names:
            full = name if "." in name else f"aten.{name}"
            if full in RULES:
                raise ValueError(f"{full} has two rules")
            RULES[full] = function
        return function

    return register


def dims_of(op: Op, key: str = "dim") -> tuple[int, ...]:
    """A ``dim`` argument as non-negative numbers; all dimensions where it is absent or empty."""
    rank = len(op.first.shape)
    given = op.args.get(key)
    if given is None or given == []:
        return tuple(range(rank))
    given = [given] if isinstance(given, int) else given
    return tuple(d % rank for d in given) if rank else ()


def moved(change: Callable[[Algebra, Seen, Op], Seen]) -> Geometry:
    """Geometry that rearranges the first argument."""

    def apply(algebra: Algebra, op: Op) -> list[Seen | None]:
        state = op.first.state
        return [None if state is None else change(algebra, state, op)] * len(op.outputs)

    return apply


def permutation(args: Mapping[str, Any], rank: int) -> list[int]:
    """Order of dimensions of ``permute``, ``transpose`` or ``t``."""
    if "dims" in args:
        return [d % rank for d in args["dims"]]
    order = list(range(rank))
    if rank > 1:
        a, b = (args["dim0"] % rank, args["dim1"] % rank) if "dim0" in args else (0, 1)
        order[a], order[b] = order[b], order[a]
    return order
