"""One forward pass, watched: every module call and every operation, with what each tensor sees."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from eva.errors import RuleError
from eva.rf.algebra import Algebra, Axis, Seen, Status
from eva.rf.aten import RULES
from eva.rf.rules import USERS, Geometry, Op, Pointwise, TensorArg, Whole
from eva.rf.tracing.shapes import plain_result
from eva.rf.tracing.structure import flat_tensors, tensors_in
from eva.rf.tracing.views import STATE, VERSION, VIEW, View, version_of, written_base

Shape = tuple[int, ...]
FORBIDS = "_eva_forbids"  # attribute of a constant tensor that holds minus infinity
META = torch.device("meta")
NEW_DATA = torch.ops.aten.lift_fresh.default  # a tensor made of Python's numbers
HIDING = -1e4  # numbers below it are meant to hide something from a softmax


@dataclass(kw_only=True)
class Frame:
    """One module call while it runs, and what is known of it afterwards."""

    name: str
    module: nn.Module
    depth: int
    parent: int | None
    inputs: tuple[tuple[Shape, Seen | None], ...]
    outputs: tuple[tuple[Shape, Seen | None], ...] = ()
    ops: list[int] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One executed operation and the states around it."""

    name: str
    call: int
    settings: Mapping[str, Any]
    inputs: tuple[tuple[Shape, Seen | None], ...]
    outputs: tuple[tuple[Shape, Seen | None], ...]


class NeedsNumbers(Exception):
    """An index tensor's numbers decide what is seen, and meta tensors have none."""


class Signature(NamedTuple):
    """What is worth knowing of an operator's schema."""

    name: str
    arguments: tuple[tuple[str, Any], ...]
    pointwise: bool
    is_view: bool
    writes: bool


@functools.cache
def _signature(func: Any) -> Signature:
    schema = func._schema
    name = schema.name.replace("::", ".")
    if name.endswith("_") and not name.endswith("__"):
        name = name[:-1]
    aliases = [r.alias_info for r in schema.returns if r.alias_info is not None]
    return Signature(
        name=name,
        arguments=tuple((a.name, a.default_value) for a in schema.arguments),
        pointwise=torch.Tag.pointwise in func.tags,
        is_view=any(not a.is_write for a in aliases),
        writes=any(a.is_write for a in aliases),
    )


def _is_setting(value: Any) -> bool:
    """Whether an argument is kept with its operation: numbers, words, lists of whole numbers."""
    if type(value) is list:
        return all(type(n) is int for n in value)
    return isinstance(value, (bool, int, float, str))


