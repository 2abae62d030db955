"""One forward pass, watched: every module call and every operation, with what each tensor sees."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import nn
from torch._ops import HigherOrderOperator
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from eva.errors import RuleError
from eva.rf.algebra import Algebra, Axis, FieldStatus, Seen, worst
from eva.rf.aten import RULES
from eva.rf.aten.movement import HIDING
from eva.rf.rules import USERS, Geometry, Op, Pointwise, TensorArg, Whole
from eva.rf.tracing.constants import TWIN, Constants, Twin
from eva.rf.tracing.recurrent import recurrent_shapes
from eva.rf.tracing.recurrent import states as recurrent_states
from eva.rf.tracing.shapes import plain_result
from eva.rf.tracing.structure import flat_tensors, named_tensors, size_of, tensors_in
from eva.rf.tracing.views import STATE, VERSION, VIEW, View, version_of, written_base

Shape = tuple[int, ...]
FORBIDS = "_eva_forbids"  # attribute of a constant tensor that holds minus infinity
META = torch.device("meta")
NEW_DATA = torch.ops.aten.lift_fresh.default  # a tensor made of Python's numbers


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
class Executed:
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
    leaves: bool = False
    numbers: tuple[tuple[str, Any], ...] = ()


_NO_NUMBERS = Signature(name="", arguments=(), pointwise=False, is_view=False, writes=False)
INDEXING = {"slice", "select", "narrow", "index_select", "roll", "as_strided", "topk", "unfold"}
LEAVING = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
FLEX = "higher_order.flex_attention"
MADE_OUTSIDE = {"aten.lift_fresh", "aten.set"}  # may hold numbers that have left


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
        leaves=bool(
            {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape} & set(func.tags)
        ),
        numbers=tuple(
            (a.name, a.default_value)
            for a in schema.arguments
            if str(a.type) in ("number", "float", "Optional[number]", "Optional[float]", "Tensor")
            or (name.removeprefix("aten.") in INDEXING and str(a.type) in ("int", "Optional[int]"))
        ),
    )


def _is_setting(value: Any) -> bool:
    """Whether an argument is kept with its operation: numbers, words, lists of whole numbers."""
    if type(value) is list:
        return all(type(n) is int for n in value)
    return isinstance(value, (bool, int, float, str))


def memory_of(tensor: torch.Tensor) -> int | None:
    """The address of a tensor's numbers; None if it has none, or several."""
    if tensor.device.type == "meta" or tensor.layout != torch.strided:
        return None
    with _disable_current_modes(), torch._C.DisableTorchFunction():
        return tensor.untyped_storage().data_ptr() or None


