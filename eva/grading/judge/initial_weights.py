"""The judge's own first weights: what training starts from is never what a student handed in.

Which tensors are drawn and which are set is :mod:`eva.grading.graph.drawn`'s to say. They are drawn
by PyTorch's own rule, after which the Trainer applies the scheme that the recipe declares.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Generator, Tensor

from eva.grading.graph.drawn import bound_of, initial_rules
from eva.grading.graph.graph import Graph
from eva.seeds import derive_seed


def draw_initial(graph: Graph, seed: int) -> Graph:
    """The same graph with first weights drawn from a seed, and statistics of no image yet.

    Weights are drawn uniformly from ±1/sqrt(fan-in), as torch.nn draws those of its layers, and
    a bias by the fan-in of its weight; scale and shift of a norm are 1 and 0.
    """
    rules = initial_rules(graph)
    drawn: dict[str, Tensor] = {}
    for index, stored in enumerate(graph.stored):
        name, data = stored.name, stored.data
        generator = Generator().manual_seed(derive_seed("weights", seed, index))
        if name in rules.settled:
            drawn[name] = torch.full_like(data, rules.settled[name])
        elif name in rules.drawn:
            bound = rules.bounds.get(name) or bound_of(data)
            fresh = torch.empty(data.shape).uniform_(-bound, bound, generator=generator)
            drawn[name] = fresh.to(data.dtype)
        elif name in rules.directions:
            fresh = torch.empty(data.shape).normal_(generator=generator)
            drawn[name] = (fresh * (data.float().norm() / fresh.norm())).to(data.dtype)
    for name, (direction, axis) in rules.magnitudes.items():
        if name in drawn:
            drawn[name] = torch.norm_except_dim(drawn[direction], 2, axis)
    return replace(
        graph,
        stored=tuple(
            replace(s, data=drawn[s.name]) if s.name in drawn else s for s in graph.stored
        ),
    )


def kept_numbers(graph: Graph) -> bytes:
    """All numbers that training starts from and that the judge does not draw or set."""
    rules = initial_rules(graph)
    return replace(graph, stored=tuple(s for s in graph.stored if rules.is_kept(s))).to_bytes()
