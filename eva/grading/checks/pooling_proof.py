"""Is the answer a mean over all positions of a map? Proved on the graph, without numbers.

Each value of a program is described by what its axes are: images, positions, channels or repeats
(:mod:`eva.grading.checks.axes`). Every operation has a rule that says what becomes of them
(:mod:`eva.grading.checks.pooling_rules`). Positions may be taken together by a reduction, which
gives one number a channel; whatever else takes them together, or tells them apart by numbers that
are not the image's, is a trouble, and so is an operation that no rule knows. A trouble is carried
on to the scores. Numbers decide nothing, so no gate, counter or rare pixel changes the answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from eva.grading.checks.pooling_analysis import Analysis, Cut, Trouble
from eva.grading.checks.pooling_rules import ELEMENTWISE, TRUTHS, apply_rule
from eva.grading.graph.graph import Graph

SMALLEST_MAP = 3  # a pooled map with fewer rows or columns is looked at by a person


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What is proved of a program.

    Attributes:
        holds: True, False, or None where a person must look.
        reason: The end of a sentence "global average pooling: ...".
        maps: Sizes of the maps that are averaged, ("5x5",).
        cuts: Names of the values that took positions together before any trouble, means first.
        means: Names of those that are means.
        mixes: How images of a batch are mixed, or None.
        way_round: All that breaks the rule is that positions are taken together by weights.
        state: Troubles of what the program leaves in each buffer that eval mode reads.
    """

    holds: bool | None
    reason: str
    maps: tuple[str, ...] = ()
    cuts: tuple[str, ...] = ()
    means: tuple[str, ...] = ()
    mixes: str | None = None
    way_round: bool = False
    state: Mapping[str, frozenset[Trouble]] = field(default_factory=dict)


def prove_pooling(
    graph: Graph,
    input_size: tuple[int, int, int],
    *,
    training: bool,
    state: Mapping[str, frozenset[Trouble]] | None = None,
) -> Proof:
    """Prove one program of a graph, or say why it can't be proved.

    Args:
        graph: Of a model.
        input_size: Channels, height and width of an image.
        training: The train program; otherwise that of eval mode, which is the one that is measured.
        state: What the train program leaves in buffers, as its proof says: edges of the eval one.
    """
    program = graph.train if training else graph.eval
    found = Analysis(
        graph,
        program,
        input_size,
        training=training,
        rule=apply_rule,
        elementwise=ELEMENTWISE,
        truths=TRUTHS,
        state=state,
    )
    return _decide(found)


def _decide(analysis: Analysis) -> Proof:
    value = analysis.of[analysis.program.output]
    troubles = sorted(value.troubles, key=lambda t: (not t.failed, t.place, t.text))
    ours = [t for t in troubles if not t.batch]
    mixes = next((t.text for t in troubles if t.batch), None)
    cuts = sorted(value.cuts, key=lambda c: (not c.mean, c.name))
    means = [c for c in cuts if c.mean]
    held = {c.name for c in cuts if not c.after}
    names = {
        "cuts": tuple(c.name for c in cuts if c.name in held),
        "means": tuple(c.name for c in means if c.name in held),
    }

    def proof(holds: bool | None, reason: str, maps: tuple[str, ...] = ()) -> Proof:
        round_it = all(t.round_it for t in ours if t.failed) and any(t.failed for t in ours)
        return Proof(
            holds=holds,
            reason=reason,
            maps=maps,
            mixes=mixes,
            way_round=round_it,
            state=analysis.written,
            **names,
        )

    if not value.seen:
        return proof(False, "the scores don't depend on the image.")
    if ours:
        pooled = any(c.name in held for c in means)
        beside = " beside the pooled path" if pooled and ours[0].failed else ""
        return proof(False if ours[0].failed else None, f"{ours[0].text}{beside}.")
    if value.is_map:
        return proof(False, "no mean over all positions of a map is taken: the scores still have "
                     "positions.")  # fmt: skip
    if not means:
        found = " and ".join(sorted({c.kind for c in cuts})) or "no reduction"
        return proof(
            False,
            f"what reaches the scores is {found}, and no mean over all positions: of a map of "
            "ones a mean makes 1, of twice the map twice the value.",
        )
    small = [c for c in cuts if _small(c)]
    maps = tuple(sorted({_shown(c) for c in means}))
    if small:
        return proof(
            None,
            f"the map that is averaged is {_shown(small[0])}, and smaller than "
            f"{SMALLEST_MAP}x{SMALLEST_MAP}: the layers before it have seen nearly all of the "
            "image from a place of their own.",
        )
    return proof(True, f"a mean over {' and '.join(maps)}.", maps)


def _small(cut: Cut) -> bool:
    enough = SMALLEST_MAP if len(cut.cells) > 1 else SMALLEST_MAP**2
    return min(cut.cells, default=1) < enough or math.prod(cut.cells) < SMALLEST_MAP**2


def _shown(cut: Cut) -> str:
    return "x".join(map(str, cut.size))
