"""Summarize a model: run it once and say what every layer gets, gives, holds and sees."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from torch import nn
from torch.nn.parameter import is_lazy

from eva.builder import Builder
from eva.errors import ForwardError, InputSizeError
from eva.model_summary import render  # noqa: F401  registers the formats
from eva.model_summary.columns import DEFAULT_COLUMNS, Column, parse_column
from eva.model_summary.explain import explain
from eva.model_summary.result import Summary
from eva.model_summary.rows import IDLE, Row, build_rows, structure_rows
from eva.rf import Trace, trace
from eva.rf.tracing.inputs import Dtype, Inputs, Size, checked_model
from eva.rf.tracing.isolate import collector_paused

_BATCH = "Sizes may have the batch in front, (8, 3, 32, 32); counts are for one image."
# Keywords of torchinfo and torchsummary -> what does the same here.
ELSEWHERE = {
    "input_data": "Write inputs=[...], or inputs={'name': value}; one tensor may come alone.",
    "col_names": "Write columns=('output', 'params', 'kernel', ...); see eva.model_summary.Column.",
    "dtypes": "Write dtype=torch.long, or dtype=[...], one for each input.",
    "device": "Nothing is moved: the model runs without numbers, wherever its weights are.",
    "verbose": "Nothing is printed unasked: print(eva.summary(...)).",
    "batch_dim": _BATCH,
    "batch_size": _BATCH,
    "row_settings": "print(found.render('rich')) names modules and indents them by depth.",
    "col_width": "Columns are as wide as what they hold.",
    "cache_forward_pass": "Keep what summary() returns: it can be printed in any format.",
}


class ModelForwardError(ForwardError):
    """The forward pass failed; ``summary`` holds the layers up to the failing one."""

    def __init__(self, problem: str, hint: str | None, summary: Summary) -> None:
        super().__init__(problem, hint)
        self.summary = summary

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problem, self.hint, self.summary)


@collector_paused()
def summary(
    model: nn.Module | Builder,
    input_size: Size | None = None,
    *,
    inputs: Inputs | None = None,
    dtype: Dtype | None = None,
    mode: Literal["eval", "train"] = "eval",
    ops: bool = False,
    columns: Sequence[Column | str] = DEFAULT_COLUMNS,
    depth: int | None = None,
    **others: object,
) -> Summary:
    """Summarize a model by running it once, without numbers and without changing it.

    Without a size and without inputs nothing runs: parameters and structure, no sizes and fields.

    Multiply-adds are counted at the operations that ran, for one image: products in matrix
    products, convolutions, attention and recurrent layers. Biases, norms, activations, pools,
    resampling and look-ups count nothing.

    Args:
        model: Any module; on any device, in any mode. Or a function or class that builds one.
        input_size: Size of one input, with or without batch, such as ``(1, 28, 28)``; a list of
            sizes for several inputs, or a dict from the names of forward's arguments.
        inputs: Example arguments for forward, batch included, instead of sizes: a list, or a dict
            from the names of forward's arguments to tensors and flags.
        dtype: Of the inputs, one for all or one for each; that of the first parameter by default.
        mode: ``"eval"``, or ``"train"`` to see what batch norm and dropout do then.
        ops: Show the operations that modules call as functions as rows of their own.
        columns: See :class:`Column`.
        depth: Depth of the deepest rows; None for all.
        others: None: a keyword of another library is refused, with the name that it has here.

    Raises:
        InputSizeError: The size is malformed, or a keyword, mode, column or depth is unknown.
        ModelForwardError: The forward pass failed: names the layer, what it got and expected,
            and what to try; its ``summary`` holds the layers up to there.
    """
    for key in others:
        raise InputSizeError(
            f"summary() has no keyword {key!r}.",
            ELSEWHERE.get(key, "Arguments of forward go into inputs={'name': value, ...}."),
        )
    if mode not in ("eval", "train"):
        raise InputSizeError(f"There is no mode {mode!r}.", "Modes are 'eval' and 'train'.")
    chosen = tuple(parse_column(column) for column in columns)
    if depth is not None and depth < 0:
        raise InputSizeError(f"a depth of {depth} shows nothing.", "Use 0 or more, or None.")
    model = checked_model(model)
    if input_size is None and inputs is None:
        return _structure(model, chosen, depth)
    traced = trace(model, input_size, inputs=inputs, dtype=dtype, mode=mode, on_error="partial")
    found = _summarize(model if traced.model is None else traced.model, traced, ops, chosen, depth)
    if traced.error is None:
        return found
    problem, hint = explain(traced.error, model)
    raise ModelForwardError(problem, hint, found) from traced.error.exception


def _summarize(
    model: nn.Module, traced: Trace, ops: bool, columns: tuple[Column, ...], depth: int | None
) -> Summary:
    if traced.calls:
        model = traced.calls[0].module  # lazy layers have their shapes there
    rows = build_rows(traced, ops=ops)
    parameters = list(model.parameters())
    dtype_bytes = parameters[0].element_size() if parameters else 4
    leaves = [row for row in rows if row.listed and row.output_size is not None]
    return Summary(
        model_name=type(model).__name__,
        rows=rows,
        input_sizes={name: tuple(size[1:]) for name, size in traced.input_sizes.items()},
        mult_adds=rows[0].mult_adds if rows else 0,
        input_bytes=sum(math.prod(s[1:]) for s in traced.input_sizes.values()) * dtype_bytes,
        output_bytes=sum(2 * math.prod(row.output_size or ()) * dtype_bytes for row in leaves),
        notes=tuple(_notes(traced, rows, sum(p.numel() for p in parameters))),
        columns=columns,
        depth=depth,
        **_parameters(parameters),
    )


def _structure(model: nn.Module, columns: tuple[Column, ...], depth: int | None) -> Summary:
    """What is known of a model that did not run."""
    parameters = list(model.parameters())
    notes = ["No input size was given, so nothing ran: parameters and structure only."]
    totals = _parameters([p for p in parameters if not is_lazy(p)])
    lazy = [name for name, p in model.named_parameters() if is_lazy(p)]
    if lazy:
        notes.append(f"Give an input size to see the shapes of lazy layers: {', '.join(lazy)}.")
    return Summary(
        model_name=type(model).__name__,
        rows=structure_rows(model),
        input_sizes={},
        mult_adds=None,
        input_bytes=0,
        output_bytes=0,
        notes=tuple(notes),
        columns=columns,
        depth=depth,
        **totals,
    )


def _parameters(parameters: Sequence[nn.Parameter]) -> dict[str, int]:
    """Totals of parameters that are all different."""
    return {
        "total_params": sum(p.numel() for p in parameters),
        "trainable_params": sum(p.numel() for p in parameters if p.requires_grad),
        "params_bytes": sum(p.numel() * p.element_size() for p in parameters),
    }


def _notes(traced: Trace, rows: Sequence[Row], total: int) -> Iterator[str]:
    yield from traced.notes
    if traced.device_fallback and traced.error is None:
        yield f"Run on real tensors: {traced.device_fallback}."
    causes = sorted({cause for row in rows if row.rf for cause in row.rf.causes})
    if causes:
        yield f"Fields are not exact after: {', '.join(causes)}."
    idle = [row for row in rows if row.note in IDLE and row.params]
    if idle:
        names = ", ".join(f"`{row.name}`" if row.name else "the model itself" for row in idle)
        yield f"{sum(row.params for row in idle):,} parameters of {names} never ran."
    rest = total - rows[0].params if rows else 0
    if rest > 0:
        yield f"{rest:,} parameters belong to layers that did not run."
