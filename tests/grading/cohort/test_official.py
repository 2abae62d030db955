"""The real core end to end: sandbox, judge and statistics, on a few hundred images."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eva.data import Dataset, load_mini
from eva.grading.cohort import Cohort
from eva.grading.engines import LocalEngine
from eva.grading.gradebook import Gradebook, Outcome
from eva.grading.journal import Journal
from eva.grading.official import OfficialSeeds, facts_of
from eva.grading.reports import gradebook_json
from eva.grading.rubric import Assignment, load_assignment
from eva.grading.staging import stage
from eva.grading.tasks import Plan, Terms, Work
from eva.grading.work import OfficialWork

HONEST = """\
from torch import nn
from eva.recipe import Adam, Recipe
RECIPE = Recipe(epochs=2, batch_size=32, optimizer=Adam(lr=0.02))
def build_model():
    return nn.Sequential(nn.Conv2d(1, 8, 5, stride=3), nn.ReLU(), nn.Conv2d(8, 10, 1),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""


def tiny_work(config: dict[str, Any]) -> Work:
    return OfficialWork(Terms.from_json(config), load=_tiny)


def _tiny(terms: Terms) -> Dataset:
    data = load_mini()
    return replace(
        data,
        name="mnist",
        train_images=data.train_images[::13],
        train_labels=data.train_labels[::13],
        test_images=data.test_images[::4],
        test_labels=data.test_labels[::4],
    )


def _assignment() -> Assignment:
    """mnist_8k with a target that every network reaches."""
    whole = load_assignment("mnist_8k")
    update = {"accuracy": 5.0, "last_epochs": 1}
    limits = whole.network_limits().model_copy(update=update)
    return whole.model_copy(update={"limits": limits})


def _grade(folder: Path, journal: Path, secret: bytes = b"a secret of the tests") -> Gradebook:
    terms = Terms(assignment=_assignment(), secret=secret, allow_tier_c=True)
    plan = Plan(make="test_official:tiny_work", config=terms.to_json())
    with Journal(journal, facts_of(terms)) as opened:
        cohort = Cohort(
            stage([folder]),
            terms.assignment,
            seeds=OfficialSeeds(terms.assignment, terms.seeds),
            journal=opened,
            engine=LocalEngine(plan, jobs=1),
        )
        book = cohort.run()
    assert cohort.errors == {}
    return book


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("class")
    for name, text in {
        "anna": HONEST,
        "copy": "# the same network, other text\n" + HONEST,
        "exits": "import os\nos._exit(0)\n",
        "large": HONEST.replace("8,", "800,").replace("(8", "(800"),
    }.items():
        (made / f"{name}.py").write_text(text)
    return made


def test_a_class_goes_through_the_sandbox_to_a_gradebook(folder: Path, tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    book = _grade(folder, journal)
    grades = {grade.student: grade for grade in book.grades}
    assert {grade.outcome for grade in book.grades} == {Outcome.GRADED}
    assert {name for name, grade in grades.items() if grade.report.passed} == {"anna", "copy"}
    assert grades["exits"].score == 0
    assert grades["large"].score < 10
    assert len(grades["anna"].trained) == 3
    assert len({t.accuracies for t in grades["anna"].trained}) > 1, "seeds differ"
    assert grades["anna"].trained == grades["copy"].trained
    assert grades["anna"].flags == ("same model and recipe as copy",)
    assert grades["anna"].tier in ("A", "B", "C")

    lines = journal.read_text().splitlines()
    kinds = [json.loads(line)["entry"]["kind"] for line in lines]
    assert (kinds.count("static"), kinds.count("seed")) == (4, 3)
    half = lines[-1][:40]
    journal.write_text("\n".join(lines[:-1]) + f"\n{half}")
    again = _grade(folder, journal)
    assert gradebook_json.render(again) == gradebook_json.render(book)

    other = tmp_path / "other.jsonl"
    for name in ("copy", "exits", "large"):
        (folder / f"{name}.py").unlink()
    drawn = _grade(folder, other, b"another secret, long enough")
    assert drawn.grades[0].trained != grades["anna"].trained, "the secret draws the seeds"
