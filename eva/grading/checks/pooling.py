"""Is the answer a global average of a map? Proved on the graph, and tried.

The proof (:mod:`eva.grading.checks.pooling_proof`) decides; the trial
(:mod:`eva.grading.checks.pooling_trial`) is a second witness. Where they disagree, and where the
proof does not know an operation, a person must look.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from eva.grading.checks.pooling_proof import Proof, prove_pooling
from eva.grading.checks.pooling_trial import try_pooling
from eva.grading.graph.execution import jittered
from eva.grading.graph.graph import Graph
from eva.grading.graph.trial import drawn_digits, first_line


@dataclass(frozen=True, kw_only=True)
class Pooling:
    """The decision.

    Attributes:
        holds: True, False, or None where a person must look.
        reason: Why, as the end of a sentence "global average pooling: ...".
        maps: Heights and widths of the maps that are averaged, ("5x5",).
        mixes: How eval mode mixes the images of a batch, or None where it does not.
    """

    holds: bool | None
    reason: str
    maps: tuple[str, ...] = ()
    mixes: str | None = None


def decide_pooling(graph: Graph, input_size: tuple[int, int, int]) -> Pooling:
    """Decide on both programs: eval mode is measured, and training is where weights come from.

    Args:
        graph: Of the model.
        input_size: Channels, height and width of an image.
    """
    try:
        training = prove_pooling(graph, input_size, training=True)
    except Exception as error:  # an operation that shapes alone don't suit
        why = f"can't be followed: {first_line(error)}"
        training = Proof(holds=None, reason=f"the program {why}")
    proof = prove_pooling(graph, input_size, training=False, state=training.state)
    holds, reason = proof.holds, proof.reason
    if proof.cuts:
        holds, reason = _with_trial(graph, proof, input_size)
    if holds and not training.holds:
        holds = None
        reason = f"eval mode takes a mean, but in train mode {training.reason}"
    return Pooling(
        holds=holds,
        reason=reason,
        maps=proof.maps if holds else (),
        mixes=proof.mixes,
    )


def _with_trial(
    graph: Graph, proof: Proof, input_size: tuple[int, int, int]
) -> tuple[bool | None, str]:
    tensors = jittered(graph, torch.Generator().manual_seed(5))
    trial = try_pooling(graph, proof, tensors, drawn_digits(input_size))
    if proof.holds and trial.way_round:
        return None, (
            "a trial finds that the scores see the image beside the mean, where the proof finds "
            "no such path."
        )
    if proof.holds and not trial.mean_matters:
        return False, "the mean that is taken does not change the scores."
    if proof.holds is False and proof.way_round and not trial.way_round:
        return None, f"{proof.reason} A trial finds nothing of it in the scores."
    return proof.holds, proof.reason
