"""The extended summary: parameters, sizes and receptive fields of every layer.

``eva.summary(model, (1, 28, 28))`` calls this module: it is a room and a function at once, so
that ``eva.summary`` means the same whatever was imported before.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from eva.summary.columns import Column
from eva.summary.rows import Row
from eva.summary.sizes import format_size, parse_size
from eva.summary.table import Format, ModelForwardError, Summary, summary

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


class _Callable(ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Summary:
        return summary(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
