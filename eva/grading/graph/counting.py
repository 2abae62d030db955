"""How many numbers a model stores, counted on its graph.

Counted is what either program reads: parameters, frozen or not; buffers other than the running
statistics of a normalization; constants, however they came into forward. Tensors that forward
computes from nothing (``torch.arange(...).sin()``) count as if they were stored, axes along which
they repeat once. A weight that is computed from few stored numbers counts as what it stores, but
is looked at by a person where it unfolds into more than the limit, or where an image takes more
work than any honest small network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from eva.grading.graph.execution import GraphModule, observe
from eva.grading.graph.graph import Graph
from eva.grading.graph.helpers import (
    arguments,
    draws,
    layer_of,
    memory_groups,
    overwritten,
    random_operation,
)
from eva.grading.graph.nodes import Program, Role, resolve

FREE_LITERALS = 64  # scale factors, slopes and the like; more than that are weights
MAX_WORK = 200_000_000  # multiplications and additions an image; the reference takes 4 million
MIN_MOMENTUM = 1e-3  # a running statistic that moves slower than this is a stored weight
_SETTINGS = {"eps", "momentum", "p", "dropout"}


@dataclass(frozen=True, kw_only=True)
class Count:
    """What a model stores.

    Attributes:
        total: Numbers stored.
        layers: Name of a layer (or of what else stores numbers) and its count, largest first.
        unfolded: Numbers in the weights that meet the image, after forward has computed them.
        work: Multiplications and additions for one image in eval mode.
        random: Operation that draws random numbers in eval mode, if there is one.
    """

    total: int
    layers: tuple[tuple[str, int], ...]
    unfolded: int
    work: int
    random: str | None


def count_stored(graph: Graph, input_size: tuple[int, int, int]) -> Count:
    """Count on both programs; what they share counts once."""
    programs = (graph.train, graph.eval)
    statistics = running_statistics(graph)
    layers: dict[str, int] = {}
    for stored in graph.stored:
        if stored.name not in statistics:
            layer = layer_of(stored)
            layers[layer] = layers.get(layer, 0) + words(stored.data)
    tensors = {s.name: s.data for s in graph.stored}
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, *input_size, generator=generator)
    other = 2 * torch.randn(2, *input_size, generator=generator)
    computed: list[Tensor] = []  # in either program, each once
    unfolded: list[int] = []  # numbers in the weights of each program
    for program in programs:
        values = observe(program, tensors, x)
        origins = _origins(program, values, observe(program, tensors, other), set(tensors))
        weights: list[Tensor] = []
        for name in _frontier(program, origins):
            value = values[name]
            if isinstance(value, Tensor) and name not in statistics:
                kind = weights if "stored" in origins[name] else computed
                if not any(_equal(value, known) for known in kind):
                    kind.append(value)
        unfolded.append(sum(map(_without_repeats, weights)))
    made = sum(n for n in map(_without_repeats, computed) if n > 1)
    if made:
        layers["computed in forward from no parameter"] = made
    literals = max(map(_literals, programs))
    if literals > FREE_LITERALS:
        layers["numbers written into forward"] = literals
    return Count(
        total=sum(layers.values()),
        layers=tuple(sorted(layers.items(), key=lambda item: -item[1])),
        unfolded=max(unfolded) + made,
        work=_work(graph, x),
        random=random_operation(graph.eval),
    )


def words(tensor: Tensor) -> int:
    """Numbers in a tensor; one that could hold two counts as two."""
    wide = tensor.dtype in (torch.float64, torch.complex64)
    if tensor.dtype == torch.int64 and tensor.numel():
        wide = bool(tensor.min() < -(2**31)) or bool(tensor.max() >= 2**31)
    return tensor.numel() * (2 if wide else 1)


def untrained_numbers(graph: Graph) -> int:
    """Numbers that are stored, stay as they were handed in, and are no choice of a few values."""
    statistics = running_statistics(graph)
    return sum(
        words(s.data)
        for s in graph.stored
        if s.role is not Role.PARAMETER
        and s.name not in statistics
        and s.data.numel() > 1
        and not bool((s.data == s.data.reshape(-1)[0]).all())
    )


def running_statistics(graph: Graph) -> set[str]:
    """Names of the buffers that are nothing but running statistics of a normalization.

    They are read as statistics alone, and the train program really updates them from its batch;
    with them goes the counter of batches, which nothing else reads.
    """
    buffers = {s.name for s in graph.stored if s.role is Role.BUFFER}
    updated: set[str] = set()
    elsewhere: set[str] = set()
    counters: set[str] = set()
    for program in (graph.train, graph.eval):
        for node in program.nodes:
            given = arguments(node)
            means = {
                given[key].name
                for key in ("running_mean", "running_var")
                if hasattr(given.get(key), "name")
            }
            learns = bool(given.get("training") or given.get("use_input_stats"))
            if program is graph.train and learns and given.get("momentum", 0) >= MIN_MOMENTUM:
                updated |= means
            others = set(node.reads()) - means
            if node.op == "aten.add_.Tensor" and node.args[1:] == (1,):
                counters |= others
                others = set()
            elsewhere |= others
    scalars = {s.name for s in graph.stored if s.data.numel() == 1}
    return (buffers & updated) - elsewhere | (buffers & counters & scalars) - elsewhere


def _origins(
    program: Program, values: dict[str, Any], others: dict[str, Any], stored: set[str]
) -> dict[str, set[str]]:
    """What every value depends on: "image", "stored", "random"; an empty set means nothing.

    A value that is overwritten, itself or through a view of it, depends on what was written too.
    One that is the same in ``values`` and ``others``, which saw other images, does not depend on
    the image, whatever its formula says.
    """
    shared = memory_groups(values)
    origins: dict[str, set[str]] = {name: {"stored"} for name in stored}
    origins[program.input] = {"image"}
    for node in program.nodes:
        if node.op.startswith(("aten.sym_size", "py.")):
            found: set[str] = set()  # a size says nothing about pixels
        else:
            found = set().union(*(origins[name] for name in node.reads()))
        if draws(node):
            found.add("random")
        for name in filter(None, node.outputs):
            moves = "image" not in found or _differ(values[name], others[name])
            origins[name] = found if moves else found - {"image"}
        for written in overwritten(node):
            for name in shared[written] & origins.keys():
                origins[name] = origins[name] | found
    return origins


def _differ(one: object, other: object) -> bool:
    if not isinstance(one, Tensor) or not isinstance(other, Tensor) or one.shape != other.shape:
        return True
    return not torch.allclose(one.float(), other.float(), rtol=1e-3, atol=1e-6, equal_nan=True)


def _frontier(program: Program, origins: dict[str, set[str]]) -> list[str]:
    """Values that don't depend on the image and meet, in one operation, something they aren't.

    They are weights as the network sees them: computed from stored tensors, or from nothing.
    """
    found: dict[str, None] = {}
    for node in program.nodes:
        together = set().union(*(origins[name] for name in node.reads()))
        if not together & {"image", "stored"}:
            continue
        for name in node.reads():
            if "image" in origins[name] or "random" in origins[name]:
                continue
            if "image" in together or not origins[name]:
                found[name] = None
    if not origins[program.output] & {"image"}:
        found[program.output] = None
    return list(found)


def _literals(program: Program) -> int:
    """Numbers written into forward as arguments; settings of a layer and sizes aside."""
    total = 0
    for node in program.nodes:
        schema = getattr(resolve(node.op), "_schema", None)
        types = {a.name: str(a.type) for a in schema.arguments} if schema is not None else {}
        for name, value in arguments(node).items():
            if name in _SETTINGS:
                continue
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if number and any(t in types.get(name, "") for t in ("number", "Tensor", "float")):
                total += 1
            elif isinstance(value, tuple):
                total += sum(isinstance(v, float) for v in value)
    return total


def _without_repeats(tensor: Tensor) -> int:
    """Numbers in a tensor, counting an axis along which it repeats as one."""
    for axis in range(tensor.ndim):
        first = tensor.narrow(axis, 0, min(1, tensor.shape[axis]))
        if tensor.shape[axis] > 1 and torch.equal(tensor, first.expand_as(tensor)):
            tensor = first
    return math.prod(tensor.shape)


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and torch.equal(one, other)


def _work(graph: Graph, x: Tensor) -> int:
    module = GraphModule(graph).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(x)
    return int(counter.get_total_flops()) // len(x)
