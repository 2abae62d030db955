"""Markdown for a workflow's summary page (``$GITHUB_STEP_SUMMARY``)."""

from __future__ import annotations

from eva.grading.cohort.gradebook import Grade, Gradebook, Outcome
from eva.grading.reports.escape import markdown


def render(gradebook: Gradebook) -> str:
    """A table with one line a student; hidden checks are left out of it."""
    shown = [spec for spec in gradebook.assignment.checks.values() if not spec.hidden]
    heads = ["student", "score", "outcome", "parameters", "median", *(s.title for s in shown)]
    out = [
        f"## {markdown(gradebook.assignment.title)}",
        "",
        ", ".join(
            f"{gradebook.count(outcome)} {outcome.value}"
            for outcome in Outcome
            if gradebook.count(outcome)
        ),
        "",
        _line([markdown(head) for head in heads]),
        _line(["---"] * len(heads)),
        *(_line(_cells(gradebook, grade)) for grade in gradebook.grades),
        "",
    ]
    for grade in gradebook.grades:
        for text in (grade.reason, *grade.flags):
            if text:
                out.append(f"- {markdown(grade.student)}: {markdown(text)}")
    return "\n".join(out).rstrip() + "\n"


def _cells(gradebook: Gradebook, grade: Grade) -> list[str]:
    statuses = [row.verdict.status.value for row in grade.report.rows if not row.spec.hidden]
    parameters = "" if grade.parameters is None else f"{grade.parameters:,}"
    median = "" if grade.median is None else f"{grade.median:.2f} %"
    score = f"{grade.score:g}/{gradebook.assignment.points:g}"
    return [markdown(grade.student), score, grade.outcome.value, parameters, median, *statuses]


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
