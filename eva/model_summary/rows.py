"""Rows of a summary: one for each call of a module, and one for what never ran."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from torch import nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from eva.model_summary.counts import batch_size, mult_adds, own_mult_adds
from eva.rf import Call, OpCall, ReceptiveField, Trace

# Operations that look at more than one position; the classic format prints fields for these.
WINDOWED = ("convolution", "pool", "upsample", "grid_sampler", "im2col", "mean", "amax")
SHARED = "shared: parameters counted above"
NEVER_RAN, NEVER_USED = "never ran", "never used"
IDLE = (NEVER_RAN, NEVER_USED)
LISTS = (nn.ParameterList, nn.ParameterDict)
CONTAINERS = (nn.ModuleList, nn.ModuleDict, nn.Sequential)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One call of a module, one operation, or a module that never ran.

    Attributes:
        name: Such as "features.9"; "" for the root.
        type: Class of the module, or name of the operation.
        depth: 0 for the root.
        leaf: Has no submodules that ran.
        operation: Whether the row is an operation.
        input_size: Size of the first tensor that came in, without batch; None if none came.
        output_size: Size of the first tensor that went out, without batch; None if none went.
        params: Parameters with those of the rows below; each parameter counts in one row.
        own_params: Those that the module itself holds or uses without calling a submodule.
        trainable: How many of ``params`` are trainable.
        share: Part of the model's parameters that ``params`` is, between 0 and 1.
        own_share: The same of ``own_params``.
        mult_adds: Multiply-adds for one image, with those of submodules; see
            :mod:`eva.model_summary.counts` for what counts.
        own_mult_adds: Those of the module's own operations.
        rf: What a unit of the output sees; None without an output.
        windowed: Whether it looks at more than one position itself.
        kernel: Sides of its window in positions, () if it has none.
        stride: Its steps, () if it has none.
        padding: Positions added on each side, () if none are known.
        groups: Into which its channels are split; None if it has no such setting.
        note: What the reader should know, or "".
    """

    name: str
    type: str
    depth: int
    leaf: bool
    operation: bool = False
    input_size: tuple[int, ...] | None = None
    output_size: tuple[int, ...] | None = None
    params: int = 0
    own_params: int = 0
    trainable: int = 0
    share: float = 0
    own_share: float = 0
    mult_adds: int = 0
    own_mult_adds: int = 0
    rf: ReceptiveField | None = None
    windowed: bool = False
    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    groups: int | None = None
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


@dataclass(kw_only=True)
class _Draft:
    """A row, and the parameters that it would like to count."""

    row: Row
    parameters: list[nn.Parameter] = field(default_factory=list)
    idle: bool = False


def build_rows(trace: Trace, *, ops: bool = False) -> tuple[Row, ...]:
    """One row for each call in the trace, in order; with ``ops``, one for each operation too.

    Modules that never ran stand where they were defined, if the forward pass came to its end.
    """
    held = _Holdings(trace)
    counts = own_mult_adds(trace)
    images = batch_size(trace)
    rows_of = [call.index for call in trace.calls]
    for call in trace.calls:
        if id(call.module) in held.absorbed and call.parent is not None:
            rows_of[call.index] = rows_of[call.parent]
    own_ops: dict[int, list[OpCall]] = {index: [] for index in rows_of}
    for call in trace.calls:
        own_ops[rows_of[call.index]] += [trace.ops[i] for i in call.ops]
        if rows_of[call.index] != call.index:
            counts[rows_of[call.index]] += counts[call.index]
    parents = {
        None if call.parent is None else rows_of[call.parent]
        for call in trace.calls
        if rows_of[call.index] == call.index
    }
    drafts: list[_Draft] = []
    first: dict[int, _Draft] = {}
    for call in trace.calls:
        if rows_of[call.index] != call.index:
            continue
        has_children = call.index in parents
        row = _call_row(call, own_ops[call.index], not has_children, counts[call.index])
        draft = _Draft(row=row, parameters=held.by_module.get(id(call.module), []))
        first.setdefault(id(call.module), draft)
        drafts.append(draft)
        if ops and _shows_operations(call, has_children):
            drafts += [_Draft(row=_operation_row(call, op, images)) for op in own_ops[call.index]]
    for idle in held.idle:
        _insert(drafts, first, idle)
    return _with_totals(drafts)


