"""JSON as ``check50 --output json`` writes it: a result a check, with rationale and help.

References:
    CS50, check50: ``check50/runner.py`` (CheckResult) and ``check50/_api.py`` (Failure.payload).
"""

from __future__ import annotations

import json

from eva.grading.checks.report import ReportRow
from eva.grading.checks.verdict import Status
from eva.grading.cohort.gradebook import Grade, Gradebook
from eva.grading.reports import visible
from eva.grading.reports.escape import lines, plain
from eva.json_types import Json

_PASSED = {Status.PASSED: True, Status.FAILED: False}


def render(gradebook: Gradebook, grade: Grade) -> str:
    """JSON text; ``passed`` is null where a check was skipped or waits for a person."""
    value: dict[str, Json] = {
        "slug": gradebook.assignment.name,
        "results": [_result(row) for row in visible.rows(grade)],
        "version": "3",
    }
    reason = visible.reason(grade)
    if reason:
        value["error"] = {
            "type": grade.outcome.value,
            "value": plain(reason),
            "traceback": [],
            "data": {},
        }
    return json.dumps(value, indent=1) + "\n"


def _result(row: ReportRow) -> Json:
    passed = _PASSED.get(row.verdict.status)
    cause: Json = None
    if passed is not True:
        asks = row.verdict.status is Status.FAILED and row.spec.hints
        help_ = row.spec.hints[0] if asks else None
        cause = {"rationale": lines(row.verdict.message), "help": help_}
    return {
        "name": row.verdict.check,
        "description": row.spec.title,
        "passed": passed,
        "log": [plain(line) for line in (row.verdict.trace or "").splitlines()],
        "cause": cause,
        "data": {"points": row.earned, "possible": row.spec.points},
        "dependency": None,
    }
