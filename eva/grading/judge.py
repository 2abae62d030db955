"""The judge: from what came out of the sandbox to checks 1 to 6, and to trainings by secret seeds.

Nothing that a student wrote is believed. The graph is read and admitted before it is run, its
first weights are drawn here, the Trainer's loop trains it by the declared recipe, and the test
images come in an order of the judge's own. The graph sees images and never a label.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Generator, nn

from eva.data import Dataset
from eva.data import derive_seed as part_of
from eva.errors import GradingError, RecipeError, TrainingError
from eva.grading.admission import admit, admit_recipe
from eva.grading.capture import Captured, Mistake
from eva.grading.checks import run_fast_checks
from eva.grading.counting import FREE_LITERALS
from eva.grading.execution import GraphModule
from eva.grading.extraction import Extraction
from eva.grading.extractor import LENGTH
from eva.grading.graph import Graph
from eva.grading.initial import draw_initial, kept_numbers, untrained_numbers
from eva.grading.rubric import Assignment
from eva.grading.verdict import FAST_CHECKS, Json, Limits, Status, Verdict
from eva.recipe import Recipe
from eva.trainer import Trainer

_TEXT = 8000  # characters of a stranger's message that are kept
_NOBODYS_FAULT = ("stalled", "killed")  # ends of a program that the machine may have brought about
_PARTS = {"imports", "recipe", "forward", "graph"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Submitted:
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


@dataclass(frozen=True, kw_only=True)
class SeedResult:
    """One training.

    Attributes:
        index: Of the seed, from 0.
        accuracies: On the test images, in percent, one an epoch; empty where training broke off.
        seconds: Wall time.
        parameters: Numbers that the model stores.
        problem: Why training broke off; empty where it did not.
    """

    index: int
    accuracies: tuple[float, ...]
    seconds: float
    parameters: int
    problem: str = ""

    def to_json(self) -> dict[str, Json]:
        """All fields."""
        return {**vars(self), "accuracies": list(self.accuracies)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SeedResult:
        """Read what :meth:`to_json` gave."""
        return cls(**{**value, "accuracies": tuple(value["accuracies"])})


def derive_seed(secret: bytes, digest: str, assignment: str, index: int) -> int:
    """Seed of a training, 63 bits: a regrade repeats it, and a student can't choose it.

    Args:
        secret: Of the instructor.
        digest: Of the submission.
        assignment: Its name.
        index: Of the seed, from 0.
    """
    text = json.dumps([assignment, digest, index]).encode()
    return int.from_bytes(hmac.digest(secret, text, hashlib.sha256)[:8], "big") >> 1


def decode(extraction: Extraction, limits: Limits | None = None) -> Submitted:
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
                problem=error.problem[:_TEXT], review=isinstance(error, GradingError)
            )
    graph = None
    if header.get("graph") is not None:
        graph = Graph.from_json(header["graph"], numbers)
        admit(graph, recipe, limits or Limits())
    if graph is None and not mistakes:
        raise GradingError("the record holds neither a graph nor a reason.")
    fixed = header.get("fixed")
    return Submitted(
        graph=graph,
        recipe=recipe,
        digest=_digest(graph, recipe) if graph is not None and recipe is not None else "",
        model=str(header.get("model"))[:100],
        mistakes=mistakes,
        fixed=fixed if type(fixed) is int and fixed > 0 else 0,
    )


def judge_static(extraction: Extraction, assignment: Assignment) -> Submitted:
    """Answer checks 1 to 6; whatever a student did wrong is in the verdicts.

    Raises:
        GradingError: The assignment is about no network.
    """
    limits = assignment.network_limits().for_checks()
    if extraction.status != "done":
        doubtful = extraction.status in _NOBODYS_FAULT
        status = Status.NEEDS_REVIEW if doubtful else Status.FAILED
        return Submitted(verdicts=_all_after(status, extraction.message, extraction.trace))
    try:
        submitted = decode(extraction, limits)
    except GradingError as error:
        return Submitted(verdicts=_all_after(Status.NEEDS_REVIEW, error.problem, None))
    module: nn.Module | None = None if submitted.graph is None else GraphModule(submitted.graph)
    if module is None and "imports" not in submitted.mistakes:
        module = nn.Module()  # there is a model, which could not be written as a graph
    captured = Captured(
        name="submission.py",
        seed=0,
        recipe=submitted.recipe,
        model=module,
        graph=submitted.graph,
        fixed=submitted.fixed,
        mistakes=submitted.mistakes,
    )
    try:
        verdicts = {verdict.check: verdict for verdict in run_fast_checks(captured, limits)}
    except Exception as error:  # a graph of a stranger may break any check in any way
        why = f"the checks can't be run on this graph: {type(error).__name__}: {error}"
        return Submitted(verdicts=_all_after(Status.NEEDS_REVIEW, why[:_TEXT], None))
    return replace(submitted, verdicts=verdicts | _corrections(submitted, verdicts))


def judge_seed(
    submitted: Submitted,
    data: Dataset,
    *,
    index: int,
    secret: bytes,
    assignment: str,
    device: str = "cpu",
) -> SeedResult:
    """Train a submission from weights of the judge's own, and test it after every epoch.

    Args:
        submitted: From :func:`judge_static`.
        data: What it is trained and tested on.
        index: Of the seed, from 0.
        secret: Of the instructor.
        assignment: Its name.
        device: "cpu", "cuda" or "mps".

    Raises:
        GradingError: There is nothing to train, or a check has failed.
    """
    graph, recipe = submitted.graph, submitted.recipe
    failed = [v.check for v in submitted.verdicts.values() if v.status is Status.FAILED]
    if graph is None or recipe is None or failed:
        why = f"{failed[0]} failed" if failed else "it has no graph or no recipe"
        raise GradingError(f"the submission is not trained: {why}.")
    seed = derive_seed(secret, submitted.digest, assignment, index)
    started = time.perf_counter()
    trainer = Trainer(
        GraphModule(draw_initial(graph, seed)),
        recipe,
        _in_own_order(data, part_of("test order", seed)),
        device=device,
        seed=part_of("training", seed),
        name=submitted.digest,
    )
    problem = ""
    try:
        run = trainer.fit()
        accuracies = tuple(row.test_accuracy for row in run.rows)
    except TrainingError as error:
        problem, accuracies = error.problem, ()
    return SeedResult(
        index=index,
        accuracies=accuracies,
        seconds=time.perf_counter() - started,
        parameters=_parameters(submitted, graph),
        problem=problem,
    )


def _in_own_order(data: Dataset, seed: int) -> Dataset:
    order = torch.randperm(len(data.test_labels), generator=Generator().manual_seed(seed))
    order = order.to(data.test_labels.device)
    return replace(data, test_images=data.test_images[order], test_labels=data.test_labels[order])


def _parameters(submitted: Submitted, graph: Graph) -> int:
    for verdict in submitted.verdicts.values():
        match verdict.details:
            case {"parameters": int(count)}:
                return count
    return sum(stored.data.numel() for stored in graph.stored)


def _digest(graph: Graph, recipe: Recipe) -> str:
    text = json.dumps([graph.to_json(), recipe.to_json()], sort_keys=True)
    return hashlib.sha256(text.encode() + kept_numbers(graph)).hexdigest()


def _corrections(submitted: Submitted, verdicts: dict[str, Verdict]) -> dict[str, Verdict]:
    """What the checks, made for live models, would say differently of a graph."""
    found = {}
    if verdicts["imports"].status is Status.PASSED:
        message = f"imports: build_model() gives a {submitted.model}."
        found["imports"] = replace(
            verdicts["imports"], message=message, details={"model": submitted.model}
        )
    graph, mistake = submitted.graph, submitted.mistakes.get("graph")
    if graph is None and mistake is not None and "forward" not in submitted.mistakes:
        found["shapes"] = Verdict(
            check="shapes",
            status=Status.NEEDS_REVIEW,
            message=f"shapes: can't be seen without a graph.\n{mistake.problem}",
        )
    elif graph is None and "forward" not in submitted.mistakes:
        found["shapes"] = replace(verdicts["shapes"], status=Status.SKIPPED)
    untrained = 0 if graph is None else untrained_numbers(graph)
    if verdicts["recipe"].status is Status.PASSED and untrained > FREE_LITERALS:
        found["recipe"] = Verdict(
            check="recipe",
            status=Status.NEEDS_REVIEW,
            message=f"recipe: {untrained:,} stored numbers are never trained here.\n"
            "  Were they trained before? A person must look.",
            details={"untrained": untrained},
        )
    return found


def _all_after(status: Status, message: str, trace: str | None) -> dict[str, Verdict]:
    """A first check that did not pass, and all others not looked at."""
    verdicts = {
        check: Verdict(
            check=check,
            status=Status.SKIPPED,
            message=f"{check}: not looked at, as nothing was captured.",
        )
        for check in FAST_CHECKS
    }
    first = Verdict(check="imports", status=status, message=f"imports: {message}", trace=trace)
    return verdicts | {"imports": first}


def _mistakes(value: object) -> dict[str, Mistake]:
    if not isinstance(value, dict) or not value.keys() <= _PARTS:
        raise GradingError("the record's mistakes are not understood.")
    found = {}
    for part, row in value.items():
        match row:
            case {"problem": str(problem), "trace": str() | None as trace, "review": bool(review)}:
                trace = None if trace is None else trace[:_TEXT]
                found[part] = Mistake(problem=problem[:_TEXT], trace=trace, review=review)
            case _:
                raise GradingError(f"the record's mistake about {part} is not understood.")
    return found


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")
