"""Checks of what a network is made of: operations, its end, what it sees, how much it computes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import torch
from pydantic import AfterValidator, Field
from torch import Tensor

from eva.errors import EvaError
from eva.grading.checks.check import check
from eva.grading.checks.fast import without_graph
from eva.grading.checks.pooling import decide_pooling
from eva.grading.checks.verdict import Verdict
from eva.grading.graph.candidate import Candidate
from eva.grading.graph.execution import GraphModule, observe
from eva.grading.graph.graph import Graph
from eva.grading.graph.helpers import arguments_of, draws, live_nodes, overwritten, seen_values
from eva.grading.graph.nodes import Node, Program
from eva.grading.graph.trial import first_line
from eva.json_types import Json
from eva.rf import receptive_field as field_of

_NORMALIZATIONS = {
    "batch_norm": {
        "batch_norm",
        "native_batch_norm",
        "cudnn_batch_norm",
        "_native_batch_norm_legit",
        "_native_batch_norm_legit_functional",
        "_batch_norm_with_update",
    },
    "layer_norm": {"layer_norm", "native_layer_norm"},
    "group_norm": {"group_norm", "native_group_norm"},
    "instance_norm": {"instance_norm"},
}
_DROPOUTS = {
    "dropout",
    "native_dropout",
    "feature_dropout",
    "alpha_dropout",
    "feature_alpha_dropout",
    "scaled_dot_product_attention",
}
_CONVOLUTIONS = {"conv1d", "conv2d", "conv3d", "convolution", "_convolution"}
_PRODUCTS = {"linear", "addmm", "mm", "matmul", "bmm", "baddbmm", "einsum"}
_FAMILIES: dict[str, set[str]] = {
    **_NORMALIZATIONS,
    "dropout": _DROPOUTS,
    "convolution": _CONVOLUTIONS,
    "max_pooling": {"max_pool1d", "max_pool2d", "max_pool2d_with_indices", "adaptive_max_pool2d"},
    "average_pooling": {"avg_pool1d", "avg_pool2d", "adaptive_avg_pool2d"},
}
_POOLING = "global_average_pooling"
_DENSE = "fully_connected"


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in (*_FAMILIES, _POOLING, _DENSE) and not hasattr(torch.ops.aten, name):
            known = ", ".join(sorted((*_FAMILIES, _POOLING, _DENSE)))
            raise ValueError(f"{name!r} is no operation; known: {known}, and PyTorch's own names")
    return names


Operations = Annotated[tuple[str, ...], Field(strict=False, min_length=1), AfterValidator(_known)]
AtLeastOne = Annotated[int, Field(ge=1)]


@check("uses", needs=("imports",))
def uses(candidate: Candidate, *, operations: Operations) -> Verdict:
    """Each of these is among the operations that the scores depend on in training."""
    title = f"uses {_listed(operations)}"
    if candidate.graph is None:
        return without_graph(candidate, title)
    graph = candidate.graph
    nodes = live_nodes(graph.train)
    missing, doubtful = [], []
    for name in operations:
        holds = _holds(name, graph, nodes, candidate)
        if holds is None:
            doubtful.append(name)
        elif not holds:
            missing.append(name)
    details: dict[str, Json] = {"missing": [*missing, *doubtful]}
    if missing:
        return Verdict.failed(
            f"{title}: in training the scores depend on no {_listed(missing, 'or')}.\n"
            "  A layer that is built counts only where forward calls it in train mode.",
            details,
        )
    if doubtful:
        return Verdict.review(
            f"{title}: forward may do {_listed(doubtful)} by other operations: a person must look.",
            details,
        )
    return Verdict.passed(f"{title}: found in training.", details)


def _holds(name: str, graph: Graph, nodes: list[Node], candidate: Candidate) -> bool | None:
    """Whether a network does this in training; None where a person must look."""
    if name == _POOLING:
        return decide_pooling(graph, candidate.images.size).holds
    if name == _DENSE:
        return any(dense for _, dense in _dense(graph, candidate.images.size))
    if name == "dropout":
        if any(base(node) in _DROPOUTS and draws(node) for node in nodes):
            return True
        return None if any(map(draws, nodes)) else False
    if name in _NORMALIZATIONS:
        if any(base(node) in _NORMALIZATIONS[name] and _learns(node) for node in nodes):
            return True
        by_hand = name == "batch_norm" and _writes_buffers(graph)
        return None if by_hand else False
    wanted = _FAMILIES.get(name, {name})
    return any(base(node) in wanted for node in nodes)


def _learns(node: Node) -> bool:
    """A normalization by the batch's own numbers; one that is left in eval mode is none."""
    return arguments_of(node).get("training", True) is not False


