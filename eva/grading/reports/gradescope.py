"""Gradescope's ``results.json`` of one student.

References:
    Gradescope, Autograder Specifications, "Output format".
"""

from __future__ import annotations

import json

from eva.grading.checks.report import ReportRow
from eva.grading.checks.verdict import Status
from eva.grading.cohort.gradebook import Grade, Gradebook, Outcome
from eva.grading.reports import visible
from eva.grading.reports.escape import lines, plain
from eva.json_types import Json


def render(gradebook: Gradebook, grade: Grade) -> str:
    """JSON text: a test a check, one for lateness, and a leaderboard; Gradescope adds the scores.

    A hidden check is there with the visibility ``after_published``; nothing else tells of it.
    """
    tests = [_test(number, row) for number, row in enumerate(grade.report.rows, start=1)]
    value: dict[str, Json] = {
        "output": _output(gradebook, grade),
        "output_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": [*tests, *_late(grade)],
        "leaderboard": _leaderboard(grade),
        "extra_data": {"outcome": grade.outcome.value, "tier": grade.tier, "digest": grade.digest},
    }
    return json.dumps(value, indent=1) + "\n"


def _output(gradebook: Gradebook, grade: Grade) -> str:
    said = [plain(gradebook.assignment.title)]
    reason = visible.reason(grade)
    if grade.outcome is not Outcome.GRADED and reason:
        said.append(f"{grade.outcome.value}: {plain(reason)}")
    return "\n".join(said)


def _late(grade: Grade) -> list[Json]:
    if not grade.lateness.penalty:
        return []
    return [
        {
            "name": f"{grade.lateness.days} days late",
            "score": -grade.lateness.penalty,
            "max_score": 0.0,
            "status": "failed",
            "visibility": "visible",
        }
    ]


def _test(number: int, row: ReportRow) -> Json:
    status = {Status.PASSED: "passed", Status.FAILED: "failed"}.get(row.verdict.status)
    test: dict[str, Json] = {
        "name": row.spec.title,
        "number": str(number),
        "score": float(row.earned),
        "max_score": float(row.spec.points),
        "output": lines(row.explain()),
        "output_format": "text",
        "visibility": "after_published" if row.spec.hidden else "visible",
    }
    if status is not None:
        test["status"] = status
    return test


def _leaderboard(grade: Grade) -> list[Json]:
    board: list[Json] = []
    if grade.median is not None and not visible.hides_training(grade):
        board.append({"name": "lowest of the last epochs, median", "value": grade.median})
    if grade.parameters is not None:
        board.append({"name": "parameters", "value": grade.parameters, "order": "asc"})
    return board
