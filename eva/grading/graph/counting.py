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

from eva.grading.graph.execution import GraphModule, execute, jittered, observe
from eva.grading.graph.graph import Graph
from eva.grading.graph.helpers import (
    arguments_of,
    draws,
    layer_of,
    memory_groups,
    overwritten,
    random_operation,
    seen_values,
    times_zero,
)
from eva.grading.graph.nodes import Program, resolve
from eva.grading.graph.running_statistics import running_statistics
from eva.grading.graph.trial import drawn_digits

FREE_LITERALS = 64  # scale factors, slopes and the like; more than that are weights
MAX_WORK = 200_000_000  # multiplications and additions an image; the reference takes 4 million
_BATCHES = (1, 2, 3, 5, 64, 96, 100, 128, 250, 256, 500, 512, 1000, 2000)
"""Sizes at which weights are computed: of checks, common recipes, last batches and tests."""
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


def count_stored(
    graph: Graph,
    input_size: tuple[int, int, int],
    batches: tuple[int, ...] = (),
    images: Tensor | None = None,
) -> Count:
    """Count on both programs; what they share counts once.

    Args:
        graph: The graph of a model.
        input_size: Channels, height and width of an image.
        batches: Sizes of batches that will be used, beside the common ones: numbers that forward
            computes may be zero at some of them.
        images: At least 4 to count on, beside noise; drawn digits by default.
    """
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
    digits = drawn_digits(input_size) if images is None else images
    computed: dict[Any, Tensor] = {}  # in either program, each once
    unfolded: list[int] = []  # numbers in the weights of each program
    made = 0
    jittering = jittered(graph, generator)
    for program in programs:
        given = (
            (observe(program, tensors, x), observe(program, tensors, other)),
            (observe(program, jittering, x), observe(program, jittering, other)),
            (observe(program, jittering, digits[:2]), observe(program, jittering, digits[2:4])),
        )
        for values, others in given:
            origins = _origins(program, values, others, set(tensors))
            unfolded.append(_unfolded(program, values, origins, statistics, computed))
        by_batch = _depends_on_batch(program)
        for batch in sorted({*_BATCHES, *batches}) if by_batch else _BATCHES[:1]:
            try:
                shape = (batch, *input_size) if by_batch else None
                values = _without_images(program, jittering, shape)
            except Exception:  # a size that the network can't take is never met
                continue
            origins = _origins(program, values, {}, set(tensors))
            fresh: dict[Any, Tensor] = {}
            unfolded.append(_unfolded(program, values, origins, statistics, fresh))
            made = max(made, sum(n for n in map(_without_repeats, fresh.values()) if n > 1))
    made = max(made, sum(n for n in map(_without_repeats, computed.values()) if n > 1))
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
        elif times_zero(node):
            found.discard("random")
        for name in filter(None, node.outputs):
            moves = "image" not in found or _differ(values.get(name), others.get(name))
            origins[name] = found if moves else found - {"image"}
        for written in overwritten(node):
            for name in shared.get(written, {written}) & origins.keys():
                origins[name] = origins[name] | found
    return origins


def _depends_on_batch(program: Program) -> bool:
    """Whether the size of a batch gets into a tensor that is not computed from the image."""
    seen = seen_values(program)
    sizes: set[str] = set()
    for node in program.nodes:
        if node.op.startswith(("aten.sym_size", "py.")):
            sizes.update(node.outputs)
        elif sizes.intersection(node.reads()) and not seen.intersection(node.reads()):
            return True
    return False


def _unfolded(
    program: Program,
    values: dict[str, Any],
    origins: dict[str, set[str]],
    statistics: set[str],
    computed: dict[Any, Tensor],
) -> int:
    """Numbers in the weights that meet the image; those made from nothing go to ``computed``."""
    weights: dict[Any, Tensor] = {}
    for name in _frontier(program, origins):
        value = values.get(name)
        if isinstance(value, Tensor) and value.device.type != "meta" and name not in statistics:
            kind = weights if "stored" in origins[name] else computed
            kind.setdefault(_identity(value), value)
    return sum(map(_without_repeats, weights.values()))


@torch.no_grad()
def _without_images(
    program: Program, tensors: dict[str, Tensor], shape: tuple[int, ...] | None
) -> dict[str, Any]:
    """Values of a program for a batch of any size: of what sees the image, shapes alone.

    Without a shape, what sees the image is left out: nothing else may depend on its size.
    """
    values: dict[str, Any] = {name: tensor.clone() for name, tensor in tensors.items()}
    if shape is not None:
        values[program.input] = torch.empty(shape, device="meta")
    seen = seen_values(program)
    meta, cpu = torch.device("meta"), torch.device("cpu")
    for node in program.nodes:
        if not values.keys() >= {*node.reads()}:
            continue
        if seen.intersection(node.reads()) and not node.op.startswith(("aten.sym_size", "py.")):
            own = {
                name: value.to(meta) if isinstance(value, Tensor) else value
                for name in node.reads()
                for value in [values[name]]
            }
            execute(node, resolve(node.op), own, meta)
            values.update({name: own[name] for name in node.outputs if name})
        else:
            execute(node, resolve(node.op), values, cpu)
    return values


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
        for name, value in arguments_of(node).items():
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


def _identity(tensor: Tensor) -> Any:
    """What two tensors of the same numbers have in common, and no others."""
    flat = tensor.detach().contiguous().reshape(-1)
    return tuple(tensor.shape), tensor.dtype, bytes(flat.view(torch.uint8).numpy())


def _work(graph: Graph, x: Tensor) -> int:
    module = GraphModule(graph).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(x)
    return int(counter.get_total_flops()) // len(x)
