"""The gradebook as CSV: nbgrader's eleven columns under nbgrader's names, then ours.

References:
    nbgrader, ``nbgrader/plugins/export.py``, CsvExportPlugin.
"""

from __future__ import annotations

import csv
import io

from eva.grading.cohort.gradebook import Grade, Gradebook
from eva.grading.reports.escape import csv_cell

NBGRADER = (
    "assignment", "duedate", "timestamp", "student_id", "last_name", "first_name", "email",
    "raw_score", "late_submission_penalty", "score", "max_score",
)  # fmt: skip
OURS = ("outcome", "reason", "parameters", "median", "minimum", "seeds", "tier", "flags", "source")


def render(gradebook: Gradebook) -> str:
    """CSV text; a cell that a spreadsheet would run as a formula starts with an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    checks = list(gradebook.assignment.checks)
    writer.writerow([*NBGRADER, *OURS, *checks])
    for grade in gradebook.grades:
        writer.writerow([_cell(value) for value in _values(gradebook, grade)])
    return out.getvalue()


def _values(gradebook: Gradebook, grade: Grade) -> list[str | float | None]:
    return [
        gradebook.assignment.name,
        grade.lateness.due,
        grade.lateness.submitted,
        grade.student,
        grade.roster["last_name"],
        grade.roster["first_name"],
        grade.roster["email"],
        grade.raw,
        grade.lateness.penalty,
        grade.score,
        float(gradebook.assignment.points),
        grade.outcome.value,
        grade.reason,
        grade.parameters,
        grade.median,
        grade.minimum,
        len(grade.trained),
        grade.tier,
        "; ".join(grade.flags),
        grade.source,
        *(row.verdict.status.value for row in grade.report.rows),
    ]


def _cell(value: str | float | None) -> str:
    if value is None:
        return ""
    return csv_cell(value) if isinstance(value, str) else f"{value:g}"
