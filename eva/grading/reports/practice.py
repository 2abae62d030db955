"""Practice grades in the formats of official ones: one seed, no sandbox, and it says so."""

from __future__ import annotations

from collections.abc import Sequence

from eva.grading.checks.report import Report
from eva.grading.checks.verdict import Status
from eva.grading.cohort.gradebook import Grade, Gradebook, Outcome, Trained, trained_of
from eva.grading.cohort.late import Lateness


def practice_gradebook(reports: Sequence[Report]) -> Gradebook:
    """Gradebook of practice reports, all by the same assignment.

    Args:
        reports: At least one.
    """
    return Gradebook(
        assignment=reports[0].assignment,
        grades=tuple(map(_grade, reports)),
        facts={"mode": "practice: one seed that everybody knows, no sandbox"},
        official=False,
    )


def _grade(report: Report) -> Grade:
    open_ = [row for row in report.rows if row.verdict.status is Status.NEEDS_REVIEW]
    outcome, reason = Outcome.GRADED, ""
    if open_:
        outcome, reason = Outcome.NEEDS_REVIEW, open_[0].verdict.message.splitlines()[0]
    elif report.outside is not None:
        outcome, reason = Outcome.UNFINISHED, report.outside
    return Grade(
        student=report.submission,
        source=report.submission,
        outcome=outcome,
        reason=reason,
        report=report,
        lateness=Lateness(),
        trained=_trained(report),
        parameters=report.run.parameters if report.run else None,
        roster={"first_name": "", "last_name": "", "email": ""},
    )


def _trained(report: Report) -> tuple[Trained, ...]:
    if report.run is None or not report.run.rows:
        return ()
    accuracies = tuple(row.test_accuracy for row in report.run.rows)
    return (trained_of(report.run.seed, accuracies, report.assignment),)
