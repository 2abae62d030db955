"""The summary as HTML for notebooks and pages: one table, no script, follows the page's colors."""

from __future__ import annotations

from html import escape

from eva.model_summary.columns import TITLES, cell, folded_rows, marks_in
from eva.model_summary.result import Format, Summary, renderer
from eva.model_summary.rows import Row

STYLE = """
.eva-summary{border-collapse:collapse;font-size:.85em;color:inherit}
.eva-summary th,.eva-summary td{padding:.15em .7em;text-align:right;border:0}
.eva-summary th:first-child,.eva-summary td:first-child{text-align:left;white-space:nowrap}
.eva-summary thead th{border-bottom:1px solid currentColor}
.eva-summary .container{opacity:.7}
.eva-summary-scroll{overflow-x:auto}
""".strip()


@renderer(Format.HTML)
def render(summary: Summary, _width: int, _color: bool) -> str:
    """A ``<div>`` with its style; everything a model named is escaped."""
    head = "".join(f"<th scope='col'>{TITLES[column]}</th>" for column in summary.columns)
    shown = summary.shown
    body = "".join(
        _row(row, summary, folded) for row, folded in zip(shown, folded_rows(shown), strict=True)
    )
    lines = [summary.totals_line, *summary.notes, *marks_in(summary.shown)]
    return (
        f"<div class='eva-summary-scroll' tabindex='0'><style>{STYLE}</style>"
        f"<table class='eva-summary'><thead><tr><th scope='col'>Layer</th>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
        f"<p>{'<br>'.join(escape(line) for line in lines)}</p></div>"
    )


def _row(row: Row, summary: Summary, folded: bool) -> str:
    kind = "" if row.leaf or folded else " class='container'"
    cells = "".join(
        f"<td>{escape(cell(row, column, folded=folded))}</td>" for column in summary.columns
    )
    name = row.name.rpartition(":" if row.operation else ".")[2] or summary.model_name
    type_name = f" <em>{escape(row.type)}</em>" if row.name and name != row.type else ""
    label = f"<td style='padding-left:{row.depth * 1.2:.1f}em'>{escape(name)}{type_name}</td>"
    return f"<tr{kind}>{label}{cells}</tr>"