def _writes_buffers(graph: Graph) -> bool:
    stored = {one.name for one in graph.stored if one.data.is_floating_point()}
    normal = set().union(*_NORMALIZATIONS.values())
    nodes = [node for node in graph.train.nodes if base(node) not in normal]
    return any(stored.intersection(overwritten(node)) for node in nodes)


@check("no_linear", needs=("imports",))
def no_linear(candidate: Candidate) -> Verdict:
    """No layer is fully connected: none has a weight for each number of a whole image."""
    title = "no fully connected layer"
    if candidate.graph is None:
        return without_graph(candidate, title)
    try:
        found = [(name, dense) for name, dense in _dense(candidate.graph, candidate.images.size)]
    except Exception as error:  # an operation that other images don't suit
        return Verdict.review(f"{title}: can't be decided: {first_line(error)}")
    whole = [name for name, dense in found if dense]
    if whole:
        return Verdict.failed(
            f"{title}: {_listed(tuple(whole[:3]))} {'is' if len(whole) == 1 else 'are'} one.",
            {"layers": list(whole)},
        )
    wide = [name for name, dense in found if dense is None]
    if wide:
        return Verdict.review(
            f"{title}: the kernel of {_listed(tuple(wide[:3]))} is as large as its map, which "
            "is a fully connected layer by another name.",
            {"layers": list(wide)},
        )
    return Verdict.passed(f"{title}: there is none.")


HeadKind = Literal["global_average_pooling", "fully_connected"]


@check("head", needs=("imports",))
def head(
    candidate: Candidate,
    *,
    one_of: Annotated[tuple[HeadKind, ...], Field(strict=False, min_length=1)],
) -> Verdict:
    """The network ends in one of these: global average pooling, or a fully connected layer."""
    title = f"ends in {_listed(one_of, 'or').replace('_', ' ')}"
    if candidate.graph is None:
        return without_graph(candidate, title)
    graph, size = candidate.graph, candidate.images.size
    try:
        pools = decide_pooling(graph, size).holds if _POOLING in one_of else False
        last = list(_dense(graph, size, last=True)) if _DENSE in one_of else []
    except Exception as error:  # as above
        return Verdict.review(f"{title}: can't be decided: {first_line(error)}")
    if pools:
        return Verdict.passed(f"{title}: every path takes a mean over a whole map.")
    if last and last[0][1] is not False:
        return Verdict.passed(f"{title}: {last[0][0]} is fully connected.")
    if pools is None:
        return Verdict.review(f"{title}: a person must look whether it pools globally.")
    return Verdict.failed(f"{title}: it ends in neither." if len(one_of) > 1 else f"{title}: no.")


@check("receptive_field", needs=("shapes",))
def receptive_field(
    candidate: Candidate, *, at_least: AtLeastOne, of: Literal["scores", "last_map"] = "scores"
) -> Verdict:
    """Units at the end see so many pixels along both axes.

    ``of`` says which units: the scores, or those of the last map that is larger than 1x1.
    """
    where = "a score" if of == "scores" else "a unit of the last map"
    title = f"{where} sees {at_least} pixels"
    if candidate.graph is None:
        return without_graph(candidate, title)
    graph = candidate.graph
    try:
        if of == "last_map":
            graph = _up_to_last_map(graph, candidate.images.size)
        field = field_of(GraphModule(graph).eval(), candidate.images.size)
        sees = min(field.size)
    except (EvaError, LookupError, ValueError, RuntimeError) as error:
        return Verdict.review(f"{title}: can't be measured: {first_line(error)}")
    details: dict[str, Json] = {"receptive_field": list(field.size), "note": f"{sees} pixels"}
    message = f"{title}: yours sees {' x '.join(map(str, field.size))}"
    if sees >= at_least:
        return Verdict.passed(f"{message}.", details)
    if str(field.status) == "unknown":
        return Verdict.review(f"{message}, as far as can be told.", details)
    return Verdict.failed(f"{message}.", details)


