"""The summary as a markdown table."""

from __future__ import annotations

from eva.model_summary.columns import TITLES, cell, folded_rows, marks_in
from eva.model_summary.result import Format, Summary, renderer
from eva.model_summary.rows import Row


@renderer(Format.MARKDOWN)
def render(summary: Summary, _width: int, _color: bool) -> str:
    """A table with a header, the totals below it."""
    lines = [
        "| layer | " + " | ".join(TITLES[column] for column in summary.columns) + " |",
        "|---|" + "--:|" * len(summary.columns),
    ]
    shown = summary.shown
    for row, folded in zip(shown, folded_rows(shown), strict=True):
        cells = (cell(row, column, folded=folded) for column in summary.columns)
        lines.append(f"| {_label(row, summary.model_name)} | " + " | ".join(cells) + " |")
    lines += ["", summary.totals_line, *summary.notes, *marks_in(summary.shown)]
    return "\n".join(lines) + "\n"


def _label(row: Row, model_name: str) -> str:
    if not row.name:
        return f"**{model_name}**"
    return f"{'&emsp;' * (row.depth - 1)}`{row.name}` {row.type}"
