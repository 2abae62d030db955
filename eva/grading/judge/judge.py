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
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Generator, Tensor, nn

from eva.data import Dataset, Images
from eva.errors import EvaError, GradingError
from eva.grading.checks.accuracy import Measured
from eva.grading.checks.fast import run_fast_checks
from eva.grading.checks.rubric import Assignment
from eva.grading.checks.verdict import Status, Verdict
from eva.grading.graph.candidate import TEXT
from eva.grading.graph.execution import GraphModule
from eva.grading.graph.graph import Graph
from eva.grading.graph.trial import first_line, is_the_machines, memory_problem, sample
from eva.grading.judge.admitted import Admitted, digest_of, read_record
from eva.grading.judge.initial_weights import draw_initial
from eva.grading.judge.second_witness import doubt
from eva.grading.sandbox.outcome import Extraction
from eva.json_types import Json
from eva.recipe import Recipe
from eva.seeds import derive_seed
from eva.training.evaluation import GPU_BATCH
from eva.training.trainer import Trainer

_NOBODYS_FAULT = ("stalled", "killed")  # ends of a program that the machine may have brought about


@dataclass(frozen=True, kw_only=True)
class SeedResult:
    """One training.

    Attributes:
        index: Of the seed, from 0.
        accuracies: On the test images, in percent, one an epoch; empty where training does not
            count.
        seconds: Wall time.
        parameters: Numbers that the model stores.
        problem: Why training broke off, or counts for nothing; empty where it counts.
        train_accuracies: On the training images as the recipe changes them, likewise.
        doubt: What the trained network shows that the checks did not: a person must look.
        path: Whether the network was compiled, and why; as of :class:`eva.record.Run`.
    """

    index: int
    accuracies: tuple[float, ...]
    seconds: float
    parameters: int
    problem: str = ""
    train_accuracies: tuple[float, ...] = ()
    doubt: str = ""
    path: str = ""

    def to_json(self) -> dict[str, Json]:
        """All fields."""
        return {
            **vars(self),
            "accuracies": list(self.accuracies),
            "train_accuracies": list(self.train_accuracies),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SeedResult:
        """Read what :meth:`to_json` gave."""
        both = ("accuracies", "train_accuracies")
        return cls(**{**value, **{name: tuple(value.get(name, ())) for name in both}})

    def measured(self) -> Measured:
        """What the checks of a training are asked of."""
        return Measured(
            accuracies=self.accuracies,
            train_accuracies=self.train_accuracies,
            parameters=self.parameters,
        )


def secret_seed(secret: bytes, digest: str, assignment: str, index: int) -> int:
    """Seed of a training, 63 bits: a regrade repeats it, and a student can't choose it.

    Args:
        secret: Of the instructor.
        digest: Of the submission.
        assignment: Its name.
        index: Of the seed, from 0.
    """
    text = json.dumps([assignment, digest, index]).encode()
    return int.from_bytes(hmac.digest(secret, text, hashlib.sha256)[:8], "big") >> 1


def judge_static(extraction: Extraction, assignment: Assignment) -> Admitted:
    """Answer the checks that need no training; what a student did wrong is in the verdicts.

    Raises:
        GradingError: The assignment is about no network.
    """
    assignment.asked()
    if extraction.status != "done":
        doubtful = extraction.status in _NOBODYS_FAULT
        answer = Verdict.review if doubtful else Verdict.failed
        answered = answer(f"imports: {extraction.message}", trace=extraction.trace)
        return _nothing_but(answered, assignment)
    try:
        candidate = read_record(extraction, assignment.images)
    except GradingError as error:
        return _nothing_but(Verdict.review(f"imports: {error.problem}"), assignment)
    try:
        verdicts = {verdict.check: verdict for verdict in run_fast_checks(candidate, assignment)}
        digest = digest_of(candidate)
    except Exception as error:  # a graph of a stranger may break any check in any way
        why = f"imports: the checks can't be run on this graph: {first_line(error)}"
        return _nothing_but(Verdict.review(why[:TEXT]), assignment)
    return Admitted(candidate=candidate, digest=digest, verdicts=verdicts)


def judge_seed(
    submitted: Admitted,
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
    seed = secret_seed(secret, submitted.digest, assignment, index)
    started = time.perf_counter()
    ours = _in_own_order(data, derive_seed("test order", seed))
    problem = doubts = path = ""
    accuracies: tuple[float, ...] = ()
    trained: tuple[float, ...] = ()
    try:
        trainer = Trainer(
            GraphModule(draw_initial(graph, seed)),
            recipe,
            ours,
            device=device,
            seed=derive_seed("training", seed),
            name=submitted.digest,
        )
        path = trainer.run.path
        run = trainer.fit()
        images = sample(trainer.data)
        problem = memory_problem(trainer.model, images) or ""
        doubts = _doubt(submitted, trainer.model, images)
        if not problem:
            accuracies = tuple(row.test_accuracy for row in run.rows)
            trained = tuple(row.train_accuracy for row in run.rows)
    except Exception as error:  # whatever a stranger's graph and recipe make PyTorch say
        if is_the_machines(error):
            raise
        problem = error.problem if isinstance(error, EvaError) else first_line(error)
    return SeedResult(
        index=index,
        accuracies=accuracies,
        seconds=time.perf_counter() - started,
        parameters=_parameters(submitted, graph),
        problem=problem,
        train_accuracies=trained,
        doubt=doubts,
        path=path,
    )


def seconds_of_training(
    submitted: Admitted, images: Images, *, device: str = "cpu", batches: int = 8
) -> float:
    """How long one training would take here, from a few batches of noise; nothing is kept.

    Args:
        submitted: From :func:`judge_static`, with no check failed.
        images: That it would be trained on.
        device: "cpu", "cuda" or "mps".
        batches: That are timed, after as many that are not.
    """
    graph, recipe = submitted.graph, submitted.recipe
    assert graph is not None and recipe is not None, "there is something to train"
    generator = Generator().manual_seed(0)

    def noise(count: int) -> tuple[Tensor, Tensor]:
        pixels = torch.randint(256, (count, *images.size), generator=generator)
        # Every class is there: the data say how many there are.
        return pixels.to(torch.uint8), torch.arange(count) % images.classes

    train, test = noise(batches * recipe.batch_size), noise(max(GPU_BATCH, images.classes))
    trainer = Trainer(
        GraphModule(draw_initial(graph, 0)),
        recipe.model_copy(update={"epochs": 2, "schedule": Recipe().schedule}),
        Dataset(
            name="noise",
            train_images=train[0],
            train_labels=train[1],
            test_images=test[0],
            test_labels=test[1],
        ),
        device=device,
    )
    last = trainer.fit().rows[-1]
    learning = last.seconds_train / len(train[1]) * images.train
    testing = last.seconds_test / len(test[1]) * images.test
    return recipe.epochs * (learning + testing)


def _doubt(submitted: Admitted, trained: nn.Module, images: Tensor) -> str:
    graph = submitted.graph
    assert graph is not None, "it was trained"
    try:
        return doubt(graph, trained, images, submitted.candidate.count) or ""
    except Exception as error:  # an operation that a trial does not suit
        return f"what the trained network does can't be tried: {first_line(error)}"


def _in_own_order(data: Dataset, seed: int) -> Dataset:
    order = torch.randperm(len(data.test_labels), generator=Generator().manual_seed(seed))
    order = order.to(data.test_labels.device)
    return replace(data, test_images=data.test_images[order], test_labels=data.test_labels[order])


def _parameters(submitted: Admitted, graph: Graph) -> int:
    for verdict in submitted.verdicts.values():
        match verdict.details:
            case {"parameters": int(count)}:
                return count
    return sum(stored.data.numel() for stored in graph.stored)


def _nothing_but(first: Verdict, assignment: Assignment) -> Admitted:
    """A check of imports that did not pass, and all others not looked at."""
    asked = assignment.asked(trains=False)
    verdicts = {
        name: Verdict.skipped(f"{name}: not looked at, as nothing was captured.") for name in asked
    }
    verdicts |= {name: first for name, one in asked.items() if one.check.kind == "imports"}
    return Admitted(verdicts={name: replace(v, check=name) for name, v in verdicts.items()})