@check("mult_adds", needs=("shapes",))
def few_mult_adds(candidate: Candidate, *, below: AtLeastOne) -> Verdict:
    """An image takes fewer multiply-adds than this in eval mode."""
    title = f"fewer than {below:,} multiply-adds"
    if candidate.graph is None:
        return without_graph(candidate, title)
    try:
        work = candidate.count.work // 2  # a multiplication and an addition
    except Exception as error:  # any operation, given other images than it was traced with
        return Verdict.review(f"{title}: the graph can't be run to count: {first_line(error)}")
    details: dict[str, Json] = {"mult_adds": work, "note": f"{work:,}"}
    message = f"{title}: an image takes {work:,}."
    return Verdict.passed(message, details) if work < below else Verdict.failed(message, details)


def base(node: Node) -> str:
    """Name of a node's operation: "batch_norm" for "aten.batch_norm.default"."""
    return node.op.split(".")[1].removesuffix("_")


def _dense(
    graph: Graph, size: tuple[int, int, int], *, last: bool = False
) -> Iterator[tuple[str, bool | None]]:
    """Layers with weights or a mean, and whether each is fully connected; None for a wide kernel.

    Args:
        graph: Of the model.
        size: Channels, height and width of an image.
        last: From the end, and reductions too: the first is what the network ends in.
    """
    tensors = {s.name: s.data for s in graph.stored}
    values = observe(graph.eval, tensors, torch.zeros(2, *size))
    seen = seen_values(graph.eval)
    nodes = live_nodes(graph.eval)
    for node in reversed(nodes) if last else nodes:
        reads = [name for name in node.reads() if isinstance(values.get(name), Tensor)]
        images = [name for name in reads if name in seen]
        if not images:
            continue
        weights = [name for name in reads if name not in seen and values[name].ndim > 1]
        kind = base(node)
        if kind in _PRODUCTS and weights:
            shape = values[images[0]].shape
            yield _layer(weights[0]), math.prod(shape[1:-1]) == 1
        elif kind in _CONVOLUTIONS and weights:
            map_size, kernel = values[images[0]].shape[2:], values[weights[0]].shape[2:]
            out = values[next(filter(None, node.outputs))].shape[2:]
            wide = math.prod(map_size) > 1 and math.prod(out) == 1 and math.prod(kernel) > 1
            yield _layer(weights[0]), None if wide else False
        elif last and kind in _REDUCTIONS:
            yield kind, False


_REDUCTIONS = {"mean", "sum", "amax", "max", "avg_pool2d", "adaptive_avg_pool2d", "max_pool2d",
               "adaptive_max_pool2d"}  # fmt: skip


def _layer(name: str) -> str:
    return name.rpartition(".")[0] or name


def _up_to_last_map(graph: Graph, size: tuple[int, int, int]) -> Graph:
    """The same graph, ended at the last map that is larger than 1x1."""
    values = observe(graph.eval, {s.name: s.data for s in graph.stored}, torch.zeros(2, *size))

    def is_map(value: Any) -> bool:
        return isinstance(value, Tensor) and value.ndim == 4 and math.prod(value.shape[2:]) > 1

    seen = seen_values(graph.eval)
    for index, node in reversed([*enumerate(graph.eval.nodes)]):
        for name in filter(None, node.outputs):
            if name in seen and is_map(values.get(name)):
                program = Program(
                    input=graph.eval.input, nodes=graph.eval.nodes[: index + 1], output=name
                )
                return Graph(train=program, eval=program, stored=graph.stored)
    raise ValueError("it has no map")


def _listed(names: tuple[str, ...] | list[str], word: str = "and") -> str:
    return f" {word} ".join(filter(None, (", ".join(names[:-1]), names[-1])))
