"""The summary as CSV, always with every row and every key."""

from __future__ import annotations

import csv
import io

from eva.model_summary.result import Format, Summary, renderer


@renderer(Format.CSV)
def render(summary: Summary, _width: int, _color: bool) -> str:
    """A line a row; sizes as 1x28x28, the field's parts in columns of their own."""
    out = io.StringIO()
    writer: csv.DictWriter[str] | None = None
    for row in summary.rows:
        value = row.to_json()
        field = value.pop("rf") or {}
        for key in ("size", "jump", "padding", "start", "density", "status"):
            value[f"rf_{key}"] = field.get(key)
        flat = {key: _text(item) for key, item in value.items()}
        if writer is None:
            writer = csv.DictWriter(out, list(flat), lineterminator="\n")
            writer.writeheader()
        writer.writerow(flat)
    return out.getvalue()


def _text(value: object) -> object:
    if isinstance(value, list):
        return "x".join(f"{item:g}" if isinstance(item, float) else str(item) for item in value)
    return "" if value is None else value