class Recorder(TorchDispatchMode):
    """Applies the rule of each operation that runs, and keeps the list of them.

    Args:
        algebra: For the states.
        numbers: Reads an index tensor.
        meta: The inputs have no numbers: tensors that a forward pass makes itself get none either.
    """

    def __init__(
        self, algebra: Algebra, numbers: Callable[[torch.Tensor], Any], *, meta: bool
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.algebra = algebra
        self.meta = meta
        self.numbers = numbers
        self.frames: list[Frame] = []
        self.stack: list[int] = []
        self.steps: list[Step] = []
        self.met: set[int] = set()  # ids of all tensors that operations took
        self.uses_batch_statistics = False
        self.broken: RuleError | None = None

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Not wrapped by the compiler, whose import takes longer than PyTorch's own."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation, then say what its results see."""
        kwargs = kwargs or {}
        result = plain_result(func, args, kwargs)
        if result is None:
            if self.meta and "device" in kwargs:
                kwargs = {**kwargs, "device": META}
            result = func(*args, **kwargs)
            if self.meta and func is NEW_DATA:
                result = result.to(META)
        results = flat_tensors(result)
        if not results:
            return result
        sig = _signature(func)
        bound = {
            key: args[i] if i < len(args) else kwargs.get(key, default)
            for i, (key, default) in enumerate(sig.arguments)
        }
        before = [t for v in bound.values() for t in flat_tensors(v)]
        self.met.update(map(id, before))
        hidden = any(hasattr(t, FORBIDS) for t in before)
        sizes = tuple(tuple(t.shape) for t in results)
        op = Op(name=sig.name, args={k: self._argument(v) for k, v in bound.items()}, outputs=sizes)
        inputs = tuple([(t.shape, t.state) for t in op.tensors])
        states = self._apply(op, sig.pointwise, hidden)
        if sig.is_view:
            for number, t in enumerate(results):
                if t is not before[0]:
                    view = View(
                        base=before[0],
                        name=sig.name,
                        args=bound,
                        number=number,
                        sizes=sizes,
                        version=version_of(before[0]),
                    )
                    setattr(t, VIEW, view)
        for t, state in zip(results, states, strict=True):
            if sig.writes:
                self.write(t, state)
            else:
                setattr(t, STATE, state)
        self._forbid(sig, bound, hidden, results)
        self.steps.append(
            Step(
                name=sig.name,
                call=self.stack[-1] if self.stack else 0,
                settings={k: v for k, v in bound.items() if _is_setting(v)},
                inputs=inputs,
                outputs=tuple(zip(sizes, states, strict=True)),
            )
        )
        if self.stack:
            self.frames[self.stack[-1]].ops.append(len(self.steps) - 1)
        return result

    def _apply(self, op: Op, pointwise: bool, hidden: bool) -> Sequence[Seen | None]:
        if not op.states:
            return [None] * len(op.outputs)
        if op.name.endswith(("native_batch_norm", "_batch_norm_legit")) and op["training"]:
            self.uses_batch_statistics = True
        states = self._follow(op, pointwise)
        if hidden:
            states = [
                None if s is None else self.algebra.bounded(s, "attention mask") for s in states
            ]
        return states

    def state_of(self, tensor: torch.Tensor) -> Seen | None:
        """What a tensor's elements see; a view's state follows writes into its base."""
        view: View | None = getattr(tensor, VIEW, None)
        if view is not None and view.version != version_of(view.base):
            base = self.state_of(view.base)
            op = Op(
                name=view.name,
                args={k: self._argument(v) for k, v in view.args.items()},
                outputs=view.sizes,
            )
            state = None
            if base is not None:
                state = self._follow(op, pointwise=False)[view.number]
            setattr(tensor, STATE, state)
            view.version = version_of(view.base)
        known: Seen | None = getattr(tensor, STATE, None)
        return known

    def write(self, tensor: torch.Tensor, state: Seen | None) -> None:
        """A tensor was overwritten: so were those whose memory it shares."""
        view: View | None = getattr(tensor, VIEW, None)
        if view is None:
            setattr(tensor, STATE, state)
            setattr(tensor, VERSION, version_of(tensor) + 1)
            return
        base = self.state_of(view.base)
        if base is not None or state is not None:
            empty = [Seen(shape=tuple(t.shape), groups=({},)) for t in (view.base, tensor)]
            self.write(
                view.base,
                written_base(self.algebra, view, base or empty[0], state or empty[1]),
            )
        setattr(tensor, STATE, state)
        view.version = version_of(view.base)

    def _forbid(
        self,
        sig: Signature,
        bound: Mapping[str, Any],
        hidden: bool,
        results: Sequence[torch.Tensor],
    ) -> None:
        """Mark constants that hold minus infinity: what is added to them may not be seen."""
        values = [v for v in bound.values() if isinstance(v, (int, float))]
        if hidden or (values and min(values) < HIDING):
            for t in results:
                if getattr(t, STATE, None) is None:
                    setattr(t, FORBIDS, True)
                elif sig.name in ("aten.masked_fill", "aten.where"):
                    state = self.algebra.bounded(getattr(t, STATE), "attention mask")
                    setattr(t, STATE, state)

    def _argument(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            state = self.state_of(value)
            return TensorArg(
                shape=tuple(value.shape),
                state=state,
                values=None if state is not None else functools.partial(self.numbers, value),
            )
        if isinstance(value, (list, tuple)) and flat_tensors(value):
            return [self._argument(v) for v in value]
        return value

    def _follow(self, op: Op, pointwise: bool) -> list[Seen | None]:
        """What the results of an operation see; unknown if there is no rule for it."""
        known = USERS.find(op.name)
        try:
            rule = known or RULES.get(op.name)
            geometry: Geometry
            if rule is not None:
                geometry = rule(op)
            else:
                geometry = Pointwise() if pointwise else Whole(status=Status.UNKNOWN)
            found = geometry(self.algebra, op)
            states: list[Seen | None] = (
                [found] * len(op.outputs) if isinstance(found, Seen) else list(found)
            )
            for state, shape in zip(states, op.outputs, strict=True):
                if state is not None and state.shape != shape:
                    raise ValueError(f"shape {state.shape} where {shape} came out")
        except NeedsNumbers:
            raise
        except Exception as e:
            if known is not None:
                self.broken = RuleError(
                    f"The registered rule for {op.name} failed: {type(e).__name__}: {e}",
                    "A rule takes one Op and returns a Geometry such as Pointwise().",
                )
                raise self.broken from e
            lost = Whole(status=Status.UNKNOWN, cause=f"{op.name} ({type(e).__name__}: {e})")
            return lost(self.algebra, op)
        return states

    def begin(self, name: str, module: nn.Module, inputs: Any) -> None:
        """A module call starts."""
        self.frames.append(
            Frame(
                name=name,
                module=module,
                depth=len(self.stack),
                parent=self.stack[-1] if self.stack else None,
                inputs=self.seen(inputs),
            )
        )
        self.stack.append(len(self.frames) - 1)

    def end(self, output: Any) -> None:
        """The innermost module call ends."""
        self.frames[self.stack.pop()].outputs = self.seen(output)

    def seen(self, value: Any) -> tuple[tuple[Shape, Seen | None], ...]:
        """Shape and state of every tensor in a structure."""
        return tuple((tuple(t.shape), self.state_of(t)) for t in tensors_in(value))


def source_states(tensors: Sequence[torch.Tensor], algebra: Algebra) -> tuple[Axis, ...]:
    """Give each input tensor its state.

    Returns:
        The axes: those after batch and channel, or after batch where there is no more; and the
        batch itself (dimension 0) if it has several images.
    """
    axes: list[Axis] = []
    for number, tensor in enumerate(tensors):
        shape = tuple(tensor.shape)
        dims = [*range(min(2, max(len(shape) - 1, 0)), len(shape))]
        if shape and shape[0] > 1 and 0 not in dims:
            dims.append(0)
        own = [Axis(number, d, shape[d]) for d in dims]
        setattr(tensor, STATE, algebra.source(shape, own))
        axes += own
    return tuple(axes)
