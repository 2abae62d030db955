"""The second witness: the proof's means, held fixed while the image changes.

If the scores see the image through the proof's reductions alone, then the scores of one batch with
the reductions of another are the scores of that other batch. Tried on drawn digits, or on real
ones, with weights that are jittered or trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from eva.grading.checks.pooling_proof import Proof
from eva.grading.graph.execution import observe, rerun
from eva.grading.graph.graph import Graph


@dataclass(frozen=True, kw_only=True)
class PoolingTrial:
    """What was tried.

    Attributes:
        way_round: The scores see the image beside the reductions, too.
        mean_matters: Other means give other scores.
    """

    way_round: bool
    mean_matters: bool


def try_pooling(
    graph: Graph, proof: Proof, tensors: Mapping[str, Tensor], images: Tensor
) -> PoolingTrial:  # fmt: skip
    """Try a proof of the eval program.

    Args:
        graph: Of the model.
        proof: With at least one cut.
        tensors: Stored tensors by name.
        images: (an even batch, channels, height, width); the first half lends the second's means.
    """
    program = graph.eval
    half = len(images) // 2
    here = observe(program, tensors, images[:half])
    there = observe(program, tensors, images[half : 2 * half])

    def scores(cuts: tuple[str, ...]) -> Tensor:
        values = {name: tensor.clone() for name, tensor in tensors.items()}
        values[program.input] = images[:half]
        for node in program.nodes:
            rerun([node], values)
            values.update({name: there[name] for name in node.outputs if name in cuts})
        found: Tensor = values[program.output]
        return found

    replaced = scores(proof.cuts)
    return PoolingTrial(
        way_round=not _close(replaced, there[program.output]),
        mean_matters=not _close(scores(proof.means), here[program.output]),
    )


def _close(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return False
    scale = float(other.abs().nan_to_num(0, 0, 0).max())
    return torch.allclose(one, other, rtol=1e-4, atol=1e-5 * scale, equal_nan=True)
