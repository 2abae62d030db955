"""Is the answer a global average of a map? Decided by what the operations do to positions.

What each value of the eval program knows of positions is found by
:mod:`eva.grading.checks.pooling_analysis`. The answer must be pooled, and one of the last
reductions before it must be a mean: linear, and the constant itself for a constant map.
Weights are jittered first, so that zeros and equal values of an initialization prove nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from eva.grading.checks.pooling_analysis import PoolingAnalysis, Reduction, ValueKind
from eva.grading.graph.graph import Graph


@dataclass(frozen=True, kw_only=True)
class Pooling:
    """The decision.

    Attributes:
        holds: True, False, or None where a person must look.
        reason: Why, as the end of a sentence "global average pooling: ...".
        maps: Heights and widths of the maps that are averaged, ("5x5",).
    """

    holds: bool | None
    reason: str
    maps: tuple[str, ...] = ()


def decide_pooling(graph: Graph, input_size: tuple[int, int, int]) -> Pooling:
    """Decide on the eval program, which is the one that is measured.

    Args:
        graph: Of the model.
        input_size: Channels, height and width of an image.
    """
    states = PoolingAnalysis(graph, torch.Generator().manual_seed(5), input_size)
    if states.written_in_place():
        return Pooling(
            holds=None,
            reason="forward writes into a part of a tensor in place, which can't be followed. "
            "Build the tensor with torch.cat or torch.stack.",
        )
    states.find()
    return _verdict(states, states.of[states.program.output])


def _verdict(states: PoolingAnalysis, state: ValueKind) -> Pooling:
    if state.kind == "free":
        return Pooling(holds=False, reason="the scores don't depend on the image.")
    if state.kind == "pooled":
        return _pooled_verdict(states, state)
    means = [r for r in states.reductions.values() if states.is_mean(r)]
    beside = " beside the pooled path" if means else ""
    if state.collapsed is not None:
        what = _describe(states, state.collapsed)
        return Pooling(
            holds=False, reason=f"{what} gives each position weights of its own{beside}."
        )
    if not means and not states.undecided:
        return Pooling(holds=False, reason="no mean over all positions of a map is taken.")
    return Pooling(
        holds=None,
        reason="weights or a path to the scores treat positions in a way that can't be "
        "decided here.",
    )


def _pooled_verdict(states: PoolingAnalysis, state: ValueKind) -> Pooling:
    last = [states.reductions[name] for name in sorted(state.reductions)]
    means = [r for r in last if states.is_mean(r) and states.replay.matters(r.name)]
    if not means:
        matter = [r for r in last if states.replay.matters(r.name)] or last
        found = " and ".join(sorted({r.nodes[-1].op.split(".")[1] for r in matter}))
        return Pooling(
            holds=False,
            reason=f"what reaches the scores is {found}, and no mean over all positions: of a "
            "map of ones a mean makes 1, of twice the map twice the value.",
        )
    if any(r.placed for r in last):
        return Pooling(
            holds=None,
            reason="before the mean, positions are cut off or meet numbers of their own, which "
            "may make a weighted sum of it.",
        )
    maps = tuple(sorted({_size(states, r) for r in means}))
    return Pooling(holds=True, reason=f"a mean over {' and '.join(maps)}.", maps=maps)


def _size(states: PoolingAnalysis, reduction: Reduction) -> str:
    assert reduction.source is not None
    shape = states.values[reduction.source].shape
    return "x".join(str(shape[a]) for a in states.of[reduction.source].axes)


def _describe(states: PoolingAnalysis, name: str) -> str:
    """Name of the layer whose weights a value was computed with, and its operation."""
    node = next(node for node in states.program.nodes if name in node.outputs)
    op = node.op.split(".")[1]
    layer = next((states.layers[r] for r in node.reads() if r in states.layers), None)
    return f"layer {layer} ({op})" if layer else op
