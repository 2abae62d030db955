"""The summary for machines: JSON and CSV, always with every row and every key."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eva.model_summary.summary import Summary


def render_json(summary: Summary) -> str:
    """Totals and rows; sizes are lists without batch, fractions are floats."""
    value = {
        "model": summary.model_name,
        "input_sizes": {name: list(size) for name, size in summary.input_sizes.items()},
        "total_params": summary.total_params,
        "trainable_params": summary.trainable_params,
        "mult_adds": summary.mult_adds,
        "notes": list(summary.notes),
        "rows": [row.to_json() for row in summary.rows],
    }
    return json.dumps(value, indent=1) + "\n"


def render_csv(summary: Summary) -> str:
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
