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
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from eva.grading.checks.axes import Atom, AtomKind, Axis, channel, even, images, place
from eva.grading.graph.execution import execute
from eva.grading.graph.graph import Graph
from eva.grading.graph.helpers import layer_of, live_nodes, overwritten, seen_values
from eva.grading.graph.nodes import Node, Program, Role, Stored, resolve

BATCH = 120  # of the images that shapes are computed for: many factors, as ghost norms split it
SMALLEST_MAP = 3  # a pooled map with fewer rows or columns is looked at by a person


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """Why a value is not seen through a mean alone.

    Attributes:
        place: Index of its node; the first trouble is told.
        failed: It breaks the rule for certain; otherwise a person must look.
        text: The reason, the end of a sentence.
        batch: It is about images that are mixed, and not about positions.
        round_it: It takes positions together by weights, and so leads round every mean.
    """

    place: int
    failed: bool
    text: str
    batch: bool = False
    round_it: bool = False


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A value that took the last positions of a map together.

    Attributes:
        name: Of the value.
        mean: It is a mean over all of them; otherwise another reduction.
        kind: Name of the operation.
        size: Positions of the map along each of its axes.
        cells: The same, without those that see nothing of their own.
        after: The rule was broken for certain before it, so that holding it fixed shows nothing.
    """

    name: str
    mean: bool
    kind: str
    size: tuple[int, ...]
    cells: tuple[int, ...]
    after: bool = False


@dataclass(frozen=True, kw_only=True)
class Value:
    """What is known of a value.

    Attributes:
        axes: What each axis is.
        seen: It depends on the image.
        cuts: Through which it sees the image; of a map these are none.
        partial: Axes of the map that were taken together already: operation, positions, cells.
        troubles: That reach it.
        source: What gave it numbers of its own: a layer, or an operation.
        number: All its elements are this number.
        total: Positions whose plain sum it is, times a factor; 1 / positions makes it a mean.
        stored: It is computed from stored tensors.
        trained: A parameter that is trained is among them.
    """

    axes: tuple[Axis, ...]
    seen: bool = False
    cuts: frozenset[Cut] = frozenset()
    partial: tuple[tuple[str, int, int], ...] = ()
    troubles: frozenset[Trouble] = frozenset()
    source: str = ""
    number: float | None = None
    total: tuple[int, float] | None = None
    stored: bool = False
    trained: bool = False

    @property
    def is_map(self) -> bool:
        """It sees the image, and has positions left."""
        return self.seen and any(a.kind is AtomKind.PLACE for axis in self.axes for a in axis)


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
    """

    holds: bool | None
    reason: str
    maps: tuple[str, ...] = ()
    cuts: tuple[str, ...] = ()
    means: tuple[str, ...] = ()
    mixes: str | None = None
    way_round: bool = False


def prove_pooling(graph: Graph, input_size: tuple[int, int, int], *, training: bool) -> Proof:
    """Prove one program of a graph, or say why it can't be proved.

    Args:
        graph: Of a model.
        input_size: Channels, height and width of an image.
        training: The train program; otherwise that of eval mode, which is the one that is measured.
    """
    program = graph.train if training else graph.eval
    return _decide(Analysis(graph, program, input_size, training=training))


