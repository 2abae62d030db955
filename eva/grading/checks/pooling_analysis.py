"""What each value of a program knows of positions, found by running its operation again.

Every value is in one of four states, found by running its operation on permuted, scaled and
constant maps; the names of operations decide nothing but where a new grid of positions begins
(after a strided convolution, say).

- free: does not depend on the image.
- map: has positions; permute those of the operands and its own are permuted alike.
- pooled: sees the image through reductions alone. A reduction stores nothing and gives the same
  for every permutation of the positions of one whole map larger than 1x1.
- mixed: depends on positions in any other way.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from eva.grading.checks.positions import candidates, close, count, orders, permute
from eva.grading.checks.replay import Replay
from eva.grading.graph.execution import jittered, observe
from eva.grading.graph.graph import Graph
from eva.grading.graph.helpers import layer_of, live_nodes, memory_groups, overwritten
from eva.grading.graph.nodes import Node

IMAGES = 3
_GRIDS = re.compile(r"conv|pool|pad|upsample|interpolate|pixel_|slice|narrow|flip|roll|im2col")
_CROPS = re.compile(r"slice|narrow|pad")
_COMPOSITES = 300  # sub-graphs that are tried before a person must look
_SOURCES = 3  # maps that are tried as the beginning of a sub-graph, the nearest first


@dataclass(frozen=True, kw_only=True)
class ValueKind:
    """What is known of a value.

    Attributes:
        kind: "free", "map", "pooled" or "mixed".
        axes: Of the positions of a map.
        reductions: Names of the pooled values through which the image is seen.
        collapsed: A stored weight has taken the positions together.
        placed: Positions met numbers of their own, or some were cut off.
    """

    kind: str
    axes: tuple[int, ...] = ()
    reductions: frozenset[str] = frozenset()
    collapsed: str | None = None
    placed: bool = False


FREE = ValueKind(kind="free")


@dataclass(kw_only=True)
class Reduction:
    """A pooled value, the map it reduces and the nodes between them."""

    name: str
    source: str | None
    placed: bool
    nodes: list[Node] = field(default_factory=list)


class PoolingAnalysis:
    """PoolingAnalysis of the values of the eval program, which is the one that is measured.

    Args:
        graph: Of the model.
        generator: Of the weights, images and permutations that are tried.
        input_size: Channels, height and width of an image.
    """

    def __init__(
        self, graph: Graph, generator: torch.Generator, input_size: tuple[int, int, int]
    ) -> None:
        self.program = program = graph.eval
        self.live = live_nodes(program)
        self.layers = {s.name: layer_of(s) for s in graph.stored}
        self.generator = generator
        tensors = jittered(graph, generator)
        x = torch.randn(IMAGES, *input_size, generator=generator)
        self.values = observe(program, tensors, x)
        self.replay = Replay(program, self.values, generator)
        self.of: dict[str, ValueKind] = dict.fromkeys(tensors, FREE)
        self.of[program.input] = ValueKind(kind="map", axes=(2, 3))
        self.weights = set(tensors)  # values computed from stored tensors, these included
        self.reductions: dict[str, Reduction] = {}
        self.gates: dict[str, tuple[str, ...]] = {program.input: (program.input,)}
        self.undecided = False  # weights met a map in a way that keeps its positions apart
        self.composites = 0

    def written_in_place(self) -> bool:
        """Whether a part of a tensor that matters is overwritten, which can't be followed."""
        used = {name for node in self.live for name in (*node.reads(), *node.outputs)}
        memory = memory_groups(self.values)
        return any(memory[name] & used for node in self.program.nodes for name in overwritten(node))

    def find(self) -> None:
        """Find the state of every value that the scores depend on, in order."""
        for node in self.live:
            for index, name in enumerate(node.outputs):
                if name:
                    self._visit(node, index, name)

    def _visit(self, node: Node, index: int, name: str) -> None:
        reads = list(dict.fromkeys(node.reads()))
        operands = {r: self.of[r] for r in reads if self.of[r].kind != "free"}
        if any(r in self.weights for r in reads):
            self.weights.add(name)
        self.gates[name] = (*self._common_gates(list(operands)), name)
        self.of[name] = self._state(node, index, name, operands)

    def _state(
        self, node: Node, index: int, name: str, operands: dict[str, ValueKind]
    ) -> ValueKind:
        value = self.values[name]
        if not operands or not isinstance(value, Tensor):
            return FREE
        kinds = {state.kind for state in operands.values()}
        if kinds == {"pooled"}:
            reductions = frozenset().union(*(s.reductions for s in operands.values()))
            return ValueKind(kind="pooled", reductions=reductions)
        stores = any(r in self.weights for r in node.reads() if r not in operands)
        placed = any(s.placed for s in operands.values())
        if "mixed" not in kinds:
            maps = {r: s for r, s in operands.items() if s.kind == "map"}
            found = self._of_maps(node, index, name, maps, stores, placed)
        else:
            found = None
        return found or self._of_mixture(name, operands, stores, placed)

    def _of_maps(
        self,
        node: Node,
        index: int,
        name: str,
        maps: dict[str, ValueKind],
        stores: bool,
        placed: bool,
    ) -> ValueKind | None:
        """ValueKind of an operation on maps that have the same number of positions."""
        counts = {self._positions(r, s) for r, s in maps.items()}
        if len(counts) > 1:
            return None
        positions = counts.pop()
        axes_of = {r: state.axes for r, state in maps.items()}
        value = self.values[name]
        if not self.replay.reacts(node, index, axes_of):
            return FREE  # reads the shape of the map alone, as zeros_like does
        again = []
        for order in orders(positions, self.generator):
            moved = {r: permute(self.values[r], s.axes, order) for r, s in maps.items()}
            again.append((order, self.replay.run(node, moved)[index]))
        if all(close(result, value) for _, result in again):
            if stores:
                return None
            only = next(iter(maps)) if len(maps) == 1 else None
            return self._reduce(name, only, placed, [node])
        for axes in candidates(value, positions):
            if all(close(result, permute(value, axes, order)) for order, result in again):
                return ValueKind(kind="map", axes=axes, placed=placed)
        for axes in candidates(value, positions):
            if self.replay.pointwise(node, index, axes, axes_of):
                return ValueKind(kind="map", axes=axes, placed=True)
        return self._new_grid(node, value, maps, placed)

    def _new_grid(
        self, node: Node, value: Tensor, maps: dict[str, ValueKind], placed: bool
    ) -> ValueKind | None:
        """A convolution, partial pooling, padding or crop starts another grid of positions."""
        if not _GRIDS.search(node.op):
            return None
        axes = {s.axes for s in maps.values()}
        ranks = {self.values[r].ndim for r in maps}
        if len(axes) > 1 or ranks != {value.ndim}:
            return None
        (trailing,) = axes
        if trailing != tuple(range(2, value.ndim)) or count(value, trailing) < 2:
            return None
        smaller = any(count(value, trailing) < self._positions(r, s) for r, s in maps.items())
        cut = bool(_CROPS.search(node.op)) and smaller
        return ValueKind(kind="map", axes=trailing, placed=placed or cut)

    def _common_gates(self, operands: list[str]) -> tuple[str, ...]:
        """Values that lie on every path from the image to all of some values, in order."""
        if not operands:
            return ()
        shared = set(self.gates[operands[0]]).intersection(*(self.gates[o] for o in operands[1:]))
        return tuple(name for name in self.gates[operands[0]] if name in shared)

    def _of_mixture(
        self, name: str, operands: dict[str, ValueKind], stores: bool, placed: bool
    ) -> ValueKind:
        """ValueKind of everything else: look at all that lies between it and one map."""
        value = self.values[name]
        collapsed = next((s.collapsed for s in operands.values() if s.collapsed), None)
        if stores and math.prod(value.shape[2:]) == 1:
            collapsed = collapsed or name
        maps = [g for g in self._common_gates(list(operands)) if self.of[g].kind == "map"]
        for source in maps[: -_SOURCES - 1 : -1]:
            if self.composites < _COMPOSITES:
                self.composites += 1
                state = self._of_composite(source, name, value, placed)
                if state is not None:
                    return state
        self.undecided |= stores and math.prod(value.shape[2:]) > 1
        return ValueKind(kind="mixed", collapsed=collapsed, placed=placed)

    def _of_composite(
        self, source: str, name: str, value: Tensor, placed: bool
    ) -> ValueKind | None:
        """Test all nodes from a map to a value as if they were one operation."""
        axes = self.of[source].axes
        nodes = self.replay.between(source, name)
        inside = {source}.union(*(node.outputs for node in nodes))
        plain = not any(r in self.weights for n in nodes for r in n.reads() if r not in inside)

        def moved(order: Tensor) -> Any:
            given = {source: permute(self.values[source], axes, order)}
            return self.replay.again(nodes, given)[name]

        positions = count(self.values[source], axes)
        again = [(order, moved(order)) for order in orders(positions, self.generator)]
        if plain and all(close(result, value) for _, result in again):
            return self._reduce(name, source, placed, nodes)
        for candidate in candidates(value, positions):
            if all(close(result, permute(value, candidate, order)) for order, result in again):
                return ValueKind(kind="map", axes=candidate, placed=placed)
        return None

    def _reduce(self, name: str, source: str | None, placed: bool, nodes: list[Node]) -> ValueKind:
        self.reductions[name] = Reduction(name=name, source=source, placed=placed, nodes=nodes)
        return ValueKind(kind="pooled", reductions=frozenset({name}))

    def _positions(self, name: str, state: ValueKind) -> int:
        return count(self.values[name], state.axes)

    def is_mean(self, reduction: Reduction) -> bool:
        """Whether the reduction, or a plain function of it alone, is a mean over the positions."""
        source = reduction.source
        if source is None:
            return False
        axes = self.of[source].axes
        nodes, known = list(reduction.nodes), {reduction.name}
        if self.replay.averages(source, axes, nodes, reduction.name):
            return True
        for node in self.program.nodes:
            reads = set(node.reads())
            tensors = {r for r in reads if self.of.get(r, FREE).kind != "free"}
            stored = any(r in self.weights for r in reads - known)
            if tensors and tensors <= known and not stored:
                nodes.append(node)
                known.update(filter(None, node.outputs))
                if self.replay.averages(source, axes, nodes, node.outputs[0]):
                    return True
        return False
