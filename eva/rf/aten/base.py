"""How the tables of rules are written."""

from __future__ import annotations

from collections.abc import Callable

from eva.rf.algebra import Algebra
from eva.rf.rules import (
    Geometry,
    Op,
    Rule,
)
from eva.rf.seen import Seen


def entering(table: dict[str, Rule]) -> Callable[..., Callable[[Rule], Rule]]:
    """A decorator that enters a function into the table under aten names."""

    def rule(*names: str) -> Callable[[Rule], Rule]:
        def enter(function: Rule) -> Rule:
            for name in names:
                table[f"aten.{name}"] = function
            return function

        return enter

    return rule


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
