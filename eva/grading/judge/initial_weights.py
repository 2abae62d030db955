"""The judge's own first weights: what training starts from is never what a student handed in.

A tensor whose numbers are all equal (zeros, ones, a slope), or an identity, is a choice of the
architecture and stays. Every other one is drawn afresh: by PyTorch's own rule, after which the
Trainer applies the scheme that the recipe declares.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Generator, Tensor, nn

from eva.grading.graph.counting import running_statistics
from eva.grading.graph.graph import Graph
from eva.grading.graph.helpers import arguments
from eva.grading.graph.nodes import Ref, Role, Stored
from eva.seeds import derive_seed

_NORMS = ("batch_norm", "group_norm", "layer_norm", "instance_norm", "rms_norm")
_WEIGHT_NORMS = ("_weight_norm", "_weight_norm_interface")


def draw_initial(graph: Graph, seed: int) -> Graph:
    """The same graph with first weights drawn from a seed, and statistics of no image yet.

    Weights are drawn uniformly from ±1/sqrt(fan-in), as torch.nn draws those of its layers, and
    a bias by the fan-in of its weight; scale and shift of a norm are 1 and 0.
    """
    bounds, settled, magnitudes = _rules(graph)
    drawn: dict[str, Tensor] = {}
    for index, stored in enumerate(graph.stored):
        name, data = stored.name, stored.data
        if name in settled:
            drawn[name] = torch.full_like(data, settled[name])
        elif is_redrawn(stored):
            generator = Generator().manual_seed(derive_seed("weights", seed, index))
            bound = bounds.get(name) or _bound(data)
            fresh = torch.empty(data.shape).uniform_(-bound, bound, generator=generator)
            drawn[name] = fresh.to(data.dtype)
    for name, (direction, axis) in magnitudes.items():
        if name in drawn:
            drawn[name] = torch.norm_except_dim(drawn[direction], 2, axis)
    return replace(
        graph,
        stored=tuple(
            replace(s, data=drawn[s.name]) if s.name in drawn else s for s in graph.stored
        ),
    )


def is_redrawn(stored: Stored) -> bool:
    """Whether a stored tensor starts from numbers of the judge's."""
    data = stored.data
    if stored.role is not Role.PARAMETER or not data.is_floating_point() or data.numel() < 2:
        return False
    return not _same_numbers(data) and not _identity(data)


def kept_numbers(graph: Graph) -> bytes:
    """All numbers that training starts from and that the judge does not draw or set."""
    _, settled, _ = _rules(graph)
    kept = [s for s in graph.stored if s.name not in settled and not is_redrawn(s)]
    return replace(graph, stored=tuple(kept)).to_bytes()


def _rules(
    graph: Graph,
) -> tuple[dict[str, float], dict[str, float], dict[str, tuple[str, int]]]:
    """By name: bounds of biases, values that are set, and what weight norms scale."""
    shapes = {s.name: s.data for s in graph.stored}
    kept = {s.name for s in graph.stored if not is_redrawn(s)}
    statistics = running_statistics(graph)
    settled: dict[str, float] = dict.fromkeys(statistics, 0.0)
    bounds: dict[str, float] = {}
    magnitudes: dict[str, tuple[str, int]] = {}
    behind: dict[str, str] = {}  # a computed weight -> the stored one that it is made from
    for node in graph.train.nodes:
        operation = node.op.split(".")[1]
        given = {k: v.name for k, v in arguments(node).items() if isinstance(v, Ref)}
        if operation in _WEIGHT_NORMS and {given.get("v"), given.get("g")} <= shapes.keys():
            axis = arguments(node).get("dim", 0)
            if isinstance(axis, int) and given["v"] not in kept:
                magnitudes[given["g"]] = (given["v"], axis)
            behind[node.outputs[0]] = given["v"]
        weight, bias = given.get("weight", ""), given.get("bias", "")
        if operation in _NORMS:
            settled |= {n: v for n, v in ((weight, 1.0), (bias, 0.0)) if n and n not in kept}
            variance = given.get("running_var")
            if variance in statistics:
                settled[variance] = 1.0
        elif bias in shapes:
            source = shapes.get(behind.get(weight, weight))
            if source is not None:
                bounds[bias] = _bound(source)
    return bounds, {n: v for n, v in settled.items() if n in shapes}, magnitudes


def _bound(weight: Tensor) -> float:
    fan_in = math.prod(weight.shape[1:]) if weight.ndim > 1 else weight.numel()
    return 1 / math.sqrt(max(1, fan_in))


def _same_numbers(data: Tensor) -> bool:
    flat = data.reshape(-1)
    return flat.numel() < 2 or bool((flat == flat[0]).all())


def _identity(data: Tensor) -> bool:
    if data.ndim == 2:
        return torch.equal(data, nn.init.eye_(torch.empty_like(data)))
    if data.ndim in (3, 4, 5):
        return torch.equal(data, nn.init.dirac_(torch.empty_like(data)))
    return False
