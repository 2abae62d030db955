"""A summary: rows and totals, shown in any of six formats.

A format is one function under ``render/``, registered with :func:`renderer`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from eva.errors import EvaError, InputSizeError
from eva.model_summary.columns import DEFAULT_COLUMNS, Column
from eva.model_summary.rows import Row


class Format(StrEnum):
    """How a summary can be shown."""

    CLASSIC = "classic"
    RICH = "rich"
    MARKDOWN = "markdown"
    HTML = "html"
    JSON = "json"
    CSV = "csv"


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What every layer of a model gets, gives, holds and sees.

    Printing it shows the classic table; a notebook shows it as HTML.

    Attributes:
        model_name: Class of the model.
        rows: In the order in which the modules were called; the root comes first.
        input_sizes: Name -> shape of the inputs, without batch.
        total_params: Every parameter once, whether it was used or not.
        trainable_params: Those of them that are trained.
        mult_adds: For one image; None if nothing ran. See :mod:`eva.model_summary.counts`.
        input_bytes: Bytes of one image.
        output_bytes: Bytes of the outputs of all leaf layers and their gradients, for one image.
        params_bytes: Bytes of the parameters.
        notes: What the reader should know about these numbers.
        columns: Shown by all formats but classic, JSON and CSV.
        depth: Depth of the deepest rows shown; None shows all.
    """

    model_name: str
    rows: tuple[Row, ...] = field(repr=False)
    input_sizes: Mapping[str, tuple[int, ...]]
    total_params: int
    trainable_params: int
    mult_adds: int | None
    input_bytes: int
    output_bytes: int
    params_bytes: int
    notes: tuple[str, ...] = ()
    columns: tuple[Column, ...] = DEFAULT_COLUMNS
    depth: int | None = None

    @property
    def shown(self) -> tuple[Row, ...]:
        """Rows down to ``depth``; rows at that depth stand for all below them."""
        return tuple(r for r in self.rows if self.depth is None or r.depth <= self.depth)

    @property
    def totals_line(self) -> str:
        """Parameters, multiply-adds and memory."""
        frozen = self.total_params - self.trainable_params
        parameters = f"{self.total_params:,} parameters"
        if frozen:
            parameters += f" ({frozen:,} frozen)"
        if self.mult_adds is None:
            return f"{parameters}, {self.params_bytes / 1024**2:.2f} MB."
        memory = (self.output_bytes + self.params_bytes) / 1024**2
        return f"{parameters}, {self.mult_adds:,} multiply-adds an image, about {memory:.2f} MB."

    def records(self) -> list[dict[str, Any]]:
        """Every row as plain values: names, numbers, and lists of numbers.

        The layers' own settings and shares are there if their columns were asked for, and a note
        where some row has one.
        """
        noted = any(row.note for row in self.rows)
        found = []
        for row in self.rows:
            record = row.to_json()
            for column in (Column.KERNEL, Column.STRIDE, Column.PADDING):
                if column in self.columns:
                    record[column.value] = list(getattr(row, column))
            if Column.GROUPS in self.columns:
                record["groups"] = row.groups
            if Column.PARAMS_PERCENT in self.columns:
                record["params_percent"] = 100 * row.share
            if noted:
                record["note"] = row.note
            found.append(record)
        return found

    def flat_records(self) -> list[dict[str, Any]]:
        """The same with the parts of the field as entries of their own: rf_size, rf_jump, ..."""
        flat = []
        for record in self.records():
            rf = record.pop("rf") or {}
            parts = ("size", "jump", "padding", "start", "density", "status")
            flat.append(record | {f"rf_{part}": rf.get(part) for part in parts})
        return flat

    def to_pandas(self) -> Any:
        """A ``pandas.DataFrame`` with a line a row; sizes are lists.

        Raises:
            EvaError: pandas is not installed.
        """
        try:
            pandas = importlib.import_module("pandas")
        except ImportError:
            raise EvaError("pandas is not installed.", "Run `pip install pandas`.") from None
        return pandas.DataFrame(self.flat_records())

    def render(
        self, format: Format | str = Format.CLASSIC, *, width: int = 80, color: bool = False
    ) -> str:
        """The summary as text.

        Args:
            format: One of :class:`Format`.
            width: Characters a line, for the rich format.
            color: With terminal colors, for the rich format.

        Raises:
            InputSizeError: There is no such format.
        """
        try:
            chosen = Format(format)
        except ValueError:
            known = ", ".join(Format)
            raise InputSizeError(f"no format is called {format!r}.", f"Known: {known}.") from None
        return _RENDERERS[chosen](self, width, color)

    def __str__(self) -> str:
        return self.render(Format.CLASSIC)

    def _repr_html_(self) -> str:
        return self.render(Format.HTML)


Renderer = Callable[[Summary, int, bool], str]
_RENDERERS: dict[Format, Renderer] = {}


def renderer(format: Format) -> Callable[[Renderer], Renderer]:
    """Register the function that shows a summary in this format.

    It takes the summary, the width of a line in characters, and whether to use colors.
    """

    def register(function: Renderer) -> Renderer:
        _RENDERERS[format] = function
        return function

    return register
