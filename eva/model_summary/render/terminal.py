"""The summary for a terminal: a tree, and a bar for each layer's share of the parameters."""

from __future__ import annotations

import io

from rich.console import Console
from rich.table import Table
from rich.text import Text

from eva.model_summary.columns import TITLES, Column, cell, folded_rows, marks_in
from eva.model_summary.result import Format, Summary, renderer
from eva.model_summary.rows import Row

BAR = 8  # characters of a full bar
# Columns leave in this order where the terminal is too narrow for all of them.
LEAVE_FIRST = (Column.JUMP, Column.MULT_ADDS, Column.INPUT)


@renderer(Format.RICH)
def render(summary: Summary, width: int, color: bool) -> str:
    """The table as text, at most ``width`` characters wide; terminal colors where wanted."""
    columns = list(summary.columns)
    bar = True
    for leaving in (None, "bar", *LEAVE_FIRST):
        if leaving == "bar":
            bar = False
        elif leaving in columns:
            columns.remove(leaving)  # type: ignore[arg-type]
        table = _table(summary, columns, bar)
        if Console(width=1000, file=io.StringIO()).measure(table).maximum <= width:
            break
    out = io.StringIO()
    console = Console(
        file=out, width=width, force_terminal=color, color_system="standard" if color else None
    )
    console.print(table)
    for line in (summary.totals_line, *summary.notes, *marks_in(summary.shown)):
        console.print(line, highlight=False, markup=False)
    lines = out.getvalue().splitlines()
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _table(summary: Summary, columns: list[Column], bar: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", collapse_padding=True)
    table.add_column("Layer", no_wrap=True, overflow="ellipsis")
    for column in columns:
        table.add_column(TITLES[column], justify="right", no_wrap=True)
    if bar:
        table.add_column("Share", no_wrap=True)
    shown = summary.shown
    for row, folded in zip(shown, folded_rows(shown), strict=True):
        style = "" if row.leaf or folded else "dim"
        cells = [Text(cell(row, column, folded=folded)) for column in columns]
        shares = [Text(_bar(row, summary, folded), style="cyan")] if bar else []
        table.add_row(_label(row, summary.model_name), *cells, *shares, style=style)
    return table


def _label(row: Row, model_name: str) -> Text:
    own = row.name.rpartition(":" if row.operation else ".")[2]
    if not row.name:
        return Text(model_name, style="bold")
    label = Text("  " * row.depth + own)
    if own != row.type:
        label.append(f" {row.type}", style="green" if not row.operation else "magenta")
    return label


def _bar(row: Row, summary: Summary, folded: bool) -> str:
    params = row.params if row.leaf or folded else row.own_params
    if not params or not summary.total_params:
        return ""
    eighths = max(1, round(8 * BAR * params / summary.total_params))
    full, part = divmod(eighths, 8)
    return "█" * full + " ▏▎▍▌▋▊▉"[part].strip()
