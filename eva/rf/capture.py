"""One forward pass, watched: every module call and every operation, with what each tensor sees."""

from __future__ import annotations

import contextlib
import functools
import random
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from eva.rf.algebra import Algebra
from eva.rf.aten import RULES
from eva.rf.rules import USERS, Geometry, Op, Pointwise, TensorArg, Whole
from eva.rf.state import Axis, State, Status

Shape = tuple[int, ...]
STATE = "_eva_state"  # attribute of a tensor that carries its state for as long as it lives


@dataclass(kw_only=True)
class Frame:
    """One module call while it runs, and what is known of it afterwards."""

    name: str
    module: nn.Module
    depth: int
    parent: int | None
    inputs: tuple[tuple[Shape, State | None], ...]
    outputs: tuple[tuple[Shape, State | None], ...] = ()
    ops: list[int] = field(default_factory=list)
    done: bool = False


@dataclass(frozen=True, kw_only=True)
class Step:
    """One executed operation and the states around it."""

    name: str
    call: int
    inputs: tuple[tuple[Shape, State | None], ...]
    outputs: tuple[tuple[Shape, State | None], ...]


class NeedsNumbers(Exception):  # noqa: N818
    """An index tensor's numbers decide what is seen, and meta tensors have none."""


def seen(value: Any) -> tuple[tuple[Shape, State | None], ...]:
    """Shape and state of every tensor in a structure."""
    return tuple((tuple(t.shape), getattr(t, STATE, None)) for t in tensors_in(value))


def tensors_in(value: Any) -> list[torch.Tensor]:
    """Every tensor in nested lists, dicts, dataclasses and plain objects, in order."""
    return [t for _, t in named_tensors(value)]


def named_tensors(value: Any, name: str = "") -> list[tuple[str, torch.Tensor]]:
    """Every tensor in a structure with its place: ``"out"``, ``"features.0"``."""
    if isinstance(value, torch.Tensor):
        return [(name, value)]
    items: Sequence[tuple[Any, Any]]
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        items = list(zip(value._fields, value, strict=True))
    elif isinstance(value, (list, tuple)):
        items = list(enumerate(value))
    elif hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        items = [(f, getattr(value, f)) for f in value.__dataclass_fields__]
    elif value is None or isinstance(value, (str, int, float, complex, type)):
        return []
    elif hasattr(value, "tensors") and isinstance(value.tensors, torch.Tensor):
        return [(name, value.tensors)]
    else:
        return []
    return [
        found
        for key, item in items
        for found in named_tensors(item, f"{name}.{key}" if name else str(key))
    ]


@functools.cache
def _signature(func: Any) -> tuple[str, tuple[tuple[str, Any], ...], bool, tuple[int, ...]]:
    schema = func._schema
    name = schema.name.replace("::", ".")
    if name.endswith("_") and not name.endswith("__"):
        name = name[:-1]
    arguments = tuple((a.name, a.default_value) for a in schema.arguments)
    written = tuple(
        i
        for i, a in enumerate(schema.arguments)
        if a.alias_info is not None and a.alias_info.is_write
    )
    return name, arguments, torch.Tag.pointwise in func.tags, written


