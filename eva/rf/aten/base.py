"""How rules are registered, and what several of them need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eva.rf.algebra import Algebra, Seen
from eva.rf.rules import (
    Geometry,
    Op,
    Rule,
    TensorArg,
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


def by_channel(algebra: Algebra, state: Seen, shape: tuple[int, ...], dim: int = 1) -> Seen:
    """What one number for each channel sees, spread over a map.

    Args:
        algebra: For the states.
        state: What the numbers see, (channels,).
        shape: Sizes of the map.
        dim: Its dimension of channels.
    """
    thin = tuple(n if d == dim else 1 for d, n in enumerate(shape))
    return algebra.broadcast(algebra.reshape(state, thin), shape)


def with_weights(
    algebra: Algebra,
    op: Op,
    data: Sequence[Seen | None],
    spread: Mapping[str, Callable[[Seen, tuple[int, ...]], Seen]],
) -> list[Seen | None]:
    """What results see if weights are made of the input too (a generated kernel, a style).

    Args:
        algebra: For the states.
        op: The operation.
        data: What its results see if the weights see nothing.
        spread: Name of a weight -> what the first result sees of it, from its state and the
            result's shape.
    """
    given = {k: op.args.get(k) for k in spread}
    found = [
        spread[key](t.state, op.outputs[0])
        for key, t in given.items()
        if isinstance(t, TensorArg) and t.state is not None
    ]
    if not found:
        return list(data)
    first = [s for s in data[:1] if s is not None]
    return [algebra.join([*first, *found], op.outputs[0]), *data[1:]]
