"""What a training never starts from as it was handed in: drawn from a seed, or set to a default.

A tensor whose numbers are all equal (zeros, ones, a slope), or an identity, is a choice of the
architecture and stays. Every other parameter is drawn afresh, and so is a buffer that the train
program writes. Scale and shift of a norm are set, and statistics are those of no image. What is
left comes from home, and :mod:`eva.grading.graph.information` measures how much it says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from eva.grading.graph.graph import Graph
from eva.grading.graph.helpers import arguments_of, overwritten
from eva.grading.graph.nodes import Ref, Role, Stored
from eva.grading.graph.running_statistics import running_statistics

_NORMS = ("batch_norm", "group_norm", "layer_norm", "instance_norm", "rms_norm")
_WEIGHT_NORMS = ("_weight_norm", "_weight_norm_interface")


@dataclass(frozen=True, kw_only=True)
class InitialRules:
    """How the stored tensors of a graph begin, by their names.

    Attributes:
        drawn: Parameters that are drawn uniformly.
        directions: Buffers that are drawn from a normal distribution, and keep their length.
        bounds: Bounds of the uniform distribution of a bias, by the fan-in of its weight.
        settled: Value that a whole tensor is set to.
        magnitudes: Lengths of weight norms: the direction that each belongs to, and its axis.
    """

    drawn: frozenset[str]
    directions: frozenset[str]
    bounds: dict[str, float]
    settled: dict[str, float]
    magnitudes: dict[str, tuple[str, int]]

    def is_kept(self, stored: Stored) -> bool:
        """Whether training starts from the numbers that were handed in."""
        return stored.name not in self.drawn | self.directions | self.settled.keys()


def initial_rules(graph: Graph) -> InitialRules:
    """Find out from what the train program does with each stored tensor."""
    shapes = {s.name: s.data for s in graph.stored}
    drawn = {s.name for s in graph.stored if is_drawn(s)}
    kept = shapes.keys() - drawn
    statistics = running_statistics(graph)
    written = {name for node in graph.train.nodes for name in overwritten(node)}
    directions = {
        s.name
        for s in graph.stored
        if s.role is Role.BUFFER
        and s.name in written - statistics
        and s.data.is_floating_point()
        and not same_numbers(s.data)
    }
    settled: dict[str, float] = dict.fromkeys(statistics, 0.0)
    bounds: dict[str, float] = {}
    magnitudes: dict[str, tuple[str, int]] = {}
    behind: dict[str, str] = {}  # a computed weight -> the stored one that it is made from
    for node in graph.train.nodes:
        operation = node.op.split(".")[1]
        given = {k: v.name for k, v in arguments_of(node).items() if isinstance(v, Ref)}
        if operation in _WEIGHT_NORMS and {given.get("v"), given.get("g")} <= shapes.keys():
            axis = arguments_of(node).get("dim", 0)
            if isinstance(axis, int) and given["v"] not in kept:
                magnitudes[given["g"]] = (given["v"], axis)
            behind[node.outputs[0]] = given["v"]
        weight, bias = given.get("weight", ""), given.get("bias", "")
        if operation in _NORMS:
            for name, default in ((weight, 1.0), (bias, 0.0)):
                if name in shapes and _is_set(shapes[name], default, name in kept):
                    settled[name] = default
            variance = given.get("running_var")
            if variance in statistics:
                settled[variance] = 1.0
        elif bias in shapes:
            source = shapes.get(behind.get(weight, weight))
            if source is not None:
                bounds[bias] = bound_of(source)
                if shapes[bias].numel() == 1 and bool(shapes[bias].any()):
                    drawn.add(bias)
    return InitialRules(
        drawn=frozenset(drawn - settled.keys()),
        directions=frozenset(directions),
        bounds=bounds,
        settled={n: v for n, v in settled.items() if n in shapes},
        magnitudes=magnitudes,
    )


def is_drawn(stored: Stored) -> bool:
    """Whether a parameter starts from numbers of the judge's, whatever layer it belongs to."""
    data = stored.data
    if stored.role is not Role.PARAMETER or not data.is_floating_point():
        return False
    if data.numel() == 1 and data.ndim >= 2:
        return data.reshape(-1)[0].item() not in (0.0, 1.0)
    return data.numel() > 1 and not same_numbers(data) and not is_identity(data)


def _is_set(data: Tensor, default: float, kept: bool) -> bool:
    """Whether scale or shift of a norm is set: one that is all the same is a choice and stays."""
    return not kept or (data.numel() == 1 and bool(data.any())) or bool((data == default).all())


def bound_of(weight: Tensor) -> float:
    """1 / sqrt(fan-in)."""
    fan_in = math.prod(weight.shape[1:]) if weight.ndim > 1 else weight.numel()
    return 1 / math.sqrt(max(1, fan_in))


def same_numbers(data: Tensor) -> bool:
    """Whether all numbers of a tensor are equal, one alone among them."""
    flat = data.reshape(-1)
    return flat.numel() < 2 or bool((flat == flat[0]).all())


def is_identity(data: Tensor) -> bool:
    """Whether a weight passes its input on as it is."""
    if data.ndim == 2:
        return torch.equal(data, nn.init.eye_(torch.empty_like(data)))
    if data.ndim in (3, 4, 5):
        return torch.equal(data, nn.init.dirac_(torch.empty_like(data)))
    return False