class Recorder(TorchDispatchMode):
    """Applies the rule of each operation that runs, and keeps the list of them."""

    def __init__(self, algebra: Algebra, numbers: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.algebra = algebra
        self.numbers = numbers
        self.frames: list[Frame] = []
        self.stack: list[int] = []
        self.steps: list[Step] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation, then say what its results see."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name, arguments, pointwise, written = _signature(func)
        bound = {
            key: args[i] if i < len(args) else kwargs.get(key, default)
            for i, (key, default) in enumerate(arguments)
        }
        before = [t for v in bound.values() for t in _tensors_of(v)]
        results = _tensors_of(result)
        if not results:
            return result
        inputs = tuple((tuple(t.shape), getattr(t, STATE, None)) for t in before)
        states: Sequence[State | None] = [None] * len(results)
        if any(s is not None for _, s in inputs):
            op = Op(
                name=name,
                args={k: self._argument(v) for k, v in bound.items()},
                outputs=tuple(tuple(t.shape) for t in results),
            )
            found = self._geometry(op, pointwise)(self.algebra, op)
            states = [found] * len(results) if isinstance(found, State) else found
        for t, state in zip(results, states, strict=True):
            setattr(t, STATE, state)
        if self.stack:
            self.frames[self.stack[-1]].ops.append(len(self.steps))
        self.steps.append(
            Step(
                name=name,
                call=self.stack[-1] if self.stack else 0,
                inputs=inputs,
                outputs=tuple((tuple(t.shape), s) for t, s in zip(results, states, strict=True)),
            )
        )
        return result

    def _argument(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            state = getattr(value, STATE, None)
            return TensorArg(
                shape=tuple(value.shape),
                state=state,
                values=None if state is not None else functools.partial(self.numbers, value),
            )
        if isinstance(value, (list, tuple)):
            return [self._argument(v) for v in value]
        return value

    def _geometry(self, op: Op, pointwise: bool) -> Geometry:
        rule = USERS.find(op.name) or RULES.get(op.name)
        if rule is not None:
            return rule(op)
        return Pointwise() if pointwise else Whole(status=Status.UNKNOWN)


def _tensors_of(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, (list, tuple)):
        return [t for v in value for t in _tensors_of(v)]
    return []


@contextlib.contextmanager
def watched(model: nn.Module, recorder: Recorder) -> Iterator[None]:
    """Hooks on every module that open and close a frame for each call."""
    names = {id(m): n for n, m in model.named_modules()}

    def enter(module: nn.Module, args: Any, kwargs: Any) -> None:
        recorder.frames.append(
            Frame(
                name=names.get(id(module), ""),
                module=module,
                depth=len(recorder.stack),
                parent=recorder.stack[-1] if recorder.stack else None,
                inputs=seen((args, list(kwargs.values()))),
            )
        )
        recorder.stack.append(len(recorder.frames) - 1)

    def leave(module: nn.Module, args: Any, output: Any) -> None:
        frame = recorder.frames[recorder.stack.pop()]
        frame.outputs = seen(output)
        frame.done = True

    handles = []
    try:
        for module in model.modules():
            handles.append(module.register_forward_pre_hook(enter, prepend=True, with_kwargs=True))
            handles.append(module.register_forward_hook(leave))
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextlib.contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Put back every attribute, parameter, buffer and random generator as it was."""
    saved = [(m, dict(m.__dict__), dict(m._parameters), dict(m._buffers)) for m in model.modules()]
    cpu, py, numpy = torch.get_rng_state(), random.getstate(), np.random.get_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for m, attributes, parameters, buffers in saved:
            m.__dict__.clear()
            m.__dict__.update(attributes)
            m._parameters.clear()
            m._parameters.update(parameters)
            m._buffers.clear()
            m._buffers.update(buffers)
        torch.set_rng_state(cpu)
        random.setstate(py)
        np.random.set_state(numpy)
        if cuda:
            torch.cuda.set_rng_state_all(cuda)


def stand_ins(model: nn.Module, meta: bool) -> Callable[[torch.Tensor], Any]:
    """Replace parameters and buffers: by meta tensors, or (buffers only) by copies.

    Returns:
        A function that reads an index tensor's numbers, if they can still be known.
    """
    made: dict[int, torch.Tensor] = {}
    originals: dict[int, torch.Tensor] = {}

    def substitute(tensor: torch.Tensor, is_buffer: bool) -> torch.Tensor:
        if id(tensor) not in made:
            if meta:
                new = torch.empty_strided(
                    tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta"
                )
                new = new if is_buffer else nn.Parameter(new, requires_grad=False)
            else:
                new = tensor.clone() if is_buffer else tensor
            made[id(tensor)] = new
            originals[id(new)] = tensor
        return made[id(tensor)]

    for module in model.modules():
        for table, is_buffer in ((module._parameters, False), (module._buffers, True)):
            for key, tensor in table.items():
                if tensor is not None:
                    table[key] = substitute(tensor, is_buffer)

    def numbers(tensor: torch.Tensor) -> Any:
        real = originals.get(id(tensor), tensor)
        if real.device.type == "meta":
            raise NeedsNumbers
        return real.tolist()

    return numbers


def source_states(tensors: Sequence[torch.Tensor], algebra: Algebra) -> tuple[Axis, ...]:
    """Give each input tensor its state; the spatial axes are those after batch and channel."""
    axes: list[Axis] = []
    for number, tensor in enumerate(tensors):
        shape = tuple(tensor.shape)
        dims = range(2, len(shape)) if len(shape) > 2 else range(1, len(shape))
        own = [Axis(number, d, shape[d]) for d in dims]
        setattr(tensor, STATE, algebra.source(shape, own))
        axes += own
    return tuple(axes)


_ = (weakref, tree_flatten)
