"""Recurrent layers as one operation each, however many steps the sequence has.

PyTorch works them out step by step, or hides them in one kernel, depending on the device. What they
see does not depend on it: step t of a forward direction sees the steps up to t, step t of a
backward one those from t on, and both see all features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eva.rf.algebra import Algebra, Seen
from eva.rf.geometry import AxisMap

NAMES = ("lstm", "gru", "rnn_tanh", "rnn_relu")


def is_padded(args: Sequence[Any]) -> bool:
    """Whether these are the arguments for a padded sequence: (input, state, weights, flag, ...)."""
    return len(args) == 9 and isinstance(args[3], bool)


def recurrent_shapes(name: str, args: Sequence[Any]) -> tuple[tuple[int, ...], ...]:
    """Shapes of the results: the sequence, the last hidden states, and the cells of an LSTM."""
    x, state, weights, biases, layers, _dropout, _train, both, batch_first = args
    first = state[0] if isinstance(state, (list, tuple)) else state
    sides = 2 if both else 1
    each = len(weights) // (layers * sides)
    projected = name == "lstm" and each in (3, 5)
    hidden = weights[1].shape[1]
    out = (*x.shape[:-1], hidden * sides)
    last = (layers * sides, *first.shape[1:-1], hidden)
    del biases, batch_first
    if name != "lstm":
        return out, last
    cell = weights[0].shape[0] // 4 if projected else hidden
    return out, last, (*last[:-1], cell)


def states(
    algebra: Algebra,
    name: str,
    args: Sequence[Any],
    seen: Seen | None,
    before: Sequence[Seen],
) -> list[Seen | None]:
    """What the results see.

    Args:
        algebra: For the states.
        name: ``lstm``, ``gru``, ``rnn_tanh`` or ``rnn_relu``.
        args: As PyTorch gets them.
        seen: By the sequence, if an input reaches it.
        before: By the first hidden states and cells that an input reaches.
    """
    layers, both, batch_first = args[4], args[7], args[8]
    sizes = recurrent_shapes(name, args)
    shape = sizes[0]
    steps = 1 if batch_first else 0
    batch = 1 - steps
    if seen is None and not before:
        return [None] * len(sizes)
    if seen is None:
        seen = Seen(shape=tuple(args[0].shape), groups=({},))
    features = len(shape) - 1
    mixed = algebra.reduce(seen, (features,), keep=1)
    count = shape[steps]

    def run(forward: bool, width: int) -> Seen:
        reads = tuple(tuple(range(u + 1) if forward else range(u, count)) for u in range(count))
        along = AxisMap(count=count, window=None, reads=reads)
        out = algebra.slide(mixed, {steps: along}, mixed.shape, channels=0)
        return algebra.broadcast(out, (*shape[:-1], width))

    every = algebra.reduce(mixed, (steps,), keep=1)
    if not both:
        out = run(True, shape[features])
    elif layers > 1:
        out = algebra.broadcast(every, shape)
    else:
        half = shape[features] // 2
        out = algebra.concat([run(True, half), run(False, half)], features, shape)
    end = algebra.permute(every, (steps, batch, features))  # (1, batch, 1)
    found = [out, *(algebra.broadcast(end, s) for s in sizes[1:])]
    for state in before:
        thin = algebra.reduce(state, (0, 2), keep=1)
        if algebra.varies(state, 0):
            thin = algebra.bounded(thin, f"aten.{name}: states of layers that see different things")
        turned = algebra.permute(thin, (0, 1, 2) if steps == 0 else (1, 0, 2))
        found = [
            algebra.join([f, algebra.broadcast(turned if i == 0 else thin, s)], s)
            for i, (f, s) in enumerate(zip(found, sizes, strict=True))
        ]
    return list(found)
