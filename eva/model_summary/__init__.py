"""The extended summary: parameters, sizes and receptive fields of every layer."""

from eva.model_summary.columns import Column
from eva.model_summary.rows import Row
from eva.model_summary.sizes import format_size, parse_size
from eva.model_summary.summary import Format, ModelForwardError, Summary, summary

__all__ = [
    "Column",
    "Format",
    "ModelForwardError",
    "Row",
    "Summary",
    "format_size",
    "parse_size",
    "summary",
]