def _tensors_below(value: Any) -> list[torch.Tensor]:
    """Every tensor in nested lists, tuples and dicts."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [t for v in value for t in _tensors_below(v)] if isinstance(value, (list, tuple)) else []


def _is_plain_attention(args: Sequence[Any]) -> bool:
    """Whether the functions given to FlexAttention change and hide nothing."""
    names = [getattr(args[3], "__name__", ""), getattr(args[4][-1], "__name__", "")]
    return names == ["_identity", "noop_mask"]


class Recorder(TorchDispatchMode):
    """Applies the rule of each operation that runs, and keeps the list of them.

    Args:
        algebra: For the states.
        own: The parameter or buffer of the model that a tensor stands for; None for others.
        meta: The inputs have no numbers: tensors that a forward pass makes itself get none either.
    """

    def __init__(
        self,
        algebra: Algebra,
        own: Callable[[torch.Tensor], torch.Tensor | None],
        *,
        meta: bool,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.own = own
        self.constants = Constants(own)
        self.algebra = algebra
        self.meta = meta
        self.frames: list[Frame] = []
        self.stack: list[int] = []
        self.steps: list[Executed] = []
        self.met: set[int] = set()  # ids of all tensors that operations took
        self.broken: RuleError | None = None
        self.left: dict[Any, Seen] = {}  # seen by numbers that have left PyTorch
        self.shared: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}  # memory -> numbers then
        self.memory: dict[int, weakref.ref[torch.Tensor]] = {}  # of tensors that see an input
        self.ambiguous = False  # a reshape of one image might join the images of a batch
        self.by_name = ""  # the function by which they left
        self.decided = ""  # the operation whose numbers a decision was made on

    supports_higher_order_operators = True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Not wrapped by the compiler, whose import takes longer than PyTorch's own."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation, then say what its results see."""
        kwargs = kwargs or {}
        if isinstance(func, HigherOrderOperator):
            return self._higher_order(func, args, kwargs)
        result = plain_result(func, args, kwargs)
        if result is None:
            if self.meta and "device" in kwargs:
                kwargs = {**kwargs, "device": META}
            result = func(*args, **kwargs)
        if func is NEW_DATA and self.meta:
            numbers = result
            result = result.to(META)
            setattr(result, TWIN, Twin(numbers))
        results = flat_tensors(result)
        sig = _signature(func)
        if sig.leaves:
            masks = sig.name == "aten.index"  # the one that only has a size of its own for masks
            for t in flat_tensors(args[1:] if masks else args):
                if masks and t.dtype not in (torch.bool, torch.uint8):
                    continue
                self.leave(t, sig.name, decides=t.dtype is torch.bool and not results)
        if not results:
            self.met.update(map(id, flat_tensors(args)))
            return result
        bound = {
            key: args[i] if i < len(args) else kwargs.get(key, default)
            for i, (key, default) in enumerate(sig.arguments)
        }
        before = [t for v in bound.values() for t in flat_tensors(v)]
        self.met.update(map(id, before))
        hidden = any(hasattr(t, FORBIDS) for t in before)
        sizes = tuple(size_of(t) for t in results)
        op = Op(name=sig.name, args={k: self._argument(v) for k, v in bound.items()}, outputs=sizes)
        inputs = tuple([(t.shape, t.state) for t in op.tensors])
        states = self._apply(op, sig.pointwise, hidden)
        if self.left or self.decided:
            states = self._after_leaving(op, sig, states)
        if not op.states and func is not NEW_DATA:
            self.constants.follow(func, sig.name, args, kwargs, results)
            if sig.writes:
                self._written_constant(results[0])
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
            if not self.meta and state is not None:
                self.remember(t)
        self._forbid(sig, bound, hidden, results)
        settings = {k: v for k, v in bound.items() if _is_setting(v)}
        self._step(sig.name, inputs, tuple(zip(sizes, states, strict=True)), settings)
        return result

    def _step(
        self,
        name: str,
        inputs: tuple[tuple[Shape, Seen | None], ...],
        outputs: tuple[tuple[Shape, Seen | None], ...],
        settings: Mapping[str, Any],
    ) -> None:
        call = self.stack[-1] if self.stack else 0
        self.steps.append(
            Executed(name=name, call=call, settings=settings, inputs=inputs, outputs=outputs)
        )
        if self.stack:
            self.frames[self.stack[-1]].ops.append(len(self.steps) - 1)

    def _written_constant(self, tensor: torch.Tensor) -> None:
        """Where it is not known what was written into a view, its base is not known either."""
        twin = self.constants.twin(tensor)
        view: View | None = getattr(tensor, VIEW, None)
        while view is not None:
            known = self.constants.twin(view.base)
            if known is not None and (twin is None or twin.numbers is None):
                setattr(view.base, TWIN, twin)
            elif known is not None and twin is not None and twin.learned:
                setattr(view.base, TWIN, known._replace(learned=True))
            view = getattr(view.base, VIEW, None)

    # -- numbers that leave PyTorch ----------------------------------------------------------

    def leave(self, tensor: torch.Tensor, name: str, *, decides: bool) -> None:
        """Numbers that depend on the input go where they can't be followed.

        Args:
            tensor: The tensor that they come from.
            name: Name of the function.
            decides: They are true or false only, so they choose what runs and are no factor.
        """
        self.met.add(id(tensor))
        state = self.state_of(tensor)
        if state is None:
            return
        if decides:
            self.decided = self.decided or name
            return
        self.by_name = self.by_name or name
        if len(state.groups) > 1:  # of many boxes, say: only what they see together matters
            every = [t for fields in state.groups for ts in fields.values() for t in ts]
            status = worst(t.line.status for t in every)
            state = self.algebra.whole([state], state.shape, status, self._cause())
        kind = (state.shape[:1], state.batch)  # what tells whether images stay apart
        if kind in self.left and self.left[kind] is not state:
            both = (self.left[kind], state)
            state = self.algebra.whole(both, state.shape, FieldStatus.EXACT, self._cause())
        self.left[kind] = state

    def share(self, tensor: torch.Tensor, name: str) -> None:
        """A tensor's memory is handed out, so that it may be written to from outside."""
        self.met.add(id(tensor))
        if self.state_of(tensor) is None:
            return
        if tensor.device.type == "meta":
            raise NeedsNumbers("its memory is handed out")
        self.leave(tensor, name, decides=False)
        memory = memory_of(tensor)
        if memory is not None:
            with _disable_current_modes(), torch._C.DisableTorchFunction():
                self.shared[memory] = (tensor, tensor.detach().clone())

    def _written_outside(self, tensor: torch.Tensor) -> bool:
        """Whether the memory of a tensor was handed out, and holds other numbers since."""
        memory = memory_of(tensor) if self.shared else None
        known = None if memory is None else self.shared.get(memory)
        with _disable_current_modes(), torch._C.DisableTorchFunction():
            return known is not None and not torch.equal(known[0], known[1])

    def _state_of_any(self, tensor: torch.Tensor) -> Seen | None:
        """What a tensor's elements see; of one made outside, whatever has left may be seen."""
        if hasattr(tensor, STATE) or self.own(tensor) is not None:
            return self.state_of(tensor)
        self._from_known_memory(tensor)
        if not self.left:
            return None
        sources = list(self.left.values())
        return self.algebra.whole(
            sources, size_of(tensor), FieldStatus.DATA_DEPENDENT, self._cause()
        )

    def remember(self, tensor: torch.Tensor) -> None:
        """Know a tensor that sees an input by its memory, should that come back from outside."""
        memory = memory_of(tensor)
        if memory is not None:
            self.memory[memory] = weakref.ref(tensor)

    def _from_known_memory(self, tensor: torch.Tensor) -> None:
        """A tensor made outside over the memory of one that is known: its numbers have left."""
        memory = None if self.meta else memory_of(tensor)
        reference = None if memory is None else self.memory.get(memory)
        known = None if reference is None else reference()
        if known is not None and known is not tensor:
            self.leave(known, "shared memory", decides=False)

    def _cause(self) -> str:
        return f"numbers that leave PyTorch ({self.by_name or self.decided})"

    def _after_leaving(
        self, op: Op, sig: Signature, states: Sequence[Seen | None]
    ) -> Sequence[Seen | None]:
        """Nothing is certain any more; what may hold such a number may see all that it saw."""
        cause = self._cause()
        held = bool(self.left) and (
            sig.name in MADE_OUTSIDE
            or any(
                isinstance(op.args[key], (int, float, complex))
                and not isinstance(op.args[key], bool)
                and op.args[key] != default
                for key, default in sig.numbers
            )
        )
        if held:
            sources = [*(s for s in states if s is not None), *op.states, *self.left.values()]
            return [  # of a whole batch, perhaps: images are not taken to stay apart
                self.algebra.whole(sources, s, FieldStatus.DATA_DEPENDENT, cause, apart=False)
                for s in op.outputs
            ]
        return [
            None if s is None else self.algebra.bounded(s, cause, FieldStatus.DATA_DEPENDENT)
            for s in states
        ]

    # -- operations with a way of their own ----------------------------------------------------

    def recurrent(self, name: str, args: tuple[Any, ...], run: Callable[[], Any]) -> Any:
        """A recurrent layer over a whole sequence, as one operation."""
        given = [args[0], *flat_tensors(args[1]), *args[2]]
        sizes = recurrent_shapes(name, args)
        if self.meta:
            with _disable_current_modes():
                result: Any = tuple(args[0].new_empty(s) for s in sizes)
        else:
            result = run()
        x, *before = (self.state_of(t) for t in (args[0], *flat_tensors(args[1])))
        inputs = tuple([(size_of(t), self.state_of(t)) for t in given])
        known = [s for s in before if s is not None]
        full = f"aten.{name}"
        op = Op(
            name=full,
            args={"tensors": [self._argument(t) for t in given]},
            outputs=sizes,
        )
        if USERS.find(full) is not None:
            states = self._follow(op, pointwise=False)
        else:
            states = recurrent_states(self.algebra, name, args, x, known)
        if self.left or self.decided:
            states = list(self._after_leaving(op, _NO_NUMBERS, states))
        for t, state in zip(result, states, strict=True):
            setattr(t, STATE, state)
        keys = ("has_biases", "num_layers", "dropout", "train", "bidirectional", "batch_first")
        settings = dict(zip(keys, args[3:], strict=True))
        self.met.update(map(id, given))
        self._step(full, inputs, tuple(zip(sizes, states, strict=True)), settings)
        return result

    def _higher_order(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """An operation that takes functions: FlexAttention has a rule, others are unknown."""
        name = f"higher_order.{func.name()}"
        given = _tensors_below((args, kwargs))
        if self.meta and name == FLEX:
            query, value = args[0], args[2]
            rows = query.shape[:-1]
            result: Any = (
                query.new_empty((*rows, value.shape[-1])),
                query.new_empty(rows),
                query.new_empty(rows),
            )
        else:
            with _disable_current_modes():
                result = func(*args, **kwargs)
        results = flat_tensors(result)
        sizes = tuple(size_of(t) for t in results)
        if name == FLEX:
            named = dict(zip(("query", "key", "value"), map(self._argument, args[:3]), strict=True))
            named["plain"] = _is_plain_attention(args)
        else:
            named = {str(i): self._argument(t) for i, t in enumerate(given)}
        op = Op(name=name, args=named, outputs=sizes)
        states = self._apply(op, False, False)
        for t, state in zip(results, states, strict=True):
            setattr(t, STATE, state)
        inputs = tuple([(t.shape, t.state) for t in op.tensors])
        self.met.update(map(id, given))
        self._step(name, inputs, tuple(zip(sizes, states, strict=True)), {})
        return result

    def _apply(self, op: Op, pointwise: bool, hidden: bool) -> Sequence[Seen | None]:
        if not op.states:
            return [None] * len(op.outputs)
        states = self._follow(op, pointwise)
        if any(s.local is not None for s in op.states):
            states = self._with_local(op, pointwise, states)
        if hidden:
            states = [
                None if s is None else self.algebra.bounded(s, "attention mask") for s in states
            ]
        return states

    def _with_local(
        self, op: Op, pointwise: bool, states: Sequence[Seen | None]
    ) -> list[Seen | None]:
        """The same operation once more, on what is seen without the statistics of norms."""

        def local(value: Any) -> Any:
            if isinstance(value, TensorArg) and value.state is not None and value.state.local:
                return replace(value, state=value.state.local)
            return [local(v) for v in value] if isinstance(value, (list, tuple)) else value

        bare = Op(name=op.name, args={k: local(v) for k, v in op.args.items()}, outputs=op.outputs)
        found = self._follow(bare, pointwise)
        return [
            None if s is None else s if t is None else self.algebra.with_local(s, t)
            for s, t in zip(states, found, strict=True)
        ]

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
        if known is not None and self._written_outside(tensor):
            sources = [known, *self.left.values()]
            return self.algebra.whole(
                sources, known.shape, FieldStatus.DATA_DEPENDENT, self._cause(), apart=False
            )
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
            empty = [Seen(shape=size_of(t), groups=({},)) for t in (view.base, tensor)]
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
            state = self._state_of_any(value)
            if state is not None:
                return TensorArg(shape=size_of(value), state=state)
            return TensorArg(
                shape=size_of(value),
                values=functools.partial(self._numbers, value),
                find_zeros=functools.partial(self.constants.zeros, value),
            )
        if isinstance(value, (list, tuple)) and flat_tensors(value):
            return [self._argument(v) for v in value]
        return value

    def _numbers(self, tensor: torch.Tensor) -> Any:
        """The numbers of an index tensor as lists."""
        places = self.constants.places(tensor)
        if places is not None:
            return places
        real = self.own(tensor)
        real = tensor if real is None else real
        if real.device.type == "meta":
            raise NeedsNumbers("the numbers in an index tensor decide what is seen")
        with _disable_current_modes():
            return real.tolist()

    def _follow(self, op: Op, pointwise: bool) -> list[Seen | None]:
        """What the results of an operation see; unknown if there is no rule for it."""
        known = USERS.find(op.name)
        try:
            rule = known or RULES.get(op.name)
            geometry: Geometry
            if rule is not None:
                geometry = rule(op)
            else:
                geometry = Pointwise() if pointwise else Whole(status=FieldStatus.UNKNOWN)
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
            lost = Whole(status=FieldStatus.UNKNOWN, cause=f"{op.name} ({type(e).__name__}: {e})")
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
        """Shape and state of every tensor in a structure.

        Which tensor it is may hang on a decision, so after one nothing is certain.
        """
        found = tuple((size_of(t), self._state_of_any(t)) for t in tensors_in(value))
        if not self.left and not self.decided:
            return found
        return tuple(
            (shape, s and self.algebra.bounded(s, self._cause(), FieldStatus.DATA_DEPENDENT))
            for shape, s in found
        )


class Source:
    """Where fields begin: the model's inputs, or the output of one of its layers.

    Args:
        model: The model that runs.
        layer: Name of the layer; ``None`` for the inputs.
        algebra: For the states.
    """

    def __init__(self, model: nn.Module, layer: str | None, algebra: Algebra) -> None:
        self.layer = layer
        self.module = None if layer is None else dict(model.named_modules())[layer]
        self.algebra = algebra
        self.axes: tuple[Axis, ...] = ()
        self.names: tuple[str, ...] = ()

    def begin(self, named: Sequence[tuple[str, torch.Tensor]]) -> None:
        """These tensors are what is looked at."""
        self.axes = source_states([t for _, t in named], self.algebra)
        self.names = tuple(n for n, _ in named)

    def after(self, module: nn.Module, output: Any) -> None:
        """A module has returned: fields begin there if it is the one, at its first call."""
        if module is self.module and not self.names:
            named = [
                (f"{self.layer}.{n}" if n else str(self.layer), t) for n, t in named_tensors(output)
            ]
            self.begin(named)


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
