"""Lateness: from two dates, or an instructor's number of days, to points."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from eva.grading.checks.rubric import Assignment
from eva.grading.cohort.roster import parse_date

_DAY = 24 * 3600.0  # seconds


@dataclass(frozen=True, kw_only=True)
class Lateness:
    """When something was handed in.

    Attributes:
        submitted: ISO 8601; empty where unknown.
        due: Likewise.
        days: Late, begun days counting whole, grace taken off; 0 in time or where unknown.
        penalty: Points to take off.
    """

    submitted: str = ""
    due: str = ""
    days: int = 0
    penalty: float = 0.0


def lateness(roster: dict[str, Any] | None, assignment: Assignment, raw: float) -> Lateness:
    """What the assignment's policy takes from ``raw`` points.

    Args:
        roster: Line of the student, as JSON; None without one.
        assignment: With its policy; without one lateness is shown and costs nothing.
        raw: Points that the submission earned; no more than these are taken.
    """
    line = roster or {}
    policy = assignment.late
    submitted, due = line.get("submitted", ""), line.get("due", "")
    if not due and policy is not None and policy.due is not None:
        due = parse_date(policy.due.isoformat(), assignment.zone).isoformat()
    grace = policy.grace_minutes * 60 if policy is not None else 0.0
    days = 0
    if line.get("late") is not None:
        days = math.ceil(line["late"])
    elif submitted and due:
        late = (parse_date(submitted) - parse_date(due)).total_seconds()
        days = math.ceil((late - grace) / _DAY) if late > grace else 0
    penalty = 0.0
    if policy is not None and days:
        penalty = assignment.points * policy.percent_per_day / 100 * days
        if days > policy.maximum_days:
            penalty = raw
    return Lateness(submitted=submitted, due=due, days=days, penalty=round(min(penalty, raw), 2))
