"""What a student may see before grades are published: nothing that hidden checks have found."""

from __future__ import annotations

from eva.grading.checks.report import Row
from eva.grading.checks.verdict import Status
from eva.grading.cohort.gradebook import Grade, Gradebook

_OF_TRAINING = ("reaches", "holds")


def rows(grade: Grade) -> list[Row]:
    """Checks that are not hidden."""
    return [row for row in grade.report.rows if not row.spec.hidden]


def hides(grade: Grade) -> bool:
    """Whether there are hidden checks."""
    return any(row.spec.hidden for row in grade.report.rows)


def hides_training(grade: Grade) -> bool:
    """Whether accuracies would give a hidden check away."""
    return any(row.spec.hidden and row.verdict.check in _OF_TRAINING for row in grade.report.rows)


def reason(grade: Grade) -> str:
    """Why a person must look, unless a hidden check is why."""
    found = [
        row.verdict.message.split("\n")[0]
        for row in grade.report.rows
        if row.spec.hidden and row.verdict.status is Status.NEEDS_REVIEW
    ]
    return "" if grade.reason in found else grade.reason


def score(grade: Grade) -> float:
    """Points of visible checks, lateness taken off."""
    return round(max(sum(row.earned for row in rows(grade)) - grade.lateness.penalty, 0.0), 2)


def possible(gradebook: Gradebook) -> int:
    """Points that visible checks are worth."""
    return sum(spec.points for spec in gradebook.assignment.checks.values() if not spec.hidden)


def passed(grade: Grade) -> bool:
    """Whether every visible check passed, in time."""
    every = all(row.verdict.status is Status.PASSED for row in rows(grade))
    return every and not grade.lateness.penalty
