"""Parts of a program run again on other numbers: what does a value react to, and how?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from eva.grading.checks.positions import close, count, flatten
from eva.grading.graph.execution import rerun
from eva.grading.graph.nodes import Node, Program

Axes = tuple[int, ...]


class Replay:
    """The values of one run of a program, and what becomes of them when some are replaced.

    Attributes:
        program: What was run.
        values: Every value by its name, weights among them.
        generator: Of the numbers that replace others.
    """

    def __init__(
        self, program: Program, values: dict[str, Any], generator: torch.Generator
    ) -> None:
        self.program = program
        self.values = values
        self.generator = generator

    def again(self, nodes: list[Node], given: dict[str, Tensor]) -> dict[str, Any]:
        """Values after running some nodes again with some values replaced."""
        values = {**self.values, **given}
        rerun(nodes, values)
        return values

    def run(self, node: Node, given: dict[str, Tensor]) -> list[Any]:
        """Outputs of one node with some values replaced."""
        values = self.again([node], given)
        return [values.get(name) for name in node.outputs]

    def between(self, source: str, name: str) -> list[Node]:
        """Nodes on the paths from one value to another, in order."""
        reached, forward = {source}, []
        for node in self.program.nodes:
            if reached.intersection(node.reads()):
                reached.update(filter(None, node.outputs))
                forward.append(node)
        wanted, found = {name}, []
        for node in reversed(forward):
            if wanted.intersection(node.outputs):
                wanted.update(node.reads())
                found.append(node)
        return found[::-1]

    def noise(self, like: Tensor) -> Tensor:
        """Other numbers of the same shape and type."""
        if not like.is_floating_point():
            return torch.randint(0, 2, like.shape, generator=self.generator).to(like.dtype)
        return torch.randn(like.shape, generator=self.generator).to(like.dtype)

    def reacts(self, node: Node, index: int, maps: dict[str, Axes]) -> bool:
        """Whether other numbers in the maps give other numbers."""
        other = {r: 3 * self.noise(self.values[r]) for r in maps}
        return not close(self.run(node, other)[index], self.values[node.outputs[index]])

    def pointwise(self, node: Node, index: int, axes: Axes, maps: dict[str, Axes]) -> bool:
        """Whether each position of an output reads the same position of the maps alone."""
        value = self.values[node.outputs[index]]
        sizes = [value.shape[a] for a in axes]
        if any([self.values[r].shape[a] for a in own] != sizes for r, own in maps.items()):
            return False
        positions = count(value, axes)
        chosen = torch.randperm(positions, generator=self.generator)[: positions // 2]
        changed = {}
        for name, own in maps.items():
            flat, back = flatten(self.values[name], own)
            flat = flat.clone()
            flat[..., chosen] = self.noise(flat[..., chosen])
            changed[name] = back(flat)
        again = self.run(node, changed)[index]
        before, after = flatten(value, axes)[0], flatten(again, axes)[0]
        kept = torch.ones(positions, dtype=torch.bool)
        kept[chosen] = False
        return close(before[..., kept], after[..., kept])

    def averages(self, source: str, axes: Axes, nodes: list[Node], name: str) -> bool:
        """Whether nodes take a mean: linear, and constants where each channel is constant."""
        like = self.values[source]
        if not isinstance(self.values[name], Tensor) or not like.is_floating_point():
            return False
        one, other = self.noise(like), self.noise(like)
        first = self.again(nodes, {source: one})[name]
        second = self.again(nodes, {source: other})[name]
        both = self.again(nodes, {source: 2 * one - 3 * other})[name]
        if not close(both, 2 * first - 3 * second):
            return False
        flat, back = flatten(like, axes)
        constants = self.noise(flat[..., :1])
        result = self.again(nodes, {source: back(constants.expand_as(flat).clone())})[name]
        rows = constants.flatten(1)
        if result.shape[:1] != rows.shape[:1] or result.numel() != rows.numel():
            return False
        return close(result.reshape(rows.shape).sort(1).values, rows.sort(1).values)

    def matters(self, name: str) -> bool:
        """Whether the program's output changes when a value does."""
        value, output = self.values[name], self.program.output
        if name == output:
            return True
        given = {name: value + self.noise(value) * (1 + value.abs().max())}
        nodes = self.between(name, output)
        return not close(self.again(nodes, given)[output], self.values[output])
