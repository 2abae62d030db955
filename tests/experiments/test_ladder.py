"""Our answers to the smaller assignments keep their rules, and say what their records say."""

import json
import statistics
from pathlib import Path

import pytest
import torch
from torch import nn

from eva.grading.checks.accuracy import Measured
from eva.grading.checks.rubric import load_assignment
from eva.grading.checks.verdict import Status
from eva.grading.practice.grade import check
from eva.record import Run
from eva.submission import load_submission

ASSIGNMENTS = Path(__file__).parents[2] / "assignments"
RECORDS = Path(__file__).parents[2] / "docs" / "records"


@pytest.mark.parametrize(
    ("name", "parameters", "epochs"), [("one_epoch_25k", 25_000, 1), ("mnist_20k", 20_000, 19)]
)
def test_an_answer_keeps_the_limits(name: str, parameters: int, epochs: int) -> None:
    submission = load_submission(f"eva.experiments.{name}")
    model = submission.build()
    assert sum(p.numel() for p in model.parameters()) < parameters
    assert submission.recipe.epochs <= epochs
    with torch.no_grad():
        assert model(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


@pytest.mark.parametrize("name", ["one_epoch_25k", "mnist_20k"])
def test_an_answer_passes_all_that_is_fast_and_the_starter_fails(name: str) -> None:
    answer = check(f"eva.experiments.{name}", name)
    waits = {row.verdict.check for row in answer.rows if row.verdict.status is not Status.PASSED}
    assert waits == {"reaches"}
    starter = check(ASSIGNMENTS / name / "submission.py", name)
    failed = {row.verdict.check for row in starter.rows if row.verdict.status is Status.FAILED}
    assert failed == {"one_epoch_25k": {"under_25k"}, "mnist_20k": {"under_20k", "uses"}}[name]


def test_every_record_of_one_epoch_passes_its_last_check() -> None:
    reaches = load_assignment("one_epoch_25k").asked()["reaches"]
    for path in (RECORDS / "one_epoch_25k").glob("seed*.json"):
        assert reaches.answer(Measured.of_run(Run.load(path))).status is Status.PASSED


def test_mnist_20k_has_batch_norm_and_dropout() -> None:
    kinds = {type(m) for m in load_submission("eva.experiments.mnist_20k").build().modules()}
    assert {nn.BatchNorm2d, nn.Dropout} <= kinds


def test_one_epoch_is_far_above_95_percent_in_every_seed() -> None:
    submission = load_submission("eva.experiments.one_epoch_25k")
    runs = [Run.load(path) for path in (RECORDS / "one_epoch_25k").glob("seed*.json")]
    assert sorted(run.seed for run in runs) == list(range(10))
    last = [run.rows[-1].test_accuracy for run in runs]
    for run in runs:
        assert (run.submission, run.recipe) == (submission.name, submission.recipe)
        assert (run.data.name, run.data.train_size) == ("mnist", 60_000)
    assert min(last) >= 95 + 2.5
    story = " ".join(str(submission.module.__doc__).split())
    assert (
        f"the mean of 10 seeds is {sum(last) / 10:.2f} %, and the lowest seed has {min(last):.2f} %"
        in story
    )


def test_mnist_20k_says_what_it_reached_on_held_out_images() -> None:
    submission = load_submission("eva.experiments.mnist_20k")
    parameters = sum(p.numel() for p in submission.build().parameters())
    search = json.loads((RECORDS / "frontier" / "search.json").read_text())
    runs = [run for run in search["runs"] if run["parameters"] == parameters]
    assert [run["seed"] for run in runs] == [0, 1]
    mean = statistics.mean(statistics.mean(run["held_out_accuracy"]) for run in runs)
    story = " ".join(str(submission.module.__doc__).split())
    assert f"two seeds have a mean of {mean:.2f} % in the last four epochs" in story
