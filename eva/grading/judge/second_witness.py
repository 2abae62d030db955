"""The second witness: what a network shows once it is trained, on real digits.

The checks before a training decide; a trial on drawn digits and jittered weights stands beside
them. Here the same trial and the same count are made once more, with the weights that training
found and images of the test. Where they disagree with what was decided, a person must look.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from eva.grading.checks.pooling_proof import prove_pooling
from eva.grading.checks.pooling_trial import try_pooling
from eva.grading.graph.counting import Count, count_stored
from eva.grading.graph.graph import Graph

_SHOWN = 20  # images of the trial
_FEW = 64  # numbers more than were counted, as rounding or a dead channel may make


def doubt(graph: Graph, trained: nn.Module, images: Tensor, before: Count) -> str | None:
    """What contradicts the checks that were made before the training; None if nothing does.

    Args:
        graph: That was trained.
        trained: It, as a module whose parameters and buffers have the names of the graph's.
        images: (n, channels, height, width) normalized, of the test; at least 4.
        before: What was counted before the training.
    """
    images = images[:_SHOWN].cpu()
    tensors = {
        name: tensor.detach().cpu()
        for name, tensor in (*trained.named_parameters(), *trained.named_buffers())
    }
    graph = replace(
        graph,
        stored=tuple(replace(s, data=tensors.get(s.name, s.data)) for s in graph.stored),
    )
    size = (images.shape[1], images.shape[2], images.shape[3])
    proof = prove_pooling(graph, size, training=False)
    if proof.holds:
        trial = try_pooling(graph, proof, {s.name: s.data for s in graph.stored}, images)
        if trial.way_round:
            return (
                "with the trained weights, the scores of real images change where the mean of "
                "the map does not"
            )
    found = count_stored(graph, size, images=images)
    known, now = (max(count.total, count.unfolded) for count in (before, found))
    if now > known + max(_FEW, known // 10):
        return f"on real images {now:,} weights are at work, and {known:,} were counted before"
    return None
