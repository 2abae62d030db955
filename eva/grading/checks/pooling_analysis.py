"""What the proof of pooling knows of each value of a program, found node by node."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from eva.grading.checks.axes import Atom, AtomKind, MapAxis, channel, even, images, place
from eva.grading.graph.execution import execute
from eva.grading.graph.graph import Graph
from eva.grading.graph.helpers import (
    arguments_of,
    layer_of,
    live_nodes,
    overwritten,
    seen_values,
    shared_memory,
)
from eva.grading.graph.nodes import Node, Program, Ref, Role, Stored, resolve

SHAPE_BATCH = 120  # images that shapes are computed for: many factors, as ghost norms split it


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

    axes: tuple[MapAxis, ...]
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


class Analysis:
    """Every live value of a program, described.

    Args:
        graph: Of a model.
        program: The one that is looked at.
        input_size: Channels, height and width of an image.
        training: It is the train program.
        rule: What is known of a node's outputs, from what is known of its inputs.
        state: Troubles of buffers that training writes and this program reads, by their names.
        elementwise: Operations whose result has the shape that its inputs have together.
        truths: Those of them that give true or false.
    """

    def __init__(
        self,
        graph: Graph,
        program: Program,
        input_size: tuple[int, int, int],
        *,
        training: bool,
        rule: Callable[[Analysis, Node], list[Value]],
        elementwise: frozenset[str],
        truths: frozenset[str],
        state: Mapping[str, frozenset[Trouble]] | None = None,
    ) -> None:
        self._elementwise, self._truths = elementwise, truths
        self.program = program
        self.training = training
        self.by_batch: set[str] = set()  # numbers that depend on the size of the batch
        self.numbers: dict[str, Any] = {s.name: s.data.to("meta") for s in graph.stored}
        self.numbers[program.input] = torch.empty((SHAPE_BATCH, *input_size), device="meta")
        self.of: dict[str, Value] = {s.name: _stored(s) for s in graph.stored}
        for name, troubles in (state or {}).items():
            if troubles:
                self.of[name] = replace(self.of[name], seen=True, troubles=troubles)
        self.written: dict[str, frozenset[Trouble]] = {}  # state that this program leaves behind
        frames = {2: "y", 3: "x"}
        axes = [images(SHAPE_BATCH), channel(input_size[0])]
        axes += [place(n, frames[i + 2], n) for i, n in enumerate(input_size[1:])]
        self.of[program.input] = Value(axes=tuple(axes), seen=True)
        self.data = {s.name: s.data for s in graph.stored}
        self.index = 0
        device = torch.device("meta")
        shared = shared_memory(program)
        stored = {s.name for s in graph.stored}
        read = {n for node in graph.eval.nodes for n in node.reads()} if training else set()
        live = live_nodes(program, _all_names(read & stored, shared))
        overwritten_values = _overwritten_values(program, live)
        for self.index, node in enumerate(live):
            self._shapes(node, device)
            if node.op.startswith(("py.", "aten.sym_size")):
                self._size(node)
                continue
            for name, value in zip(node.outputs, rule(self, node), strict=False):
                if name:
                    self.of[name] = self._written(value) if name in overwritten_values else value
            moved = [ref.name for ref in _moved_statistics(node)]
            for name in stored & _all_names(moved, shared):
                self._leave(
                    name, node, [self.of[arguments_of(node)["input"].name]], positions=False
                )
            for name in stored & _all_names(overwritten(node), shared):
                sources = [self.of[n] for n in node.reads() if n in self.of and n != name]
                self._leave(name, node, sources, positions=True)

    def _shapes(self, node: Node, device: torch.device) -> None:
        """Run a node on shapes; PyTorch's own way is slow where a broadcast says it all."""
        name = node.op.split(".")[1]
        given = [self.numbers[read] for read in node.reads()]
        tensors = [value for value in given if isinstance(value, Tensor)]
        dtype = reduce(torch.promote_types, [v.dtype for v in tensors], torch.bool)
        if name not in self._elementwise or len(node.outputs) != 1 or not dtype.is_floating_point:
            execute(node, resolve(node.op), self.numbers, device)
            return
        dtype = torch.bool if name in self._truths else dtype
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

    def _leave(self, name: str, node: Node, sources: list[Value], *, positions: bool) -> None:
        """Note what is written into a stored tensor: an edge from this program to the next."""
        seen = [v for v in sources if v.seen]
        troubles = {t for v in seen for t in v.troubles if not t.batch}
        if positions and any(v.is_map for v in seen):
            text = f"{self.of[name].source} keeps positions of images, which eval mode reads"
            troubles.add(self.trouble(text))
        before = self.written.get(name, frozenset())
        self.written[name] = before | {replace(t, place=-1, failed=False) for t in troubles}
        if seen and positions:  # what this program reads of it from here on
            self.of[name] = replace(self.of[name], seen=True, troubles=self.written[name])

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


def _all_names(names: Iterable[str], shared: dict[str, set[str]]) -> set[str]:
    """These values, and those that share their memory."""
    return set[str]().union(*(shared.get(name, {name}) for name in names))


def _moved_statistics(node: Node) -> list[Ref]:
    """Running statistics that a normalization moves."""
    if not node.op.startswith(("aten.batch_norm", "aten.instance_norm")):
        return []
    given = arguments_of(node)
    if not (given.get("training") or given.get("use_input_stats")):
        return []
    found = (given.get(key) for key in ("running_mean", "running_var"))
    return [ref for ref in found if isinstance(ref, Ref)]


def _overwritten_values(program: Program, live: list[Node]) -> set[str]:
    """Live values whose memory is written into after they were made, or through a view of them."""
    used = {name for node in live for name in (*node.reads(), *node.outputs)}
    seen = seen_values(program)
    group = shared_memory(program)
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


def atoms_of(axes: tuple[MapAxis, ...], kind: AtomKind) -> list[Atom]:
    """All atoms of a kind."""
    return [atom for axis in axes for atom in axis if atom.kind is kind]
