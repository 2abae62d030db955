"""Whether two models are the same network under other names: a flag for people, no verdict."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from eva.grading.graph.graph import Graph
from eva.grading.graph.nodes import Device, Program, Ref


def structure(graph: Graph) -> str:
    """SHA-256 of what a graph computes, whatever its values and layers are called.

    Each value is hashed from its operation and the hashes of what that reads, so neither names nor
    the order of independent statements matter, nor operations that the scores don't depend on.
    Stored numbers count by shape, type and role; their values don't.
    """
    return _digest(["graph", *(_program(graph, each) for each in (graph.train, graph.eval))])


def _program(graph: Graph, program: Program) -> str:
    known = {
        s.name: _digest([s.role.value, str(s.data.dtype), list(s.data.shape), s.trainable])
        for s in graph.stored
    }
    known[program.input] = _digest(["input"])
    for node in program.nodes:
        args = [_value(arg, known) for arg in node.args]
        kwargs = [[name, _value(arg, known)] for name, arg in sorted(node.kwargs.items())]
        result = _digest([node.op, args, kwargs, node.grad])
        for index, name in enumerate(node.outputs):
            known[name] = _digest([result, index])
    return known[program.output]


def _value(value: Any, known: dict[str, str]) -> Any:
    match value:
        case Ref(name=name):
            return known[name]
        case Device():
            return "device"
        case list() | tuple():
            return [_value(part, known) for part in value]
        case _:
            return repr(value)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
