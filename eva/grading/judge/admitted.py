"""A submission as it came out of the sandbox, read without believing it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

from eva.errors import GradingError, RecipeError
from eva.grading.checks.verdict import Limits, Verdict
from eva.grading.graph.capture import Mistake
from eva.grading.graph.graph import Graph
from eva.grading.judge.allowlist import admit, admit_recipe
from eva.grading.judge.initial_weights import kept_numbers
from eva.grading.sandbox.child import LENGTH
from eva.grading.sandbox.outcome import Extraction
from eva.recipe import Recipe

TEXT = 8000  # characters of a stranger's message that are kept
_PARTS = {"imports", "recipe", "forward", "graph"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Admitted:
    """A submission as the judge knows it.

    Attributes:
        graph: Admitted; None where there is none, and ``verdicts`` or ``mistakes`` say why.
        recipe: The declared one, or None.
        digest: SHA-256 of graph, recipe and the numbers that are not drawn afresh; empty where
            nothing can be trained.
        verdicts: Of checks 1 to 6 by their names; empty before they were asked.
        model: Name of the student's class.
        mistakes: What could not be captured, by part.
        fixed: Weights that came out alike for two seeds, as the sandbox says.
    """

    graph: Graph | None = None
    recipe: Recipe | None = None
    digest: str = ""
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    model: str = ""
    mistakes: dict[str, Mistake] = field(default_factory=dict)
    fixed: int = 0


def read_record(extraction: Extraction, limits: Limits | None = None) -> Admitted:
    """Read a record without believing it; nothing of the graph is run.

    Raises:
        GradingError: It is damaged, or its graph is not one that the judge runs.
    """
    body = extraction.captured
    if extraction.status != "done" or len(body) < LENGTH.size:
        raise GradingError(f"nothing came out of the sandbox: {extraction.message}")
    (size,) = LENGTH.unpack_from(body)
    text, numbers = body[LENGTH.size : LENGTH.size + size], body[LENGTH.size + size :]
    try:
        header = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise GradingError(f"the record is not JSON: {error}") from error
    if not isinstance(header, dict):
        raise GradingError("the record is no JSON object.")
    mistakes = _mistakes(header.get("mistakes"))
    recipe = None
    if header.get("recipe") is not None:
        try:
            recipe = Recipe.from_json(header["recipe"])
            admit_recipe(recipe)
        except (RecipeError, GradingError) as error:
            recipe = None
            mistakes["recipe"] = Mistake(
                problem=error.problem[:TEXT], review=isinstance(error, GradingError)
            )
    graph = None
    if header.get("graph") is not None:
        graph = Graph.from_json(header["graph"], numbers)
        admit(graph, recipe, limits or Limits())
    if graph is None and not mistakes:
        raise GradingError("the record holds neither a graph nor a reason.")
    fixed = header.get("fixed")
    return Admitted(
        graph=graph,
        recipe=recipe,
        digest=_digest(graph, recipe) if graph is not None and recipe is not None else "",
        model=str(header.get("model"))[:100],
        mistakes=mistakes,
        fixed=fixed if type(fixed) is int and fixed > 0 else 0,
    )


def _digest(graph: Graph, recipe: Recipe) -> str:
    text = json.dumps([graph.to_json(), recipe.to_json()], sort_keys=True)
    return hashlib.sha256(text.encode() + kept_numbers(graph)).hexdigest()


def _mistakes(value: object) -> dict[str, Mistake]:
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


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")
