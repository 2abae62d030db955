"""A candidate: what the checks look at, wherever it came from.

Practice makes one by capturing a submission here; the judge reads one from the record of a sandbox.
Both hold the same things, so a check gives the same answer and never knows which it was asked of.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from eva.data import Images
from eva.errors import GradingError, RecipeError
from eva.grading.graph.counting import Count, count_stored
from eva.grading.graph.graph import Graph
from eva.json_types import Json
from eva.recipe import Recipe

TEXT = 2000  # characters of a stranger's message that are kept
NAME = 100  # characters of a stranger's name of a class or layer
_PARTS = {"imports", "recipe", "forward", "graph", "training"}
_IDLE = 20  # layers that never ran; more are not listed


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """Why a part of a submission could not be had.

    Attributes:
        problem: One or two lines for the student.
        trace: Their own traceback, where their code raised.
        review: A person must look; otherwise it is plainly a failure.
    """

    problem: str
    trace: str | None = None
    review: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidate:
    """A submission as the checks see it; what is None has its reason in ``mistakes``.

    Attributes:
        model: Name of the class that ``build_model()`` gives; empty where it gave none.
        recipe: The declared one.
        graph: What the model computes.
        fixed: Weights that come out the same whatever the seed; trained elsewhere, perhaps.
        idle: Layers whose parameters neither program reads, and how many those are.
        mistakes: By the part that could not be had: "imports", "recipe", "forward" (it raised, or
            gave something else than scores), "graph" or "training" (the graph does not train as
            the model does).
        images: What it is asked about.
        admitted: The graph may be run; see :func:`eva.grading.checks.allowlist.admitted`.
        stored: Numbers that a network surely stores whose graph is too large, or may not be run.
    """

    model: str = ""
    recipe: Recipe | None = None
    graph: Graph | None = None
    fixed: int = 0
    idle: tuple[tuple[str, int], ...] = ()
    mistakes: Mapping[str, Mistake] = field(default_factory=dict)
    images: Images = field(default_factory=Images)
    admitted: bool = False
    stored: int | None = None

    @cached_property
    def count(self) -> Count:
        """What the graph stores; the graph must be there, and may raise whatever it likes."""
        assert self.graph is not None, "no graph, no count"
        used = () if self.recipe is None else (self.recipe.batch_size,)
        return count_stored(self.graph, self.images.size, used)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of graph, first weights and recipe: two that train alike agree.

        Without a graph it is empty, and nothing may be remembered under it.
        """
        if self.graph is None or self.recipe is None:
            return ""
        text = json.dumps([self.graph.to_json(), self.recipe.to_json()], sort_keys=True)
        return hashlib.sha256(text.encode() + self.graph.to_bytes()).hexdigest()

    def to_json(self) -> dict[str, Json]:
        """Everything but the numbers of the graph, for :meth:`from_json`."""
        return {
            "model": self.model,
            "recipe": None if self.recipe is None else self.recipe.to_json(),
            "graph": None if self.graph is None else self.graph.to_json(),
            "fixed": self.fixed,
            "stored": self.stored,
            "idle": [list(row) for row in self.idle],
            "mistakes": {
                part: {"problem": m.problem, "trace": m.trace, "review": m.review}
                for part, m in self.mistakes.items()
            },
        }

    @classmethod
    def from_json(cls, value: object, numbers: bytes, images: Images | None = None) -> Candidate:
        """Read what :meth:`to_json` and ``graph.to_bytes()`` wrote, believing neither.

        Args:
            value: A JSON object.
            numbers: Values of the graph's stored tensors.
            images: Images of the assignment; those of MNIST by default.

        Raises:
            GradingError: It is damaged; the message says where.
        """
        if not isinstance(value, dict):
            raise GradingError("the record is no JSON object.")
        mistakes = _mistakes(value.get("mistakes"))
        recipe = None
        if value.get("recipe") is not None:
            try:
                recipe = Recipe.from_json(value["recipe"])
            except RecipeError as error:
                mistakes["recipe"] = Mistake(problem=error.problem[:TEXT])
        graph = None
        if value.get("graph") is not None:
            graph = Graph.from_json(value["graph"], numbers)
        if graph is None and not mistakes:
            raise GradingError("the record holds neither a graph nor a reason.")
        model = value.get("model")
        return cls(
            model=model[:NAME] if isinstance(model, str) else "",
            recipe=recipe,
            graph=graph,
            fixed=_count(value.get("fixed")),
            stored=_count(value.get("stored")) or None,
            idle=tuple(_idle(value.get("idle"))),
            mistakes=mistakes,
            images=images or Images(),
        )


def _count(value: object) -> int:
    return value if type(value) is int and 0 < value < 2**53 else 0


def _idle(value: object) -> list[tuple[str, int]]:
    rows = value if isinstance(value, list) else []
    return [
        (row[0][:NAME], _count(row[1]))
        for row in rows[:_IDLE]
        if isinstance(row, list) and len(row) == 2 and isinstance(row[0], str) and _count(row[1])
    ]


def _mistakes(value: Any) -> dict[str, Mistake]:
    if not isinstance(value, dict) or not value.keys() <= _PARTS:
        raise GradingError("the record's mistakes are not understood.")
    found = {}
    for part, row in value.items():
        match row:
            case {"problem": str(problem), "trace": str() | None as trace, "review": bool(review)}:
                trace = None if trace is None else trace[:TEXT]
                found[part] = Mistake(problem=problem[:TEXT], trace=trace, review=review)
            case _:
                raise GradingError(f"the record's mistake about {part} is not understood.")
    return found
