"""The totals of a summary in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eva.model_summary.summary import Summary


def totals_line(summary: Summary) -> str:
    """Parameters, multiply-adds and memory."""
    frozen = summary.total_params - summary.trainable_params
    parameters = f"{summary.total_params:,} parameters"
    if frozen:
        parameters += f" ({frozen:,} frozen)"
    memory = (summary.output_bytes + summary.params_bytes) / 1024**2
    return f"{parameters}, {summary.mult_adds:,} multiply-adds an image, about {memory:.2f} MB."
