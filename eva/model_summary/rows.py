"""Rows of a summary: torchinfo's parameters joined with our trace, one row a call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torchinfo
from torch import nn

from eva.model_summary.counts import mult_adds, operation_mult_adds
from eva.rf import Call, OpCall, ReceptiveField, Trace

# Operations that look at more than one position; the classic format prints fields for these.
WINDOWED = ("convolution", "pool", "upsample", "grid_sampler", "im2col", "mean", "amax")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One call of a module, or one operation.

    Attributes:
        name: Such as "features.9"; "" for the root.
        type: Class of the module, or name of the operation.
        depth: 0 for the root.
        leaf: Has no submodules that ran.
        operation: Whether the row is an operation.
        input_size: Of the first tensor that came in, without batch; None if none came.
        output_size: Of the first tensor that went out, without batch; None if none went.
        params: Parameters with those of submodules; 0 for later calls of a shared module.
        own_params: Those that the module itself holds.
        trainable: How many of ``params`` are trainable.
        mult_adds: Multiply-adds for one image, with those of submodules.
        own_mult_adds: Those of the module's own operations.
        rf: What a unit of the output sees; None without an output.
        windowed: Whether it looks at more than one position itself.
        note: What the reader should know, or "".
    """

    name: str
    type: str
    depth: int
    leaf: bool
    operation: bool = False
    input_size: tuple[int, ...] | None
    output_size: tuple[int, ...] | None
    params: int = 0
    own_params: int = 0
    trainable: int = 0
    mult_adds: int = 0
    own_mult_adds: int = 0
    rf: ReceptiveField | None
    windowed: bool = False
    note: str = ""

    @property
    def listed(self) -> bool:
        """Whether it is a leaf layer, or holds parameters of its own; no single operation."""
        return not self.operation and (self.leaf or self.own_params > 0)

    def to_json(self) -> dict[str, Any]:
        """Plain values, the field as its size, jump, padding, start, density and status."""
        return {
            "name": self.name,
            "type": self.type,
            "depth": self.depth,
            "input_size": _list(self.input_size),
            "output_size": _list(self.output_size),
            "params": self.params,
            "trainable": self.trainable,
            "mult_adds": self.mult_adds,
            "rf": None if self.rf is None else field_json(self.rf),
        }


def field_json(rf: ReceptiveField) -> dict[str, Any]:
    """A field in short: a value an axis, fractions as floats (1/2 is 0.5)."""
    return {
        "size": list(rf.size),
        "jump": [None if value is None else float(value) for value in rf.jump],
        "padding": [None if value is None else float(value) for value in rf.padding],
        "start": [None if value is None else float(value) for value in rf.start],
        "density": [float(value) for value in rf.density],
        "status": str(rf.status),
    }


def build_rows(model: nn.Module, trace: Trace, *, ops: bool = False) -> tuple[Row, ...]:
    """One row for each call in the trace, in order; with ``ops``, one for each operation too."""
    parameters = {
        info.layer_id: (info.num_params, info.trainable_params)
        for info in torchinfo.summary(model, verbose=0).summary_list
    }
    own_mult_adds = [mult_adds(call, trace) for call in trace.calls]
    total_mult_adds = list(own_mult_adds)
    for call in reversed(trace.calls):  # children come after their parents
        if call.parent is not None:
            total_mult_adds[call.parent] += total_mult_adds[call.index]
    parents = {call.parent for call in trace.calls}
    rows: list[Row] = []
    for call in trace.calls:
        params, trainable = parameters.get(id(call.module), (0, 0))
        shared = call.call_number > 0
        own_ops = [trace.ops[index] for index in call.ops]
        rows.append(
            Row(
                name=call.name,
                type=call.type_name,
                depth=call.depth,
                leaf=call.index not in parents,
                input_size=_size(call.input_sizes),
                output_size=_size(call.output_sizes),
                params=0 if shared else params,
                own_params=0 if shared else _own_parameters(call.module),
                trainable=0 if shared else trainable,
                mult_adds=total_mult_adds[call.index],
                own_mult_adds=own_mult_adds[call.index],
                rf=call.output_rf,
                windowed=any(word in op.name for op in own_ops for word in WINDOWED),
                note="shared: parameters counted above" if shared and params else "",
            )
        )
        if ops and _shows_operations(call, call.index in parents):
            rows += [_operation_row(call, op) for op in own_ops]
    return tuple(rows)


def _shows_operations(call: Call, has_children: bool) -> bool:
    """Whether a module's own operations say more than its row: it is no built-in leaf."""
    built_in = type(call.module).__module__.startswith("torch.nn")
    return has_children or not built_in


def _operation_row(call: Call, op: OpCall) -> Row:
    name = op.name.removeprefix("aten.")
    count = operation_mult_adds(op)
    return Row(
        name=f"{call.name}:{name}" if call.name else name,
        type=name,
        depth=call.depth + 1,
        leaf=True,
        operation=True,
        input_size=_size(op.input_sizes),
        output_size=_size(op.output_sizes),
        mult_adds=count,
        own_mult_adds=count,
        rf=op.rf if op.output_sizes else None,
        windowed=any(word in op.name for word in WINDOWED),
    )


def _own_parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module._parameters.values() if p is not None)


def _size(sizes: tuple[tuple[int, ...], ...]) -> tuple[int, ...] | None:
    return sizes[0][1:] if sizes else None


def _list(size: tuple[int, ...] | None) -> list[int] | None:
    return None if size is None else list(size)