def structure_rows(model: nn.Module) -> tuple[Row, ...]:
    """One row for each module, in the order in which they were defined; nothing ran.

    torchinfo lists the modules; of one that is used twice, the first place counts.
    """
    import torchinfo  # here, for a summary with an input does without it

    drafts = []
    inside = {id(m) for name, m in _parametrizations(model)}
    names = {id(m): name for name, m in model.named_modules()}
    modes = [(m, m.training) for m in model.modules()]
    listed = torchinfo.summary(model, verbose=0).summary_list
    for module, training in modes:  # torchinfo sets one mode for all
        module.training = training
    modules: dict[int, nn.Module] = {id(info.module): info.module for info in listed}
    for module in modules.values():
        if id(module) in inside:
            continue
        name = names[id(module)]
        direct = [p for p in module._parameters.values() if p is not None]
        if parametrize.is_parametrized(module):
            direct += cast(nn.ModuleDict, module.parametrizations).parameters()
        row = Row(
            name=name,
            type=_type_name(module),
            depth=name.count(".") + 1 if name else 0,
            leaf=not any(id(m) not in inside for m in module.children()),
            **_window(module, [], None),
        )
        drafts.append(_Draft(row=row, parameters=direct))
    return _with_totals(drafts)


def _with_totals(drafts: Sequence[_Draft]) -> tuple[Row, ...]:
    """Every parameter counted in the first row that holds it, and sums over the rows below."""
    counted: set[int] = set()
    rows: list[Row] = []
    totals: list[tuple[int, int, int]] = []
    for draft in drafts:
        fresh = [p for p in draft.parameters if id(p) not in counted and not is_lazy(p)]
        counted.update(map(id, fresh))
        fresh = list({id(p): p for p in fresh}.values())
        row = replace(draft.row, own_params=sum(p.numel() for p in fresh))
        if not fresh and any(not is_lazy(p) for p in draft.parameters):
            row = replace(row, note=row.note or SHARED)
        trainable = sum(p.numel() for p in fresh if p.requires_grad)
        totals.append((row.own_params, trainable, row.own_mult_adds))
        rows.append(row)
    whole = max(sum(row.own_params for row in rows), 1)
    above: list[int | None] = []
    open_rows: list[int] = []
    for index, row in enumerate(rows):
        while open_rows and rows[open_rows[-1]].depth >= row.depth:
            open_rows.pop()
        above.append(open_rows[-1] if open_rows else None)
        open_rows.append(index)
    for index in reversed(range(len(rows))):
        parent = above[index]
        if parent is not None and not rows[index].operation:  # its module has counted it
            a, b = totals[parent], totals[index]
            totals[parent] = (a[0] + b[0], a[1] + b[1], a[2] + b[2])
    return tuple(
        replace(
            row,
            params=total[0],
            trainable=total[1],
            mult_adds=total[2],
            share=total[0] / whole,
            own_share=row.own_params / whole,
        )
        for row, total in zip(rows, totals, strict=True)
    )


@dataclass(frozen=True, kw_only=True)
class _Idle:
    """A row for a module that was not called; ids of the one that holds it and the one before."""

    draft: _Draft
    owner: int
    after: int


