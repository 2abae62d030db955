"""The class on one page: how points are spread, the smallest networks, and whom to look at."""

from __future__ import annotations

from collections import Counter

from eva.grading.checks.verdict import Status
from eva.grading.cohort.cohort import seconds_in_words
from eva.grading.cohort.gradebook import Grade, Gradebook, Outcome
from eva.grading.reports.drawings import bars
from eva.grading.reports.page import render_page

_BOARD = 20  # lines of the leaderboard


def render(gradebook: Gradebook) -> str:
    """HTML text for the instructor; hidden checks count and are shown."""
    counts = [f"{gradebook.count(each)} {each.value}" for each in Outcome if gradebook.count(each)]
    return render_page(
        "class.html",
        book=gradebook,
        outcomes=", ".join(counts),
        distribution=bars(_distribution(gradebook), "How many students have how many points"),
        leaders=_leaders(gradebook.grades),
        failed=_failed(gradebook),
        alike=_alike(gradebook.grades),
        took=None if gradebook.seconds is None else seconds_in_words(gradebook.seconds),
        look_at=[grade for grade in gradebook.grades if grade.reason or grade.flags],
    )


def _distribution(gradebook: Gradebook) -> list[tuple[str, int]]:
    """Students by whole points, rounded down."""
    counts = [0] * (int(gradebook.assignment.points) + 1)
    for grade in gradebook.grades:
        if grade.outcome in (Outcome.GRADED, Outcome.NEEDS_REVIEW):
            counts[int(max(grade.score, 0))] += 1
    return [(str(points), count) for points, count in enumerate(counts)]


def _failed(gradebook: Gradebook) -> list[tuple[str, int]]:
    """Checks by how many submissions fail them, most first."""
    count = Counter(
        row.spec.title
        for grade in gradebook.grades
        for row in grade.report.rows
        if row.verdict.status is Status.FAILED
    )
    return count.most_common()


def _alike(grades: tuple[Grade, ...]) -> list[list[str]]:
    """Groups of students whose networks do the same operations, largest first."""
    groups: dict[str, list[str]] = {}
    for grade in grades:
        if grade.structure:
            groups.setdefault(grade.structure, []).append(grade.student)
    return sorted((each for each in groups.values() if len(each) > 1), key=lambda g: (-len(g), g))


def _leaders(grades: tuple[Grade, ...]) -> list[Grade]:
    """Who passed with the fewest parameters, then with the best median."""
    passed = [
        (grade.parameters, -(grade.median or 0.0), grade.student, grade)
        for grade in grades
        if grade.report.passed and grade.parameters is not None
    ]
    return [grade for *_, grade in sorted(passed, key=lambda row: row[:3])[:_BOARD]]
