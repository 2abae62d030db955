"""Feedback for one student: what held, what did not and why, and the curves of every seed."""

from __future__ import annotations

from eva.grading.checks.report import Row
from eva.grading.checks.verdict import Status
from eva.grading.cohort.gradebook import Grade, Gradebook, Outcome
from eva.grading.reports import visible
from eva.grading.reports.escape import html_text
from eva.grading.reports.page import curves, page, table


def render(gradebook: Gradebook, grade: Grade) -> str:
    """HTML text; a hidden check shows that it exists, and no more, and so do the curves with it."""
    said = ", hidden checks not counted" if visible.hides(grade) else ""
    reason = visible.reason(grade)
    body = [
        f"<h1>{html_text(gradebook.assignment.title)}</h1>",
        f"<p><b>{html_text(grade.student)}</b>: {visible.score(grade):g} of "
        f"{visible.possible(gradebook)} points{said}</p>",
    ]
    if grade.outcome is not Outcome.GRADED and reason:
        body.append(
            f'<p class="{grade.outcome.value}">{grade.outcome.value}: {html_text(reason)}</p>'
        )
    if grade.lateness.days:
        body.append(
            f"<p>{grade.lateness.days} days late: {grade.lateness.penalty:g} points are taken "
            f"off. Due {html_text(grade.lateness.due)}, handed in "
            f"{html_text(grade.lateness.submitted)}.</p>"
        )
    rows = [_cells(row) for row in grade.report.rows]
    body.append(table(["check", "points", "status", ""], rows, numbers=[1]))
    if grade.trained and not visible.hides_training(grade):
        body += _trainings(gradebook, grade)
    return page(f"{gradebook.assignment.name}: {grade.student}", body)


def _cells(row: Row) -> list[str]:
    if row.spec.hidden:
        return [html_text(row.spec.title), f"?/{row.spec.points}", "hidden", "published later"]
    status = row.verdict.status
    text = row.verdict.message if status is Status.PASSED else row.explain()
    return [
        html_text(row.spec.title),
        html_text(row.score),
        f'<span class="{status.value}">{status.value}</span>',
        f"<pre>{html_text(text)}</pre>",
    ]


def _trainings(gradebook: Gradebook, grade: Grade) -> list[str]:
    limits = gradebook.assignment.network_limits()
    assert grade.median is not None and grade.minimum is not None, "there are trainings"
    series = [(f"seed {t.index + 1}", t.accuracies) for t in grade.trained]
    rows = [
        [
            str(t.index + 1),
            f"{max(t.accuracies, default=0.0):.2f}",
            ", ".join(f"{value:.2f}" for value in t.accuracies[-limits.last_epochs :]),
            f"{t.lowest:.2f}",
        ]
        for t in grade.trained
    ]
    distance = grade.median - limits.accuracy
    return [
        f"<h2>{len(grade.trained)} trainings, each with a seed of its own</h2>",
        curves(series, limits.accuracy),
        table(["seed", "best, %", f"last {limits.last_epochs}, %", "lowest, %"], rows, [1, 3]),
        f"<p>The median of the lowest is {grade.median:.2f} %, {abs(distance):.2f} points "
        f"{'above' if distance >= 0 else 'below'} {limits.accuracy:g} %; their mean is "
        f"{grade.mean:.2f} %, the minimum {grade.minimum:.2f} %. The standard error of one test "
        "on 10,000 images is about 0.08 points.</p>",
    ]