class _Holdings:
    """Which row counts which parameter.

    A module that ran counts its own parameters, and those that were used of submodules that were
    never called, such as the last projection of PyTorch's attention. Whatever is left belongs to
    modules that never ran.

    Attributes:
        by_module: id of a module that ran -> parameters that its row counts.
        absorbed: ids of modules that belong to a parametrized layer and have no row.
        idle: Rows for lists of parameters and for modules that never ran.
    """

    def __init__(self, trace: Trace) -> None:
        self.by_module: dict[int, list[nn.Parameter]] = {}
        self.absorbed: set[int] = set()
        self.idle: list[_Idle] = []
        if not trace.calls:
            return
        root = trace.calls[0].module
        self._called = {id(call.module) for call in trace.calls}
        self._depths = {id(c.module): c.depth for c in reversed(trace.calls)}
        self._whole = trace.error is None
        self._used = {id(p) for name, p in root.named_parameters() if name in trace.used_parameters}
        self._seen: set[int] = {id(root)}
        self._visit(root, "", root, root)

    def _visit(
        self, module: nn.Module, name: str, owner: nn.Module, before: nn.Module
    ) -> nn.Module:
        """Share out what a module holds; ``owner`` ran, ``before`` has the last row so far."""
        own = self.by_module.setdefault(id(owner), [])
        direct = [p for p in module._parameters.values() if p is not None]
        if module is owner:
            for key, parameter in module._parameters.items():
                if parameter is None or id(parameter) in self._used or not self._whole:
                    continue
                row = Row(
                    name=f"{name}.{key}".lstrip("."),
                    type="Parameter",
                    depth=self._depths[id(owner)] + 1,
                    leaf=True,
                    note=NEVER_USED,
                )
                draft = _Draft(row=row, parameters=[parameter], idle=True)
                self.idle.append(_Idle(draft=draft, owner=id(owner), after=id(owner)))
                direct = [p for p in direct if p is not parameter]
            own += direct
        else:
            own += [p for p in direct if id(p) in self._used]
            left = [p for p in direct if id(p) not in self._used]
            if left:
                self._add(module, name, left, owner, before, NEVER_USED)
        for key, child in module._modules.items():
            if child is None or id(child) in self._seen:
                continue
            self._seen.add(id(child))
            path = f"{name}.{key}".lstrip(".")
            if key == "parametrizations" and parametrize.is_parametrized(module):
                own += child.parameters()
                self.absorbed.update(map(id, child.modules()))
                self._seen.update(map(id, child.modules()))
            elif id(child) in self._called:
                self._visit(child, path, child, child)
                before = child
            elif isinstance(child, LISTS):
                parameters = list(child.parameters())
                unused = parameters and not any(id(p) in self._used for p in parameters)
                self._add(child, path, parameters, owner, before, NEVER_USED if unused else "")
            elif any(id(m) in self._called for m in child.modules()):
                before = self._visit(child, path, owner, before)
            else:
                parameters = list(child.parameters())
                own += [p for p in parameters if id(p) in self._used]
                left = [p for p in parameters if id(p) not in self._used]
                empty = isinstance(child, CONTAINERS) and not len(child)
                if left or not (parameters or empty):
                    self._add(child, path, left, owner, before, NEVER_RAN)
        return before

    def _add(
        self,
        module: nn.Module,
        name: str,
        parameters: list[nn.Parameter],
        owner: nn.Module,
        before: nn.Module,
        note: str,
    ) -> None:
        if note and not self._whole:
            return
        row = Row(
            name=name,
            type=_type_name(module),
            depth=self._depths[id(owner)] + 1,
            leaf=True,
            note=note,
            **_window(module, [], None),
        )
        draft = _Draft(row=row, parameters=parameters, idle=True)
        self.idle.append(_Idle(draft=draft, owner=id(owner), after=id(before)))


def _insert(drafts: list[_Draft], first: Mapping[int, _Draft], idle: _Idle) -> None:
    """Put a row behind those of the module defined before it, inside its owner's."""
    depth = idle.draft.row.depth
    at = next(i for i, draft in enumerate(drafts) if draft is first[idle.owner])
    sibling = next(i for i, draft in enumerate(drafts) if draft is first[idle.after])
    if sibling != at:
        at = sibling if drafts[sibling].row.depth == depth and sibling > at else at
        block = drafts[at].row.depth
        at += 1
        while at < len(drafts) and drafts[at].row.depth > block:
            at += 1
    else:
        at += 1
    while at < len(drafts) and (drafts[at].idle or drafts[at].row.operation):
        at += 1
    drafts.insert(at, idle.draft)


