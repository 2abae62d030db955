"""The summary as CSV, always with every row."""

from __future__ import annotations

import csv
import io

from eva.model_summary.result import Format, Summary, renderer


@renderer(Format.CSV)
def render(summary: Summary, _width: int, _color: bool) -> str:
    """A line a row; sizes as 1x28x28, the field's parts in columns of their own."""
    records = summary.flat_records()
    out = io.StringIO()
    if records:
        writer = csv.DictWriter(out, list(records[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: _text(v) for k, v in record.items()} for record in records)
    return out.getvalue()


def _text(value: object) -> object:
    if isinstance(value, (list, tuple)):
        return "x".join(f"{item:g}" if isinstance(item, float) else str(item) for item in value)
    return "" if value is None else value
