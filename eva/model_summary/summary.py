"""Summarize a model: run it once and say what every layer gets, gives, holds and sees."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from eva.errors import ForwardError, InputSizeError
from eva.model_summary import render  # noqa: F401  registers the formats
from eva.model_summary.columns import DEFAULT_COLUMNS, Column
from eva.model_summary.explain import explain
from eva.model_summary.result import Summary
from eva.model_summary.rows import build_rows
from eva.rf import Trace, trace
from eva.rf.tracing.isolate import collector_paused

Size = Sequence[int] | Sequence[Sequence[int]] | Mapping[str, Sequence[int]]


class ModelForwardError(ForwardError):
    """The forward pass failed; ``summary`` holds the layers up to the failing one."""

    def __init__(self, problem: str, hint: str | None, summary: Summary) -> None:
        super().__init__(problem, hint)
        self.summary = summary

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problem, self.hint, self.summary)


@collector_paused()
def summary(
    model: nn.Module,
    input_size: Size | None = None,
    *,
    inputs: Sequence[Any] | None = None,
    dtype: torch.dtype | None = None,
    ops: bool = False,
    columns: Sequence[Column | str] = DEFAULT_COLUMNS,
    depth: int | None = None,
) -> Summary:
    """Summarize a model by running it once, without numbers and without changing it.

    Args:
        model: Any module; on any device, in any mode.
        input_size: Size of one input without batch, such as ``(1, 28, 28)``; a list of sizes for
            several inputs, or a dict from the names of forward's arguments.
        inputs: Example arguments for forward, batch included, instead of sizes.
        dtype: Of the inputs; that of the first parameter by default.
        ops: Show the operations that modules call as functions as rows of their own.
        columns: See :class:`Column`.
        depth: Of the deepest rows; None for all.

    Raises:
        InputSizeError: The size is missing or malformed, or a column or depth is unknown.
        ModelForwardError: The forward pass failed: names the layer, what it got and expected,
            and what to try; its ``summary`` holds the layers up to there.
    """
    chosen = tuple(_column(column) for column in columns)
    if depth is not None and depth < 0:
        raise InputSizeError(f"a depth of {depth} shows nothing.", "Use 0 or more, or None.")
    traced = trace(model, input_size, inputs=inputs, dtype=dtype, on_error="partial")
    found = _summarize(getattr(model, "_orig_mod", model), traced, ops, chosen, depth)
    if traced.error is None:
        return found
    problem, hint = explain(traced.error, model)
    raise ModelForwardError(problem, hint, found) from traced.error.exception


def _summarize(
    model: nn.Module, traced: Trace, ops: bool, columns: tuple[Column, ...], depth: int | None
) -> Summary:
    rows = build_rows(model, traced, ops=ops)
    parameters = list({id(p): p for p in model.parameters()}.values())
    dtype_bytes = parameters[0].element_size() if parameters else 4
    leaves = [row for row in rows if row.listed and row.output_size is not None]
    notes = []
    if traced.device_fallback and traced.error is None:
        notes.append(f"Run on real tensors: {traced.device_fallback}.")
    causes = sorted({cause for row in rows if row.rf for cause in row.rf.causes})
    if causes:
        notes.append(f"Fields are not exact after: {', '.join(causes)}.")
    unused = sum(p.numel() for p in parameters) - rows[0].params if rows else 0
    if unused > 0:
        notes.append(f"{unused:,} parameters belong to no module that is listed.")
    return Summary(
        model_name=type(model).__name__,
        rows=rows,
        input_sizes={name: tuple(size[1:]) for name, size in traced.input_sizes.items()},
        total_params=sum(p.numel() for p in parameters),
        trainable_params=sum(p.numel() for p in parameters if p.requires_grad),
        mult_adds=rows[0].mult_adds if rows else 0,
        input_bytes=sum(math.prod(s[1:]) for s in traced.input_sizes.values()) * dtype_bytes,
        output_bytes=sum(2 * math.prod(row.output_size or ()) * dtype_bytes for row in leaves),
        params_bytes=sum(p.numel() * p.element_size() for p in parameters),
        notes=tuple(notes),
        columns=columns,
        depth=depth,
    )


def _column(name: Column | str) -> Column:
    try:
        return Column(name)
    except ValueError:
        known = ", ".join(Column)
        raise InputSizeError(f"no column is called {name!r}.", f"Known: {known}.") from None
