"""The real core with a training of moments: a few hundred images and a target that all reach."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from eva.data import Dataset, load_mini
from eva.grading.checks.rubric import Assignment, load_assignment
from eva.grading.cohort.cohort import Cohort
from eva.grading.cohort.gradebook import Gradebook, make_gradebook
from eva.grading.cohort.journal import Journal, Seal
from eva.grading.cohort.official import OfficialSeeds, facts_of
from eva.grading.cohort.official_work import OfficialWork, official_plan
from eva.grading.cohort.staging import stage
from eva.grading.cohort.terms import Terms
from eva.jobs.engine import Engine
from eva.jobs.plan import Plan, Work

SECRET = b"a secret of the tests"

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


def tiny_assignment() -> Assignment:
    """mnist_8k with a target that every network reaches."""
    whole = load_assignment("mnist_8k")
    return with_numbers(whole, reaches={"accuracy": 5.0}, holds={"accuracy": 5.0, "last_epochs": 1})


def with_numbers(whole: Assignment, **numbers: dict[str, Any]) -> Assignment:
    """The same assignment with other numbers for some of its checks."""
    value = whole.model_dump()
    for name, changed in numbers.items():
        value["checks"][name] |= changed
    return Assignment.model_validate(value)


def tiny_terms(secret: bytes = SECRET) -> Terms:
    return Terms(assignment=tiny_assignment(), secret=secret, allow_tier_c=True)


def tiny_plan(terms: Terms) -> Plan:
    return Plan(
        make="tiny_core:tiny_work", config=terms.to_json(), kinds=official_plan(terms).kinds
    )


def grade_tiny(folder: Path, journal: Path, engine: Engine, terms: Terms) -> Gradebook:
    seeds = OfficialSeeds(terms.assignment, terms.seeds)
    checks = terms.assignment.checks_digest
    with Journal(journal, facts_of(terms), Seal(terms.secret), checks=checks) as opened:
        hand_ins = stage([folder])
        opened.enroll(hand_ins)
        cohort = Cohort(
            hand_ins,
            seeds=seeds,
            journal=opened,
            static_checks=list(terms.assignment.asked(trains=False)),
            engine=engine,
        )
        cohort.run()
        book = make_gradebook(opened.contents, terms.assignment, seeds)
    assert cohort.errors == {}
    return book
