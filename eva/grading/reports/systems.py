"""Gradebooks as course systems import them: Canvas, Moodle and Brightspace.

Only what is graded has points in them: what waits for a person, or was not handed in, is left
empty, so that an import changes nothing there. Columns that the system's own export has, and that
came in with the roster, go out as they came.

References:
    Canvas, "How do I import grades in the Gradebook?" (Student, ID, SIS User ID, SIS Login ID,
    Section, then a column an assignment; "Points Possible"). Moodle, Assignment "Upload grading
    worksheet" (Identifier, Full name, Email address, Grade, Feedback comments; UTF-8). Brightspace,
    "Import grades" (OrgDefinedId or Username, NAME Points Grade, End-of-Line Indicator; UTF-8).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from eva.grading.cohort.gradebook import Grade, Gradebook, Outcome
from eva.grading.reports import visible
from eva.grading.reports.escape import csv_cell, plain


def canvas(gradebook: Gradebook) -> str:
    """CSV text for Canvas's gradebook."""
    heads = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]
    title = _column(gradebook, heads) or gradebook.assignment.title
    possible = f"{gradebook.assignment.points:g}"
    rows: list[list[str]] = [["    Points Possible", "", "", "", "", possible]]
    for grade in gradebook.grades:
        came = grade.columns
        own = [came.get(head, "") for head in heads]
        own[0] = own[0] or _full_name(grade, last_first=True)
        own[1] = own[1] or grade.student
        rows.append([*map(csv_cell, own), _points(grade)])
    return _csv([*heads, title], rows)


def moodle(gradebook: Gradebook) -> str:
    """CSV text for a Moodle assignment's grading worksheet."""
    heads = ["Identifier", "Full name", "Email address", "Grade", "Maximum Grade"]
    rows = []
    for grade in gradebook.grades:
        came = grade.columns
        id_ = f"Participant {grade.student}" if grade.student.isdecimal() else grade.student
        rows.append(
            [
                csv_cell(came.get("Identifier") or id_),
                csv_cell(came.get("Full name") or _full_name(grade)),
                csv_cell(came.get("Email address") or grade.roster["email"]),
                _points(grade),
                f"{gradebook.assignment.points:.2f}",
                csv_cell(_comment(grade)),
            ]
        )
    return _csv([*heads, "Feedback comments"], rows)


def brightspace(gradebook: Gradebook) -> str:
    """CSV text for Brightspace's grade book."""
    title = f"{gradebook.assignment.title} Points Grade"
    by_id = all(grade.columns.get("OrgDefinedId") for grade in gradebook.grades)
    head = "OrgDefinedId" if by_id else "Username"
    rows = []
    for grade in gradebook.grades:
        known = grade.columns.get(head) or grade.student
        rows.append([f"#{plain(known.lstrip('#'))}", _points(grade), "#"])
    return _csv([head, title, "End-of-Line Indicator"], rows)


def _column(gradebook: Gradebook, heads: Sequence[str]) -> str:
    """Canvas's own name of the assignment, where the roster has one column that can be it."""
    others = {
        name
        for grade in gradebook.grades
        for name in grade.columns
        if name not in heads and name.endswith(")") and name.rpartition(" (")[2][:-1].isdecimal()
    }
    return others.pop() if len(others) == 1 else ""


def _points(grade: Grade) -> str:
    return f"{grade.score:g}" if grade.outcome is Outcome.GRADED else ""


def _comment(grade: Grade) -> str:
    """What held and what did not; nothing of a hidden check."""
    if grade.outcome is not Outcome.GRADED:
        return visible.reason(grade)
    rows = [f"{row.spec.title}: {row.score}" for row in visible.rows(grade) if row.spec.points]
    late = [f"late: -{grade.lateness.penalty:g}"] if grade.lateness.penalty else []
    return "; ".join([*rows, *late])


def _full_name(grade: Grade, *, last_first: bool = False) -> str:
    first, last = grade.roster["first_name"], grade.roster["last_name"]
    if last_first:
        return f"{last}, {first}" if last and first else last or first or grade.student
    return f"{first} {last}".strip() or grade.student


def _csv(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(map(plain, heads))
    writer.writerows(rows)
    return out.getvalue()
