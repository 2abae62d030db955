"""The whole gradebook as JSON; ``docs/guides/instructors.md`` describes the schema."""

from __future__ import annotations

import json

from eva.grading.cohort.gradebook import GRADEBOOK_SCHEMA, Grade, Gradebook, Outcome
from eva.json_types import Json


def render(gradebook: Gradebook) -> str:
    """JSON text with sorted keys; text of students is as it came, in JSON's own escapes."""
    outcomes: dict[str, Json] = {each.value: gradebook.count(each) for each in Outcome}
    value: dict[str, Json] = {
        "schema": GRADEBOOK_SCHEMA,
        "assignment": gradebook.assignment.name,
        "title": gradebook.assignment.title,
        "possible": gradebook.assignment.points,
        "official": gradebook.official,
        "facts": gradebook.facts,
        "outcomes": outcomes,
        "students": [student_json(grade) for grade in gradebook.grades],
    }
    return json.dumps(value, indent=1, sort_keys=True) + "\n"


def student_json(grade: Grade) -> dict[str, Json]:
    """One line of the gradebook as JSON values."""
    checks: list[Json] = [
        {
            "check": row.verdict.check,
            "title": row.spec.title,
            "hidden": row.spec.hidden,
            "status": row.verdict.status.value,
            "points": row.earned,
            "possible": row.spec.points,
            "message": row.verdict.message,
            "details": row.verdict.details,
            "trace": row.verdict.trace,
        }
        for row in grade.report.rows
    ]
    seeds: list[Json] = [
        {"index": t.index, "accuracies": list(t.accuracies), "lowest": t.lowest}
        for t in grade.trained
    ]
    return {
        "student": grade.student,
        "roster": {**grade.roster},
        "source": grade.source,
        "outcome": grade.outcome.value,
        "reason": grade.reason,
        "raw_score": grade.raw,
        "late": {
            "submitted": grade.lateness.submitted,
            "due": grade.lateness.due,
            "days": grade.lateness.days,
            "penalty": grade.lateness.penalty,
        },
        "score": grade.score,
        "parameters": grade.parameters,
        "seeds": seeds,
        "lowest_of_last_epochs": {
            "median": grade.median,
            "mean": grade.mean,
            "minimum": grade.minimum,
        },
        "tier": grade.tier,
        "digest": grade.digest,
        "flags": list(grade.flags),
        "checks": checks,
    }
