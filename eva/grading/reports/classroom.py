"""The result that GitHub Classroom's autograding runners hand to its reporter.

A runner's output ``result`` is this JSON in base64; ``docs/guides/instructors.md`` has a workflow.

References:
    GitHub, classroom-resources/autograding-command-grader and autograding-grading-reporter.
"""

from __future__ import annotations

import json

from eva.grading.checks.report import ReportRow
from eva.grading.checks.verdict import Status
from eva.grading.cohort.gradebook import Grade, Gradebook, Outcome
from eva.grading.reports import visible
from eva.grading.reports.escape import lines, plain
from eva.json_types import Json

_STATUS = {Status.PASSED: "pass", Status.FAILED: "fail"}


def render(gradebook: Gradebook, grade: Grade) -> str:
    """JSON text: version, status, max_score and a test a check; hidden checks are left out."""
    if grade.outcome in (Outcome.REFUSED, Outcome.UNFINISHED):
        tests: list[Json] = [_entry("graded", "error", 0.0, plain(grade.reason))]
        status = "error"
    else:
        tests = [_test(row) for row in visible.rows(grade)]
        if grade.lateness.penalty:
            late = f"{grade.lateness.days} days late"
            tests.append(_entry("late", "fail", -grade.lateness.penalty, late))
        status = "pass" if visible.passed(grade) else "fail"
    value: dict[str, Json] = {
        "version": 1,
        "status": status,
        "max_score": visible.possible(gradebook),
        "tests": tests,
    }
    return json.dumps(value, indent=1) + "\n"


def _test(row: ReportRow) -> Json:
    status = _STATUS.get(row.verdict.status, "error")
    return _entry(row.spec.title, status, float(row.earned), lines(row.explain()))


def _entry(name: str, status: str, score: float, message: str) -> Json:
    return {
        "name": name,
        "status": status,
        "score": score,
        "message": message,
        "test_code": "",
        "filename": "",
        "line_no": 0,
    }
