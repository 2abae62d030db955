"""The summary table of a class in a terminal."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from eva.grading.cohort.gradebook import Gradebook, Outcome
from eva.grading.reports.escape import plain

_STYLES = {
    Outcome.GRADED: "",
    Outcome.NEEDS_REVIEW: "yellow",
    Outcome.REFUSED: "red",
    Outcome.UNFINISHED: "yellow",
}


def summary_table(gradebook: Gradebook) -> Table:
    """One line a student: points, outcome, parameters, accuracy, and what to look at."""
    decisive = gradebook.assignment.decisive
    what = decisive.title if decisive else "the last epoch"
    counts = [f"{gradebook.count(each)} {each.value}" for each in Outcome if gradebook.count(each)]
    table = Table(
        title=f"{plain(gradebook.assignment.name)}: {', '.join(counts)}",
        caption=f"accuracy: what decides ({plain(what)}), median over the seeds",
        box=None,
        header_style="dim",
        title_style="bold",
    )
    for head, side in (
        ("student", "left"),
        ("points", "right"),
        ("outcome", "left"),
        ("parameters", "right"),
        ("accuracy", "right"),
        ("seeds", "right"),
        ("look at", "left"),
    ):
        table.add_column(head, justify="right" if side == "right" else "left")
    for grade in gradebook.grades:
        table.add_row(
            Text(plain(grade.student)),
            f"{grade.score:g}/{gradebook.assignment.points:g}",
            Text(grade.outcome.value, style=_STYLES[grade.outcome]),
            "" if grade.parameters is None else f"{grade.parameters:,}",
            "" if grade.median is None else f"{grade.median:.2f}",
            str(len(grade.trained) or ""),
            Text("; ".join(plain(text) for text in (grade.reason, *grade.flags) if text)),
        )
    return table
