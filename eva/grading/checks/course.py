"""Whether a network is one of this course's own: a flag for people, no verdict."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache

import torch

import eva.experiments
from eva.grading.graph.export import export_graph
from eva.grading.graph.fingerprint import structure
from eva.grading.graph.graph import Graph
from eva.grading.graph.nodes import Role
from eva.seeds import seeded

Shapes = tuple[tuple[int, ...], ...]


def course_answer(graph: Graph, size: tuple[int, int, int]) -> str | None:
    """Module of the course whose network does the same operations; None if none does.

    Args:
        graph: Of a submission.
        size: Channels, height and width of an image.
    """
    shapes = tuple(sorted(tuple(s.data.shape) for s in graph.stored if s.role is Role.PARAMETER))
    alike = [name for name, found in _shapes().items() if found == shapes]
    if not alike:
        return None
    own = structure(graph)
    return next((name for name in alike if _structure(name, size) == own), None)


def _modules() -> Iterator[str]:
    package = eva.experiments
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not found.ispkg and not found.name.endswith(".network"):
            yield found.name


@cache
def _shapes() -> dict[str, Shapes]:
    """Shapes of the parameters of each network of the course, sorted."""
    found: dict[str, Shapes] = {}
    for name in _modules():
        module = importlib.import_module(name)
        if hasattr(module, "build_model"):
            with seeded(torch.device("cpu"), 0):
                model = module.build_model()
            found[name] = tuple(sorted(tuple(p.shape) for p in model.parameters()))
    return found


@cache
def _structure(name: str, size: tuple[int, int, int]) -> str:
    with seeded(torch.device("cpu"), 0):
        model = importlib.import_module(name).build_model()
        return structure(export_graph(model, size))
