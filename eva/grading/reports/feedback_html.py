"""Feedback for one student: what held, what did not and why, and the curves of every seed."""

from __future__ import annotations

from eva.grading.cohort.gradebook import Grade, Gradebook, Outcome
from eva.grading.reports import visible
from eva.grading.reports.drawings import accuracy_curves
from eva.grading.reports.page import render_page


def render(gradebook: Gradebook, grade: Grade) -> str:
    """HTML text; a hidden check shows that it exists, and no more, and so do the curves with it."""
    decisive = gradebook.assignment.decisive
    drawing = None
    if grade.trained and not visible.hides_training(grade):
        series = [(f"seed {t.index + 1}", t.accuracies) for t in grade.trained]
        drawing = accuracy_curves(series, decisive.target if decisive else 0.0)
    return render_page(
        "feedback.html",
        book=gradebook,
        grade=grade,
        score=visible.score(grade),
        possible=visible.possible(gradebook),
        hides=visible.hides(grade),
        reason="" if grade.outcome is Outcome.GRADED else visible.reason(grade),
        target=decisive.target if decisive else None,
        words=decisive.check.words if decisive else "last",
        last=int(decisive.numbers.get("last_epochs", 1)) if decisive else 1,
        curves=drawing,
    )
