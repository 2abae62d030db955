"""The summary as JSON, always with every row and every key."""

from __future__ import annotations

import json

from eva.model_summary.result import Format, Summary, renderer


@renderer(Format.JSON)
def render(summary: Summary, _width: int, _color: bool) -> str:
    """Totals and rows; sizes are lists without batch, fractions are floats."""
    value = {
        "model": summary.model_name,
        "input_sizes": {name: list(size) for name, size in summary.input_sizes.items()},
        "total_params": summary.total_params,
        "trainable_params": summary.trainable_params,
        "mult_adds": summary.mult_adds,
        "notes": list(summary.notes),
        "rows": summary.records(),
    }
    return json.dumps(value, indent=1) + "\n"