def _parametrizations(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Modules that belong to parametrized layers, with their names."""
    for name, module in model.named_modules():
        if parametrize.is_parametrized(module):
            inner: nn.Module = module.parametrizations
            yield from inner.named_modules(prefix=f"{name}.parametrizations".lstrip("."))


def _call_row(call: Call, own_ops: Sequence[OpCall], leaf: bool, count: int) -> Row:
    return Row(
        name=call.name,
        type=_type_name(call.module),
        depth=call.depth,
        leaf=leaf,
        input_size=_size(call.input_sizes),
        output_size=_size(call.output_sizes),
        own_mult_adds=count,
        rf=call.output_rf,
        windowed=any(word in op.name for op in own_ops for word in WINDOWED),
        **_window(call.module, own_ops, _size(call.output_sizes)),
    )


def _shows_operations(call: Call, has_children: bool) -> bool:
    """Whether a module's own operations say more than its row: it is no built-in leaf."""
    built_in = type(call.module).__module__.startswith("torch.nn")
    return has_children or not built_in


def _operation_row(call: Call, op: OpCall, images: int) -> Row:
    name = op.name.partition(".")[2] or op.name
    return Row(
        name=f"{call.name}:{name}" if call.name else name,
        type=name,
        depth=call.depth + 1,
        leaf=True,
        operation=True,
        input_size=_size(op.input_sizes),
        output_size=_size(op.output_sizes),
        own_mult_adds=mult_adds(op, images),
        rf=op.rf if op.output_sizes else None,
        windowed=any(word in op.name for word in WINDOWED),
        **_operation_window(op),
    )


def _window(
    module: nn.Module, own_ops: Sequence[OpCall], output: tuple[int, ...] | None
) -> dict[str, Any]:
    """Kernel, stride, padding and groups: as the module says, else as its only window runs."""
    sides = None if output is None else max(len(output) - 1, 1)
    kernel = _sides(getattr(module, "kernel_size", None), sides)
    windows = [w for w in map(_operation_window, own_ops) if w.get("kernel")]
    if kernel:
        groups = getattr(module, "groups", None)
        stride = getattr(module, "stride", None)
        padding = getattr(module, "padding", None)
        if isinstance(padding, str) and len(windows) == 1:  # "same" and "valid" are numbers there
            padding = windows[0]["padding"]
        return {
            "kernel": kernel,
            "stride": _sides(stride, sides) or kernel,
            "padding": _sides(padding, sides),
            "groups": groups if isinstance(groups, int) else None,
        }
    return windows[0] if len(windows) == 1 else {}


def _operation_window(op: OpCall) -> dict[str, Any]:
    settings = op.settings
    kernel = _sides(settings.get("kernel_size"), None)
    if not kernel and op.name.endswith("convolution") and len(op.input_sizes) > 1:
        kernel = op.input_sizes[1][2:]
    if not kernel:
        return {}
    sides = len(kernel)
    return {
        "kernel": kernel,
        "stride": _sides(settings.get("stride"), sides) or kernel,
        "padding": _sides(settings.get("padding"), sides),
        "groups": settings.get("groups"),
    }


def _sides(value: Any, count: int | None) -> tuple[int, ...]:
    """A number for each side of a window; () if there are none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return (value,) * (count or 1)
    if isinstance(value, (tuple, list)) and all(isinstance(n, int) for n in value):
        return tuple(value) * (count or 1) if len(value) == 1 else tuple(value)
    return ()


def _type_name(module: nn.Module) -> str:
    """The class, as it was called before parametrizations gave it another."""
    if parametrize.is_parametrized(module):
        return parametrize.type_before_parametrizations(module).__name__
    return type(module).__name__


def _size(sizes: tuple[tuple[int, ...], ...]) -> tuple[int, ...] | None:
    return sizes[0][1:] if sizes else None


def _list(size: tuple[int, ...] | None) -> list[int] | None:
    return None if size is None else list(size)