class Analysis:
    """Every live value of a program, described."""

    def __init__(
        self,
        graph: Graph,
        program: Program,
        input_size: tuple[int, int, int],
        *,
        training: bool,
    ) -> None:
        from eva.grading.checks.pooling_rules import apply_rule

        self.program = program
        self.training = training
        self.by_batch: set[str] = set()  # numbers that depend on the size of the batch
        self.numbers: dict[str, Any] = {s.name: s.data.to("meta") for s in graph.stored}
        self.numbers[program.input] = torch.empty((BATCH, *input_size), device="meta")
        self.of: dict[str, Value] = {s.name: _stored(s) for s in graph.stored}
        frames = {2: "y", 3: "x"}
        axes = [images(BATCH), channel(input_size[0])]
        axes += [place(n, frames[i + 2], n) for i, n in enumerate(input_size[1:])]
        self.of[program.input] = Value(axes=tuple(axes), seen=True)
        self.data = {s.name: s.data for s in graph.stored}
        self.index = 0
        device = torch.device("meta")
        live = live_nodes(program)
        overwritten_values = _overwritten_values(program, live)
        for self.index, node in enumerate(live):
            self._shapes(node, device)
            if node.op.startswith(("py.", "aten.sym_size")):
                self._size(node)
                continue
            for name, value in zip(node.outputs, apply_rule(self, node), strict=False):
                if name:
                    self.of[name] = self._written(value) if name in overwritten_values else value

    def _shapes(self, node: Node, device: torch.device) -> None:
        """Run a node on shapes; PyTorch's own way is slow where a broadcast says it all."""
        from eva.grading.checks.pooling_rules import ELEMENTWISE, TRUTHS

        name = node.op.split(".")[1]
        given = [self.numbers[read] for read in node.reads()]
        tensors = [value for value in given if isinstance(value, Tensor)]
        dtype = reduce(torch.promote_types, [v.dtype for v in tensors], torch.bool)
        if name not in ELEMENTWISE or len(node.outputs) != 1 or not dtype.is_floating_point:
            execute(node, resolve(node.op), self.numbers, device)
            return
        dtype = torch.bool if name in TRUTHS else dtype
        shape = torch.broadcast_shapes(*(v.shape for v in tensors))  # type: ignore[no-untyped-call]
        self.numbers[node.outputs[0]] = torch.empty(shape, dtype=dtype, device=device)

    def _size(self, node: Node) -> None:
        """Note whether a number depends on how many images a batch has."""
        names = node.reads()
        if node.op.startswith("aten.sym_size"):
            axis = node.args[1]
            value = self.of[names[0]]
            from_batch = any(a.kind is AtomKind.IMAGE for a in value.axes[axis])
        else:
            from_batch = any(name in self.by_batch for name in names)
        if from_batch:
            self.by_batch.update(node.outputs)

    def _written(self, value: Value) -> Value:
        trouble = self.trouble(
            "forward writes into a part of a tensor in place, which can't be followed. "
            "Build the tensor with torch.cat or torch.stack"
        )
        return replace(value, seen=True, troubles=value.troubles | {trouble})

    def trouble(
        self, text: str, *, failed: bool = False, batch: bool = False, round_it: bool = False
    ) -> Trouble:
        """A trouble of the node that is looked at."""
        return Trouble(place=self.index, failed=failed, text=text, batch=batch, round_it=round_it)

    def layer(self, node: Node) -> str:
        """What a node is called in messages: its layer where it has weights, its operation."""
        op = node.op.split(".")[1].strip("_")
        given = [self.of[name] for name in node.reads() if name in self.of]
        layer = next((v.source for v in given if v.stored and not v.seen and v.source), "")
        return f"layer {layer} ({op})" if layer else op


def _overwritten_values(program: Program, live: list[Node]) -> set[str]:
    """Live values whose memory is written into after they were made, or through a view of them."""
    used = {name for node in live for name in (*node.reads(), *node.outputs)}
    seen = seen_values(program)
    group: dict[str, set[str]] = {}
    for node in program.nodes:
        schema = getattr(resolve(node.op), "_schema", None)
        views = schema is not None and any(r.alias_info is not None for r in schema.returns)
        if views or "dropout" in node.op:  # dropout in eval mode returns what it got
            together = set(filter(None, node.outputs)).union(
                *(group.get(name, {name}) for name in node.reads()[:1])
            )
            group.update(dict.fromkeys(together, together))
    found: set[str] = set()
    for node in program.nodes:
        for name in overwritten(node):
            memory = group.get(name, {name})
            if memory & used and seen & {*memory, *node.reads()}:
                found |= memory
    return found


def _stored(stored: Stored) -> Value:
    data = stored.data
    axes = tuple(
        even(n) if stored.role is not Role.PARAMETER and _repeats(data, axis) else channel(n)
        for axis, n in enumerate(data.shape)
    )
    number = None
    if stored.role is Role.CONSTANT and data.numel() and bool((data == data.flatten()[0]).all()):
        first = data.flatten()[0].item()
        number = float(first) if isinstance(first, (int, float)) else None
    if stored.role is Role.BUFFER:  # training may write other numbers into it
        axes = tuple(map(channel, data.shape))
    return Value(
        axes=axes,
        source=layer_of(stored),
        number=number,
        stored=True,
        trained=stored.trainable,
    )


def _repeats(data: Tensor, axis: int) -> bool:
    if data.shape[axis] < 2:
        return True
    first = data.narrow(axis, 0, 1)
    return torch.equal(data, first.expand_as(data))


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
            holds=holds, reason=reason, maps=maps, mixes=mixes, way_round=round_it, **names
        )

    if not value.seen:
        return proof(False, "the scores don't depend on the image.")
    if ours:
        beside = " beside the pooled path" if means and ours[0].failed else ""
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


def atoms_of(axes: tuple[Axis, ...], kind: AtomKind) -> list[Atom]:
    """All atoms of a kind."""
    return [atom for axis in axes for atom in axis if atom.kind is kind]
