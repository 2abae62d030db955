"""Run a graph: as a module that trains, or step by step with every value kept."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from eva.errors import GradingError
from eva.grading.graph.graph import Graph
from eva.grading.graph.nodes import Device, Node, Program, Ref, Role, Stored, resolve


class GraphModule(nn.Module):
    """A captured model, run by its graph alone; parameters and buffers keep their names.

    Shapes:
        (batch, channels, height, width) to (batch, classes), in train and in eval mode.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self._where: dict[str, tuple[nn.Module, str]] = {}
        for stored in graph.stored:
            owner, leaf = _owner(self, stored.name)
            data = stored.data.detach().clone(memory_format=torch.preserve_format)
            if stored.role is Role.PARAMETER:
                owner.register_parameter(leaf, nn.Parameter(data, stored.trainable))
            else:
                owner.register_buffer(leaf, data, persistent=stored.role is Role.BUFFER)
            self._where[stored.name] = (owner, leaf)
        self._programs = {True: _plan(graph.train), False: _plan(graph.eval)}

    def forward(self, x: Tensor) -> Tensor:
        """Run the program of the current mode."""
        program, steps = self._programs[self.training]
        values: dict[str, Any] = {
            name: getattr(owner, leaf) for name, (owner, leaf) in self._where.items()
        }
        values[program.input] = x
        for node, function, done in steps:
            execute(node, function, values, x.device)
            for name in done:
                del values[name]
        result: Tensor = values[program.output]
        return result


def steps(
    program: Program, tensors: Mapping[str, Tensor], x: Tensor
) -> Iterator[tuple[Node, list[Any]]]:
    """Run a program node by node; with fake tensors nothing is computed or allocated.

    Args:
        program: One program of a graph.
        tensors: Its stored tensors by name.
        x: (batch, channels, height, width)

    Yields:
        Each node with what it gave.

    Raises:
        GradingError: Arithmetic on sizes got something else, or would never end.
    """
    values: dict[str, Any] = {**tensors, program.input: x}
    for node in program.nodes:
        if node.op.startswith("py."):
            _require_sizes(node, [_value(a, values, x.device) for a in node.args])
        execute(node, resolve(node.op), values, x.device)
        yield node, [values[name] for name in node.outputs if name]


def _require_sizes(node: Node, numbers: list[Any]) -> None:
    plain = all(type(n) in (int, float) and abs(n) < 2**62 for n in numbers)
    if not plain or node.kwargs or (node.op == "py.pow" and abs(numbers[-1]) > 64):
        raise GradingError(f"{node.op} takes sizes, got {numbers!r:.80}.")


def observe(program: Program, tensors: Mapping[str, Tensor], x: Tensor) -> dict[str, Any]:
    """Run a program without gradients and keep every value by its name.

    Args:
        program: One program of a graph.
        tensors: Its stored tensors by name; what the program overwrites is copied first.
        x: (batch, channels, height, width)
    """
    values: dict[str, Any] = {name: tensor.clone() for name, tensor in tensors.items()}
    values[program.input] = x
    rerun(program.nodes, values)
    return values


@torch.no_grad()
def rerun(nodes: Iterable[Node], values: dict[str, Any]) -> None:
    """Execute nodes in order over ``values``, which is completed or overwritten in place."""
    device = next(v.device for v in values.values() if isinstance(v, Tensor))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for node in nodes:
            execute(node, resolve(node.op), values, device)


def jittered(graph: Graph, generator: torch.Generator) -> dict[str, Tensor]:
    """Stored tensors by name, parameters with noise of the size of a usual initialization.

    So zeros and equal values of an initialization prove nothing about what a model can learn.
    """
    return {s.name: _jitter(s, generator) for s in graph.stored}


def _jitter(stored: Stored, generator: torch.Generator) -> Tensor:
    data = stored.data
    if stored.role is not Role.PARAMETER or not data.is_floating_point():
        return data
    fan_in = max(1, math.prod(data.shape[1:])) if data.ndim > 1 else 100
    noise: Tensor = torch.randn(data.shape, generator=generator) * fan_in**-0.5
    return data + noise.to(data.dtype)


PlannedNode = tuple[Node, Callable[..., Any], tuple[str, ...]]


def _plan(program: Program) -> tuple[Program, tuple[PlannedNode, ...]]:
    """Look the functions up once, and note after which step a value is read no more."""
    last: dict[str, int] = {}
    for index, node in enumerate(program.nodes):
        last.update(dict.fromkeys((*node.reads(), *filter(None, node.outputs)), index))
    last.pop(program.output, None)
    done: dict[int, list[str]] = {}
    for name, index in last.items():
        done.setdefault(index, []).append(name)
    return program, tuple(
        (node, resolve(node.op), tuple(done.get(index, ())))
        for index, node in enumerate(program.nodes)
    )


def execute(
    node: Node, function: Callable[..., Any], values: dict[str, Any], device: torch.device
) -> None:
    """Run one node: read its arguments from ``values`` and write its outputs there."""
    args = [_value(a, values, device) for a in node.args]
    kwargs = {k: _value(v, values, device) for k, v in node.kwargs.items()}
    if node.grad:
        result = function(*args, **kwargs)
    else:
        with torch.no_grad():
            result = function(*args, **kwargs)
    parts = result if node.many else (result,)
    for name, part in zip(node.outputs, parts, strict=False):
        if name:
            values[name] = part


def _value(argument: Any, values: dict[str, Any], device: torch.device) -> Any:
    if type(argument) is Ref:
        return values[argument.name]
    if type(argument) is tuple:
        return [_value(a, values, device) for a in argument]
    return device if type(argument) is Device else argument


def _owner(root: nn.Module, name: str) -> tuple[nn.Module, str]:
    """The submodule that holds a dotted name, made on the way there."""
    *path, leaf = name.split(".")
    for part in path:
        if part not in root._modules:
            root.add_module(part, nn.Module())
        root = root._modules[part]  # type: ignore[assignment]
    return root, leaf
