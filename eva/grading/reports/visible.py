"""What a student may see before grades are published: nothing that hidden checks have found."""

from __future__ import annotations

from eva.grading.checks.report import ReportRow
from eva.grading.checks.rubric import Points, sum_points
from eva.grading.checks.verdict import Status
from eva.grading.cohort.gradebook import Grade, Gradebook


def rows(grade: Grade) -> list[ReportRow]:
    """Checks that are not hidden."""
    return [row for row in grade.report.rows if not row.spec.hidden]


def hides(grade: Grade) -> bool:
    """Whether there are hidden checks."""
    return any(row.spec.hidden for row in grade.report.rows)


def hides_training(grade: Grade) -> bool:
    """Whether accuracies would give a hidden check away."""
    trained = grade.report.assignment.asked(trains=True)
    return any(row.spec.hidden and row.verdict.check in trained for row in grade.report.rows)


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


def possible(gradebook: Gradebook) -> Points:
    """Points that visible checks are worth."""
    checks = gradebook.assignment.checks.values()
    return sum_points(spec.points for spec in checks if not spec.hidden)


def passed(grade: Grade) -> bool:
    """Whether every visible check passed, in time."""
    every = all(row.verdict.status is Status.PASSED for row in rows(grade))
    return every and not grade.lateness.penalty
