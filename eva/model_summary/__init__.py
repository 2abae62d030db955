"""The extended summary: parameters, sizes and receptive fields of every layer."""

from eva.model_summary.columns import Column, format_size, parse_dtypes, parse_size
from eva.model_summary.result import Format, Summary
from eva.model_summary.rows import Row
from eva.model_summary.summary import ModelForwardError, summary

__all__ = [
    "Column",
    "Format",
    "ModelForwardError",
    "Row",
    "Summary",
    "format_size",
    "parse_dtypes",
    "parse_size",
    "summary",
]
