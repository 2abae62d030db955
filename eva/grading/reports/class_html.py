"""The class on one page: how points are spread, the smallest networks, and whom to look at."""

from __future__ import annotations

from eva.grading.cohort.gradebook import Grade, Gradebook, Outcome
from eva.grading.reports.escape import html_text
from eva.grading.reports.page import bars, page, table

_BOARD = 20  # lines of the leaderboard


def render(gradebook: Gradebook) -> str:
    """HTML text for the instructor; hidden checks count and are shown."""
    grades = gradebook.grades
    outcomes = ", ".join(
        f"{gradebook.count(each)} {each.value}" for each in Outcome if gradebook.count(each)
    )
    body = [
        f"<h1>{html_text(gradebook.assignment.title)}</h1>",
        f"<p>{len(grades)} submissions: {outcomes}.</p>",
        "<h2>Points</h2>",
        bars(_distribution(gradebook), "How many students have how many points"),
        "<h2>Smallest networks that passed</h2>",
        _leaderboard(grades),
        "<h2>To look at</h2>",
        _flagged(grades),
        "<h2>Everybody</h2>",
        table(
            ["student", "score", "outcome", "parameters", "median, %", "lowest, %", "tier"],
            [_line(grade, gradebook.assignment.points) for grade in grades],
            [1, 3, 4, 5],
        ),
        "<h2>How it was graded</h2>",
        table(
            ["what", "value"],
            [
                [html_text(name), html_text(str(value))]
                for name, value in sorted(gradebook.facts.items())
            ],
        ),
    ]
    return page(f"{gradebook.assignment.name}: the class", body)


def _distribution(gradebook: Gradebook) -> list[tuple[str, int]]:
    """Students by whole points, rounded down."""
    counts = [0] * (gradebook.assignment.points + 1)
    for grade in gradebook.grades:
        if grade.outcome in (Outcome.GRADED, Outcome.NEEDS_REVIEW):
            counts[int(max(grade.score, 0))] += 1
    return [(str(points), count) for points, count in enumerate(counts)]


def _leaderboard(grades: tuple[Grade, ...]) -> str:
    passed = [
        (grade.parameters, -(grade.median or 0.0), grade.student, grade)
        for grade in grades
        if grade.report.passed and grade.parameters is not None
    ]
    if not passed:
        return "<p>Nobody has passed every check.</p>"
    rows = [
        [
            str(place),
            html_text(grade.student),
            f"{parameters:,}",
            f"{-median:.2f}",
        ]
        for place, (parameters, median, _, grade) in enumerate(sorted(passed)[:_BOARD], start=1)
    ]
    return table(["", "student", "parameters", "median, %"], rows, [0, 2, 3])


def _flagged(grades: tuple[Grade, ...]) -> str:
    rows = []
    for grade in grades:
        why = [html_text(flag) for flag in grade.flags]
        if grade.reason:
            kind = grade.outcome.value
            why.insert(0, f'<span class="{kind}">{kind}: {html_text(grade.reason)}</span>')
        if why:
            rows.append([html_text(grade.student), "<br/>".join(why)])
    return table(["student", "why"], rows) if rows else "<p>Nothing.</p>"


def _line(grade: Grade, possible: int) -> list[str]:
    late = f" ({grade.lateness.days} d late)" if grade.lateness.days else ""
    return [
        html_text(grade.student),
        f"{grade.score:g}/{possible}{late}",
        f'<span class="{grade.outcome.value}">{grade.outcome.value}</span>',
        "" if grade.parameters is None else f"{grade.parameters:,}",
        "" if grade.median is None else f"{grade.median:.2f}",
        "" if grade.minimum is None else f"{grade.minimum:.2f}",
        html_text(grade.tier),
    ]
